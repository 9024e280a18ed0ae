#include <embergrad/nn/dropout.hpp>

#include <boost/test/unit_test.hpp>
#include <limits>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/random.hpp>

#include "nn/says.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::Tensor;
using eg::test::equal_to;
using eg::test::says;

BOOST_AUTO_TEST_SUITE(dropout)

BOOST_AUTO_TEST_CASE(acts_in_training_alone) {
  eg::manual_seed(11);
  nn::Dropout layer(0.25);
  const Tensor input = eg::ones({1000});
  int zeros = 0;
  for (const float value : layer(input).to_vector<float>()) {
    BOOST_TEST((value == 0.0F || value == 1.0F / 0.75F));
    zeros += value == 0.0F ? 1 : 0;
  }
  BOOST_TEST(zeros > 200);
  BOOST_TEST(zeros < 300);
  layer.eval();
  BOOST_TEST(layer(input).state() == input.state());
  BOOST_TEST(nn::Dropout().p() == 0.5);
  BOOST_TEST(equal_to("p=1", nn::Dropout({.p = 1})(input), eg::zeros({1000})));
}

BOOST_AUTO_TEST_CASE(refuses_a_share_outside_0_to_1) {
  for (const double p : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    BOOST_CHECK_EXCEPTION(nn::Dropout{p}, eg::ValueError, says({"Dropout", "p must be in [0, 1]"}));
  }
}

BOOST_AUTO_TEST_SUITE_END()

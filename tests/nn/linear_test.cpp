#include <embergrad/nn/linear.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "nn/says.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::Tensor;
using eg::test::equal_to;
using eg::test::says;

BOOST_AUTO_TEST_SUITE(linear)

// "128 samples of length 20 become 128 samples of length 30"
BOOST_AUTO_TEST_CASE(documents_example) {
  const nn::Linear layer(20, 30);
  const Tensor input = eg::randn({128, 20});
  const Tensor output = layer(input);
  BOOST_TEST((output.shape() == eg::Shape{128, 30}));
  for (const int row : {0, 127}) {
    for (const int column : {0, 29}) {
      double expected = layer.bias.at({column});
      for (int k = 0; k < 20; ++k) expected += input.at({row, k}) * layer.weight.at({column, k});
      BOOST_TEST(output.at({row, column}) == expected, boost::test_tools::tolerance(1e-4));
    }
  }
}

BOOST_AUTO_TEST_CASE(draws_weight_then_bias_within_one_over_root_in) {
  eg::Generator generator(3);
  const nn::Linear layer(16, 50, true, generator);
  const double bound = 0.25;
  for (const Tensor& parameter : {layer.weight, layer.bias}) {
    double largest = 0;
    for (const double value : parameter.to_vector<double>()) largest = std::max(largest, std::abs(value));
    BOOST_TEST(largest <= bound);
    BOOST_TEST(largest > 0.8 * bound);
    BOOST_TEST(parameter.requires_grad());
  }
  eg::Generator again(3);
  BOOST_TEST(equal_to("weight", layer.weight.detach(), eg::rand({50, 16}, {}, again) * (2 * bound) + -bound));
  BOOST_TEST(equal_to("bias", layer.bias.detach(), eg::rand({50}, {}, again) * (2 * bound) + -bound));
}

BOOST_AUTO_TEST_CASE(shapes_and_options) {
  const nn::Linear plain({.in_features = 3, .out_features = 2, .bias = false, .dtype = eg::DType::float64});
  BOOST_TEST(!plain.bias.defined());
  BOOST_TEST(plain.state_dict().size() == 1U);
  BOOST_TEST((plain(eg::ones({3}, {eg::DType::float64, {}})).shape() == eg::Shape{2}));
  BOOST_TEST((plain(eg::ones({4, 5, 3}, {eg::DType::float64, {}})).shape() == eg::Shape{4, 5, 2}));
  BOOST_TEST((plain(eg::ones({0, 3}, {eg::DType::float64, {}})).shape() == eg::Shape{0, 2}));
  const nn::Linear empty(0, 2);
  BOOST_TEST(equal_to("bias", empty.bias.detach(), eg::zeros({2})));
  const std::vector<Tensor> sequences{eg::ones({1, 3}), eg::ones({2, 3})};
  const nn::PackedSequence packed = nn::pack_sequence(sequences, false);
  BOOST_TEST((nn::Linear(3, 4)(packed).values().shape() == eg::Shape{3, 4}));
}

BOOST_AUTO_TEST_CASE(refusals) {
  BOOST_CHECK_EXCEPTION(nn::Linear(-1, 2), eg::ValueError, says({"Linear", "in_features", "-1"}));
  BOOST_CHECK_EXCEPTION(nn::Linear({.in_features = 1, .out_features = 1, .dtype = eg::DType::int32}), eg::DTypeError,
                        says({"int32"}));
  BOOST_CHECK_THROW(static_cast<void>(nn::Linear(3, 2)(eg::ones({2, 4}))), eg::ShapeError);
  BOOST_CHECK_THROW(static_cast<void>(nn::Linear(3, 2)(eg::ones({2, 3}, {eg::DType::float64, {}}))), eg::DTypeError);
}

BOOST_AUTO_TEST_SUITE_END()

#include <embergrad/nn/init.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <limits>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "nn/says.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace ni = eg::nn::init;
using eg::Generator;
using eg::Tensor;
using eg::test::equal_to;
using eg::test::says;

namespace {

// The drawn numbers of a (30, 20, 2) tensor: fan_in 40, fan_out 60.
struct Drawn {
  Tensor tensor;
  double mean = 0, deviation = 0, largest = 0;
  explicit Drawn(const std::function<void(const Tensor&)>& fill)
      : tensor(eg::empty({30, 20, 2}, {eg::DType::float64, {}})) {
    fill(tensor);
    const auto values = tensor.to_vector<double>();
    for (const double value : values) {
      mean += value / 1200;
      largest = std::max(largest, std::abs(value));
    }
    for (const double value : values) deviation += (value - mean) * (value - mean) / 1200;
    deviation = std::sqrt(deviation);
  }
};

void check_uniform(const Drawn& drawn, double bound) {
  BOOST_TEST(drawn.largest <= bound);
  BOOST_TEST(drawn.largest > 0.98 * bound);
  BOOST_TEST(std::abs(drawn.mean) < 0.1 * bound);
}

void check_normal(const Drawn& drawn, double deviation) {
  BOOST_TEST(std::abs(drawn.deviation / deviation - 1) < 0.1);
  BOOST_TEST(std::abs(drawn.mean) < 0.1 * deviation);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(init)

BOOST_AUTO_TEST_CASE(formulas) {
  Generator g(1);
  check_uniform(Drawn([&](const Tensor& t) { ni::xavier_uniform(t, 2, g); }), 2 * std::sqrt(6.0 / 100));
  check_normal(Drawn([&](const Tensor& t) { ni::xavier_normal(t, 2, g); }), 2 * std::sqrt(2.0 / 100));
  using ni::FanMode;
  using ni::Nonlinearity;
  const double leaky = std::sqrt(2 / (1 + 0.25));
  check_uniform(
      Drawn([&](const Tensor& t) { ni::kaiming_uniform(t, 0.5, FanMode::fan_in, Nonlinearity::leaky_relu, g); }),
      std::sqrt(3.0) * leaky / std::sqrt(40.0));
  check_normal(Drawn([&](const Tensor& t) { ni::kaiming_normal(t, 0, FanMode::fan_out, Nonlinearity::tanh, g); }),
               5.0 / 3 / std::sqrt(60.0));
  check_normal(Drawn([&](const Tensor& t) { ni::kaiming_normal(t); }), std::sqrt(2.0) / std::sqrt(40.0));
  check_uniform(Drawn([&](const Tensor& t) { ni::uniform(t, -3, 3, g); }), 3);
  check_normal(Drawn([&](const Tensor& t) { ni::normal(t, 0, 0.5, g); }), 0.5);
  const Drawn shifted([&](const Tensor& t) { ni::normal(t, 7, 0, g); });
  BOOST_TEST(shifted.mean == 7, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(the_same_generator_gives_the_same_numbers) {
  Generator a(9);
  Generator b(9);
  const Tensor one = eg::empty({4, 4});
  const Tensor two = eg::empty({4, 4});
  ni::xavier_uniform(one, 1, a);
  ni::xavier_uniform(two, 1, b);
  BOOST_TEST(equal_to("same", one, two));
  ni::xavier_uniform(two, 1, b);
  BOOST_TEST(!equal_to("next", one, two));
}

BOOST_AUTO_TEST_CASE(constants_and_empty_tensors) {
  const Tensor tensor = eg::empty({2, 3});
  ni::constant(tensor, 1.5);
  BOOST_TEST(equal_to("constant", tensor, eg::full({2, 3}, 1.5)));
  ni::ones(tensor);
  BOOST_TEST(equal_to("ones", tensor, eg::ones({2, 3})));
  ni::zeros(tensor);
  BOOST_TEST(equal_to("zeros", tensor, eg::zeros({2, 3})));
  Generator generator(1);
  ni::xavier_uniform(eg::empty({0, 3}), 1, generator);
  ni::kaiming_normal(eg::empty({3, 0}), 0, ni::FanMode::fan_in, ni::Nonlinearity::relu, generator);
  BOOST_TEST(generator.tick() == 0U);
}

BOOST_AUTO_TEST_CASE(works_on_parameters_off_the_tape) {
  Tensor weight = eg::ones({3, 3});
  weight.set_requires_grad();
  ni::uniform(weight, 2, 3);
  BOOST_TEST(weight.is_leaf());
  BOOST_TEST(weight.requires_grad());
  BOOST_TEST(weight.at({0, 0}) >= 2);
}

BOOST_AUTO_TEST_CASE(gains) {
  using ni::calculate_gain;
  using ni::Nonlinearity;
  BOOST_TEST(calculate_gain(Nonlinearity::linear) == 1);
  BOOST_TEST(calculate_gain(Nonlinearity::sigmoid) == 1);
  BOOST_TEST(calculate_gain(Nonlinearity::tanh) == 5.0 / 3);
  BOOST_TEST(calculate_gain(Nonlinearity::relu) == std::sqrt(2.0));
  BOOST_TEST(calculate_gain(Nonlinearity::leaky_relu) == std::sqrt(2 / (1 + 0.0001)));
  BOOST_TEST(calculate_gain(Nonlinearity::leaky_relu, 1) == 1);
  BOOST_TEST(calculate_gain(Nonlinearity::selu) == 0.75);
}

BOOST_AUTO_TEST_CASE(refusals) {
  const Tensor tensor = eg::ones({2, 2});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  BOOST_CHECK_EXCEPTION(ni::uniform(tensor, 1, 0), eg::ValueError, says({"uniform", "a <= b"}));
  BOOST_CHECK_EXCEPTION(ni::uniform(tensor, nan, 0), eg::ValueError, says({"uniform"}));
  BOOST_CHECK_EXCEPTION(ni::normal(tensor, 0, -1), eg::ValueError, says({"normal", "std", "-1"}));
  BOOST_CHECK_EXCEPTION(ni::xavier_normal(eg::ones({2})), eg::ShapeError, says({"two dimensions", "[2]"}));
  BOOST_CHECK_EXCEPTION(ni::uniform(eg::tensor({1, 2})), eg::DTypeError, says({"int64"}));
  BOOST_CHECK_EXCEPTION(ni::zeros(Tensor()), eg::ValueError, says({"undefined"}));
  BOOST_TEST(equal_to("unchanged", tensor, eg::ones({2, 2})));
}

BOOST_AUTO_TEST_SUITE_END()

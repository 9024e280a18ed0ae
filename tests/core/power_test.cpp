#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "support/arrays.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// The exponents with a way of their own, and others.
constexpr double exponents[] = {0, 1, 2, 3, -1, -2, 0.5, -0.5, 2.5, -1.5, 4, 10};

}  // namespace

BOOST_AUTO_TEST_SUITE(power)

BOOST_AUTO_TEST_CASE(values) {
  for_computing_types([](DType dtype) {
    Draw draw(51);
    const Tolerance close = dtype == DType::float32 ? Tolerance{2e-6, 0} : Tolerance{1e-14, 0};
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{33}, Shape{2, 3}, Shape{40001}}) {
      const Tensor x = draw.uniform(shape, dtype, 0.1, 4);
      for (const double e : exponents) {
        Array expected = to_array(x), turned = expected;
        for (double& value : expected) value = std::pow(value, e);
        BOOST_TEST(close_to("scalar exponent", eg::pow(x, e), to_tensor(expected, dtype), close), "exponent " << e);
        if (e <= 0) continue;
        for (double& value : turned) value = std::pow(e, value);
        BOOST_TEST(close_to("scalar base", eg::pow(e, x), to_tensor(turned, dtype), close), "base " << e);
      }
    }
    const Tensor a = draw.uniform({3, 1, 4}, dtype, 0.1, 4), b = draw.uniform({5, 1}, dtype, -3, 3);
    const Array x = to_array(a), y = to_array(b), expected = xt::pow(x, y);
    BOOST_TEST(close_to("broadcast", eg::pow(a, b), to_tensor(expected, dtype), close));
  });
}

BOOST_AUTO_TEST_CASE(integers) {
  const Tensor x = eg::tensor({-3, 0, 1, 2});
  BOOST_TEST(equal_to("squares", eg::pow(x, 2), eg::tensor({9, 0, 1, 4})));
  BOOST_TEST(equal_to("int32", eg::pow(x.to(DType::int32), 3), eg::tensor({-27, 0, 1, 8}).to(DType::int32)));
  BOOST_TEST(equal_to("zeroth", eg::pow(x, 0), eg::tensor({1, 1, 1, 1})));
  BOOST_TEST(equal_to("of two", eg::pow(2, eg::tensor({0, 5, 62, -1})), eg::tensor({1LL, 32LL, 1LL << 62, 0LL})));
  BOOST_TEST(equal_to("negative powers in a tensor", eg::pow(eg::tensor({1, -1, -1, 2}), eg::tensor({-5, -4, -3, -1})),
                      eg::tensor({1, 1, -1, 0})));
  BOOST_TEST(equal_to("wraps", eg::pow(eg::tensor({3}), 41), eg::tensor({-420491770248316829LL})));
  BOOST_TEST(equal_to("floating exponent", eg::pow(x, 2.0), eg::tensor({9.0, 0.0, 1.0, 4.0})));
  BOOST_TEST((eg::pow(2.0, x).dtype() == DType::float32));
  BOOST_TEST((eg::pow(x.to(DType::int32), x).dtype() == DType::int64));
  BOOST_TEST((eg::pow(eg::tensor(2.0), x).dtype() == DType::float32));
}

BOOST_AUTO_TEST_CASE(special_numbers) {
  for_computing_types([](DType dtype) {
    const auto of = [&](const std::vector<double>& values) { return eg::tensor(values).to(dtype); };
    const std::vector<double> x = {0, -1, 2, inf, -inf, not_a_number};
    BOOST_TEST(equal_to("0", eg::pow(of(x), 0.0), of({1, 1, 1, 1, 1, 1})));
    BOOST_TEST(equal_to("1/2", eg::pow(of({0, 4, -1, inf, -inf}), 0.5), of({0, 2, not_a_number, inf, not_a_number})));
    BOOST_TEST(equal_to("-1", eg::pow(of({0, 4, inf}), -1), of({inf, 0.25, 0})));
    BOOST_TEST(equal_to("inf", eg::pow(of({0.5, 1, 2}), inf), of({0, 1, inf})));
  });
}

BOOST_AUTO_TEST_CASE(gradients) {
  Draw draw(52);
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{33}, Shape{2, 3}}) {
    for (const double e : exponents) {
      BOOST_TEST_CONTEXT(shape.to_string() << ", " << e << ", seed 52") {
        BOOST_TEST(gradients_agree([e](const Inputs& in) { return eg::pow(in[0], e); },
                                   {leaf(draw, shape, DType::float64, 0.5, 2)}));
        if (e <= 0) continue;
        BOOST_TEST(gradients_agree([e](const Inputs& in) { return eg::pow(e, in[0]); }, {leaf(draw, shape)}));
      }
    }
  }
  BOOST_TEST(
      gradients_agree([](const Inputs& in) { return eg::pow(in[0], 3); }, {leaf(draw, {5}, DType::float64, -2, -0.5)}));
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
           {{}, {}}, {{3}, {3}}, {{2, 3}, {3}}, {{2, 1}, {1, 3}}, {{}, {2}}, {{0, 2}, {2}}}) {
    BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::pow(in[0], in[1]); },
                               {leaf(draw, a, DType::float64, 0.5, 2), leaf(draw, b, DType::float64, -2, 3)}));
  }
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::pow(in[0], in[0]); },
                             {leaf(draw, {4}, DType::float64, 0.5, 2)}));
}

// PyTorch's numbers where the formula alone would give NaN.
BOOST_AUTO_TEST_CASE(gradients_at_zero) {
  for_computing_types([](DType dtype) {
    const auto of = [&](const std::vector<double>& values) { return eg::tensor(values).to(dtype); };
    const auto gradient = [&](const std::vector<double>& at, double e) {
      const Tensor x = of(at).set_requires_grad();
      eg::sum(eg::pow(x, e)).backward();
      return grad_of(x);
    };
    BOOST_TEST(equal_to("x^0", gradient({0, -1, inf, not_a_number}, 0), of({0, 0, 0, 0})));
    BOOST_TEST(equal_to("x^1", gradient({0, -1, not_a_number}, 1), of({1, 1, 1})));
    BOOST_TEST(equal_to("x^2", gradient({0, -1}, 2), of({0, -2})));
    BOOST_TEST(equal_to("x^0.5", gradient({0, 4}, 0.5), of({inf, 0.25})));
    const Tensor x = of({0, 0, 0, -1, 0}).set_requires_grad(), e = of({0, 1, -1, 0, 2}).set_requires_grad();
    eg::sum(eg::pow(x, e)).backward();
    BOOST_TEST(equal_to("base", grad_of(x), of({0, 1, -inf, 0, 0})));
    BOOST_TEST(equal_to("exponent", grad_of(e), of({0, 0, -inf, not_a_number, 0})));
    const Tensor only = of({0, 1, -1}).set_requires_grad();
    eg::sum(eg::pow(0, only)).backward();
    BOOST_TEST(equal_to("0^x", grad_of(only), of({0, 0, -inf})));
  });
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = eg::ones({2, 3}), n = eg::tensor({1, 2}).to(DType::int32);
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::pow(n, -1); }, {"pow:", "exponent is -1", "integers"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::pow(n, std::int64_t{1} << 40); }, {"pow:", "exponent", "int32"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::pow(std::int64_t{1} << 40, n); }, {"pow:", "base", "int32"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::pow(x, eg::ones({2})); }, {"pow:", "[2, 3]", "[2]"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::pow(Tensor(), 2); }, {"pow:", "input", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::pow(2, Tensor()); }, {"pow:", "exponent", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::pow(x, Tensor()); }, {"pow:", "undefined"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::pow(x.to(DType::float16), 2); }, {"pow:", "float16"}));
}

BOOST_AUTO_TEST_SUITE_END()

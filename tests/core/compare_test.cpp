// Comparisons, maximum and minimum, clamp, where, masked_fill.
#include <cmath>
#include <cstdint>
#include <functional>
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

const std::vector<DType>& numbers() {
  static const std::vector<DType> all = {DType::float32, DType::float64, DType::int32, DType::int64};
  return all;
}

struct Comparison {
  const char* name;
  std::function<Tensor(const Tensor&, const Tensor&)> tensors;
  std::function<Tensor(const Tensor&, eg::Scalar)> scalar;
  std::function<bool(double, double)> holds;
};
const std::vector<Comparison>& comparisons() {
  using T = const Tensor&;
  static const std::vector<Comparison> all = {
      {"eq", [](T a, T b) { return eg::eq(a, b); }, [](T a, eg::Scalar b) { return eg::eq(a, b); },
       [](double a, double b) { return a == b; }},
      {"ne", [](T a, T b) { return eg::ne(a, b); }, [](T a, eg::Scalar b) { return eg::ne(a, b); },
       [](double a, double b) { return a != b; }},
      {"lt", [](T a, T b) { return eg::lt(a, b); }, [](T a, eg::Scalar b) { return eg::lt(a, b); },
       [](double a, double b) { return a < b; }},
      {"le", [](T a, T b) { return eg::le(a, b); }, [](T a, eg::Scalar b) { return eg::le(a, b); },
       [](double a, double b) { return a <= b; }},
      {"gt", [](T a, T b) { return eg::gt(a, b); }, [](T a, eg::Scalar b) { return eg::gt(a, b); },
       [](double a, double b) { return a > b; }},
      {"ge", [](T a, T b) { return eg::ge(a, b); }, [](T a, eg::Scalar b) { return eg::ge(a, b); },
       [](double a, double b) { return a >= b; }}};
  return all;
}

// f over two broadcast tensors, in double.
Tensor mapped(const Tensor& a, const Tensor& b, DType dtype, const std::function<double(double, double)>& f) {
  const Array x = to_array(a), y = to_array(b);
  const Array wide_x = x + 0.0 * y, wide_y = y + 0.0 * x;
  Array out = wide_x;
  for (std::size_t i = 0; i < out.size(); ++i) out.data()[i] = f(wide_x.data()[i], wide_y.data()[i]);
  return to_tensor(out, dtype);
}

Tensor spread(Draw& draw, const Shape& shape, DType dtype) { return draw.integers(shape, -2, 2).to(dtype); }

}  // namespace

BOOST_AUTO_TEST_SUITE(compare)

BOOST_AUTO_TEST_CASE(comparisons_against_loops) {
  for (const DType dtype : numbers()) {
    Draw draw(61);
    for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
             {{}, {}}, {{0}, {0}}, {{33}, {33}}, {{2, 3}, {3}}, {{4, 1}, {1, 5}}, {{}, {7}}}) {
      const Tensor x = spread(draw, a, dtype), y = spread(draw, b, dtype);
      for (const Comparison& c : comparisons()) {
        const auto f = [&](double p, double q) { return c.holds(p, q) ? 1.0 : 0.0; };
        BOOST_TEST(equal_to(c.name, c.tensors(x, y), mapped(x, y, DType::int32, f)));
        BOOST_TEST(equal_to(c.name, c.scalar(x, 1), mapped(x, eg::tensor(1), DType::int32, f)));
        BOOST_TEST(equal_to(c.name, c.scalar(x, 0.5), mapped(x, eg::tensor(0.5), DType::int32, f)));
      }
    }
  }
  const Tensor odd = eg::tensor({not_a_number, inf, 0.0}), same = eg::tensor({not_a_number, inf, -0.0});
  BOOST_TEST(equal_to("eq", eg::eq(odd, same), eg::tensor({0, 1, 1}).to(DType::int32)));
  BOOST_TEST(equal_to("ne", eg::ne(odd, same), eg::tensor({1, 0, 0}).to(DType::int32)));
  BOOST_TEST(equal_to("le", eg::le(odd, not_a_number), eg::tensor({0, 0, 0}).to(DType::int32)));
  BOOST_TEST(!eg::eq(eg::ones({2}).set_requires_grad(), 1).requires_grad());
  // Integers are compared as integers, beyond 2^53 too.
  const std::int64_t large = std::int64_t{1} << 60;
  BOOST_TEST(eg::gt(eg::tensor({large + 1}), large).item<std::int64_t>() == 1);
}

BOOST_AUTO_TEST_CASE(larger_and_smaller_of_two) {
  for (const DType dtype : numbers()) {
    Draw draw(62);
    for (const auto& [a, b] :
         std::vector<std::pair<Shape, Shape>>{{{}, {}}, {{33}, {33}}, {{2, 3}, {3}}, {{4, 1}, {1, 5}}, {{0}, {1}}}) {
      const Tensor x = spread(draw, a, dtype), y = spread(draw, b, dtype);
      BOOST_TEST(equal_to("maximum", eg::maximum(x, y),
                          mapped(x, y, dtype, [](double p, double q) { return std::max(p, q); })));
      BOOST_TEST(equal_to("minimum", eg::minimum(x, y),
                          mapped(x, y, dtype, [](double p, double q) { return std::min(p, q); })));
    }
  }
  const Tensor a = eg::tensor({not_a_number, 1.0, 2.0}), b = eg::tensor({0.0, not_a_number, 1.0});
  BOOST_TEST(equal_to("maximum", eg::maximum(a, b), eg::tensor({not_a_number, not_a_number, 2.0})));
  BOOST_TEST(equal_to("minimum", eg::minimum(a, b), eg::tensor({not_a_number, not_a_number, 1.0})));
  Draw draw(63);
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::maximum(in[0], in[1]) * eg::minimum(in[0], in[1]); },
                             {leaf(draw, {3, 4}), leaf(draw, {4})}));
  const Tensor x = eg::tensor({1.0, 2.0, not_a_number}).set_requires_grad();
  const Tensor y = eg::tensor({1.0, 1.0, 0.0}).set_requires_grad();
  eg::sum(eg::maximum(x, y)).backward();
  BOOST_TEST(equal_to("half each", grad_of(x), eg::tensor({0.5, 1.0, 1.0})));
  BOOST_TEST(equal_to("half each", grad_of(y), eg::tensor({0.5, 0.0, 1.0})));
}

BOOST_AUTO_TEST_CASE(clamp_to_numbers) {
  for (const DType dtype : numbers()) {
    Draw draw(64);
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{33}, Shape{40001}}) {
      const Tensor x = draw.integers(shape, -5, 5).to(dtype);
      const auto f = [&](const char* name, const Tensor& got, double low, double high, DType as) {
        BOOST_TEST(equal_to(name, got, mapped(x, eg::tensor(0), as, [&](double p, double) {
                              return std::min(std::max(p, low), high);
                            })));
      };
      f("both", eg::clamp(x, {.min = -2, .max = 3}), -2, 3, dtype);
      f("min", eg::clamp(x, {.min = 1}), 1, inf, dtype);
      f("max", eg::clamp(x, {.max = 1}), -inf, 1, dtype);
      f("crossed", eg::clamp(x, {.min = 3, .max = -1}), 3, -1, dtype);
      f("floating", eg::clamp(x, {.min = -1.5, .max = 2}), -1.5, 2, eg::is_floating(dtype) ? dtype : DType::float32);
    }
  }
  for_computing_types([](DType dtype) {
    const auto of = [&](const std::vector<double>& values) { return eg::tensor(values).to(dtype); };
    const Tensor x = of({0, 1, 1.5, 2, 3, not_a_number, inf}).set_requires_grad();
    const Tensor y = eg::clamp(x, {.min = 1, .max = 2});
    BOOST_TEST(equal_to("clamp", y, of({1, 1, 1.5, 2, 2, not_a_number, 2})));
    eg::sum(y).backward();
    BOOST_TEST(equal_to("strictly between", grad_of(x), of({0, 0, 1, 0, 0, 0, 0})));
    const Tensor z = of({0, 2, inf, not_a_number}).set_requires_grad();
    eg::sum(eg::clamp(z, {.min = 1})).backward();
    BOOST_TEST(equal_to("no bound above", grad_of(z), of({0, 1, 1, 0})));
    const Tensor lost = of({0, 2}).set_requires_grad();
    const Tensor nothing = eg::clamp(lost, {.max = not_a_number});
    BOOST_TEST(equal_to("NaN", nothing, of({not_a_number, not_a_number})));
    eg::sum(nothing).backward();
    BOOST_TEST(equal_to("NaN", grad_of(lost), of({0, 0})));
  });
  BOOST_TEST(equal_to("integers and infinity", eg::clamp(eg::tensor({1, 2}), {.max = inf}), eg::tensor({1.0, 2.0})));
  Draw draw(65);
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::clamp(in[0], {.min = -0.5, .max = 0.25}); },
                             {leaf(draw, {50})}));
}

BOOST_AUTO_TEST_CASE(clamp_to_tensors) {
  Draw draw(66);
  const Tensor x = draw.uniform({4, 5}, DType::float64), low = draw.uniform({5}, DType::float64, -1, 0);
  const Tensor high = draw.uniform({4, 1}, DType::float64, 0, 1);
  const Tensor raised = mapped(x, low, DType::float64, [](double p, double q) { return std::max(p, q); });
  BOOST_TEST(equal_to("min", eg::clamp(x, low, {}), raised));
  BOOST_TEST(equal_to("both", eg::clamp(x, low, high),
                      mapped(raised, high, DType::float64, [](double p, double q) { return std::min(p, q); })));
  BOOST_TEST(gradients_agree(
      [](const Inputs& in) { return eg::clamp(in[0], in[1], in[2]); },
      {leaf(draw, {4, 5}), leaf(draw, {5}, DType::float64, -1, 0), leaf(draw, {4, 1}, DType::float64, 0, 1)}));
  BOOST_TEST((eg::clamp(eg::tensor({1, 2}), eg::tensor(1.5), {}).dtype() == DType::float32));
}

BOOST_AUTO_TEST_CASE(where_against_loops) {
  for_index_types([](DType mask_type) {
    for (const DType dtype : numbers()) {
      Draw draw(67);
      for (const Shape& c : {Shape{}, Shape{3}, Shape{2, 1}, Shape{2, 3}, Shape{0, 1, 1}}) {
        for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{2, 3}, {2, 3}}, {{3}, {2, 1}}, {{}, {}}}) {
          const Tensor mask = draw.integers(c, -1, 1, mask_type), x = spread(draw, a, dtype),
                       y = spread(draw, b, dtype);
          const Array m = to_array(mask), p = to_array(x), q = to_array(y);
          const Array expected = xt::where(xt::not_equal(m, 0.0), p, q);
          BOOST_TEST(equal_to("where", eg::where(mask, x, y), to_tensor(expected, dtype)));
        }
      }
    }
  });
  const Tensor mask = eg::tensor({1, 0, -7}), n = eg::tensor({1, 2, 3}), x = eg::tensor({1.0, 2.0, 3.0});
  BOOST_TEST(equal_to("promoted", eg::where(mask, n, x.to(DType::float64)),
                      eg::tensor({1.0, 2.0, 3.0}, {DType::float64, {}})));
  BOOST_TEST(equal_to("scalar", eg::where(mask, x, 0), eg::tensor({1.0, 0.0, 3.0})));
  BOOST_TEST(equal_to("scalar", eg::where(mask, 5, n), eg::tensor({5, 2, 5})));
  BOOST_TEST(equal_to("floating beside integers", eg::where(mask, n, 0.5), eg::tensor({1.0, 0.5, 3.0})));
  BOOST_TEST(equal_to("two", eg::where(mask, 2, 1), eg::tensor({2, 1, 2})));
  BOOST_TEST(equal_to("two", eg::where(mask, 2, 1.5), eg::tensor({2.0, 1.5, 2.0})));
  // What is not taken doesn't matter.
  BOOST_TEST(equal_to("NaN", eg::where(mask, eg::tensor({1.0, not_a_number, 1.0}), 0), eg::tensor({1.0, 0.0, 1.0})));
}

BOOST_AUTO_TEST_CASE(where_gradients) {
  Draw draw(68);
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{2, 3}, {2, 3}}, {{3}, {2, 1}}, {{}, {}}}) {
    const Tensor mask = draw.integers({2, 3}, 0, 1);
    BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::where(mask, in[0], in[1]); },
                               {leaf(draw, a), leaf(draw, b)}));
    BOOST_TEST(gradients_agree(
        [&](const Inputs& in) { return eg::where(mask, in[0], 1.5) + eg::where(mask, 2, in[0]); }, {leaf(draw, a)}));
  }
  // The gradient of what is not taken is zero, whatever flows.
  const Tensor x = eg::ones({2}).set_requires_grad();
  eg::where(eg::tensor({1, 0}), x, 0).backward(eg::tensor({2.0, inf}));
  BOOST_TEST(equal_to("grad", grad_of(x), eg::tensor({2.0, 0.0})));
}

BOOST_AUTO_TEST_CASE(masked_fill_as_where) {
  Draw draw(69);
  for (const DType dtype : numbers()) {
    const Tensor x = spread(draw, {2, 3}, dtype), mask = draw.integers({3}, 0, 1);
    BOOST_TEST(equal_to("number", eg::masked_fill(x, mask, 7), eg::where(mask, eg::full({}, 7, {dtype, {}}), x)));
    BOOST_TEST(equal_to("tensor", eg::masked_fill(x, mask, eg::tensor(7.5)),
                        eg::where(mask, eg::full({}, 7.5, {dtype, {}}), x)));
    BOOST_TEST((eg::masked_fill(x, mask, 2.5).dtype() == dtype));
    BOOST_TEST((eg::masked_fill(x, draw.integers({4, 1, 1}, 0, 1), 1).shape() == Shape{4, 2, 3}));
  }
  BOOST_TEST(equal_to("-inf", eg::masked_fill(eg::zeros({2}), eg::tensor({0, 1}), -inf), eg::tensor({0.0, -inf})));
  const Tensor mask = eg::tensor({{1, 0, 1}});
  BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::masked_fill(in[0], mask, 3); }, {leaf(draw, {2, 3})}));
  BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::masked_fill(in[0], mask, in[1]); },
                             {leaf(draw, {2, 3}), leaf(draw, {})}));
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = eg::ones({2, 3}), n = eg::tensor({1, 2}).to(DType::int32), mask = eg::tensor({1, 0, 1});
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::lt(x, eg::ones({2})); }, {"lt:", "[2, 3]", "[2]"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::eq(x.to(DType::float16), x); }, {"eq:", "float16"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::ge(x, Tensor()); }, {"ge:", "other", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::maximum(Tensor(), x); }, {"maximum:", "undefined"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::minimum(x, eg::ones({2})); }, {"minimum:"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::clamp(x, eg::ClampOptions{}); }, {"clamp:", "neither"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::clamp(x, Tensor(), Tensor()); }, {"clamp:", "neither"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::clamp(n, {.max = std::int64_t{1} << 40}); },
                                     {"clamp:", "max", "int32"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::clamp(Tensor(), {.max = 1}); }, {"clamp:", "undefined"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::where(x, x, x); }, {"where:", "condition", "float32"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::where(mask, x, eg::ones({2, 2}));
      },
      {"where:", "[2, 3]", "[2, 2]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::where(eg::tensor({1, 1}), x, x); }, {"where:", "[2]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::where(mask, x, Tensor()); }, {"where:", "other", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::where(mask, 1, Tensor()); }, {"where:", "other", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::where(Tensor(), 1, 2); }, {"where:", "condition", "undefined"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::masked_fill(x, x, 1); }, {"masked_fill:", "mask", "float32"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::masked_fill(x, eg::tensor({1, 1}), 1);
      },
      {"masked_fill:", "[2]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::masked_fill(x, mask, eg::ones({1})); },
                                     {"masked_fill:", "value", "[1]"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::masked_fill(n, n, 1e10); }, {"masked_fill:", "value", "int32"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::masked_fill(n, n, inf); }, {"masked_fill:", "value", "inf"}));
}

BOOST_AUTO_TEST_SUITE_END()

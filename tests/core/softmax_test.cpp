// softmax, log_softmax and logsumexp.
#include <embergrad/ops.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// Calls body(out, first, step) for each row along `dim`: elements first, first + step, …
template <class Body>
void for_each_row(const Shape& shape, int dim, const Body& body) {
  const std::int64_t inner = shape.slice(dim + 1, shape.rank()).numel();
  const std::int64_t outer = shape.slice(0, dim).numel();
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t i = 0; i < inner; ++i) {
      body(static_cast<std::size_t>(o * shape[dim] * inner + i), static_cast<std::size_t>(inner));
    }
  }
}

Tensor by_definition(const Tensor& input, int dim, bool log) {
  const auto x = input.to_vector<double>();
  std::vector<double> y(x.size());
  const auto count = static_cast<std::size_t>(input.shape()[dim]);
  for_each_row(input.shape(), dim, [&](std::size_t first, std::size_t step) {
    double largest = -infinity, total = 0;
    for (std::size_t k = 0; k < count; ++k) largest = std::max(largest, x[first + k * step]);
    for (std::size_t k = 0; k < count; ++k) total += std::exp(x[first + k * step] - largest);
    for (std::size_t k = 0; k < count; ++k) {
      const double shifted = x[first + k * step] - largest;
      y[first + k * step] = log ? shifted - std::log(total) : std::exp(shifted) / total;
    }
  });
  return eg::tensor(y, input.shape()).to(input.dtype());
}

// Calls body(op, log).
template <class Body>
void for_both(const Body& body) {
  BOOST_TEST_CONTEXT("softmax") {
    body([](const Tensor& x, int dim) { return eg::softmax(x, dim); }, false);
  }
  BOOST_TEST_CONTEXT("log_softmax") {
    body([](const Tensor& x, int dim) { return eg::log_softmax(x, dim); }, true);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(softmax)

BOOST_AUTO_TEST_CASE(along_every_dimension) {
  for_computing_types([](DType dtype) {
    for_both([&](const auto& op, bool log) {
      Draw draw(2);
      for (const Shape& shape : {Shape{1}, Shape{7}, Shape{16}, Shape{1000}, Shape{5, 33}, Shape{33, 5}, Shape{3, 4, 5},
                                 Shape{1, 31, 1}, Shape{2, 3, 1, 4}}) {
        const Tensor x = draw.uniform(shape, dtype, -10, 10);
        for (int dim = 0; dim < shape.rank(); ++dim) {
          BOOST_TEST_CONTEXT(shape.to_string() << " along " << dim) {
            const Tensor y = op(x, dim);
            BOOST_TEST(close_to("values", y, by_definition(x, dim, log)));
            BOOST_TEST(same_bits("counted from the end", op(x, dim - shape.rank()), y));
          }
        }
      }
    });
  });
}

BOOST_AUTO_TEST_CASE(sums_to_one) {
  for_computing_types([](DType dtype) {
    Draw draw(3);
    const Tensor x = draw.uniform({20, 50}, dtype, -30, 30);
    BOOST_TEST(close_to("sum", eg::sum(eg::softmax(x, 1), {1}), eg::ones({20}, {dtype, {}})));
    BOOST_TEST(close_to("log", eg::exp(eg::log_softmax(x, 1)), eg::softmax(x, 1)));
    // a shift changes nothing
    BOOST_TEST(close_to("shifted", eg::softmax(x + 64.0, 1), eg::softmax(x, 1)));
  });
}

BOOST_AUTO_TEST_CASE(scalar_and_one_class) {
  for_both([](const auto& op, bool log) {
    for (const int dim : {0, -1}) {
      const Tensor y = op(eg::tensor(3.0), dim);
      BOOST_TEST((y.shape() == Shape{}));
      BOOST_TEST(y.item() == (log ? 0.0 : 1.0));
    }
    const Tensor column = op(eg::tensor({{5.0}, {-1e30}}), 1);
    BOOST_TEST(equal_to("one class", column, eg::full({2, 1}, log ? 0 : 1)));
  });
}

BOOST_AUTO_TEST_CASE(large_numbers) {
  for_computing_types([](DType dtype) {
    const eg::TensorOptions options{dtype, {}};
    const Tensor x = eg::tensor({{1000.0, 999.0, -1000.0}, {-1e30, -1e30, -1e30}, {1e30, 0.0, -1e30}}, options);
    const double a = 1 / (1 + std::exp(-1.0)), third = 1.0 / 3;
    BOOST_TEST(close_to("softmax", eg::softmax(x, 1),
                        eg::tensor({{a, 1 - a, 0.0}, {third, third, third}, {1.0, 0.0, 0.0}}, options)));
    const double shift = std::log(1 + std::exp(-1.0)), log_third = std::log(third);
    BOOST_TEST(close_to(
        "log_softmax", eg::log_softmax(x, 1),
        eg::tensor({{-shift, -1 - shift, -2000 - shift}, {log_third, log_third, log_third}, {0.0, -1e30, -2e30}},
                   options)));
  });
}

// -inf is probability zero; nothing but -inf, +inf or a NaN gives NaN, for this row alone.
BOOST_AUTO_TEST_CASE(infinities) {
  for_computing_types([](DType dtype) {
    for (const std::int64_t width : {3, 40}) {
      Tensor x = eg::zeros({5, width}, {dtype, {}});
      for (std::int64_t j = 0; j < width; ++j) x.set({1, j}, -infinity);
      x.set({0, 1}, -infinity);
      x.set({2, 1}, infinity);
      x.set({3, width - 1}, not_a_number);
      for_both([&](const auto& op, bool log) {
        for (const int dim : {1, 0}) {
          const Tensor y = dim == 1 ? op(x, 1) : eg::transpose(op(eg::transpose(x, 0, 1), 0), 0, 1);
          const double kept = 1.0 / static_cast<double>(width - 1), all = 1.0 / static_cast<double>(width);
          const auto expected = [&](double p) { return log ? std::log(p) : p; };
          BOOST_TEST(y.at({0, 1}) == expected(0));
          for (std::int64_t j = 0; j < width; ++j) {
            if (j != 1) BOOST_TEST(std::abs(y.at({0, j}) - expected(kept)) < 1e-6);
            for (const std::int64_t row : {1, 2, 3}) BOOST_TEST(std::isnan(y.at({row, j})));
            BOOST_TEST(std::abs(y.at({4, j}) - expected(all)) < 1e-6);
          }
        }
      });
    }
  });
}

BOOST_AUTO_TEST_CASE(gradient_beside_a_probability_of_zero) {
  Tensor x = eg::tensor({{0.5, -infinity, 1.0}}, {DType::float64, {}}).set_requires_grad();
  for_both([&](const auto& op, bool log) {
    x.zero_grad();
    const Tensor y = op(x, 1);
    y.backward(eg::tensor({{1.0, 0.0, 3.0}}, {DType::float64, {}}));
    const double p = 1 / (1 + std::exp(0.5)), q = 1 - p;
    const double first = log ? 1 - p * 4 : p * (1 - (p + 3 * q)), third = log ? 3 - q * 4 : q * (3 - (p + 3 * q));
    BOOST_TEST(close_to("gradient", grad_of(x), eg::tensor({{first, 0.0, third}}, {DType::float64, {}})));
  });
}

BOOST_AUTO_TEST_CASE(finite_differences) {
  for_both([](const auto& op, bool) {
    Draw draw(5);
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{9}, Shape{3, 17}, Shape{17, 3}, Shape{2, 3, 4}}) {
      const Tensor x = leaf(draw, shape);
      for (int dim = 0; dim < std::max(1, shape.rank()); ++dim) {
        BOOST_TEST_CONTEXT(shape.to_string() << " along " << dim) {
          BOOST_TEST(gradients_agree([&](const Inputs& in) { return op(in[0], dim); }, {x}));
        }
      }
    }
  });
}

// By the Jacobian, in both types and with widths that fill registers.
BOOST_AUTO_TEST_CASE(gradient) {
  for_computing_types([](DType dtype) {
    for_both([&](const auto& op, bool log) {
      Draw draw(6);
      for (const Shape& shape : {Shape{4, 33}, Shape{33, 4}, Shape{1000}, Shape{2, 16, 3}}) {
        for (int dim = 0; dim < shape.rank(); ++dim) {
          const Tensor x = leaf(draw, shape, dtype, -3, 3);
          const Tensor weight = draw.uniform(shape, dtype);
          op(x, dim).backward(weight);
          const auto p = by_definition(x.detach().to(DType::float64), dim, false).to_vector<double>();
          const auto g = weight.to_vector<double>();
          std::vector<double> expected(p.size());
          const auto count = static_cast<std::size_t>(shape[dim]);
          for_each_row(shape, dim, [&](std::size_t first, std::size_t step) {
            double total = 0;
            for (std::size_t k = 0; k < count; ++k) total += g[first + k * step] * (log ? 1 : p[first + k * step]);
            for (std::size_t k = 0; k < count; ++k) {
              const std::size_t at = first + k * step;
              expected[at] = log ? g[at] - p[at] * total : p[at] * (g[at] - total);
            }
          });
          BOOST_TEST(close_to("gradient", grad_of(x), eg::tensor(expected, shape).to(dtype)));
        }
      }
    });
  });
}

BOOST_AUTO_TEST_CASE(empty) {
  for_both([](const auto& op, bool) {
    Draw draw(7);
    for (const Shape& shape : {Shape{0}, Shape{0, 3}, Shape{3, 0}, Shape{2, 0, 4}}) {
      for (int dim = 0; dim < shape.rank(); ++dim) {
        const Tensor x = leaf(draw, shape);
        const Tensor y = op(x, dim);
        BOOST_TEST((y.shape() == shape));
        eg::sum(y).backward();
        BOOST_TEST((grad_of(x).shape() == shape));
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(result_changed_before_backward) {
  for_both([](const auto& op, bool log) {
    Draw draw(8);
    Tensor x = leaf(draw, {2, 3});
    Tensor y = op(x, 1);
    eg::no_grad([&] { x.fill(0); });  // the input is not needed again
    y.backward(eg::ones({2, 3}, {DType::float64, {}}));
    BOOST_TEST(grad_of(x).defined());
    y = op(x, 1);
    eg::no_grad([&] { y.fill(0); });
    BOOST_TEST(refuses<eg::ValueError>(
        [&] {
          eg::sum(y).backward();
          return 0;
        },
        {log ? "log_softmax" : "softmax", "changed in place"}));
  });
}

BOOST_AUTO_TEST_CASE(integers_of_nothing) {
  for_both([](const auto& op, bool) {
    const Tensor none = eg::zeros({0, 3}, {DType::int32, {}});
    BOOST_TEST(equal_to("empty", op(none, 1), none));
  });
}

// --- logsumexp

BOOST_AUTO_TEST_CASE(logsumexp_against_loops) {
  for_computing_types([](DType dtype) {
    Draw draw(9);
    for (const Shape& shape : {Shape{1}, Shape{33}, Shape{4, 31}, Shape{2, 3, 4}, Shape{5, 1, 2}}) {
      // Far from zero, where e^x alone would overflow.
      for (const double shift : {0.0, 1000.0, -1000.0}) {
        const Tensor x = draw.uniform(shape, dtype, shift - 5, shift + 5);
        const auto values = x.to_vector<double>();
        for (int dim = 0; dim < shape.rank(); ++dim) {
          std::vector<double> expected;
          for_each_row(shape, dim, [&](std::size_t first, std::size_t step) {
            double total = 0;
            for (std::int64_t k = 0; k < shape[dim]; ++k)
              total += std::exp(values[first + static_cast<std::size_t>(k) * step] - shift);
            expected.push_back(std::log(total) + shift);
          });
          Shape kept = shape;
          kept[dim] = 1;
          const Tensor wide = eg::tensor(expected, kept).to(dtype);
          BOOST_TEST(close_to("kept", eg::logsumexp(x, {dim}, true), wide));
          BOOST_TEST(close_to("dropped", eg::logsumexp(x, {dim - shape.rank()}), eg::squeeze(wide, dim)));
        }
        double total = 0;
        for (const double value : values) total += std::exp(value - shift);
        BOOST_TEST(close_to("all", eg::logsumexp(x, {}), eg::tensor(std::log(total) + shift, {dtype, {}})));
      }
    }
    const Tensor x = draw.uniform({2, 3, 4, 5}, dtype);
    BOOST_TEST(close_to("two", eg::logsumexp(x, {1, -1}), eg::logsumexp(eg::logsumexp(x, {3}), {1})));
  });
}

BOOST_AUTO_TEST_CASE(logsumexp_of_special_numbers) {
  for_computing_types([](DType dtype) {
    const auto of = [&](const std::vector<double>& values) {
      return eg::logsumexp(eg::tensor(values).to(dtype), {0}).item();
    };
    BOOST_TEST(of({-infinity, -infinity}) == -infinity);
    BOOST_TEST(of({infinity, -infinity}) == infinity);
    BOOST_TEST(of({infinity, infinity}) == infinity);
    BOOST_TEST(of({-infinity, 2}) == 2);
    BOOST_TEST(std::isnan(of({infinity, not_a_number})));
    BOOST_TEST(of({}) == -infinity);
    const Tensor x = eg::tensor({-infinity, 2.0}).to(dtype).set_requires_grad();
    eg::logsumexp(x, {0}).backward();
    BOOST_TEST(equal_to("grad", grad_of(x), eg::tensor({0.0, 1.0}).to(dtype)));
  });
  BOOST_TEST(equal_to("empty", eg::logsumexp(eg::zeros({2, 0}), {1}), eg::tensor({-infinity, -infinity})));
  BOOST_TEST(close_to("integers", eg::logsumexp(eg::tensor({1, 2}), {0}), eg::tensor(2.313261687518223)));
  const Tensor scalar = eg::tensor(2.5);
  BOOST_TEST(equal_to("scalar", eg::logsumexp(scalar, {-1}, true), scalar));
  BOOST_TEST(equal_to("scalar", eg::logsumexp(scalar, {}), scalar));
}

BOOST_AUTO_TEST_CASE(logsumexp_gradients_and_errors) {
  Draw draw(10);
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3, 4}, Shape{0, 2}, Shape{2, 0}}) {
    for (const bool keepdim : {false, true}) {
      for (int dim = 0; dim < std::max(1, shape.rank()); ++dim) {
        if (shape.rank() > 0 && shape[dim] == 0) continue;
        BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::logsumexp(in[0], {dim}, keepdim) * 2.0; },
                                   {leaf(draw, shape)}));
      }
    }
  }
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::logsumexp(in[0], {0, 2}); }, {leaf(draw, {2, 3, 4})}));
  const Tensor x = eg::zeros({2, 3});
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::logsumexp(x, {2}); }, {"logsumexp:", "dim", "2"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::logsumexp(x, {0, -2}); }, {"logsumexp:", "twice"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::logsumexp(Tensor(), {0}); }, {"logsumexp:", "undefined"}));
  BOOST_TEST(
      refuses<eg::DTypeError>([&] { return eg::logsumexp(x.to(DType::float16), {0}); }, {"logsumexp:", "float16"}));
}

BOOST_AUTO_TEST_CASE(errors) {
  for_both([](const auto& op, bool log) {
    const std::string name = log ? "log_softmax" : "softmax";
    const Tensor x = eg::zeros({2, 3});
    BOOST_TEST(refuses<eg::IndexError>([&] { return op(x, 2); },
                                       {name + ": dim is 2, but a tensor of 2 dimensions has -2 to 1"}));
    BOOST_TEST(refuses<eg::IndexError>([&] { return op(x, -3); }, {name + ": dim is -3"}));
    BOOST_TEST(refuses<eg::IndexError>([&] { return op(eg::tensor(1.0), 1); }, {name + ": dim is 1"}));
    BOOST_TEST(refuses<eg::ValueError>([&] { return op(Tensor(), 0); }, {name + ": input is undefined"}));
    for (const DType dtype : {DType::int32, DType::int64, DType::float16, DType::bfloat16}) {
      BOOST_TEST(refuses<eg::DTypeError>(
          [&] {
            return op(eg::zeros({2, 3}, {dtype, {}}), 0);
          },
          {name + ": input must be float32 or float64, but is " + eg::name_of(dtype)}));
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()

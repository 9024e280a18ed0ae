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

struct Op {
  const char* name;
  std::function<Tensor(const Tensor&)> run;
  std::function<double(double)> expected;
  double low, high;  // where it is tried
  bool keeps_integers;
};

const std::vector<Op>& ops() {
  static const std::vector<Op> all = {
      {"neg", [](const Tensor& x) { return eg::neg(x); }, [](double x) { return -x; }, -5, 5, true},
      {"exp", [](const Tensor& x) { return eg::exp(x); }, [](double x) { return std::exp(x); }, -80, 80, false},
      {"log", [](const Tensor& x) { return eg::log(x); }, [](double x) { return std::log(x); }, 1e-6, 50, false},
      {"sigmoid", [](const Tensor& x) { return eg::sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); }, -30,
       30, false},
      {"tanh", [](const Tensor& x) { return eg::tanh(x); }, [](double x) { return std::tanh(x); }, -12, 12, false},
      {"relu", [](const Tensor& x) { return eg::relu(x); }, [](double x) { return std::isnan(x) || x > 0 ? x : 0; }, -5,
       5, true},
      {"sqrt", [](const Tensor& x) { return eg::sqrt(x); }, [](double x) { return std::sqrt(x); }, 0, 50, false},
      {"square", [](const Tensor& x) { return eg::square(x); }, [](double x) { return x * x; }, -5, 5, true},
      {"abs", [](const Tensor& x) { return eg::abs(x); }, [](double x) { return std::fabs(x); }, -5, 5, true},
  };
  return all;
}

Tensor mapped(const Tensor& x, const Op& op, DType dtype) {
  Array values = to_array(x);
  for (double& value : values) value = op.expected(value);
  return to_tensor(values, dtype);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(activation)

BOOST_AUTO_TEST_CASE(values) {
  for_computing_types([](DType dtype) {
    Draw draw(31);
    const Tolerance close = dtype == DType::float32 ? Tolerance{5e-7, 1e-37} : Tolerance{1e-14, 0};
    for (const Op& op : ops()) {
      // Around a vector's width, and more than one chunk of work.
      for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{31}, Shape{32}, Shape{33}, Shape{3, 0, 2},
                                 Shape{2, 17}, Shape{3, 30001}}) {
        BOOST_TEST_CONTEXT(op.name << " of " << shape.to_string() << ", seed 31") {
          const Tensor x = draw.uniform(shape, dtype, op.low, op.high);
          BOOST_TEST(close_to("values", op.run(x), mapped(x, op, dtype), close));
        }
      }
      const Tensor whole = draw.uniform({9, 5}, dtype, op.low, op.high);
      const Tensor view = eg::narrow(whole, 0, 2, 4);
      BOOST_TEST(same_bits(op.name, op.run(view), eg::narrow(op.run(whole), 0, 2, 4)));
    }
    const Tensor x = draw.uniform({4}, dtype);
    BOOST_TEST(same_bits("unary minus", -x, eg::neg(x)));
  });
}

BOOST_AUTO_TEST_CASE(special_numbers) {
  for_computing_types([](DType dtype) {
    const auto on_all = [&](const char* name, const auto& op, const std::vector<double>& in,
                            const std::vector<double>& out) {
      BOOST_TEST(close_to(name, op(eg::tensor(in).to(dtype)), eg::tensor(out).to(dtype), {1e-6, 1e-37}));
    };
    on_all("exp", [](const Tensor& x) { return eg::exp(x); }, {0, -0.0, inf, -inf, not_a_number, 1000, -1000},
           {1, 1, inf, 0, not_a_number, inf, 0});
    on_all("log", [](const Tensor& x) { return eg::log(x); }, {1, 0, -1, inf, not_a_number},
           {0, -inf, not_a_number, inf, not_a_number});
    on_all("sigmoid", [](const Tensor& x) { return eg::sigmoid(x); }, {0, inf, -inf, not_a_number, 1000, -1000},
           {0.5, 1, 0, not_a_number, 1, 0});
    on_all("tanh", [](const Tensor& x) { return eg::tanh(x); }, {0, inf, -inf, not_a_number, 1000, -1000},
           {0, 1, -1, not_a_number, 1, -1});
    on_all("relu", [](const Tensor& x) { return eg::relu(x); }, {0, inf, -inf, not_a_number, -1},
           {0, inf, 0, not_a_number, 0});
    on_all("sqrt", [](const Tensor& x) { return eg::sqrt(x); }, {0, inf, -1, not_a_number},
           {0, inf, not_a_number, not_a_number});
    on_all("square", [](const Tensor& x) { return eg::square(x); }, {-0.0, -inf, not_a_number}, {0, inf, not_a_number});
    on_all("abs", [](const Tensor& x) { return eg::abs(x); }, {-0.0, -inf, not_a_number}, {0, inf, not_a_number});
    BOOST_TEST(!std::signbit(eg::abs(eg::full({1}, -0.0, {dtype, {}})).item()));
    on_all("logsigmoid", [](const Tensor& x) { return eg::logsigmoid(x); }, {0, inf, -inf, not_a_number, 1e30, -1e30},
           {-std::log(2), 0, -inf, not_a_number, 0, -1e30});
    on_all("neg", [](const Tensor& x) { return eg::neg(x); }, {0, inf, not_a_number}, {0, -inf, not_a_number});
    BOOST_TEST(std::signbit(eg::neg(eg::zeros({1}, {dtype, {}})).item()));
    BOOST_TEST(std::signbit(eg::tanh(eg::full({1}, -1e-30, {dtype, {}})).item()));
    BOOST_TEST(eg::tanh(eg::full({1}, 1e-30, {dtype, {}})).item() > 0);
  });
}

BOOST_AUTO_TEST_CASE(integers) {
  for_index_types([](DType dtype) {
    Draw draw(32);
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{40}}) {
      const Tensor x = draw.integers(shape, -4, 4, dtype);
      for (const Op& op : ops()) {
        BOOST_TEST_CONTEXT(op.name << " of " << shape.to_string()) {
          const DType expected = op.keeps_integers ? dtype : DType::float32;
          BOOST_TEST(close_to("values", op.run(x), mapped(x, op, expected), {1e-6, 1e-6}));
        }
      }
    }
  });
  const Tensor least = eg::tensor({std::numeric_limits<std::int64_t>::min()});
  BOOST_TEST(eg::neg(least).item<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
}

BOOST_AUTO_TEST_CASE(gradients) {
  Draw draw(33);
  for (const Op& op : ops()) {
    const std::string name = op.name;
    const double low = name == "log" || name == "sqrt" ? 0.5 : -2;
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{33}, Shape{2, 3}}) {
      BOOST_TEST_CONTEXT(op.name << " of " << shape.to_string() << ", seed 33") {
        BOOST_TEST(gradients_agree([&](const Inputs& in) { return op.run(in[0]); },
                                   {leaf(draw, shape, DType::float64, low, 2)}));
      }
    }
    // The tensor used twice; many elements along random directions.
    BOOST_TEST(gradients_agree([&](const Inputs& in) { return op.run(in[0]) * op.run(in[0]); },
                               {leaf(draw, {5}, DType::float64, 0.5, 2)}));
    BOOST_TEST(gradients_agree([&](const Inputs& in) { return op.run(in[0]); },
                               {leaf(draw, {50000}, DType::float64, 0.5, 2)}));
  }
}

BOOST_AUTO_TEST_CASE(gradient_of_relu_at_zero_and_at_nan) {
  for_computing_types([](DType dtype) {
    const Tensor x = eg::tensor({-1.0, -0.0, 0.0, 2.0, not_a_number}).to(dtype).set_requires_grad();
    eg::sum(eg::relu(x)).backward();
    BOOST_TEST(equal_to("relu", grad_of(x), eg::tensor({0, 0, 0, 1, 1}, {dtype, {}})));
  });
}

BOOST_AUTO_TEST_CASE(float32_gradients_are_those_of_float64) {
  Draw draw(34);
  for (const Op& op : ops()) {
    const Tensor x = leaf(draw, {100}, DType::float32, 0.1, 4);
    const Tensor wide = x.detach().to(DType::float64).set_requires_grad();
    eg::sum(op.run(x)).backward();
    eg::sum(op.run(wide)).backward();
    BOOST_TEST(close_to(op.name, grad_of(x), grad_of(wide).to(DType::float32), {2e-6, 1e-7}));
  }
}

// Integers are refused, so it stands beside the table.
BOOST_AUTO_TEST_CASE(logsigmoid) {
  for_computing_types([](DType dtype) {
    Draw draw(35);
    const Tensor x = draw.uniform({1000}, dtype, -40, 40);
    Array expected = to_array(x);
    for (double& value : expected)
      value = value < 0 ? value - std::log1p(std::exp(value)) : -std::log1p(std::exp(-value));
    // Relative, also where the result is tiny.
    const Tolerance close = dtype == DType::float32 ? Tolerance{1e-6, 0} : Tolerance{1e-14, 0};
    BOOST_TEST(close_to("logsigmoid", eg::logsigmoid(x), to_tensor(expected, dtype), close));
  });
  Draw draw(36);
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{33}, Shape{2, 3}}) {
    BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::logsigmoid(in[0]); },
                               {leaf(draw, shape, DType::float64, -4, 4)}));
  }
  BOOST_TEST(
      refuses<eg::DTypeError>([] { return eg::logsigmoid(eg::tensor({1})); }, {"logsigmoid:", "input", "int64"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::logsigmoid(Tensor()); }, {"logsigmoid:", "undefined"}));
}

BOOST_AUTO_TEST_CASE(gradients_at_corners) {
  for_computing_types([](DType dtype) {
    const auto gradient = [&](const auto& op, const std::vector<double>& at) {
      const Tensor x = eg::tensor(at).to(dtype).set_requires_grad();
      eg::sum(op(x)).backward();
      return grad_of(x);
    };
    const auto of = [&](const std::vector<double>& values) { return eg::tensor(values).to(dtype); };
    BOOST_TEST(equal_to("abs", gradient([](const Tensor& x) { return eg::abs(x); }, {-2, -0.0, 0, 3, not_a_number}),
                        of({-1, 0, 0, 1, 0})));
    BOOST_TEST(
        equal_to("sqrt", gradient([](const Tensor& x) { return eg::sqrt(x); }, {0, 4, inf}), of({inf, 0.25, 0})));
    BOOST_TEST(equal_to("logsigmoid", gradient([](const Tensor& x) { return eg::logsigmoid(x); }, {0, inf, -inf}),
                        of({0.5, 0, 1})));
  });
}

BOOST_AUTO_TEST_CASE(errors) {
  for (const Op& op : ops()) {
    const std::string name = op.name;
    BOOST_TEST(refuses<eg::ValueError>([&] { return op.run(Tensor()); }, {name + ":", "input", "undefined"}));
    for (const DType dtype : {DType::float16, DType::bfloat16}) {
      BOOST_TEST(refuses<eg::DTypeError>(
          [&] {
            return op.run(eg::zeros({2}, {dtype, {}}));
          },
          {name + ":", "input", eg::name_of(dtype)}));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

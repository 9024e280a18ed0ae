#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
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

struct Op {
  const char* name;
  std::function<Tensor(const Tensor&, const Tensor&)> run;
  std::function<Array(const Array&, const Array&)> expected;
  std::function<Tensor(const Tensor&, eg::Scalar)> with_scalar;
  std::function<Tensor(eg::Scalar, const Tensor&)> from_scalar;
};

const std::vector<Op>& ops() {
  static const std::vector<Op> all = {
      {"add", [](const Tensor& a, const Tensor& b) { return a + b; },
       [](const Array& a, const Array& b) -> Array { return a + b; },
       [](const Tensor& a, eg::Scalar b) { return a + b; }, [](eg::Scalar a, const Tensor& b) { return a + b; }},
      {"sub", [](const Tensor& a, const Tensor& b) { return a - b; },
       [](const Array& a, const Array& b) -> Array { return a - b; },
       [](const Tensor& a, eg::Scalar b) { return a - b; }, [](eg::Scalar a, const Tensor& b) { return a - b; }},
      {"mul", [](const Tensor& a, const Tensor& b) { return a * b; },
       [](const Array& a, const Array& b) -> Array { return a * b; },
       [](const Tensor& a, eg::Scalar b) { return a * b; }, [](eg::Scalar a, const Tensor& b) { return a * b; }},
      {"div", [](const Tensor& a, const Tensor& b) { return a / b; },
       [](const Array& a, const Array& b) -> Array { return a / b; },
       [](const Tensor& a, eg::Scalar b) { return a / b; }, [](eg::Scalar a, const Tensor& b) { return a / b; }},
  };
  return all;
}

// Two shapes that broadcast: each drops leading dimensions of a third and has 1 in places.
std::pair<Shape, Shape> broadcastable(Draw& draw) {
  const std::vector<std::int64_t> extents = {0, 1, 2, 3, 31, 32, 33};
  while (true) {
    Shape full;
    for (auto rank = draw.integer(0, 4); rank > 0; --rank)
      full.push_back(extents[static_cast<std::size_t>(draw.integer(0, 6))]);
    if (full.numel() > 20000) continue;
    const auto part = [&] {
      Shape shape = full.slice(static_cast<int>(draw.integer(0, full.rank())), full.rank());
      for (int d = 0; d < shape.rank(); ++d) {
        if (draw.integer(0, 3) == 0) shape[d] = 1;
      }
      return shape;
    };
    return draw.integer(0, 4) == 0 ? std::pair{full, full} : std::pair{part(), part()};
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(arithmetic)

// One operation is one rounding, so the numbers are exactly those of the same operation in double, rounded.
BOOST_AUTO_TEST_CASE(values_with_broadcasting) {
  for_computing_types([](DType dtype) {
    Draw draw(21);
    for (int round = 0; round < 120; ++round) {
      const auto [a_shape, b_shape] = broadcastable(draw);
      const Tensor a = draw.uniform(a_shape, dtype, -10, 10);
      const Tensor b = draw.uniform(b_shape, dtype, -10, 10);
      for (const Op& op : ops()) {
        BOOST_TEST_CONTEXT(op.name << " of " << a_shape.to_string() << " and " << b_shape.to_string() << ", seed 21") {
          BOOST_TEST(equal_to(op.name, op.run(a, b), to_tensor(op.expected(to_array(a), to_array(b)), dtype)));
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(broadcasting_of_large_and_sliced_tensors) {
  for_computing_types([](DType dtype) {
    Draw draw(22);
    const Tensor whole = draw.uniform({130, 1100}, dtype, 1, 2);
    const Tensor a = eg::narrow(whole, 0, 7, 100);  // a view with an offset, more than one chunk
    for (const Shape& shape : {Shape{100, 1100}, Shape{1100}, Shape{100, 1}, Shape{1, 1}, Shape{}, Shape{2, 1, 1}}) {
      const Tensor b = draw.uniform(shape, dtype, 1, 2);
      for (const Op& op : ops()) {
        BOOST_TEST_CONTEXT(op.name << ", other " << shape.to_string()) {
          BOOST_TEST(equal_to("a, b", op.run(a, b), to_tensor(op.expected(to_array(a), to_array(b)), dtype)));
          BOOST_TEST(equal_to("b, a", op.run(b, a), to_tensor(op.expected(to_array(b), to_array(a)), dtype)));
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(scalars_on_both_sides) {
  for_computing_types([](DType dtype) {
    Draw draw(23);
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{33}, Shape{2, 3}, Shape{40000}}) {
      const Tensor x = draw.uniform(shape, dtype, 1, 3);
      const Tensor two = eg::full({}, 2.25, {dtype, {}});
      for (const Op& op : ops()) {
        BOOST_TEST_CONTEXT(op.name << " with " << shape.to_string()) {
          BOOST_TEST(equal_to("x, 2.25", op.with_scalar(x, 2.25), op.run(x, two)));
          BOOST_TEST(equal_to("2.25, x", op.from_scalar(2.25, x), op.run(two, x)));
          BOOST_TEST(equal_to("x, 2", op.with_scalar(x, 2), to_tensor(op.expected(to_array(x), Array(2.0)), dtype)));
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(special_numbers) {
  for_computing_types([](DType dtype) {
    const double inf = std::numeric_limits<double>::infinity();
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Tensor a = eg::tensor({1.0, -1.0, 0.0, inf, inf, nan, 0.0}).to(dtype);
    const Tensor b = eg::tensor({0.0, 0.0, 0.0, inf, -inf, 1.0, inf}).to(dtype);
    BOOST_TEST(equal_to("div", a / b, eg::tensor({inf, -inf, nan, nan, nan, nan, 0.0}).to(dtype)));
    BOOST_TEST(equal_to("sub", a - b, eg::tensor({1.0, -1.0, 0.0, nan, inf, nan, -inf}).to(dtype)));
    BOOST_TEST(equal_to("mul", a * b, eg::tensor({0.0, 0.0, 0.0, inf, -inf, nan, nan}).to(dtype)));
  });
}

BOOST_AUTO_TEST_CASE(integers_stay_integers) {
  for_index_types([](DType dtype) {
    Draw draw(24);
    const Tensor a = draw.integers({5, 1, 33}, -50, 50, dtype);
    const Tensor b = draw.integers({4, 1}, 1, 50, dtype);
    for (const Op& op : ops()) {
      const bool divides = std::string(op.name) == "div";
      BOOST_TEST_CONTEXT(op.name) {
        const DType expected = divides ? DType::float32 : dtype;
        BOOST_TEST(equal_to("a, b", op.run(a, b), to_tensor(op.expected(to_array(a), to_array(b)), expected)));
        BOOST_TEST(equal_to("a, a", op.run(b, b), to_tensor(op.expected(to_array(b), to_array(b)), expected)));
        BOOST_TEST(equal_to("a, 3", op.with_scalar(b, 3), to_tensor(op.expected(to_array(b), Array(3.0)), expected)));
        BOOST_TEST(equal_to("3, a", op.from_scalar(3, b), to_tensor(op.expected(Array(3.0), to_array(b)), expected)));
        BOOST_TEST(equal_to("a, 2.5", op.with_scalar(b, 2.5),
                            to_tensor(op.expected(to_array(b), Array(2.5)), DType::float32)));
        BOOST_TEST(equal_to("2.5, a", op.from_scalar(2.5, b),
                            to_tensor(op.expected(Array(2.5), to_array(b)), DType::float32)));
      }
    }
    BOOST_TEST(equal_to("7 / 2", eg::tensor({7}, {dtype, {}}) / 2, eg::tensor({3.5})));
  });
  // They wrap around, as PyTorch's do.
  const Tensor most = eg::tensor({std::numeric_limits<std::int64_t>::max()});
  BOOST_TEST((most + 1).item<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
  BOOST_TEST((most * most).item<std::int64_t>() == 1);
  const Tensor least32 = eg::tensor(std::vector<std::int32_t>{std::numeric_limits<std::int32_t>::min()});
  BOOST_TEST((least32 - 1).item<std::int64_t>() == std::numeric_limits<std::int32_t>::max());
  // Beyond 2^53 too.
  BOOST_TEST((eg::tensor({9007199254740993}) + eg::tensor({2})).item<std::int64_t>() == 9007199254740995);
}

// torch.result_type: floating over integer, then tensors with dimensions over those without, then the wider.
BOOST_AUTO_TEST_CASE(promotion) {
  const auto f32 = DType::float32, f64 = DType::float64, i32 = DType::int32, i64 = DType::int64;
  struct Case {
    DType a;
    int a_rank;
    DType b;
    int b_rank;
    DType result;
  };
  for (const Case& c : std::vector<Case>{{f32, 1, f32, 1, f32},
                                         {f32, 1, f64, 1, f64},
                                         {i32, 1, i64, 1, i64},
                                         {i32, 1, i32, 1, i32},
                                         {i64, 1, f32, 1, f32},
                                         {i64, 1, f64, 1, f64},
                                         {i32, 1, f32, 0, f32},
                                         {i64, 1, f64, 0, f64},
                                         {f32, 1, f64, 0, f32},
                                         {f32, 0, f64, 1, f64},
                                         {f32, 1, i64, 0, f32},
                                         {f64, 0, f32, 0, f64},
                                         {i32, 1, i64, 0, i32},
                                         {i32, 0, i64, 0, i64},
                                         {i64, 1, i32, 0, i64},
                                         {f64, 1, f32, 0, f64},
                                         {f32, 0, i64, 1, f32},
                                         {f64, 1, i32, 1, f64}}) {
    const auto of = [](DType dtype, int rank) { return eg::full(rank == 0 ? Shape{} : Shape{2}, 6, {dtype, {}}); };
    const Tensor a = of(c.a, c.a_rank), b = of(c.b, c.b_rank);
    for (const Op& op : ops()) {
      BOOST_TEST_CONTEXT(op.name << " of " << eg::name_of(c.a) << " rank " << c.a_rank << " and " << eg::name_of(c.b)
                                 << " rank " << c.b_rank) {
        const bool to_float = std::string(op.name) == "div" && eg::is_integer(c.result);
        const DType expected = to_float ? f32 : c.result;
        BOOST_TEST(eg::name_of(op.run(a, b).dtype()) == eg::name_of(expected));
        BOOST_TEST(eg::name_of(op.run(b, a).dtype()) == eg::name_of(expected));
        BOOST_TEST(op.run(a, b).to_vector().front() == op.expected(Array(6.0), Array(6.0))());
      }
    }
  }
}

// --- gradients

BOOST_AUTO_TEST_CASE(gradients_with_broadcasting) {
  const std::vector<std::pair<Shape, Shape>> shapes = {{{}, {}},
                                                       {{3}, {3}},
                                                       {{2, 3}, {}},
                                                       {{}, {2, 3}},
                                                       {{2, 3}, {3}},
                                                       {{3}, {2, 3}},
                                                       {{2, 3}, {2, 1}},
                                                       {{2, 1}, {1, 3}},
                                                       {{2, 3, 2}, {3, 1}},
                                                       {{1, 3, 1}, {2, 1, 2}},
                                                       {{1}, {4}},
                                                       {{1, 1}, {1}},
                                                       {{0}, {0}},
                                                       {{0, 3}, {3}},
                                                       {{3, 0}, {3, 1}},
                                                       {{33}, {2, 1}},
                                                       {{1}, {0}},
                                                       {{2, 2, 1, 2}, {2, 1, 3, 1}}};
  Draw draw(25);
  for (const auto& [a, b] : shapes) {
    for (const Op& op : ops()) {
      BOOST_TEST_CONTEXT(op.name << " of " << a.to_string() << " and " << b.to_string() << ", seed 25") {
        const Tensor x = leaf(draw, a, DType::float64, 0.5, 2), y = leaf(draw, b, DType::float64, 0.5, 2);
        BOOST_TEST(gradients_agree([&](const Inputs& in) { return op.run(in[0], in[1]); }, {x, y}));
        // Shapes of the gradients are those of the inputs, also where nothing was added up.
        const Tensor out = op.run(x, y);
        out.backward(eg::ones(out.shape(), out.options()));
        BOOST_TEST((grad_of(x).shape() == a));
        BOOST_TEST((grad_of(y).shape() == b));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_of_one_input_alone_and_of_a_tensor_with_itself) {
  Draw draw(26);
  for (const Op& op : ops()) {
    BOOST_TEST_CONTEXT(op.name) {
      const Tensor x = leaf(draw, {2, 3}, DType::float64, 0.5, 2);
      const Tensor data = draw.uniform({3}, DType::float64, 0.5, 2);
      BOOST_TEST(gradients_agree([&](const Inputs& in) { return op.run(in[0], data); }, {x}));
      BOOST_TEST(gradients_agree([&](const Inputs& in) { return op.run(data, in[0]); }, {x}));
      BOOST_TEST(gradients_agree([&](const Inputs& in) { return op.run(in[0], in[0]); }, {x}));
      BOOST_TEST(gradients_agree([&](const Inputs& in) { return op.with_scalar(in[0], 1.5); }, {x}));
      BOOST_TEST(gradients_agree([&](const Inputs& in) { return op.from_scalar(1.5, in[0]); }, {x}));
      BOOST_TEST(!data.grad().defined());
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_come_back_in_the_type_of_each_input) {
  Draw draw(27);
  for (const Op& op : ops()) {
    BOOST_TEST_CONTEXT(op.name) {
      const Tensor narrow = leaf(draw, {2, 3}, DType::float32, 0.5, 2), wide = leaf(draw, {3}, DType::float64, 0.5, 2);
      const Tensor also_wide = narrow.detach().to(DType::float64).set_requires_grad();
      const Tensor wide_twin = wide.detach().clone().set_requires_grad();
      eg::sum(op.run(narrow, wide)).backward();
      eg::sum(op.run(also_wide, wide_twin)).backward();
      BOOST_TEST(close_to("narrow", grad_of(narrow), grad_of(also_wide).to(DType::float32)));
      BOOST_TEST(close_to("wide", grad_of(wide), grad_of(wide_twin)));
      // Integers take part as numbers.
      const Tensor counts = draw.integers({2, 1}, 1, 5);
      const Tensor x = leaf(draw, {2, 3}, DType::float32, 0.5, 2);
      const Tensor twin = x.detach().clone().set_requires_grad();
      eg::sum(op.run(x, counts)).backward();
      eg::sum(op.run(twin, counts.to(DType::float32))).backward();
      BOOST_TEST(same_bits("with counts", grad_of(x), grad_of(twin)));
    }
  }
}

// --- errors

BOOST_AUTO_TEST_CASE(errors_name_op_and_both_shapes) {
  const Tensor a = eg::zeros({2, 3}), b = eg::zeros({4, 3});
  for (const Op& op : ops()) {
    BOOST_TEST_CONTEXT(op.name) {
      const std::string name = op.name;
      BOOST_TEST(refuses<eg::ShapeError>([&] { return op.run(a, b); }, {name + ":", "[2, 3]", "[4, 3]"}));
      BOOST_TEST(refuses<eg::ShapeError>([&] { return op.run(a, eg::zeros({2})); }, {name + ":", "[2, 3]", "[2]"}));
      BOOST_TEST(refuses<eg::ShapeError>([&] { return op.run(eg::zeros({0}), eg::zeros({2})); }, {"[0]", "[2]"}));
      BOOST_TEST(refuses<eg::ValueError>([&] { return op.run(a, Tensor()); }, {name + ":", "other", "undefined"}));
      BOOST_TEST(refuses<eg::ValueError>([&] { return op.run(Tensor(), a); }, {name + ":", "input", "undefined"}));
      BOOST_TEST(refuses<eg::ValueError>([&] { return op.with_scalar(Tensor(), 1.0); }, {name + ":", "undefined"}));
      BOOST_TEST(
          refuses<eg::DTypeError>([&] { return op.run(a, a.to(DType::float16)); }, {name + ":", "other", "float16"}));
      BOOST_TEST(
          refuses<eg::DTypeError>([&] { return op.run(a.to(DType::bfloat16), a); }, {name + ":", "input", "bfloat16"}));
      BOOST_TEST(
          refuses<eg::DTypeError>([&] { return op.with_scalar(a.to(DType::bfloat16), 1); }, {name + ":", "bfloat16"}));
      BOOST_TEST(refuses<eg::DTypeError>([&] { return op.from_scalar(1, a.to(DType::bfloat16)); }, {"bfloat16"}));
      BOOST_TEST(refuses<eg::ValueError>([&] { return op.from_scalar(1, Tensor()); }, {"undefined"}));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

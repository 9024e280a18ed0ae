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
using eg::Reduction;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

// The definition, which is good for small logits only.
Array by_definition(const Tensor& input, const Tensor& target, const Tensor& weight, const Tensor& pos_weight) {
  const Array x = to_array(input), t = to_array(target), s = 1.0 / (1.0 + xt::exp(-x));
  const Array one = Array(1.0);
  const Array w = weight.defined() ? to_array(weight) : one, p = pos_weight.defined() ? to_array(pos_weight) : one;
  return w * (-p * t * xt::log(s) - (1.0 - t) * xt::log(1.0 - s));
}

Tensor loss(const Tensor& x, const Tensor& t, const eg::BinaryCrossEntropyOptions& options = {}) {
  return eg::binary_cross_entropy_with_logits(x, t, options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(binary_cross_entropy)

BOOST_AUTO_TEST_CASE(values) {
  for_computing_types([](DType dtype) {
    Draw draw(71);
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{33}, Shape{4, 31}, Shape{2, 3, 4}}) {
      const Tensor x = draw.uniform(shape, dtype, -4, 4), t = draw.uniform(shape, dtype, 0, 1);
      std::vector<Tensor> weights = {{}, draw.uniform({}, dtype, 0, 2), draw.uniform(shape, dtype, 0, 2)};
      if (shape.rank() > 0) {
        Shape column = shape;
        column[shape.rank() - 1] = 1;
        weights.push_back(draw.uniform({shape.back()}, dtype, 0, 2));
        weights.push_back(draw.uniform(column, dtype, 0, 2));
      }
      for (const Tensor& w : weights) {
        for (const Tensor& p : weights) {
          const Array expected = by_definition(x, t, w, p);
          BOOST_TEST(close_to("none", loss(x, t, {.weight = w, .reduction = Reduction::none, .pos_weight = p}),
                              to_tensor(expected, dtype)));
          const double total = xt::sum(expected)();
          BOOST_TEST(close_to("sum", loss(x, t, {.weight = w, .reduction = Reduction::sum, .pos_weight = p}),
                              eg::tensor(total, {dtype, {}})));
          BOOST_TEST(close_to("mean", loss(x, t, {.weight = w, .pos_weight = p}),
                              eg::tensor(total / static_cast<double>(x.numel()), {dtype, {}})));
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(large_logits_stay_finite) {
  for_computing_types([](DType dtype) {
    const auto of = [&](const std::vector<double>& values) { return eg::tensor(values).to(dtype); };
    const Tensor x = of({1e4, -1e4, 1e4, -1e4, 100, -inf}).set_requires_grad();
    const Tensor y = loss(x, of({1, 0, 0, 1, 0.5, 0}), {.reduction = Reduction::none});
    BOOST_TEST(close_to("losses", eg::narrow(y, 0, 0, 5), of({0, 0, 1e4, 1e4, 50})));
    eg::sum(eg::narrow(y, 0, 0, 5)).backward();
    BOOST_TEST(close_to("grad", grad_of(x), of({0, 0, 1, -1, 0.5, 0})));
  });
}

BOOST_AUTO_TEST_CASE(gradients) {
  Draw draw(72);
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{3, 33}}) {
    const Tensor w = draw.uniform(shape, DType::float64, 0, 2);
    const Tensor p = draw.uniform(shape.rank() == 0 ? shape : Shape{shape.back()}, DType::float64, 0, 3);
    for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
      for (const bool weighted : {false, true}) {
        const eg::BinaryCrossEntropyOptions options{weighted ? w : Tensor(), reduction, weighted ? p : Tensor()};
        BOOST_TEST(
            gradients_agree([&](const Inputs& in) { return loss(in[0], in[1], options); },
                            {leaf(draw, shape, DType::float64, -3, 3), leaf(draw, shape, DType::float64, 0.1, 0.9)}));
      }
    }
  }
  BOOST_TEST(gradients_agree([](const Inputs& in) { return loss(in[0], eg::sigmoid(in[0])); }, {leaf(draw, {4})}));
}

BOOST_AUTO_TEST_CASE(nothing) {
  const Tensor x = eg::zeros({0, 3}).set_requires_grad(), t = eg::zeros({0, 3});
  BOOST_TEST(std::isnan(loss(x, t).item()));
  BOOST_TEST(loss(x, t, {.reduction = Reduction::sum}).item() == 0);
  loss(x, t).backward();
  BOOST_TEST((grad_of(x).shape() == Shape{0, 3}));
}

BOOST_AUTO_TEST_CASE(types) {
  const Tensor x = eg::tensor({0.5}), t = eg::tensor({1.0}), wide = t.to(DType::float64);
  BOOST_TEST((loss(x, wide).dtype() == DType::float64));
  BOOST_TEST((loss(x.to(DType::float64), t).dtype() == DType::float32));
  BOOST_TEST(equal_to("integer weights", loss(x, t, {.weight = eg::tensor({2})}), loss(x, t) * 2));
  const Tensor leaf_of_32 = eg::tensor({0.5}).set_requires_grad();
  loss(leaf_of_32, wide).backward();
  BOOST_TEST((grad_of(leaf_of_32).dtype() == DType::float32));
}

BOOST_AUTO_TEST_CASE(errors) {
  const std::string name = "binary_cross_entropy_with_logits:";
  const Tensor x = eg::zeros({2, 3}), t = eg::ones({2, 3});
  BOOST_TEST(refuses<eg::ShapeError>([&] { return loss(x, eg::ones({3})); }, {name, "target", "[2, 3]", "[3]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return loss(x, t, {.weight = eg::ones({2})}); }, {name, "[2]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return loss(x, t, {.pos_weight = eg::ones({4, 2, 3})});
      },
      {name, "pos_weight", "[4, 2, 3]"}));
  BOOST_TEST(refuses<eg::DTypeError>(
      [&] {
        return loss(x, eg::zeros({2, 3}, {DType::int64, {}}));
      },
      {name, "target", "int64"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return loss(x.to(DType::int32), t); }, {name, "input", "int32"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return loss(x, Tensor()); }, {name, "target", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return loss(x, t, {.weight = eg::ones({3}).set_requires_grad()}); },
                                     {name, "weight", "gradient"}));
}

BOOST_AUTO_TEST_SUITE_END()

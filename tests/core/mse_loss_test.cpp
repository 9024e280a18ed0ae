#include <cmath>
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

BOOST_AUTO_TEST_SUITE(mse_loss)

BOOST_AUTO_TEST_CASE(values) {
  for_computing_types([](DType dtype) {
    Draw draw(81);
    for (const auto& [a, b] :
         std::vector<std::pair<Shape, Shape>>{{{}, {}}, {{33}, {33}}, {{2, 3}, {2, 3}}, {{2, 3}, {3}}, {{3}, {2, 1}}}) {
      const Tensor x = draw.uniform(a, dtype, -3, 3), y = draw.uniform(b, dtype, -3, 3),
                   w = draw.uniform(a, dtype, 0, 2);
      const Array squares = xt::square(to_array(x) - to_array(y)), weighted = squares * to_array(w);
      const auto number = [&](double value) { return eg::tensor(value, {dtype, {}}); };
      const double total = xt::sum(squares)(), weighted_total = xt::sum(weighted)();
      BOOST_TEST(close_to("none", eg::mse_loss(x, y, {.reduction = Reduction::none}), to_tensor(squares, dtype)));
      BOOST_TEST(close_to("sum", eg::mse_loss(x, y, {.reduction = Reduction::sum}), number(total)));
      BOOST_TEST(close_to("mean", eg::mse_loss(x, y), number(total / static_cast<double>(squares.size()))));
      BOOST_TEST(close_to("weighted", eg::mse_loss(x, y, {.reduction = Reduction::none, .weight = w}),
                          to_tensor(weighted, dtype)));
      BOOST_TEST(close_to("weighted sum", eg::mse_loss(x, y, {.reduction = Reduction::sum, .weight = w}),
                          number(weighted_total)));
      BOOST_TEST(close_to("weighted mean", eg::mse_loss(x, y, {.weight = w}),
                          number(weighted_total / xt::sum(to_array(w))())));
    }
  });
}

BOOST_AUTO_TEST_CASE(gradients) {
  Draw draw(82);
  for (const auto& [a, b] :
       std::vector<std::pair<Shape, Shape>>{{{}, {}}, {{2, 3}, {2, 3}}, {{2, 3}, {3}}, {{0}, {0}}}) {
    for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
      if (a.numel() == 0 && reduction == Reduction::mean) continue;
      BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::mse_loss(in[0], in[1], {.reduction = reduction}); },
                                 {leaf(draw, a), leaf(draw, b)}));
      BOOST_TEST(gradients_agree(
          [&](const Inputs& in) { return eg::mse_loss(in[0], in[1], {.reduction = reduction, .weight = in[2]}); },
          {leaf(draw, a), leaf(draw, b), leaf(draw, a, DType::float64, 0.5, 2)}));
    }
  }
}

BOOST_AUTO_TEST_CASE(types_and_nothing) {
  const Tensor x = eg::tensor({0.5, 1.0});
  BOOST_TEST((eg::mse_loss(x, x.to(DType::float64)).dtype() == DType::float64));
  BOOST_TEST((eg::mse_loss(x, eg::tensor(1.0, {DType::float64, {}})).dtype() == DType::float64));
  BOOST_TEST(eg::mse_loss(eg::tensor({1, 2}), x).item() == 0.625);
  BOOST_TEST(std::isnan(eg::mse_loss(eg::zeros({0}), eg::zeros({0})).item()));
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = eg::zeros({2, 3});
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::mse_loss(x, eg::ones({2})); }, {"mse_loss:", "[2, 3]", "[2]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::mse_loss(x, x, {.weight = eg::ones({3})}); },
                                     {"mse_loss:", "weight", "[2, 3]", "[3]"}));
  BOOST_TEST(
      refuses<eg::DTypeError>([] { return eg::mse_loss(eg::tensor({1}), eg::tensor({1})); }, {"mse_loss:", "int64"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::mse_loss(x, Tensor()); }, {"mse_loss:", "target", "undefined"}));
}

BOOST_AUTO_TEST_SUITE_END()

// max, min, amax, amin, argmax, argmin, topk.
#include <algorithm>
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
using eg::Dims;
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

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {{1},       {31},   {33},   {300},      {3, 4},     {5, 33},     {33, 5},
                                         {2, 3, 4}, {4, 1}, {1, 1}, {2, 65, 7}, {3, 32, 2}, {2, 3, 2, 3}};
  return all;
}

// One column of a dimension.
struct Column {
  std::int64_t first, step;
};
std::vector<Column> columns_of(const Shape& shape, int d) {
  const std::int64_t inner = shape.slice(d + 1, shape.rank()).numel();
  std::vector<Column> columns;
  for (std::int64_t o = 0; o < shape.slice(0, d).numel(); ++o) {
    for (std::int64_t i = 0; i < inner; ++i) columns.push_back({o * shape[d] * inner + i, inner});
  }
  return columns;
}

Shape without(const Shape& shape, int dim) {
  Shape left;
  for (int d = 0; d < shape.rank(); ++d) {
    if (d != dim) left.push_back(shape[d]);
  }
  return left;
}

// The first position of the extreme, a NaN going before all.
std::int64_t best_of(const std::vector<double>& x, const Column& column, std::int64_t count, bool smallest) {
  std::int64_t best = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    const double value = x[static_cast<std::size_t>(column.first + k * column.step)];
    const double so_far = x[static_cast<std::size_t>(column.first + best * column.step)];
    if (std::isnan(so_far)) break;
    if (std::isnan(value) || (smallest ? value < so_far : value > so_far)) best = k;
  }
  return best;
}

// Few different numbers: many ties; and now and then something special.
Tensor with_ties(Draw& draw, const Shape& shape, DType dtype, bool special) {
  Tensor x = draw.integers(shape, -3, 3).to(dtype);
  if (special && eg::is_floating(dtype) && x.numel() > 2) {
    Tensor flat = x.reshape({-1});
    const double oddities[] = {not_a_number, inf, -inf};
    for (const double oddity : oddities) flat.set({draw.integer(0, x.numel() - 1)}, oddity);
  }
  return x;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(extreme)

BOOST_AUTO_TEST_CASE(along_a_dimension_against_loops) {
  for (const DType dtype : numbers()) {
    Draw draw(45);
    for (const Shape& shape : shapes()) {
      for (const bool special : {false, true}) {
        const Tensor x = with_ties(draw, shape, dtype, special);
        const std::vector<double> all = x.to_vector<double>();
        for (int d = 0; d < shape.rank(); ++d) {
          for (const bool smallest : {false, true}) {
            std::vector<std::int64_t> places;
            std::vector<double> values;
            for (const Column& column : columns_of(shape, d)) {
              places.push_back(best_of(all, column, shape[d], smallest));
              values.push_back(all[static_cast<std::size_t>(column.first + places.back() * column.step)]);
            }
            Shape kept = shape;
            kept[d] = 1;
            const Shape left = without(shape, d);
            const Tensor indices = eg::tensor(places, left);
            const Tensor extremes = eg::tensor(values, left).to(dtype);
            BOOST_TEST_CONTEXT(eg::name_of(dtype) << " " << shape.to_string() << " along " << d << ", smallest "
                                                  << smallest << ", seed 45") {
              const auto got = smallest ? eg::min(x, d) : eg::max(x, d);
              BOOST_TEST(equal_to("values", got.values, extremes));
              BOOST_TEST(equal_to("indices", got.indices, indices));
              const auto wide = smallest ? eg::min(x, d - shape.rank(), true) : eg::max(x, d - shape.rank(), true);
              BOOST_TEST(equal_to("values kept", wide.values, extremes.reshape(kept)));
              BOOST_TEST(equal_to("indices kept", wide.indices, indices.reshape(kept)));
              BOOST_TEST(equal_to("arg", smallest ? eg::argmin(x, d) : eg::argmax(x, d), indices));
              BOOST_TEST(equal_to("arg kept", smallest ? eg::argmin(x, d, true) : eg::argmax(x, d, true),
                                  indices.reshape(kept)));
              BOOST_TEST(equal_to("over one", smallest ? eg::amin(x, {d}) : eg::amax(x, {d}), extremes));
            }
          }
        }
        const Column flat{0, 1};
        const std::int64_t high = best_of(all, flat, x.numel(), false), low = best_of(all, flat, x.numel(), true);
        BOOST_TEST(eg::argmax(x).item<std::int64_t>() == high);
        BOOST_TEST(eg::argmin(x).item<std::int64_t>() == low);
        BOOST_TEST(equal_to("max", eg::max(x), x.reshape({-1})[high]));
        BOOST_TEST(equal_to("min", eg::min(x), x.reshape({-1})[low]));
        BOOST_TEST(equal_to("amax", eg::amax(x), x.reshape({-1})[high]));
        BOOST_TEST((eg::argmax(x).shape() == Shape{}));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(over_several_dimensions) {
  Draw draw(46);
  for (const DType dtype : numbers()) {
    const Tensor x = draw.integers({2, 3, 4, 5}, -1000, 1000).to(dtype);
    const Array in = to_array(x);
    const std::vector<std::vector<std::size_t>> lists = {{0, 1}, {1, 2}, {0, 2}, {1, 3}, {0, 1, 3}, {0, 1, 2, 3}};
    for (const auto& axes : lists) {
      Dims dims;
      for (const std::size_t axis : axes) dims.push_back(static_cast<std::int64_t>(axis) - (axis % 2 == 0 ? 4 : 0));
      const Array high = xt::amax(in, axes), low = xt::amin(in, axes), wide = xt::amax(in, axes, xt::keep_dims);
      BOOST_TEST(equal_to("amax", eg::amax(x, dims), to_tensor(high, dtype)));
      BOOST_TEST(equal_to("amin", eg::amin(x, dims), to_tensor(low, dtype)));
      BOOST_TEST(equal_to("kept", eg::amax(x, dims, true), to_tensor(wide, dtype)));
    }
  }
  const Tensor one = eg::amax(eg::ones({2, 3}), {}, true);
  BOOST_TEST((one.shape() == Shape{1, 1}));
}

BOOST_AUTO_TEST_CASE(scalars_and_nothing) {
  const Tensor scalar = eg::tensor(3.0);
  for (const int d : {0, -1}) {
    BOOST_TEST(equal_to("values", eg::max(scalar, d, true).values, scalar));
    BOOST_TEST(equal_to("indices", eg::min(scalar, d).indices, eg::tensor(0)));
    BOOST_TEST(equal_to("over", eg::amax(scalar, {d}, true), scalar));
    BOOST_TEST(eg::argmin(scalar, d).item<std::int64_t>() == 0);
    BOOST_TEST(!eg::amax(scalar, {d}).shares_storage_with(scalar));
  }
  BOOST_TEST(equal_to("max", eg::max(scalar), scalar));
  BOOST_TEST((eg::max(eg::zeros({0, 3}), 1).values.shape() == Shape{0}));
  BOOST_TEST((eg::max(eg::zeros({0, 3}), 1).indices.shape() == Shape{0}));
  BOOST_TEST((eg::amin(eg::zeros({0, 3, 2}), {1}, true).shape() == Shape{0, 1, 2}));
  BOOST_TEST((eg::argmax(eg::zeros({0, 3}), 1).shape() == Shape{0}));
  BOOST_TEST(!eg::argmax(eg::zeros({3}).set_requires_grad(), 0).requires_grad());
  BOOST_TEST(!eg::max(eg::zeros({3}).set_requires_grad(), 0).indices.requires_grad());
}

// Every value different, so that the derivative is there.
BOOST_AUTO_TEST_CASE(gradients) {
  Draw draw(47);
  const auto distinct = [&](const Shape& shape) {
    std::vector<double> values(static_cast<std::size_t>(shape.numel()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>((i * 7919) % 1009) / 10;
    return eg::tensor(values, shape).set_requires_grad();
  };
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{5}, Shape{3, 4}, Shape{2, 3, 4}, Shape{0, 3}}) {
    for (int d = 0; d < std::max(shape.rank(), 1); ++d) {
      if (shape.rank() > 0 && shape[d] == 0) continue;
      BOOST_TEST_CONTEXT(shape.to_string() << " along " << d) {
        for (const bool keepdim : {false, true}) {
          BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::max(in[0], d, keepdim).values * 2.0; },
                                     {distinct(shape)}));
          BOOST_TEST(
              gradients_agree([&](const Inputs& in) { return eg::min(in[0], d, keepdim).values; }, {distinct(shape)}));
          BOOST_TEST(
              gradients_agree([&](const Inputs& in) { return eg::amax(in[0], {d}, keepdim); }, {distinct(shape)}));
        }
        for (std::int64_t k = shape.rank() == 0 ? 1 : 0; k <= (shape.rank() == 0 ? 1 : shape[d]); ++k) {
          BOOST_TEST(gradients_agree(
              [&](const Inputs& in) { return eg::topk(in[0], k, {.dim = d, .largest = k % 2 == 0}).values; },
              {distinct(shape)}));
        }
      }
    }
    if (shape.numel() == 0) continue;
    BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::max(in[0]) * eg::min(in[0]); }, {distinct(shape)}));
    BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::amin(in[0]); }, {distinct(shape)}));
  }
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::amax(in[0], {0, 2}); }, {distinct({3, 2, 4})}));
}

BOOST_AUTO_TEST_CASE(gradients_of_ties) {
  for_computing_types([](DType dtype) {
    const auto of = [&](const std::vector<double>& values) { return eg::tensor(values).to(dtype); };
    const auto gradient = [&](const std::vector<double>& at, const auto& op) {
      const Tensor x = of(at).set_requires_grad();
      eg::sum(op(x)).backward();
      return grad_of(x);
    };
    const auto all = [](const Tensor& x) { return eg::max(x); };
    const auto first = [](const Tensor& x) { return eg::max(x, 0).values; };
    const auto over = [](const Tensor& x) { return eg::amax(x, {0}); };
    BOOST_TEST(equal_to("all share", gradient({1, 3, 3}, all), of({0, 0.5, 0.5})));
    BOOST_TEST(equal_to("the first alone", gradient({1, 3, 3}, first), of({0, 1, 0})));
    BOOST_TEST(equal_to("those share", gradient({3, 1, 3, 3}, over), of({1.0 / 3, 0, 1.0 / 3, 1.0 / 3}).to(dtype)));
    BOOST_TEST(equal_to("NaN share", gradient({not_a_number, 3, not_a_number}, all), of({0.5, 0, 0.5})));
    BOOST_TEST(equal_to("NaN is first", gradient({1, not_a_number, 5, not_a_number}, first), of({0, 1, 0, 0})));
    BOOST_TEST(equal_to("no share of NaN", gradient({not_a_number, 3}, over), of({not_a_number, not_a_number})));
  });
}

BOOST_AUTO_TEST_CASE(topk_against_a_sort) {
  for (const DType dtype : numbers()) {
    Draw draw(48);
    for (const Shape& shape : {Shape{1}, Shape{7}, Shape{300}, Shape{4, 9}, Shape{9, 4}, Shape{3, 130, 2}}) {
      for (const bool special : {false, true}) {
        const Tensor x = with_ties(draw, shape, dtype, special);
        const std::vector<double> all = x.to_vector<double>();
        for (int d = 0; d < shape.rank(); ++d) {
          for (const std::int64_t k : {std::int64_t{0}, std::int64_t{1}, shape[d] / 2, shape[d]}) {
            for (const bool largest : {true, false}) {
              Shape expected_shape = shape;
              expected_shape[d] = k;
              std::vector<std::int64_t> places(static_cast<std::size_t>(expected_shape.numel()));
              std::vector<double> values(places.size());
              const std::int64_t inner = shape.slice(d + 1, shape.rank()).numel();
              std::size_t number = 0;
              for (const Column& column : columns_of(shape, d)) {
                std::vector<std::int64_t> order;
                for (std::int64_t i = 0; i < shape[d]; ++i) order.push_back(i);
                const auto value = [&](std::int64_t i) {
                  return all[static_cast<std::size_t>(column.first + i * column.step)];
                };
                std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
                  const double p = value(a), q = value(b);
                  if (std::isnan(p) || std::isnan(q))
                    return largest ? std::isnan(p) && !std::isnan(q) : !std::isnan(p) && std::isnan(q);
                  return largest ? p > q : p < q;
                });
                const auto o = static_cast<std::int64_t>(number) / inner, i = static_cast<std::int64_t>(number) % inner;
                for (std::int64_t j = 0; j < k; ++j) {
                  const auto at = static_cast<std::size_t>((o * k + j) * inner + i);
                  places[at] = order[static_cast<std::size_t>(j)];
                  values[at] = value(places[at]);
                }
                ++number;
              }
              BOOST_TEST_CONTEXT(eg::name_of(dtype) << " " << shape.to_string() << " along " << d << ", k " << k
                                                    << ", largest " << largest << ", seed 48") {
                const auto got = eg::topk(x, k, {.dim = d, .largest = largest});
                BOOST_TEST(equal_to("values", got.values, eg::tensor(values, expected_shape).to(dtype)));
                BOOST_TEST(equal_to("indices", got.indices, eg::tensor(places, expected_shape)));
              }
            }
          }
        }
      }
    }
  }
  // Without order: the same elements.
  Draw draw(49);
  const Tensor x = draw.uniform({200});
  const Tensor any = eg::topk(x, 50, {.sorted = false}).values, best = eg::topk(x, 50).values;
  BOOST_TEST(equal_to("sorted again", eg::topk(any, 50).values, best));
  const auto scalar = eg::topk(eg::tensor(3), 1);
  BOOST_TEST(equal_to("scalar", scalar.values, eg::tensor(3)));
  BOOST_TEST(equal_to("scalar", scalar.indices, eg::tensor(0)));
}

BOOST_AUTO_TEST_CASE(inputs_changed_before_backward) {
  Tensor x = eg::ones({3}).set_requires_grad();
  const Tensor y = eg::max(x);
  eg::no_grad([&] { x.fill(2); });
  BOOST_TEST(refuses<eg::ValueError>(
      [&] {
        y.backward();
        return 0;
      },
      {"max", "changed in place"}));
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = eg::zeros({2, 3});
  const Tensor nothing = eg::zeros({2, 0});
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::argmax(x, 2); }, {"argmax:", "dim", "2"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::max(x, -3).values; }, {"max:", "dim", "-3"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::amin(x, {0, 5}); }, {"amin:", "dim", "5"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::amax(x, {0, -2}); }, {"amax:", "twice"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::topk(x, 1, {.dim = 2}).values; }, {"topk:", "dim", "2"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::topk(x, 4).values; }, {"topk:", "k is 4", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::topk(x, -1).values; }, {"topk:", "k is -1"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::topk(eg::tensor(1), 0).values; }, {"topk:", "k is 0"}));
  for (const auto& op : std::vector<std::function<Tensor()>>{
           [&] { return eg::argmax(nothing, 1); }, [&] { return eg::argmin(nothing, 1); },
           [&] { return eg::max(nothing, 1).values; }, [&] { return eg::amax(nothing, {1}); },
           [&] { return eg::min(nothing); }, [&] { return eg::amin(nothing); }}) {
    BOOST_TEST(refuses<eg::IndexError>(op, {"[2, 0]"}));
  }
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::argmin(eg::zeros({0})); }, {"argmin:", "[0]"}));
  const std::pair<const char*, std::function<Tensor(const Tensor&)>> ops[] = {
      {"max", [](const Tensor& t) { return eg::max(t); }},
      {"min", [](const Tensor& t) { return eg::min(t, 0).values; }},
      {"amax", [](const Tensor& t) { return eg::amax(t); }},
      {"argmax", [](const Tensor& t) { return eg::argmax(t); }},
      {"argmin", [](const Tensor& t) { return eg::argmin(t, 0); }},
      {"topk", [](const Tensor& t) { return eg::topk(t, 1).values; }}};
  for (const auto& [name, op] : ops) {
    BOOST_TEST(
        refuses<eg::ValueError>([&, &run = op] { return run(Tensor()); }, {std::string(name) + ":", "undefined"}));
    BOOST_TEST(refuses<eg::DTypeError>([&, &run = op] { return run(x.to(DType::float16)); },
                                       {std::string(name) + ":", "float16"}));
  }
}

BOOST_AUTO_TEST_SUITE_END()

#include <array>
#include <cstdint>
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

constexpr DType all_types[] = {DType::float32,  DType::float64, DType::float16,
                               DType::bfloat16, DType::int32,   DType::int64};

// Ops that move elements take every type.
template <class Body>
void for_all_types(const Body& body) {
  for (const DType dtype : all_types) {
    BOOST_TEST_CONTEXT(eg::name_of(dtype)) { body(dtype); }
  }
}

// The element at `position` of x.
double element(const Tensor& x, const std::vector<std::int64_t>& position) {
  std::int64_t flat = 0;
  for (int d = 0; d < x.dim(); ++d) flat = flat * x.shape()[d] + position[static_cast<std::size_t>(d)];
  return x.reshape({-1}).to_vector<double>()[static_cast<std::size_t>(flat)];
}

// All positions of a shape in row-major order.
std::vector<std::vector<std::int64_t>> positions(const Shape& shape) {
  std::vector<std::vector<std::int64_t>> all;
  for (std::int64_t flat = 0; flat < shape.numel(); ++flat) {
    std::vector<std::int64_t> position(static_cast<std::size_t>(shape.rank()));
    std::int64_t rest = flat;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      position[static_cast<std::size_t>(d)] = rest % shape[d];
      rest /= shape[d];
    }
    all.push_back(position);
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shape_ops)

// --- reshape

BOOST_AUTO_TEST_CASE(reshape_keeps_the_order_and_is_differentiable) {
  for_all_types([](DType dtype) {
    Draw draw(71);
    const Tensor x = draw.integers({2, 3, 4}, -9, 9).to(dtype);
    const Tensor y = eg::reshape(x, {4, -1});
    BOOST_TEST((y.shape() == Shape{4, 6}));
    BOOST_TEST(y.to_vector<double>() == x.to_vector<double>(), boost::test_tools::per_element());
    BOOST_TEST(y.shares_storage_with(x));
  });
  Draw draw(71);
  for (const auto& [from, to] :
       std::vector<std::pair<Shape, Shape>>{{{6}, {2, 3}}, {{2, 3}, {-1}}, {{}, {1, 1}}, {{1}, {}}, {{0, 3}, {3, 0}}}) {
    BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::reshape(in[0], to) * 2.0; }, {leaf(draw, from)}),
               from.to_string());
  }
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::reshape(Tensor(), {1}); }, {"reshape:", "undefined"}));
}

// --- squeeze, unsqueeze

BOOST_AUTO_TEST_CASE(squeeze_and_unsqueeze_are_views) {
  Draw draw(91);
  const Tensor x = draw.uniform({1, 3, 1, 2, 1});
  const auto check = [&](const Tensor& got, const Shape& shape) {
    BOOST_TEST(equal_to("elements", got, x.reshape(shape)));
    BOOST_TEST(got.shares_storage_with(x));
  };
  check(eg::squeeze(x), {3, 2});
  check(eg::squeeze(x, 0), {3, 1, 2, 1});
  check(eg::squeeze(x, -1), {1, 3, 1, 2});
  check(eg::squeeze(x, 1), {1, 3, 1, 2, 1});
  check(eg::squeeze(x, {0, 1, -3}), {3, 2, 1});
  check(eg::squeeze(x, {}), {1, 3, 1, 2, 1});
  check(eg::unsqueeze(x, 0), {1, 1, 3, 1, 2, 1});
  check(eg::unsqueeze(x, 5), {1, 3, 1, 2, 1, 1});
  check(eg::unsqueeze(x, -2), {1, 3, 1, 2, 1, 1});
  check(eg::unsqueeze(x, -6), {1, 1, 3, 1, 2, 1});
  const Tensor scalar = eg::tensor(2.0);
  BOOST_TEST(equal_to("scalar", eg::squeeze(scalar, -1), scalar));
  BOOST_TEST(equal_to("scalar", eg::unsqueeze(scalar, -1), scalar.reshape({1})));
  BOOST_TEST((eg::squeeze(eg::zeros({0, 1, 2})).shape() == Shape{0, 2}));
  for (const Shape& shape : {Shape{}, Shape{1, 3, 1}, Shape{2, 1}}) {
    BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::squeeze(in[0]) * 2.0; }, {leaf(draw, shape)}));
    BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::squeeze(in[0], 0); }, {leaf(draw, shape)}));
    BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::unsqueeze(in[0], -1) * 2.0; }, {leaf(draw, shape)}));
  }
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::squeeze(x, 5); }, {"squeeze:", "dim", "5"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::squeeze(x, std::int64_t{1} << 32); }, {"squeeze:", "dim"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::squeeze(x, {0, -5}); }, {"squeeze:", "twice"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::unsqueeze(x, 6); }, {"unsqueeze:", "dim", "6"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::unsqueeze(scalar, 1); }, {"unsqueeze:", "dim", "1"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::squeeze(Tensor()); }, {"squeeze:", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::unsqueeze(Tensor(), 0); }, {"unsqueeze:", "undefined"}));
}

// --- permute

BOOST_AUTO_TEST_CASE(permute_against_xtensor) {
  Draw draw(92);
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 33}, Shape{2, 3, 4}, Shape{2, 0, 3}, Shape{2, 3, 4, 5}}) {
    const Tensor x = draw.integers(shape, -9, 9);
    std::vector<std::size_t> order;
    for (int d = 0; d < shape.rank(); ++d) order.push_back(static_cast<std::size_t>(d));
    do {
      eg::Dims dims;
      for (const std::size_t d : order) {
        dims.push_back(static_cast<std::int64_t>(d) - (d % 2 == 1 ? shape.rank() : 0));
      }
      const Array expected = xt::transpose(to_array(x), order);
      BOOST_TEST(equal_to(dims.to_string(), eg::permute(x, dims), to_tensor(expected, DType::int64)));
      if (shape.numel() <= 24) {
        BOOST_TEST(
            gradients_agree([&](const Inputs& in) { return eg::permute(in[0], dims) * 2.0; }, {leaf(draw, shape)}));
      }
    } while (std::next_permutation(order.begin(), order.end()));
  }
  const Tensor x = eg::zeros({2, 3});
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::permute(x, {0}); }, {"permute:", "[0]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::permute(eg::tensor(1.0), {0}); }, {"permute:"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::permute(x, {1, -1}); }, {"permute:", "twice"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::permute(x, {0, 2}); }, {"permute:", "dim", "2"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::permute(Tensor(), {}); }, {"permute:", "undefined"}));
}

// --- index_select

BOOST_AUTO_TEST_CASE(index_select_against_loops) {
  for_index_types([](DType index_type) {
    Draw draw(93);
    for (const Shape& shape : {Shape{5}, Shape{5, 3}, Shape{3, 5}, Shape{2, 3, 4}, Shape{3, 0, 2}}) {
      for (int d = 0; d < shape.rank(); ++d) {
        for (const std::int64_t count : {0, 1, 7}) {
          if (shape[d] == 0 && count > 0) continue;
          const Tensor x = draw.uniform(shape, DType::float32),
                       index = draw.integers({count}, 0, std::max<std::int64_t>(1, shape[d]) - 1, index_type);
          std::vector<Tensor> slices;
          for (const std::int64_t i : index.to_vector<std::int64_t>()) slices.push_back(eg::narrow(x, d, i, 1));
          Shape none = shape;
          none[d] = 0;
          slices.push_back(eg::zeros(none));
          BOOST_TEST(same_bits("index_select", eg::index_select(x, d - shape.rank(), index), eg::cat(slices, d)));
          BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::index_select(in[0], d, index) * 2.0; },
                                     {leaf(draw, shape)}));
        }
      }
    }
  });
  const Tensor x = eg::tensor({1.0, 2.0});
  BOOST_TEST(equal_to("one", eg::index_select(x, 0, eg::tensor(1)), eg::tensor({2.0})));
  BOOST_TEST(equal_to("scalar", eg::index_select(eg::tensor(3.0), 0, eg::tensor({0})), eg::tensor(3.0)));
  BOOST_TEST(equal_to("integers", eg::index_select(eg::tensor({{1, 2}, {3, 4}}), 1, eg::tensor({1, 1})),
                      eg::tensor({{2, 2}, {4, 4}})));
}

BOOST_AUTO_TEST_CASE(index_select_errors) {
  const Tensor x = eg::zeros({2, 3});
  BOOST_TEST(refuses<eg::IndexError>(
      [&] {
        return eg::index_select(x, 1, eg::tensor({0, 3}));
      },
      {"index_select: index[1] is 3, but dimension 1 of input has 3 rows"}));
  BOOST_TEST(
      refuses<eg::IndexError>([&] { return eg::index_select(x, 0, eg::tensor({-1})); }, {"index_select:", "-1"}));
  BOOST_TEST(
      refuses<eg::IndexError>([&] { return eg::index_select(x, 2, eg::tensor({0})); }, {"index_select:", "dim"}));
  BOOST_TEST(refuses<eg::IndexError>(
      [&] {
        return eg::index_select(eg::zeros({3, 0}), 1, eg::tensor({0}));
      },
      {"index_select:"}));
  BOOST_TEST(
      refuses<eg::ShapeError>([&] { return eg::index_select(x, 0, eg::tensor({{0}})); }, {"index_select:", "[1, 1]"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::index_select(eg::tensor(1.0), 0, eg::tensor({0, 0}));
      },
      {"index_select:", "2"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::index_select(x, 0, x); }, {"index_select:", "index", "float32"}));
  BOOST_TEST(
      refuses<eg::ValueError>([&] { return eg::index_select(Tensor(), 0, eg::tensor({0})); }, {"input", "undefined"}));
}

// --- transpose

BOOST_AUTO_TEST_CASE(transpose_swaps_two_dimensions) {
  for_all_types([](DType dtype) {
    Draw draw(72);
    for (const Shape& shape :
         {Shape{1}, Shape{2, 3}, Shape{33, 31}, Shape{2, 3, 4}, Shape{3, 1, 2, 2}, Shape{0, 3}, Shape{2, 0, 3}}) {
      const Tensor x = draw.integers(shape, -9, 9).to(dtype);
      for (int a = 0; a < shape.rank(); ++a) {
        for (int b = 0; b < shape.rank(); ++b) {
          std::vector<std::size_t> order;
          for (int d = 0; d < shape.rank(); ++d) order.push_back(static_cast<std::size_t>(d == a ? b : d == b ? a : d));
          const Array expected = xt::transpose(to_array(x), order);
          BOOST_TEST_CONTEXT(shape.to_string() << ", " << a << " and " << b) {
            BOOST_TEST(equal_to("transpose", eg::transpose(x, a, b), to_tensor(expected, dtype)));
            BOOST_TEST(equal_to("from the end", x.transpose(a - shape.rank(), b), to_tensor(expected, dtype)));
          }
        }
      }
    }
    const Tensor scalar = eg::full({}, 3, {dtype, {}});
    BOOST_TEST(equal_to("scalar", eg::transpose(scalar, 0, -1), scalar));
  });
}

BOOST_AUTO_TEST_CASE(transpose_gradients_and_errors) {
  Draw draw(73);
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{2, 3, 2}, Shape{0, 2}}) {
    for (int a = 0; a < shape.rank(); ++a) {
      BOOST_TEST(
          gradients_agree([&](const Inputs& in) { return eg::transpose(in[0], a, -1) * 2.0; }, {leaf(draw, shape)}),
          shape.to_string());
    }
  }
  const Tensor x = eg::zeros({2, 3});
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::transpose(x, 0, 2); }, {"transpose:", "dim1", "2"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::transpose(x, -3, 0); }, {"transpose:", "dim0", "-3"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::transpose(Tensor(), 0, 1); }, {"transpose:", "undefined"}));
}

// --- narrow

BOOST_AUTO_TEST_CASE(narrow_takes_a_range) {
  for_all_types([](DType dtype) {
    Draw draw(74);
    for (const Shape& shape : {Shape{5}, Shape{4, 3}, Shape{3, 33}, Shape{2, 4, 3}, Shape{2, 0, 3}}) {
      const Tensor x = draw.integers(shape, -9, 9).to(dtype);
      for (int d = 0; d < shape.rank(); ++d) {
        for (std::int64_t start = 0; start <= shape[d]; ++start) {
          for (const std::int64_t length : {std::int64_t{0}, std::int64_t{1}, shape[d] - start}) {
            if (start + length > shape[d]) continue;
            BOOST_TEST_CONTEXT(shape.to_string() << ", dimension " << d << ", " << length << " from " << start) {
              Shape part = shape;
              part[d] = length;
              std::vector<double> expected;
              for (std::vector<std::int64_t> position : positions(part)) {
                position[static_cast<std::size_t>(d)] += start;
                expected.push_back(element(x, position));
              }
              const Tensor y = eg::narrow(x, d, start, length);
              BOOST_TEST(equal_to("narrow", y, eg::tensor(expected, part).to(dtype)));
              BOOST_TEST(y.shares_storage_with(x) == (d == 0));
              if (start < shape[d])
                BOOST_TEST(equal_to("from the end", eg::narrow(x, d - shape.rank(), start - shape[d], length), y));
            }
          }
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(narrow_gradients_and_errors) {
  Draw draw(75);
  for (const auto& [dim, start, length] :
       std::vector<std::array<int, 3>>{{0, 1, 2}, {1, 0, 3}, {1, 2, 1}, {2, 1, 1}, {0, 0, 0}, {2, 2, 0}, {0, 0, 3}}) {
    BOOST_TEST(gradients_agree(
        [&, d = dim, s = start, l = length](const Inputs& in) { return eg::narrow(in[0], d, s, l) * 3.0; },
        {leaf(draw, {3, 3, 2})}));
  }
  // Overlapping parts of one tensor; elements in no part get zero.
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::narrow(in[0], 0, 0, 3) * eg::narrow(in[0], 0, 1, 3); },
                             {leaf(draw, {5, 2})}));
  const Tensor x = leaf(draw, {4, 2});
  eg::sum(x[1]).backward();
  BOOST_TEST(equal_to("x[1]", grad_of(x), eg::tensor({{0, 0}, {1, 1}, {0, 0}, {0, 0}}, x.options())));

  const Tensor y = eg::zeros({4, 3});
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::narrow(y, 2, 0, 1); }, {"narrow:", "dim", "2"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::narrow(y, 0, 5, 0); }, {"narrow:", "start", "5", "[4, 3]"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::narrow(y, 0, -5, 1); }, {"narrow:", "-5"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::narrow(y, 0, 2, 3); }, {"narrow:", "2", "3", "[4, 3]"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::narrow(y, 1, 0, -1); }, {"narrow:", "-1"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::narrow(y, 1, 1, std::numeric_limits<std::int64_t>::max()); },
                                     {"narrow:"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::narrow(eg::tensor(1.0), 0, 0, 1); }, {"narrow:"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::narrow(Tensor(), 0, 0, 1); }, {"narrow:", "undefined"}));
}

// --- cat and stack

BOOST_AUTO_TEST_CASE(cat_joins_along_a_dimension) {
  for_all_types([](DType dtype) {
    Draw draw(76);
    for (const Shape& shape : {Shape{3}, Shape{2, 3}, Shape{2, 3, 4}, Shape{2, 0, 3}}) {
      for (int d = 0; d < shape.rank(); ++d) {
        std::vector<Tensor> parts;
        std::vector<std::int64_t> starts{0};
        for (const std::int64_t extent : {2, 0, 1, 33}) {
          Shape part = shape;
          part[d] = extent;
          parts.push_back(draw.integers(part, -9, 9).to(dtype));
          starts.push_back(starts.back() + extent);
        }
        BOOST_TEST_CONTEXT(shape.to_string() << " along " << d << ", seed 76") {
          const Tensor joined = eg::cat(parts, d);
          Shape whole = shape;
          whole[d] = 36;
          BOOST_TEST((joined.shape() == whole));
          for (std::size_t i = 0; i < parts.size(); ++i) {
            BOOST_TEST(equal_to("part " + std::to_string(i),
                                eg::narrow(joined, d, starts[i], starts[i + 1] - starts[i]), parts[i]));
          }
          BOOST_TEST(equal_to("from the end", eg::cat(parts, d - shape.rank()), joined));
          const Tensor alone = eg::cat({parts[0]}, d);
          BOOST_TEST(equal_to("one", alone, parts[0]));
          BOOST_TEST(!alone.shares_storage_with(parts[0]));
        }
      }
    }
    // PyTorch's old habit: an empty tensor of one dimension is skipped, whatever the others' rank.
    const Tensor empty = eg::zeros({0}, {dtype, {}}), x = eg::ones({2, 3}, {dtype, {}});
    BOOST_TEST(equal_to("skipped", eg::cat({empty, x, empty}, 1), x));
    BOOST_TEST((eg::cat({empty, empty}).shape() == Shape{0}));
  });
}

BOOST_AUTO_TEST_CASE(cat_promotes) {
  const auto result = [](std::initializer_list<DType> dtypes) {
    std::vector<Tensor> parts;
    for (const DType dtype : dtypes) parts.push_back(eg::ones({2}, {dtype, {}}));
    return eg::name_of(eg::cat(parts).dtype());
  };
  BOOST_TEST(result({DType::int32, DType::int64}) == "int64");
  BOOST_TEST(result({DType::int64, DType::float32}) == "float32");
  BOOST_TEST(result({DType::float32, DType::float64, DType::int64}) == "float64");
  BOOST_TEST(result({DType::int32, DType::int32}) == "int32");
  BOOST_TEST(result({DType::float16, DType::float32}) == "float32");
  Draw draw(77);
  const Tensor narrow = leaf(draw, {2}, DType::float32), wide = leaf(draw, {3}, DType::float64);
  eg::sum(eg::cat({narrow, wide}) * 2.0).backward();
  BOOST_TEST(equal_to("narrow", grad_of(narrow), eg::full({2}, 2)));
  BOOST_TEST(equal_to("wide", grad_of(wide), eg::full({3}, 2, wide.options())));
}

BOOST_AUTO_TEST_CASE(stack_makes_a_dimension) {
  for_all_types([](DType dtype) {
    Draw draw(78);
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{2, 0}}) {
      std::vector<Tensor> parts;
      for (int i = 0; i < 3; ++i) parts.push_back(draw.integers(shape, -9, 9).to(dtype));
      for (int d = 0; d <= shape.rank(); ++d) {
        BOOST_TEST_CONTEXT(shape.to_string() << " along " << d) {
          const Tensor stacked = eg::stack(parts, d);
          BOOST_TEST_REQUIRE(stacked.size(d) == 3);
          for (std::int64_t i = 0; i < 3; ++i) {
            BOOST_TEST(
                equal_to("part", eg::narrow(stacked, d, i, 1).reshape(shape), parts[static_cast<std::size_t>(i)]));
          }
          BOOST_TEST(equal_to("from the end", eg::stack(parts, d - shape.rank() - 1), stacked));
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(cat_and_stack_gradients) {
  Draw draw(79);
  for (int d = 0; d < 3; ++d) {
    Shape other{2, 3, 2};
    other[d] = 4;
    BOOST_TEST(gradients_agree(
        [&](const Inputs& in) {
          return eg::cat({in[0], in[1], in[0]}, d) * 2.0;
        },
        {leaf(draw, {2, 3, 2}), leaf(draw, other)}));
    BOOST_TEST(gradients_agree(
        [&](const Inputs& in) {
          return eg::stack({in[0], in[1], in[0]}, d);
        },
        {leaf(draw, {2, 3}), leaf(draw, {2, 3})}));
  }
  BOOST_TEST(gradients_agree(
      [](const Inputs& in) {
        return eg::stack({in[0], in[1]});
      },
      {leaf(draw, {}), leaf(draw, {})}));
  BOOST_TEST(gradients_agree(
      [](const Inputs& in) {
        return eg::cat({in[0], in[1], in[2]}, 1);
      },
      {leaf(draw, {2, 1}), leaf(draw, {0}), leaf(draw, {2, 0})}));
  const Tensor x = leaf(draw, {2}), data = draw.uniform({3}, DType::float64);
  eg::sum(eg::cat({data, x})).backward();
  BOOST_TEST(!data.grad().defined());
  BOOST_TEST(equal_to("x", grad_of(x), eg::ones({2}, x.options())));
}

// As many losses as an epoch has, or as many sequences as somebody may collect.
BOOST_AUTO_TEST_CASE(very_many_tensors_are_joined) {
  for (const std::int64_t count : {65535, 65536, 70001}) {
    BOOST_TEST_CONTEXT(count << " tensors") {
      const Tensor shared = eg::tensor(1.0).set_requires_grad(), last = eg::tensor(1.0).set_requires_grad();
      std::vector<Tensor> parts(static_cast<std::size_t>(count), shared);
      parts.back() = last;
      const Tensor all = eg::stack(parts);
      BOOST_TEST(all.numel() == count);
      eg::sum(all).backward();
      BOOST_TEST_REQUIRE(shared.grad().defined());
      BOOST_TEST(grad_of(shared).item() == static_cast<double>(count - 1));
      BOOST_TEST_REQUIRE(last.grad().defined());
      BOOST_TEST(grad_of(last).item() == 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(cat_and_stack_errors) {
  const Tensor x = eg::zeros({2, 3}), y = eg::zeros({2, 4});
  const std::vector<Tensor> none;
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::cat({x, y}); }, {"cat:", "tensors[1]", "[2, 4]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::cat({x, eg::zeros({3})}); }, {"cat:", "tensors[1]", "[3]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::cat({eg::tensor(1.0), eg::tensor(2.0)}); }, {"cat:"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::cat({x, x}, 2); }, {"cat:", "dim", "2"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::cat(none); }, {"cat:", "empty"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::cat({x, Tensor()}); }, {"cat:", "tensors[1]", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::cat({Tensor(), x}); }, {"cat:", "tensors[0]", "undefined"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::stack({x, y}); }, {"stack:", "tensors[1]", "[2, 4]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::stack({x, x}, 3); }, {"stack:", "dim", "3"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::stack({x, x}, -4); }, {"stack:", "-4"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::stack(none); }, {"stack:", "empty"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::stack({x, Tensor()}); }, {"stack:", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::stack({Tensor(), x}); }, {"stack:", "undefined"}));
  const Tensor deep = eg::zeros({1, 1, 1, 1, 1, 1, 1, 1});
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::stack({deep, deep}); }, {"8"}));
}

// --- gather_rows

BOOST_AUTO_TEST_CASE(gather_rows_takes_slices_of_the_leading_dimension) {
  for_all_types([](DType dtype) {
    for_index_types([&](DType index_type) {
      Draw draw(80);
      for (const Shape& shape : {Shape{5}, Shape{5, 3}, Shape{5, 2, 2}, Shape{5, 0}, Shape{1, 33}}) {
        for (const Shape& index_shape : {Shape{}, Shape{0}, Shape{1}, Shape{7}, Shape{2, 3}}) {
          BOOST_TEST_CONTEXT(shape.to_string() << " at " << index_shape.to_string() << ", seed 80") {
            const Tensor x = draw.integers(shape, -9, 9).to(dtype);
            const Tensor index = draw.integers(index_shape, 0, shape[0] - 1, index_type);
            const Tensor got = eg::gather_rows(x, index);
            Shape expected_shape = index_shape;
            for (int d = 1; d < shape.rank(); ++d) expected_shape.push_back(shape[d]);
            BOOST_TEST_REQUIRE((got.shape() == expected_shape));
            BOOST_TEST((got.dtype() == dtype));
            const std::vector<std::int64_t> rows = index.to_vector<std::int64_t>();
            const std::int64_t width = shape.slice(1, shape.rank()).numel();
            const Tensor flat = got.reshape({index.numel(), width});
            for (std::size_t i = 0; i < rows.size(); ++i) {
              BOOST_TEST(equal_to("row", flat[static_cast<std::int64_t>(i)], x[rows[i]].reshape({width})));
            }
            BOOST_TEST(same_bits("or, without -1", eg::gather_rows_or(x, index, 7), got));
          }
        }
      }
      const Tensor x = eg::tensor({{1, 2}, {3, 4}}).to(dtype);
      const Tensor index = eg::tensor({1, -1, 0, -1}).to(index_type);
      BOOST_TEST(
          equal_to("or", eg::gather_rows_or(x, index, 7), eg::tensor({{3, 4}, {7, 7}, {1, 2}, {7, 7}}).to(dtype)));
      BOOST_TEST(equal_to("of nothing",
                          eg::gather_rows_or(eg::zeros({0, 2}, {dtype, {}}), eg::tensor({-1}).to(index_type), -3),
                          eg::full({1, 2}, -3, {dtype, {}})));
    });
  });
}

BOOST_AUTO_TEST_CASE(gather_rows_gradients) {
  Draw draw(81);
  for_index_types([&](DType index_type) {
    for (const Shape& shape : {Shape{5}, Shape{5, 3}, Shape{5, 2, 2}, Shape{5, 0}}) {
      for (const Shape& index_shape : {Shape{}, Shape{0}, Shape{9}, Shape{2, 3}}) {
        BOOST_TEST_CONTEXT(shape.to_string() << " at " << index_shape.to_string() << ", seed 81") {
          const Tensor index = draw.integers(index_shape, 0, 3, index_type);  // row 4 never
          const Tensor with_gaps = draw.integers(index_shape, -1, 3, index_type);
          BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::gather_rows(in[0], index) * 2.0; },
                                     {leaf(draw, shape)}));
          BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::gather_rows_or(in[0], with_gaps, 3) * 2.0; },
                                     {leaf(draw, shape)}));
          const Tensor x = leaf(draw, shape);
          eg::sum(eg::gather_rows_or(x, with_gaps, 3)).backward();
          BOOST_TEST((grad_of(x).shape() == shape));
        }
      }
    }
  });
  const Tensor x = leaf(draw, {3, 2});
  Tensor index = eg::tensor({0, 1});
  const Tensor y = eg::gather_rows(x, index);
  index.fill(2);
  BOOST_TEST(refuses<eg::ValueError>([&] { eg::sum(y).backward(); }, {"backward of gather_rows", "changed in place"}));
}

BOOST_AUTO_TEST_CASE(gather_rows_errors) {
  const Tensor x = eg::zeros({3, 2});
  BOOST_TEST(refuses<eg::IndexError>(
      [&] {
        return eg::gather_rows(x, eg::tensor({{0, 1}, {2, 3}}));
      },
      {"gather_rows: index[1, 1] is 3, but input has 3 rows"}));
  BOOST_TEST(refuses<eg::IndexError>(
      [&] {
        return eg::gather_rows(x, eg::tensor({0, -1}));
      },
      {"gather_rows: index[1] is -1"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::gather_rows(x, eg::tensor(5)); }, {"gather_rows:", "5"}));
  BOOST_TEST(refuses<eg::IndexError>(
      [&] {
        return eg::gather_rows(eg::zeros({0, 2}), eg::tensor({0}));
      },
      {"gather_rows:", "0 rows"}));
  BOOST_TEST(refuses<eg::IndexError>(
      [&] {
        return eg::gather_rows_or(x, eg::tensor({0, -2}), 0);
      },
      {"gather_rows_or: index[1] is -2"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::gather_rows_or(x, eg::tensor({3}), 0); },
                                     {"gather_rows_or: index[0] is 3"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::gather_rows(x, eg::zeros({2})); },
                                     {"gather_rows:", "index", "float32"}));
  BOOST_TEST(
      refuses<eg::ShapeError>([&] { return eg::gather_rows(eg::tensor(1.0), eg::tensor({0})); }, {"gather_rows:"}));
  BOOST_TEST(
      refuses<eg::ValueError>([&] { return eg::gather_rows(x, Tensor()); }, {"gather_rows:", "index", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::gather_rows(Tensor(), eg::tensor({0})); },
                                     {"gather_rows:", "input", "undefined"}));
}

BOOST_AUTO_TEST_SUITE_END()

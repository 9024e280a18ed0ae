#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
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

// Every list of different dimensions of a tensor of this rank, some counted from the end.
std::vector<Dims> all_dims(int rank) {
  std::vector<Dims> lists;
  for (unsigned mask = 1; mask < (1U << static_cast<unsigned>(rank)); ++mask) {
    Dims dims;
    for (int d = 0; d < rank; ++d) {
      if ((mask >> static_cast<unsigned>(d) & 1U) != 0)
        dims.push_back((mask + static_cast<unsigned>(d)) % 3 == 0 ? d - rank : d);
    }
    lists.push_back(dims);
  }
  return lists;
}

Array summed(const Tensor& x, const Dims& dims, bool keepdim) {
  const Array in = to_array(x);
  std::vector<std::size_t> axes;
  for (const std::int64_t d : dims) axes.push_back(static_cast<std::size_t>(d < 0 ? d + x.dim() : d));
  std::sort(axes.begin(), axes.end());
  if (keepdim) return xt::sum(in, axes, xt::keep_dims);
  return xt::sum(in, axes);
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {{1},        {31},       {33},         {70},      {3, 4},
                                         {5, 33},    {33, 5},    {130, 3},     {2, 3, 4}, {4, 1, 5},
                                         {3, 32, 2}, {2, 65, 7}, {2, 3, 2, 3}, {1, 1},    {64, 64}};
  return all;
}

// The orders that the contract fixes. Along other dimensions than the last: in order by blocks of 64, the sums of
// blocks again so.
template <class T>
T sum_in_blocks(std::vector<T> x) {
  while (x.size() > 1) {
    std::vector<T> blocks;
    for (std::size_t i = 0; i < x.size(); i += 64) {
      T block = T(0);
      for (std::size_t k = i; k < std::min(x.size(), i + 64); ++k) block += x[k];
      blocks.push_back(block);
    }
    x = blocks;
  }
  return x.empty() ? T(0) : x[0];
}

// Along the last: 16 lanes, each summed in blocks, then added pairwise.
template <class T>
T sum_in_lanes(const std::vector<T>& x) {
  std::vector<T> sums;
  for (std::size_t lane = 0; lane < 16; ++lane) {
    std::vector<T> own;
    for (std::size_t i = lane; i < x.size(); i += 16) own.push_back(x[i]);
    sums.push_back(sum_in_blocks(own));
  }
  for (std::size_t half = 8; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reduce)

// Not "-nan", as C++ prints the NaN that x86 makes of 0 / 0.
BOOST_AUTO_TEST_CASE(the_mean_of_nothing_is_a_nan_without_a_sign) {
  for_computing_types([](DType dtype) {
    const double value = eg::mean(eg::zeros({0}, {dtype, {}})).item();
    BOOST_TEST(std::isnan(value));
    BOOST_TEST(!std::signbit(value));
  });
}

BOOST_AUTO_TEST_CASE(sums_and_means_over_any_dimensions) {
  for_computing_types([](DType dtype) {
    Draw draw(41);
    for (const Shape& shape : shapes()) {
      const Tensor x = draw.uniform(shape, dtype, -1, 2);
      for (const Dims& dims : all_dims(shape.rank())) {
        double count = 1;
        for (const std::int64_t d : dims) count *= static_cast<double>(x.size(static_cast<int>(d)));
        for (const bool keepdim : {false, true}) {
          BOOST_TEST_CONTEXT(shape.to_string()
                             << " over " << dims.to_string() << (keepdim ? ", kept" : "") << ", seed 41") {
            const Array expected = summed(x, dims, keepdim);
            BOOST_TEST(close_to("sum", eg::sum(x, dims, keepdim), to_tensor(expected, dtype)));
            BOOST_TEST(close_to("mean", eg::mean(x, dims, keepdim), to_tensor(expected / count, dtype)));
          }
        }
      }
      const double total = xt::sum(to_array(x))();
      BOOST_TEST(close_to("sum", eg::sum(x), eg::tensor(total, {dtype, {}})));
      BOOST_TEST(close_to("mean", eg::mean(x), eg::tensor(total / static_cast<double>(x.numel()), {dtype, {}})));
      BOOST_TEST(
          same_bits("no dims are all", eg::sum(x, {}, true),
                    eg::sum(x).reshape(Shape(std::vector<std::int64_t>(static_cast<std::size_t>(shape.rank()), 1)))));
      BOOST_TEST(same_bits("member", x.sum(), eg::sum(x)));
      BOOST_TEST(same_bits("member", x.mean(), eg::mean(x)));
    }
  });
}

BOOST_AUTO_TEST_CASE(nothing_and_no_dimensions) {
  for_computing_types([](DType dtype) {
    const eg::TensorOptions options{dtype, {}};
    BOOST_TEST(equal_to("sum", eg::sum(eg::zeros({0}, options)), eg::zeros({}, options)));
    BOOST_TEST(equal_to("sum", eg::sum(eg::zeros({2, 0, 3}, options), {1}), eg::zeros({2, 3}, options)));
    BOOST_TEST(equal_to("sum", eg::sum(eg::zeros({2, 0, 3}, options), {0}), eg::zeros({0, 3}, options)));
    BOOST_TEST(std::isnan(eg::mean(eg::zeros({0}, options)).item()));
    BOOST_TEST(std::isnan(eg::mean(eg::zeros({2, 0}, options), {1}).at({1})));
    BOOST_TEST((eg::mean(eg::zeros({0, 2}, options), {1}).shape() == Shape{0}));
    const Tensor scalar = eg::full({}, 3, options);
    for (const Dims& dims : {Dims{}, Dims{0}, Dims{-1}}) {
      BOOST_TEST(equal_to("sum", eg::sum(scalar, dims, true), scalar));
      BOOST_TEST(equal_to("mean", eg::mean(scalar, dims), scalar));
      BOOST_TEST(!eg::sum(scalar, dims).shares_storage_with(scalar));
    }
  });
}

BOOST_AUTO_TEST_CASE(integers_sum_to_int64) {
  for_index_types([](DType dtype) {
    Draw draw(42);
    const Tensor x = draw.integers({5, 33, 2}, -1000, 1000, dtype);
    for (const Dims& dims : all_dims(3))
      BOOST_TEST(equal_to(dims.to_string(), eg::sum(x, dims), to_tensor(summed(x, dims, false), DType::int64)));
    BOOST_TEST((eg::sum(x).dtype() == DType::int64));
    BOOST_TEST(eg::sum(eg::full({4}, 2000000000, {dtype, {}})).item<std::int64_t>() == 8000000000);
    BOOST_TEST(eg::sum(eg::zeros({0}, {dtype, {}})).item<std::int64_t>() == 0);
    BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::mean(x); }, {"mean", "input", eg::name_of(dtype)}));
  });
  const Tensor most = eg::tensor({std::numeric_limits<std::int64_t>::max(), std::int64_t{1}});
  BOOST_TEST(eg::sum(most).item<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
}

BOOST_AUTO_TEST_CASE(the_order_of_sums_is_fixed) {
  Draw draw(43);
  for (const std::int64_t n : {1, 15, 16, 17, 33, 100, 1023, 1024, 1025, 4096, 65536, 65553, 100003}) {
    const Tensor row = draw.uniform({n}, DType::float32, -1, 1);
    BOOST_TEST(eg::sum(row).item<float>() == sum_in_lanes(row.to_vector()), n << " in a row");
  }
  for (const std::int64_t n : {1, 63, 64, 65, 128, 129, 4096, 4097, 5000}) {
    const Tensor table = draw.uniform({n, 67}, DType::float32, -1, 1);
    const std::vector<float> got = eg::sum(table, {0}).to_vector();
    const std::vector<float> all = table.to_vector();
    std::int64_t wrong = 0;
    for (std::int64_t j = 0; j < 67; ++j) {
      std::vector<float> column;
      for (std::int64_t i = 0; i < n; ++i) column.push_back(all[static_cast<std::size_t>(i * 67 + j)]);
      wrong += got[static_cast<std::size_t>(j)] == sum_in_blocks(column) ? 0 : 1;
    }
    BOOST_TEST(wrong == 0, n << " rows");
  }
}

// A plain running sum of a million tenths is off by 1 %, PyTorch's by 1e-6.
BOOST_AUTO_TEST_CASE(long_sums_stay_accurate) {
  const Tensor tenths = eg::full({1000000}, 0.1);
  const Tensor expected = eg::tensor(0.1F * 1e6);
  BOOST_TEST(close_to("contiguous", eg::sum(tenths), expected));
  BOOST_TEST(close_to("rows", eg::sum(tenths.reshape({500000, 2}), {0})[0] * 2.0, expected));
  BOOST_TEST(close_to("mean", eg::mean(tenths), eg::tensor(0.1)));
}

BOOST_AUTO_TEST_CASE(gradients) {
  Draw draw(44);
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{4}, Shape{2, 3}, Shape{2, 0, 3}, Shape{2, 1, 3, 2}}) {
    std::vector<Dims> lists = all_dims(shape.rank());
    lists.push_back({});
    for (const Dims& dims : lists) {
      for (const bool keepdim : {false, true}) {
        BOOST_TEST_CONTEXT(shape.to_string() << " over " << dims.to_string()) {
          BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::sum(in[0], dims, keepdim) * 2.0; },
                                     {leaf(draw, shape)}));
          if (shape.numel() > 0) {
            BOOST_TEST(
                gradients_agree([&](const Inputs& in) { return eg::mean(in[0], dims, keepdim); }, {leaf(draw, shape)}));
          }
        }
      }
    }
  }
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::sum(in[0], {0}) * eg::mean(in[0], {0}); },
                             {leaf(draw, {3, 2})}));
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = eg::zeros({2, 3});
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::sum(x, {2}); }, {"sum:", "dim", "2"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::sum(x, {0, -3}); }, {"sum:", "-3"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::mean(x, {-3}); }, {"mean:", "-3"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::sum(eg::tensor(1.0), {1}); }, {"sum:", "1"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::sum(x, {1, -1}); }, {"sum:", "twice", "[1, -1]"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::sum(Tensor()); }, {"sum:", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::mean(Tensor()); }, {"mean:", "undefined"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::sum(x.to(DType::float16)); }, {"sum:", "float16"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::mean(x.to(DType::bfloat16)); }, {"mean:", "bfloat16"}));
  // A dimension that doesn't fit 32 bits must not become one that does.
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::sum(x, {std::int64_t{1} << 32}); }, {"sum:", "dim"}));
}

BOOST_AUTO_TEST_SUITE_END()

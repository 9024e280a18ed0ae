// Threads that work together: sums in the CPU's order of summation, extremes and selections to the bit.
#include "cuda/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

template <class T>
void check_sum(std::int64_t outer, std::int64_t count, std::int64_t inner, int orders) {
  Draw draw(static_cast<std::uint64_t>(outer + 3 * count + 5 * inner));
  Numbers<T> in(outer * count * inner, 1);
  // Numbers of many sizes, so that another order gives other bits.
  for (std::int64_t i = 0; i < in.count(); ++i) {
    const double number = draw.uniform(-1, 1) * std::ldexp(1.0, static_cast<int>(draw.integer(0, 12)));
    in.data()[i] = static_cast<T>(std::is_integral_v<T> ? number * 1e15 : number);
  }
  auto out = Numbers<T>::drawn(draw, outer * inner, 0);
  for (int seed = 0; seed < orders; ++seed) {
    expect_same_bits(fmt::format("SumMiddle ({}, {}, {})", outer, count, inner),
                     eg::SumMiddle{in.view(), out.view(), outer, count, inner}, out, static_cast<std::uint64_t>(seed));
  }
}

template <class Body>
void for_summed_types(const Body& body) {
  body(float{});
  body(double{});
  body(std::int64_t{});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reduce)

BOOST_AUTO_TEST_CASE(sums_of_slices) {
  for_summed_types([](auto type) {
    using T = decltype(type);
    for (const std::int64_t count : {0, 1, 15, 16, 17, 31, 33, 64, 1023, 1024, 1025, 2047, 2048, 2049, 5000}) {
      check_sum<T>(1, count, 1, seeds);
    }
    for (const std::int64_t outer : {0, 2, 7}) {
      check_sum<T>(outer, 40, 1, seeds);
      check_sum<T>(outer, 2100, 1, 5);
    }
    for (const std::int64_t count : {65536, 65537, 140000}) check_sum<T>(1, count, 1, 4);
  });
}

// More slices than blocks: each block has several.
BOOST_AUTO_TEST_CASE(sums_of_many_slices) { check_sum<float>(eg::cuda::most_blocks + 3, 5, 1, 1); }

BOOST_AUTO_TEST_CASE(sums_of_columns) {
  for_summed_types([](auto type) {
    using T = decltype(type);
    for (const std::int64_t count : {0, 1, 63, 64, 65, 128, 129, 4096, 4097}) {
      for (const std::int64_t inner : {2, 33}) check_sum<T>(count > 1000 ? 1 : 3, count, inner, 2);
    }
  });
  check_sum<float>(1, 64 * 64 * 64 + 1, 2, 1);
}

namespace {

struct Sizes {
  std::int64_t outer, count, inner;
};

constexpr Sizes sizes_to_compare[] = {{0, 3, 1},   {1, 1, 1},    {3, 2, 1},    {70, 17, 1},  {2, 31, 1},  {2, 32, 1},
                                      {2, 33, 1},  {2, 63, 1},   {2, 64, 1},   {2, 65, 1},   {2, 255, 1}, {2, 256, 1},
                                      {2, 257, 1}, {1, 1030, 1}, {1, 4095, 1}, {1, 4097, 1}, {2, 1, 3},   {3, 17, 5},
                                      {2, 64, 33}, {1, 700, 2},  {0, 5, 4}};

// Few different numbers, so that many are equal: zeros of both signs too; now and then a NaN.
template <class T>
Numbers<T> with_equals(Draw& draw, std::int64_t size, std::uint64_t number) {
  auto in = Numbers<T>::drawn(draw, size, number % 3 == 2 ? 1 : 0);
  if (number % 4 == 0) return in;
  for (std::int64_t i = 0; i < size; ++i) {
    T& x = in.data()[i];
    const bool special = number % 4 == 1 && draw.integer(0, 199) == 0;
    if (!special) x = static_cast<T>(number % 4 == 3 ? draw.integer(-2, 0) : draw.integer(-300, 300));
    if constexpr (std::is_floating_point_v<T>) {
      if (x == T(0) && draw.integer(0, 1) == 0) x = -T(0);
    }
  }
  return in;
}

// Calls body(T{}, sizes, number) for types, sizes, and what the number decides.
template <class Body>
void for_comparisons(const Body& body) {
  for_numbers([&](auto type) {
    std::uint64_t number = 0;
    for (const Sizes& sizes : sizes_to_compare) {
      const int kinds = sizes.outer * sizes.count * sizes.inner > 600 ? 1 : 4;
      for (int kind = 0; kind < kinds; ++kind) body(type, sizes, number++);
    }
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(extremes) {
  for_comparisons([](auto type, const Sizes& sizes, std::uint64_t number) {
    using T = decltype(type);
    const std::int64_t outer = sizes.outer;
    const std::int64_t count = sizes.count;
    const std::int64_t inner = sizes.inner;
    Draw draw(number);
    auto in = with_equals<T>(draw, outer * count * inner, number);
    const auto values = Numbers<T>::drawn(draw, outer * inner, 0);
    const auto indices = Numbers<std::int64_t>::drawn(draw, outer * inner, 0);
    for (const bool smallest : {false, true}) {
      const std::string name = fmt::format("{} of ({}, {}, {})", smallest ? "min" : "max", outer, count, inner);
      const auto same = [&](auto& by_body, auto& by_cpu) { expect_same(name, number / 3, by_body, by_cpu); };
      const auto both = [&](Numbers<T>& v, Numbers<std::int64_t>& i) {
        return eg::ExtremeMiddle{in.view(), v.view(), i.view(), outer, count, inner, smallest};
      };
      run_both(name, number / 3, both, same, values, indices);
      const auto value = [&](Numbers<T>& v) {
        return eg::ExtremeMiddle{in.view(), v.view(), {}, outer, count, inner, smallest};
      };
      run_both(name, number / 3, value, same, values);
      const auto index = [&](Numbers<std::int64_t>& i) {
        return eg::ExtremeMiddle{in.view(), {}, i.view(), outer, count, inner, smallest};
      };
      run_both(name, number / 3, index, same, indices);
    }
  });
}

namespace {

// The numbers of each column in the order of their places: what is not sorted may come in any order.
template <class T>
void order_by_place(Numbers<T>& values, Numbers<std::int64_t>& indices, std::int64_t outer, std::int64_t k,
                    std::int64_t inner) {
  for (std::int64_t column = 0; column < outer * inner; ++column) {
    const auto at = [&](std::int64_t j) { return (column / inner * k + j) * inner + column % inner; };
    std::vector<std::pair<std::int64_t, T>> found;
    for (std::int64_t j = 0; j < k; ++j) found.emplace_back(indices.data()[at(j)], values.data()[at(j)]);
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::int64_t j = 0; j < k; ++j) {
      std::tie(indices.data()[at(j)], values.data()[at(j)]) = found[static_cast<std::size_t>(j)];
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(topk) {
  for_comparisons([](auto type, const Sizes& sizes, std::uint64_t number) {
    using T = decltype(type);
    const std::int64_t outer = sizes.outer;
    const std::int64_t count = sizes.count;
    const std::int64_t inner = sizes.inner;
    Draw draw(number);
    auto in = with_equals<T>(draw, outer * count * inner, number);
    for (const std::int64_t k : {std::int64_t{0}, std::int64_t{1}, std::int64_t{5}, count / 2, count}) {
      if (k > count) continue;
      const bool smallest = (number + static_cast<std::uint64_t>(k)) % 2 == 0;
      const bool sorted = k != count / 2 || number % 2 == 1;
      const std::string name = fmt::format("{} {} of ({}, {}, {}){}", k, smallest ? "smallest" : "largest", outer,
                                           count, inner, sorted ? ", sorted" : "");
      Numbers<T> cpu_values(outer * k * inner, 0);
      Numbers<T> values(outer * k * inner, 0);
      Numbers<std::int64_t> cpu_indices(outer * k * inner, 0);
      Numbers<std::int64_t> indices(outer * k * inner, 0);
      eg::TopkMiddle request{in.view(), cpu_values.view(), cpu_indices.view(), outer, count, inner, k, smallest,
                             sorted};
      eg::run(eg::OnCpu{}, request);
      request.values = values.view();
      request.indices = indices.view();
      eg::cuda::run_with(AnyGrid{number / 3}, request);
      if (!sorted) {
        order_by_place(cpu_values, cpu_indices, outer, k, inner);
        order_by_place(values, indices, outer, k, inner);
      }
      expect_same(name, number / 3, values, cpu_values);
      expect_same(name, number / 3, indices, cpu_indices);
    }
  });
}

BOOST_AUTO_TEST_CASE(placing) {
  const auto check = [](auto type, const Sizes& sizes, std::int64_t k, std::uint64_t number) {
    using T = decltype(type);
    const std::int64_t outer = sizes.outer;
    const std::int64_t count = sizes.count;
    const std::int64_t inner = sizes.inner;
    Draw draw(number);
    auto in = Numbers<T>::drawn(draw, outer * k * inner, 0);
    Numbers<std::int64_t> indices(outer * k * inner, 0);
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t first = draw.integer(0, count - 1);
        for (std::int64_t j = 0; j < k; ++j) indices.data()[(o * k + j) * inner + i] = (first + j) % count;
      }
    }
    auto out = Numbers<T>::drawn(draw, outer * count * inner, number % 3 == 2 ? 1 : 0);
    expect_same_bits(fmt::format("PlaceMiddle ({}, {}, {})", outer, count, inner),
                     eg::PlaceMiddle{in.view(), indices.view(), out.view(), outer, count, inner, k}, out, number / 3);
  };
  std::uint64_t number = 0;
  for (const Sizes& sizes : sizes_to_compare) {
    for (const std::int64_t k : {std::int64_t{0}, std::int64_t{1}, sizes.count / 2, sizes.count}) {
      check(float{}, sizes, k, number);
      check(double{}, sizes, k, number++);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

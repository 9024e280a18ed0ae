// Sums: threads that work together, in the CPU's order of summation.
#include "cuda/reduce.hpp"

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

BOOST_AUTO_TEST_SUITE_END()

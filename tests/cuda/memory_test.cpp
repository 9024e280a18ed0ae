#include "cuda/memory.hpp"

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

template <class Body>
void for_elements(const Body& body) {
  for_numbers(body);
  body(eg::Float16{});
  body(eg::BFloat16{});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(fill) {
  for_elements([](auto type) {
    using T = decltype(type);
    std::uint64_t seed = 0;
    for (const std::int64_t size : map_sizes) {
      for (const eg::Number value : {eg::Number(0), eg::Number(-1.5), eg::Number(std::int64_t{9007199254740993})}) {
        Draw draw(seed);
        auto out = Numbers<T>::drawn(draw, size, static_cast<std::int64_t>(seed % 3));
        expect_same_bits("Fill", eg::Fill{out.view(), value}, out, seed % seeds);
        ++seed;
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(convert) {
  for_elements([](auto from) {
    using From = decltype(from);
    for_elements([](auto to) {
      using To = decltype(to);
      std::uint64_t seed = 0;
      for (const std::int64_t size : {0, 1, 33, 129, 1025}) {
        Draw draw(seed);
        auto in = Numbers<From>::drawn(draw, size, static_cast<std::int64_t>(seed % 3));
        auto out = Numbers<To>::drawn(draw, size, 0);
        expect_same_bits(fmt::format("Convert from {}", name_of(eg::dtype_of<From>)),
                         eg::Convert{in.view(), out.view()}, out, seed++);
      }
    });
  });
}

BOOST_AUTO_TEST_CASE(strided_copies) {
  struct Case {
    std::vector<std::int64_t> extents, in_strides, out_strides;
    std::int64_t out_size;
  };
  const Case cases[] = {
      {{}, {}, {}, 1},
      {{4, 0}, {1, 4}, {0, 1}, 3},
      {{20, 15}, {1, 20}, {15, 1}, 300},                    // transposed
      {{6, 10}, {30, 1}, {12, 1}, 72},                      // columns of both
      {{9, 11}, {0, 1}, {11, 1}, 99},                       // a row repeated
      {{2, 3, 4, 5}, {60, 1, 15, 3}, {60, 20, 5, 1}, 120},  // permuted
      {{1, 256, 1}, {0, 1, 7}, {3, 1, 9}, 256},
  };
  for_elements([&](auto type) {
    using T = decltype(type);
    std::uint64_t seed = 0;
    for (const Case& c : cases) {
      Draw draw(seed);
      auto in = Numbers<T>::drawn(draw, 300, 1);
      auto out = Numbers<T>::drawn(draw, c.out_size, 0);
      const eg::StridedView from = strided(in.data(), eg::dtype_of<T>, c.extents, c.in_strides);
      const eg::StridedView to = strided(out.data(), eg::dtype_of<T>, c.extents, c.out_strides);
      expect_same_bits("CopyStrided", eg::CopyStrided{from, to}, out, seed);
      if constexpr (std::is_floating_point_v<T>) {
        expect_same_bits("AddStrided", eg::AddStrided{from, to}, out, seed);
      }
      ++seed;
    }
  });
}

// What counting through views rests on: neighbouring dimensions become one.
BOOST_AUTO_TEST_CASE(walks_merge_dimensions) {
  int data = 0;
  const auto whole = strided(&data, eg::DType::int32, {2, 3, 4});
  BOOST_TEST(eg::cuda::walk(whole, whole).rank == 1);
  BOOST_TEST(eg::cuda::walk(whole, whole).size == 24);
  const auto transposed = strided(&data, eg::DType::int32, {2, 3, 4}, {1, 2, 6});
  BOOST_TEST(eg::cuda::walk(whole, transposed).rank == 3);
  const auto repeated = strided(&data, eg::DType::int32, {2, 3, 4}, {0, 0, 1});
  const auto walk = eg::cuda::walk(whole, repeated);
  BOOST_TEST(walk.rank == 2);
  std::int64_t at[2];
  walk.find(17, at);
  BOOST_TEST(at[0] == 17);
  BOOST_TEST(at[1] == 1);
}

BOOST_AUTO_TEST_SUITE_END()

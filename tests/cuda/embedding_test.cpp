#include "cuda/embedding.hpp"

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

template <class T, class Index>
void check_gather() {
  std::uint64_t seed = 0;
  for (const std::int64_t dim : {0, 1, 3, 8, 16, 31, 32, 33, 100, 300, 1030}) {
    for (const std::int64_t count : {0, 1, 33, 70}) {
      if (dim > 100 && count > 33) continue;
      const std::int64_t rows = 17;
      Draw draw(seed);
      // A table that begins at an odd element can't be read in packs.
      auto table = Numbers<T>::drawn(draw, rows * dim, static_cast<std::int64_t>(seed % 3 == 2));
      auto index = Numbers<Index>::drawn(draw, count, 1);
      for (std::int64_t i = 0; i < count; ++i) index.data()[i] = static_cast<Index>(draw.integer(-1, rows - 1));
      auto out = Numbers<T>::drawn(draw, count * dim, 0);
      expect_same_bits(fmt::format("GatherRows of width {}", dim),
                       eg::GatherRows{table.view(), index.view(), out.view(), dim, -2.5}, out, seed % seeds);
      ++seed;
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(embedding)

BOOST_AUTO_TEST_CASE(gather_rows) {
  check_gather<float, std::int32_t>();
  check_gather<float, std::int64_t>();
  check_gather<double, std::int64_t>();
  check_gather<std::int32_t, std::int64_t>();
  check_gather<std::int64_t, std::int32_t>();
  check_gather<eg::Float16, std::int64_t>();
  check_gather<eg::BFloat16, std::int32_t>();
}

BOOST_AUTO_TEST_SUITE_END()

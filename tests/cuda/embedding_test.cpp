#include "cuda/embedding.hpp"

#include <cmath>
#include <numeric>

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

template <class T, class Index>
void check_gather() {
  std::uint64_t seed = 0;
  for (const std::int64_t dim : widths({0, 1, 3, 8, 16, 31, 32, 33, 100, 300, 1030})) {
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

// Segments of these lengths, of places drawn from `grad_rows`.
struct Segments {
  Numbers<std::int64_t> starts, places, rows;

  Segments(Draw& draw, const std::vector<std::int64_t>& lengths, std::int64_t grad_rows)
      : starts(static_cast<std::int64_t>(lengths.size()) + 1, 0),
        places(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}), 1),
        rows(static_cast<std::int64_t>(lengths.size()), 1) {
    starts.data()[0] = 0;
    for (std::int64_t s = 0; s < rows.count(); ++s) {
      starts.data()[s + 1] = starts.data()[s] + lengths[static_cast<std::size_t>(s)];
      rows.data()[s] = 2 * s;
    }
    for (std::int64_t i = 0; i < places.count(); ++i) places.data()[i] = draw.integer(0, grad_rows - 1);
  }
};

// Numbers of many sizes, so that another order gives other bits.
template <class T>
Numbers<T> of_many_sizes(Draw& draw, std::int64_t count, std::int64_t shift) {
  Numbers<T> numbers(count, shift);
  for (std::int64_t i = 0; i < count; ++i) {
    numbers.data()[i] = static_cast<T>(draw.uniform(-1, 1) * std::ldexp(1.0, static_cast<int>(draw.integer(0, 12))));
  }
  return numbers;
}

template <class T>
void check_segments(const std::vector<std::int64_t>& lengths, std::int64_t dim, int variant, int orders = 3) {
  const std::int64_t grad_rows = 23;
  Draw draw(static_cast<std::uint64_t>(dim + variant));
  const std::int64_t shift = variant % 3 == 2 ? 1 : 0;
  Segments segments(draw, lengths, grad_rows);
  auto grad = of_many_sizes<T>(draw, grad_rows * dim, shift);
  auto factors = of_many_sizes<T>(draw, segments.places.count(), 1);
  Numbers<std::int32_t> slots(segments.places.count(), 1);
  for (std::int64_t i = 0; i < slots.count(); ++i) slots.data()[i] = static_cast<std::int32_t>(draw.integer(0, 1));
  Numbers<std::int32_t> winners(grad_rows * dim, shift);
  for (std::int64_t i = 0; i < winners.count(); ++i) winners.data()[i] = static_cast<std::int32_t>(draw.integer(0, 1));
  const bool into_table = variant % 2 == 1;
  auto out = of_many_sizes<T>(draw, (into_table ? 2 : 1) * segments.rows.count() * dim, 0);
  eg::SumSegments request{.grad = grad.view(),
                          .out = out.view(),
                          .dim = dim,
                          .places = segments.places.data(),
                          .starts = segments.starts.data(),
                          .rows = into_table ? segments.rows.data() : nullptr,
                          .segments = segments.rows.count(),
                          .accumulate = into_table};
  if (variant % 4 >= 2) request.factors = factors.data();
  if (variant % 8 >= 4) {
    request.slots = slots.data();
    request.winners = winners.data();
  }
  if (variant % 5 == 1) request.scale = 0.3;
  const std::string what = fmt::format("SumSegments of width {}, variant {}", dim, variant);
  for (int seed = 0; seed < orders; ++seed) expect_same_bits(what, request, out, static_cast<std::uint64_t>(seed));
}

template <class Row>
void check_renorm(std::int64_t dim, std::int64_t count, double p) {
  Draw draw(static_cast<std::uint64_t>(dim));
  auto table = Numbers<Row>(2 * count * dim + 1, 0);
  for (std::int64_t i = 0; i < table.count(); ++i) {
    table.data()[i] = eg::rules::Converter<Row, double>::f(draw.uniform(-1, 1));
  }
  if (dim > 3 && count > 0) table.data()[dim + 1] = eg::rules::Converter<Row, double>::f(NAN);
  Numbers<std::int64_t> rows(count, 1);
  for (std::int64_t i = 0; i < count; ++i) rows.data()[i] = 2 * i;
  const double most = p == 0 ? 2 : (p < 0 ? 1e-3 : 0.6);
  auto by_cpu = table;
  auto by_body = table;
  eg::RenormRows request{by_cpu.view(), dim, rows.data(), count, most, p};
  run(eg::OnCpu{}, request);
  request.table = by_body.view();
  eg::cuda::run_with(AnyGrid{static_cast<std::uint64_t>(dim) % seeds}, request);
  const bool same =
      std::memcmp(by_cpu.data(), by_body.data(), static_cast<std::size_t>(table.count()) * sizeof(Row)) == 0;
  BOOST_CHECK_MESSAGE(same, fmt::format("RenormRows of {} rows of {}, p {}", count, dim, p));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(embedding)

BOOST_AUTO_TEST_CASE(sums_of_segments) {
  const std::vector<std::int64_t> few = {1, 0, 3, 64, 2, 65, 1, 1, 63, 128, 129, 5};
  for (const std::int64_t dim : widths({1, 3, 4, 30, 64, 65, 128})) {
    for (int variant = 0; variant < 8; ++variant) {
      check_segments<float>(few, dim, variant);
      check_segments<double>(few, dim, variant);
    }
  }
  // A row that nearly every place holds, and many that few do.
  std::vector<std::int64_t> uneven(600, 1);
  uneven[300] = 4096;
  uneven[301] = 4097;
  uneven[20] = 70;
  for (const std::int64_t dim : {1, 4, 80}) check_segments<float>(uneven, dim, 7);
  check_segments<float>({64 * 64 * 64 + 1}, 3, 0);
  check_segments<float>({}, 3, 0);
  check_segments<float>(std::vector<std::int64_t>(eg::cuda::most_blocks + 1, 1), 520, 3, 1);
}

BOOST_AUTO_TEST_CASE(renormalised_rows) {
  for (const double p : {2.0, 1.0, 0.0, 2.5, -1.5, HUGE_VAL, -HUGE_VAL}) {
    for (const std::int64_t dim : widths({1, 3, 30, 64, 100})) {
      for (const std::int64_t count : {0, 1, 63, 65, 300}) {
        if (count > 100 && dim > 3) continue;
        check_renorm<float>(dim, count, p);
        check_renorm<double>(dim, count, p);
        check_renorm<eg::Float16>(dim, count, p);
        check_renorm<eg::BFloat16>(dim, count, p);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(indices_that_are_no_rows) {
  std::uint64_t seed = 0;
  const auto check = [&]<class Index>(Index) {
    for (const std::int64_t count : {0, 1, 63, 255, 256, 257, 1000}) {
      for (const std::int64_t bad : {0, 1, 3}) {
        for (const bool or_also : {false, true}) {
          Draw draw(++seed);
          Numbers<Index> index(count, static_cast<std::int64_t>(seed % 3));
          for (std::int64_t i = 0; i < count; ++i) index.data()[i] = static_cast<Index>(draw.integer(0, 9));
          for (std::int64_t i = 0; i < bad && count > 0; ++i) {
            index.data()[draw.integer(0, count - 1)] = static_cast<Index>(draw.integer(0, 1) == 0 ? -1 : 10);
          }
          const std::string what = fmt::format("CheckIndices of {}, {} of them bad", count, bad);
          const auto make = [&](Numbers<Index>& out, Numbers<std::int64_t>& found) {
            return eg::CheckIndices{.index = index.view(),
                                    .out = out.view(),
                                    .range = 10,
                                    .or_also = or_also,
                                    .also = -1,
                                    .ticket = 7,
                                    .found = found.data()};
          };
          const auto expect = [&](auto& by_body, auto& by_cpu) { expect_same(what, seed, by_body, by_cpu); };
          Numbers<std::int64_t> found(3, 0);
          for (int i = 0; i < 3; ++i) found.data()[i] = seed % 5 == 4 ? 2 : 0;  // what was found before stays
          run_both(what, seed % seeds, make, expect, Numbers<Index>::drawn(draw, count, 0), found);
        }
      }
    }
  };
  check(std::int32_t{});
  check(std::int64_t{});
}

BOOST_AUTO_TEST_CASE(rows_of_zeros) {
  std::uint64_t seed = 0;
  const auto check = [&]<class T>(T) {
    for (const std::int64_t dim : widths({0, 1, 3, 4, 8, 33, 300})) {
      for (const std::int64_t count : {0, 1, 70}) {
        Draw draw(seed);
        auto table = Numbers<T>::drawn(draw, 2 * count * dim + 1, static_cast<std::int64_t>(seed % 3 == 2));
        Numbers<std::int64_t> rows(count, 1);
        for (std::int64_t i = 0; i < count; ++i) rows.data()[i] = 2 * i;
        const auto make = [&](Numbers<T>& here) { return eg::ZeroRows{here.view(), dim, rows.data(), count}; };
        const auto expect = [&](Numbers<T>& by_body, Numbers<T>& by_cpu) {
          expect_same(fmt::format("ZeroRows of {} rows of {}", count, dim), seed, by_body, by_cpu);
        };
        run_both("ZeroRows", seed % seeds, make, expect, table);
        ++seed;
      }
    }
  };
  check(float{});
  check(double{});
  check(eg::BFloat16{});
}

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

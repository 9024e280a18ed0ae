// How far rows are behind: the CPU's numbers, which are what the contract says.
#include "cuda/row_time.hpp"

#include <algorithm>
#include <vector>

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

using Integers = Numbers<std::int64_t>;
constexpr std::int64_t now = 9;
constexpr std::int64_t oldest = 4;

// A table whose rows are up to date to steps of their own, every fifth of them frozen, and some of its rows.
struct Table {
  std::vector<std::uint32_t> last;
  Integers frozen, list;
  eg::RowNumbers rows;

  Table(std::int64_t count, bool listed, Draw& draw)
      : last(static_cast<std::size_t>(2 * count + 7)),
        frozen(static_cast<std::int64_t>(last.size()) / 5, 0),
        list(count, 1) {
    for (std::uint32_t& step : last) {
      step = draw.integer(0, 3) == 0 ? 0U : static_cast<std::uint32_t>(draw.integer(oldest, now));
    }
    for (std::int64_t i = 0; i < frozen.count(); ++i) frozen.data()[i] = 5 * i + 1;
    for (std::int64_t i = 0; i < count; ++i) list.data()[i] = 2 * i + draw.integer(0, 1);
    rows = listed ? eg::RowNumbers{.list = list.data(), .count = count} : eg::RowNumbers{.count = count, .first = 7};
  }
  std::int64_t row(std::int64_t i) { return rows.list == nullptr ? rows.first + i : rows.list[i]; }
  eg::FindGaps request(bool spares, Integers& gaps, Integers& span_of) {
    return {.last = last.data(),
            .now = now,
            .rows = rows,
            .frozen = {.rows = frozen.data(), .count = frozen.count()},
            .spares_untouched = spares,
            .gaps = gaps.data(),
            .span_of = span_of.data(),
            .oldest = oldest};
  }
};

template <class Body>
void for_tables(const Body& body) {
  int seed = 0;
  for (const std::int64_t count : {0, 1, 31, 257, 2000}) {
    for (const bool listed : {false, true}) {
      for (const bool spares : {false, true}) {
        Draw draw(static_cast<std::uint64_t>(count));
        Table table(count, listed, draw);
        body(table, spares, seed++ % seeds);
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(row_time)

BOOST_AUTO_TEST_CASE(gaps_of_rows) {
  for_tables([](Table& table, bool spares, int seed) {
    const Integers nothing(table.rows.count, 1);
    const auto make = [&](Integers& gaps, Integers& span_of) { return table.request(spares, gaps, span_of); };
    const auto expect = [&](Integers& by_body, Integers& by_cpu) {
      expect_same("FindGaps", static_cast<std::uint64_t>(seed), by_body, by_cpu);
    };
    run_both("FindGaps", static_cast<std::uint64_t>(seed), make, expect, nothing, nothing);

    Integers gaps = nothing;
    Integers span_of = nothing;
    run(eg::OnCpu{}, table.request(spares, gaps, span_of));
    for (std::int64_t i = 0; i < table.rows.count; ++i) {
      const std::int64_t row = table.row(i);
      const auto last = static_cast<std::int64_t>(table.last[static_cast<std::size_t>(row)]);
      const bool stands = row % 5 == 1 && row / 5 < table.frozen.count();
      BOOST_TEST_REQUIRE(gaps.data()[i] == (stands || (spares && last == 0) ? 0 : now - last));
      if (gaps.data()[i] == 0) continue;
      BOOST_TEST_REQUIRE(span_of.data()[i] == (last == 0 ? 0 : last - oldest + 1));
    }
  });
}

BOOST_AUTO_TEST_CASE(steps_are_set) {
  for_tables([](Table& table, bool spares, int seed) {
    Integers gaps(table.rows.count, 1);
    Integers span_of(table.rows.count, 1);
    run(eg::OnCpu{}, table.request(spares, gaps, span_of));
    for (const bool all : {false, true}) {
      const auto request = [&](std::vector<std::uint32_t>& last) {
        return eg::SetLastSteps{
            .last = last.data(), .now = 77, .rows = table.rows, .gaps = all ? nullptr : gaps.data()};
      };
      std::vector<std::uint32_t> by_cpu = table.last;
      std::vector<std::uint32_t> by_body = table.last;
      run(eg::OnCpu{}, request(by_cpu));
      eg::cuda::run_with(AnyGrid{static_cast<std::uint64_t>(seed)}, request(by_body));
      BOOST_TEST(by_cpu == by_body);
      std::vector<std::uint32_t> expected = table.last;
      for (std::int64_t i = 0; i < table.rows.count; ++i) {
        if (all || gaps.data()[i] != 0) expected[static_cast<std::size_t>(table.row(i))] = 77;
      }
      BOOST_TEST(by_cpu == expected);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()

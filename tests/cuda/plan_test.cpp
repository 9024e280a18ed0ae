// Plans: which places hold each row, and from places to bags.
#include "cuda/plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <vector>

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

// What CUB does on a GPU.
struct HostLists {
  void sort(const std::int64_t* keys, std::int64_t* sorted, const std::int64_t* values, std::int64_t* sorted_values,
            std::int64_t size, int bits) const {
    std::vector<std::int64_t> order(static_cast<std::size_t>(size));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    const std::int64_t mask = (std::int64_t{1} << bits) - 1;
    std::ranges::stable_sort(order, {}, [&](std::int64_t i) { return keys[i] & mask; });
    for (std::int64_t i = 0; i < size; ++i) {
      sorted[i] = keys[order[static_cast<std::size_t>(i)]];
      sorted_values[i] = values[order[static_cast<std::size_t>(i)]];
    }
  }
  void add_before(const std::int64_t* in, std::int64_t* out, std::int64_t size) const {
    std::exclusive_scan(in, in + size, out, std::int64_t{0});
  }
};

// Its numbers are -1 where nothing was written.
struct Plan {
  std::vector<std::int64_t> places, starts, rows, segment_of;
  std::int64_t segments = -1;

  explicit Plan(std::int64_t size)
      : places(static_cast<std::size_t>(size), -1),
        starts(static_cast<std::size_t>(size) + 1, -1),
        rows(static_cast<std::size_t>(size), -1),
        segment_of(static_cast<std::size_t>(size), -1) {}
  eg::PlanRows request(const eg::View& index, std::int64_t table_rows, std::int64_t skip) {
    return {.index = index,
            .table_rows = table_rows,
            .skip = skip,
            .places = places.data(),
            .starts = starts.data(),
            .rows = rows.data(),
            .segments = &segments,
            .segment_of = table_rows % 2 == 0 ? segment_of.data() : nullptr,
            .left_out = -7};
  }
  void by_bodies(const eg::View& index, std::int64_t table_rows, std::int64_t skip, std::uint64_t seed) {
    std::vector<std::int64_t> memory(static_cast<std::size_t>(eg::cuda::PlanRoom::numbers(index.size)));
    const eg::cuda::PlanRoom room(memory.data(), index.size);
    eg::cuda::run_with(AnyGrid{seed}, request(index, table_rows, skip), HostLists{}, room);
    segments = *room.segments;
  }
  // Of skipped places nothing is said.
  void forget_skipped() { places.resize(static_cast<std::size_t>(starts[static_cast<std::size_t>(segments)])); }
};

template <class Index>
Numbers<Index> drawn_index(Draw& draw, std::int64_t size, std::int64_t table_rows) {
  Numbers<Index> index(size, 1);
  for (std::int64_t i = 0; i < size; ++i) index.data()[i] = static_cast<Index>(draw.integer(0, table_rows - 1));
  return index;
}

template <class Index>
void check_plan(std::int64_t size, std::int64_t table_rows, std::int64_t skip) {
  Draw draw(static_cast<std::uint64_t>(size + table_rows));
  auto index = drawn_index<Index>(draw, size, table_rows);
  Plan by_cpu(size);
  run(eg::OnCpu{}, by_cpu.request(index.view(), table_rows, skip));
  by_cpu.forget_skipped();
  for (std::int64_t i = 0; table_rows % 2 == 0 && i < size; ++i) {
    const std::int64_t s = by_cpu.segment_of[static_cast<std::size_t>(i)];
    const auto row = static_cast<std::int64_t>(index.data()[i]);
    const bool is_right = row == skip ? s == -7 : by_cpu.rows.at(static_cast<std::size_t>(s)) == row;
    BOOST_CHECK_MESSAGE(is_right, fmt::format("place {} holds row {}, but its segment is {}", i, row, s));
  }
  for (std::uint64_t seed = 0; seed < 2; ++seed) {
    Plan by_body(size);
    by_body.by_bodies(index.view(), table_rows, skip, seed);
    by_body.forget_skipped();
    const bool same = by_cpu.segments == by_body.segments && by_cpu.places == by_body.places &&
                      by_cpu.starts == by_body.starts && by_cpu.rows == by_body.rows &&
                      by_cpu.segment_of == by_body.segment_of;
    BOOST_CHECK_MESSAGE(same, fmt::format("PlanRows of {} places of {} rows without {}", size, table_rows, skip));
  }
}

template <class T>
void check_bags(const std::vector<std::int64_t>& lengths, int variant) {
  const std::int64_t size = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  const auto bags = static_cast<std::int64_t>(lengths.size());
  Draw draw(static_cast<std::uint64_t>(variant));
  auto index = drawn_index<std::int64_t>(draw, size, 7);
  std::vector<std::int64_t> bag_starts(lengths.size() + 1, 0);
  std::inclusive_scan(lengths.begin(), lengths.end(), bag_starts.begin() + 1);
  Plan plan(size);
  run(eg::OnCpu{}, plan.request(index.view(), 7, 2));
  plan.forget_skipped();
  auto weights = Numbers<T>::drawn(draw, size, 1);
  Numbers<T> divisors(bags, 1);
  for (std::int64_t b = 0; b < bags; ++b) divisors.data()[b] = static_cast<T>(draw.integer(0, 4));
  const eg::View none{nullptr, eg::dtype_of<T>, 0};
  const bool in_bags = variant % 2 == 1;
  const bool with_factors = variant >= 2;
  const auto run_on = [&](const auto& run_request) {
    auto places = plan.places;
    Numbers<T> factors(size, 0);
    std::vector<std::int32_t> slots(static_cast<std::size_t>(size), -1);
    run_request(eg::PlanBags{.places = places.data(),
                             .starts = plan.starts.data(),
                             .segments = plan.segments,
                             .bag_starts = in_bags ? bag_starts.data() : nullptr,
                             .bags = in_bags ? bags : 0,
                             .weights = variant % 4 >= 2 ? weights.view() : none,
                             .divisors = in_bags && variant % 8 >= 4 ? divisors.view() : none,
                             .by_frequency = variant % 3 == 2,
                             .factors = with_factors ? factors.view() : none,
                             .slots = in_bags ? slots.data() : nullptr});
    std::vector<T> numbers(factors.data(), factors.data() + size);
    for (T& number : numbers) number = is_nan(number) ? T(-77) : number;
    return std::tuple(places, slots, numbers);
  };
  const auto by_cpu = run_on([](const eg::PlanBags& request) { run(eg::OnCpu{}, request); });
  const auto by_body = run_on([&](const eg::PlanBags& request) { eg::cuda::run_with(AnyGrid{1}, request); });
  BOOST_CHECK_MESSAGE(by_cpu == by_body, fmt::format("PlanBags of {} bags, variant {}", bags, variant));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plan)

BOOST_AUTO_TEST_CASE(rows) {
  for (const std::int64_t size : {0, 1, 31, 33, 255, 257, 2000}) {
    for (const std::int64_t table_rows : {1, 2, 64, 1000}) {
      for (const std::int64_t skip : {-1, 0, 1}) {
        check_plan<std::int32_t>(size, table_rows, skip);
        check_plan<std::int64_t>(size, table_rows, skip);
      }
    }
  }
  check_plan<std::int64_t>(300, std::int64_t{1} << 33, -1);
}

BOOST_AUTO_TEST_CASE(bags) {
  for (int variant = 0; variant < 24; ++variant) {
    check_bags<float>({3, 0, 1, 70, 2, 0}, variant);
    check_bags<double>({0, 40, 0, 0, 9}, variant);
    check_bags<float>({0}, variant);
  }
}

BOOST_AUTO_TEST_SUITE_END()

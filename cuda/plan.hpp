// Bodies of the contracts that plan sums of gradients by row. Integers, so any stable sort gives the CPU's numbers.
#pragma once

#include "cuda/block.hpp"
#include "cuda/search.hpp"
#include "kernels/embedding.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// What PlanRows works in: for each place a row before and after the sort, a place, and the number of its segment.
struct PlanRoom {
  std::int64_t* keys;
  std::int64_t* sorted;
  std::int64_t* places;
  std::int64_t* heads;
  std::int64_t* segment_of;  // how many segments begin before a place
  std::int64_t* segments;    // one number
  static constexpr std::int64_t lists = 5;

  PlanRoom(std::int64_t* memory, std::int64_t size)
      : keys(memory),
        sorted(keys + size),
        places(sorted + size),
        heads(places + size),
        segment_of(heads + size),
        segments(segment_of + size) {}
  static std::int64_t numbers(std::int64_t size) { return lists * size + 1; }
};

// The row of each place, and its number. Places that are left out get a row behind all others.
template <class Index>
struct KeysOfPlaces {
  const Index* index;
  std::int64_t size, skip, none;
  std::int64_t* keys;
  std::int64_t* places;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < size; i += item_step(block)) {
      const auto row = static_cast<std::int64_t>(block.load(index + i));
      block.store(keys + i, row == skip ? none : row);
      block.store(places + i, i);
    }
  }
};

// 1 where a segment begins, else 0.
struct MarkHeads {
  const std::int64_t* sorted;
  std::int64_t size, none;
  std::int64_t* heads;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < size; i += item_step(block)) {
      const std::int64_t row = block.load(sorted + i);
      const bool begins = row != none && (i == 0 || block.load(sorted + i - 1) != row);
      block.store(heads + i, std::int64_t{begins ? 1 : 0});
    }
  }
};

// Where segments begin and end, and their rows.
struct WriteSegments {
  const std::int64_t* sorted;
  const std::int64_t* heads;
  const std::int64_t* segment_of;
  std::int64_t size, none;
  std::int64_t* starts;
  std::int64_t* rows;
  std::int64_t* segments;
  const std::int64_t* places;  // in order of their rows
  std::int64_t* number_of;     // or null: of each place, its segment
  std::int64_t left_out;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    if (first_item(block) == 0 && (size == 0 || block.load(sorted) == none)) finish(block, 0, 0);
    for (std::int64_t i = first_item(block); i < size; i += item_step(block)) {
      const std::int64_t row = block.load(sorted + i);
      const std::int64_t before = block.load(segment_of + i);
      const std::int64_t head = block.load(heads + i);
      if (number_of != nullptr)
        block.store(number_of + block.load(places + i), row == none ? left_out : before + head - 1);
      if (row == none) continue;
      if (head != 0) {
        block.store(starts + before, i);
        block.store(rows + before, row);
      }
      if (i + 1 == size || block.load(sorted + i + 1) == none) finish(block, before + head, i + 1);
    }
  }

 private:
  template <Block B>
  EMBERGRAD_HD void finish(B& block, std::int64_t count, std::int64_t end) const {
    block.store(starts + count, end);
    block.store(segments, count);
  }
};

// From places to bags and factors. A place finds its bag and its segment by itself.
template <class T>
struct BagsOfPlaces {
  PlanBags request;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const std::int64_t count = block.load(request.starts + request.segments);
    const auto* weights = static_cast<const T*>(request.weights.data);
    const auto* divisors = static_cast<const T*>(request.divisors.data);
    auto* factors = static_cast<T*>(request.factors.data);
    for (std::int64_t i = first_item(block); i < count; i += item_step(block)) {
      const std::int64_t place = block.load(request.places + i);
      const std::int64_t bag =
          request.bag_starts == nullptr ? place : part_of(block, request.bag_starts, request.bags, place);
      if (factors != nullptr) {
        T factor = weights == nullptr ? T(1) : block.load(weights + place);
        if (divisors != nullptr) {
          const T divisor = block.load(divisors + bag);
          factor = divisor == T(0) ? T(0) : factor / divisor;
        }
        block.store(factors + i, factor * frequency(block, i));
      }
      if (request.bag_starts == nullptr) continue;
      block.store(request.places + i, bag);
      if (request.slots == nullptr) continue;
      block.store(request.slots + i, static_cast<std::int32_t>(place - block.load(request.bag_starts + bag)));
    }
  }

 private:
  template <Block B>
  EMBERGRAD_HD T frequency(B& block, std::int64_t i) const {
    if (!request.by_frequency) return T(1);
    const std::int64_t s = part_of(block, request.starts, request.segments, i);
    return T(1) / static_cast<T>(block.load(request.starts + s + 1) - block.load(request.starts + s));
  }
};

// --- from a request to bodies

// `lists` sorts and adds on the same device, behind what was started: sort(keys, sorted, values, sorted_values, size,
// bits) is stable and looks at the lowest bits of keys; add_before(in, out, size) gives each the sum of those before.
template <class Start, class Lists>
void run_with(const Start& start, const PlanRows& request, const Lists& lists, const PlanRoom& room) {
  const std::int64_t size = request.index.size;
  const std::int64_t none = request.table_rows;
  int bits = 0;
  while (none >> bits != 0) ++bits;
  visit_index(request.index.dtype, [&](auto type) {
    using Index = decltype(type);
    start(KeysOfPlaces<Index>{request.index.as<const Index>(), size, request.skip, none, room.keys, room.places},
          grid_for(size));
  });
  if (size > 0) lists.sort(room.keys, room.sorted, room.places, request.places, size, bits);
  start(MarkHeads{room.sorted, size, none, room.heads}, grid_for(size));
  if (size > 0) lists.add_before(room.heads, room.segment_of, size);
  start(WriteSegments{room.sorted, room.heads, room.segment_of, size, none, request.starts, request.rows, room.segments,
                      request.places, request.segment_of, request.left_out},
        grid_for(size == 0 ? 1 : size));
}

template <class Start>
void run_with(const Start& start, const PlanBags& request) {
  // How many places there are, the host does not know.
  constexpr Grid grid{512, default_threads};
  if (request.factors.data == nullptr && request.bag_starts == nullptr) return;
  visit_floating(request.factors.dtype, [&](auto type) { start(BagsOfPlaces<decltype(type)>{request}, grid); });
}

}  // namespace embergrad::cuda

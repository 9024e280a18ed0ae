// Searches in ascending lists.
#pragma once

#include "cuda/block.hpp"
#include "kernels/row_time.hpp"

namespace embergrad::cuda {

// The part whose places [starts[part], starts[part + 1]) have `place`; parts may be empty. starts[0] <= place.
template <Block B>
EMBERGRAD_HD std::int64_t part_of(B& block, const std::int64_t* starts, std::int64_t parts, std::int64_t place) {
  std::int64_t low = 0;
  std::int64_t high = parts;  // the last start that is not past the place is in [low, high)
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    if (block.load(starts + middle) <= place) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

template <Block B>
EMBERGRAD_HD bool is_frozen(B& block, const FrozenRows& frozen, std::int64_t row) {
  if (frozen.count == 0) return false;
  const std::int64_t place = part_of(block, frozen.rows, frozen.count, row + frozen.offset);
  return block.load(frozen.rows + place) == row + frozen.offset;
}

}  // namespace embergrad::cuda

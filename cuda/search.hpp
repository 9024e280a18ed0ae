// Which part of a list a place is in.
#pragma once

#include "cuda/block.hpp"

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

}  // namespace embergrad::cuda

// What kernels over rows of a table share.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/row_time.hpp"

namespace embergrad::cpu {

// How many rows of `dim` elements make a chunk of about `elements`.
inline std::int64_t rows_in(std::int64_t elements, std::int64_t dim) {
  return std::max<std::int64_t>(1, elements / std::max<std::int64_t>(1, dim));
}

inline bool is_frozen(const FrozenRows& frozen, std::int64_t row) {
  return frozen.count != 0 && std::binary_search(frozen.rows, frozen.rows + frozen.count, row + frozen.offset);
}

}  // namespace embergrad::cpu

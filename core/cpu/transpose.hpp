// Transposed copies in tiles that stay in cache.
#pragma once

#include <algorithm>
#include <cstdint>

namespace embergrad::cpu {

// to[c, r] = from[r, c] for a (rows, columns) matrix; the strides are those from row to row of either side.
template <class T>
void transpose(const T* from, std::int64_t rows, std::int64_t columns, std::int64_t from_stride, T* to,
               std::int64_t to_stride) {
  constexpr std::int64_t tile = 16;
  for (std::int64_t r0 = 0; r0 < rows; r0 += tile) {
    for (std::int64_t c0 = 0; c0 < columns; c0 += tile) {
      for (std::int64_t c = c0; c < std::min(columns, c0 + tile); ++c) {
        for (std::int64_t r = r0; r < std::min(rows, r0 + tile); ++r) to[c * to_stride + r] = from[r * from_stride + c];
      }
    }
  }
}

}  // namespace embergrad::cpu

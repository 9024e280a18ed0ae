// What kernels over rows of a table share.
#pragma once

#include <algorithm>
#include <cstdint>

namespace embergrad::cpu {

// How many rows of `dim` elements make a chunk of about `elements`.
inline std::int64_t rows_in(std::int64_t elements, std::int64_t dim) {
  return std::max<std::int64_t>(1, elements / std::max<std::int64_t>(1, dim));
}

}  // namespace embergrad::cpu

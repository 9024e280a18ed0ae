// What kernels over rows of a table share.
#pragma once

#include <algorithm>
#include <cstdint>

#include <embergrad/dtype.hpp>

namespace embergrad::cpu {

// How many rows of `dim` elements make a chunk of about `elements`.
inline std::int64_t rows_in(std::int64_t elements, std::int64_t dim) {
  return std::max<std::int64_t>(1, elements / std::max<std::int64_t>(1, dim));
}

// Calls body(Row{}, T{}): the type of a table's elements, and the one that is computed in.
template <class Body>
void visit_table(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::float64:
      return body(double{}, double{});
    case DType::float16:
      return body(Float16{}, float{});
    case DType::bfloat16:
      return body(BFloat16{}, float{});
    default:
      return body(float{}, float{});
  }
}

}  // namespace embergrad::cpu

// Walking strided views row by row.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/view.hpp"

namespace embergrad::cpu {

// Calls body(offset of each view's row…, length) for every innermost row of views with common extents; offsets in
// elements. Inner strides are views[k].strides[rank - 1].
template <class... Views, class Body>
void for_each_row(const Body& body, const StridedView& first, const Views&... others) {
  constexpr int count = 1 + static_cast<int>(sizeof...(others));
  const StridedView* views[count] = {&first, &others...};
  const int rank = first.rank;
  for (int d = 0; d < rank; ++d) {
    if (first.extents[d] == 0) return;
  }
  const std::int64_t length = rank == 0 ? 1 : first.extents[rank - 1];
  std::int64_t position[StridedView::max_rank] = {};
  std::int64_t offsets[count] = {};
  while (true) {
    body(offsets, length);
    int d = rank - 2;
    for (; d >= 0; --d) {
      for (int k = 0; k < count; ++k) offsets[k] += views[k]->strides[d];
      if (++position[d] < first.extents[d]) break;
      for (int k = 0; k < count; ++k) offsets[k] -= views[k]->strides[d] * first.extents[d];
      position[d] = 0;
    }
    if (d < 0) return;
  }
}

inline std::int64_t inner_stride(const StridedView& view) { return view.rank == 0 ? 0 : view.strides[view.rank - 1]; }

}  // namespace embergrad::cpu

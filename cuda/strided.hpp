// From a flat position to a place in each of several strided views.
#pragma once

#include "cuda/block.hpp"
#include "kernels/view.hpp"

namespace embergrad::cuda {

// Views with common extents, counted through in row-major order. Dimensions that lie behind each other in every view
// are one.
template <int count>
struct Walk {
  int rank = 0;
  std::int64_t size = 1;
  std::int64_t extents[StridedView::max_rank];
  std::int64_t strides[count][StridedView::max_rank];

  // The offset, in elements, of each view.
  EMBERGRAD_HD void find(std::int64_t position, std::int64_t* offsets) const {
    for (int k = 0; k < count; ++k) offsets[k] = 0;
    for (int d = rank - 1; d >= 0; --d) {
      const std::int64_t rest = d == 0 ? 0 : position / extents[d];
      const std::int64_t here = position - rest * extents[d];
      for (int k = 0; k < count; ++k) offsets[k] += here * strides[k][d];
      position = rest;
    }
  }
};

template <class... Views>
Walk<static_cast<int>(sizeof...(Views))> walk(const Views&... views) {
  constexpr int count = static_cast<int>(sizeof...(Views));
  const StridedView* const all[count] = {&views...};
  Walk<count> result;
  for (int d = 0; d < all[0]->rank; ++d) {
    const std::int64_t extent = all[0]->extents[d];
    result.size *= extent;
    if (extent == 1) continue;
    const int last = result.rank - 1;
    bool follows = result.rank > 0;
    for (int k = 0; k < count; ++k) {
      follows = follows && result.strides[k][last] == extent * all[k]->strides[d];
    }
    const int at = follows ? last : result.rank++;
    result.extents[at] = follows ? result.extents[at] * extent : extent;
    for (int k = 0; k < count; ++k) result.strides[k][at] = all[k]->strides[d];
  }
  return result;
}

}  // namespace embergrad::cuda

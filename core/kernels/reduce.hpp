// Contracts: sums, extremes and their positions, over the middle of (outer, count, inner).
#pragma once

#include "kernels/launch.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// out[o, i] = sum over k of in[o, k, i]; in is (outer, count, inner), contiguous. float32, float64, int64.
// Order: inner == 1: 16 lanes, k mod 16, each in blocks of 64 and these in blocks of 64, added pairwise at the end;
// else blocks of 64 consecutive k, in order.
struct SumMiddle {
  View in, out;
  std::int64_t outer, count, inner;
};

// values[o, i] = the largest (smallest) in[o, k, i] and indices[o, i] (int64) = the first k that has it; a NaN goes
// before all numbers. Either may be absent (data null). count >= 1. float32, float64, int32, int64.
struct ExtremeMiddle {
  View in, values, indices;
  std::int64_t outer, count, inner;
  bool smallest;
};

// values[o, j, i], indices[o, j, i] (int64), j < k: the k largest (smallest) in[o, :, i]; of equals the first. NaN
// counts as larger than all numbers. In falling (rising) order if `sorted`, else in any. k <= count.
struct TopkMiddle {
  View in, values, indices;
  std::int64_t outer, count, inner, k;
  bool smallest, sorted;
};

// out = 0, then out[o, indices[o, j, i], i] = in[o, j, i]: the derivative of picking. out is (outer, count, inner), in
// and indices (outer, k, inner); no index twice in a column. float32, float64.
struct PlaceMiddle {
  View in, indices, out;
  std::int64_t outer, count, inner, k;
};

void run(OnCpu, const SumMiddle&);
void run(OnCpu, const ExtremeMiddle&);
void run(OnCpu, const TopkMiddle&);
void run(OnCpu, const PlaceMiddle&);
void run(OnCuda, const SumMiddle&);
void run(OnCuda, const ExtremeMiddle&);
void run(OnCuda, const TopkMiddle&);
void run(OnCuda, const PlaceMiddle&);

}  // namespace embergrad

// Contracts: sums and positions of maxima.
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

// out[o, i] (int64) = the first k at which in[o, k, i] is largest; NaN counts as largest. count >= 1.
struct ArgmaxMiddle {
  View in, out;
  std::int64_t outer, count, inner;
};

void run(OnCpu, const SumMiddle&);
void run(OnCpu, const ArgmaxMiddle&);
void run(OnCuda, const SumMiddle&);

}  // namespace embergrad

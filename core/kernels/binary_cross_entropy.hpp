// Contracts: binary cross entropy of logits. All have losses' extents (strides may be 0); losses and grad_in are
// contiguous. A weight or pos_weight whose data is null is 1. float32 or float64.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// losses = weight * ((1 - t) x - (1 + (pos_weight - 1) t) log(sigmoid(x)))
struct BinaryCrossEntropy {
  StridedView logits, target, weight, pos_weight, losses;
};

// grad_in = scale * weight * ((1 - t) - (1 + (pos_weight - 1) t) sigmoid(-x))
struct BinaryCrossEntropyGrad {
  StridedView logits, target, weight, pos_weight, scale, grad_in;
};

void run(OnCpu, const BinaryCrossEntropy&);
void run(OnCpu, const BinaryCrossEntropyGrad&);
void run(OnCuda, const BinaryCrossEntropy&);
void run(OnCuda, const BinaryCrossEntropyGrad&);

}  // namespace embergrad

// Contracts: negative log likelihood, alone and fused with log-softmax. Inputs are (outer, classes, inner), targets
// (outer, inner) of int32 or int64, already checked. float32 or float64.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/view.hpp"

namespace embergrad {

struct LossSizes {
  std::int64_t outer, classes, inner;
};

// losses[o, i] = -w[y] * log_probs[o, y, i], 0 where y is ignored; weights[o, i] = w[y], 0 where ignored.
struct NllLoss {
  View log_probs, target, class_weight /* size 0: all 1 */;
  View losses, weights;
  LossSizes sizes;
  std::int64_t ignore_index;
};

// grad_in[o, y, i] = -w[y] * scale[o, i]; everything else zero. scale: (outer, inner) or one number (size 1).
struct NllLossGrad {
  View target, class_weight, scale, grad_in;
  LossSizes sizes;
  std::int64_t ignore_index;
};

// As NllLoss over log-softmax of logits_factor * logits with label smoothing e:
//   loss_factor * ((1-e) w[y] (-logp[y]) + e/C sum_c w[c] (-logp[c]));  probs = softmax, for the gradient.
struct CrossEntropy {
  View logits, target, class_weight;
  View losses, weights, probs;
  LossSizes sizes;
  std::int64_t ignore_index;
  double label_smoothing;
  double logits_factor, loss_factor;
};

// grad_in[o, c, i] = factor * scale * ((1-e) w[y] (p[c] - [c == y]) + e/C (p[c] sum w - w[c])), 0 where y is ignored.
struct CrossEntropyGrad {
  View probs, target, class_weight, scale, grad_in;
  LossSizes sizes;
  std::int64_t ignore_index;
  double label_smoothing, factor;
};

void run(OnCpu, const NllLoss&);
void run(OnCpu, const NllLossGrad&);
void run(OnCpu, const CrossEntropy&);
void run(OnCpu, const CrossEntropyGrad&);
void run(OnCuda, const NllLoss&);
void run(OnCuda, const NllLossGrad&);
void run(OnCuda, const CrossEntropy&);
void run(OnCuda, const CrossEntropyGrad&);

}  // namespace embergrad

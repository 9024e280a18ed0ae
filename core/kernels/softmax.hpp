// Contracts: softmax and log-softmax over the middle of (outer, count, inner). float32 or float64.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// out = x - max - log(sum e^(x - max)) if `log`, else e^(x - max) / sum e^(x - max).
struct Softmax {
  View in, out;
  std::int64_t outer, count, inner;
  bool log;
};

// grad_in from the forward's output: log: g - e^out * sum g; else out * (g - sum(g * out)).
struct SoftmaxGrad {
  View out, grad_out, grad_in;
  std::int64_t outer, count, inner;
  bool log;
};

void run(OnCpu, const Softmax&);
void run(OnCpu, const SoftmaxGrad&);
void run(OnCuda, const Softmax&);
void run(OnCuda, const SoftmaxGrad&);

}  // namespace embergrad

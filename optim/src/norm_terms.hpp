// What clipping and the search for numbers that are not finite share.
#pragma once

#include <embergrad/tensor.hpp>

#include <vector>

namespace embergrad::optim::detail {

// Σ |x|^p over all elements of float32 or float64 tensors, or max |x| for p = ∞: one float64 where the first tensor is;
// 0 of none. A NaN stays. Waits for nothing.
[[nodiscard]] Tensor norm_terms(const std::vector<Tensor>& tensors, double p);

}  // namespace embergrad::optim::detail

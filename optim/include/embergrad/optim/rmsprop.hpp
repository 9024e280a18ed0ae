/// @file
/// RMSprop.
#pragma once

#include <vector>

#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

/// Options of `RMSprop`, in PyTorch's order. All finite.
struct RMSpropOptions {
  double lr = 1e-2;         ///< >= 0
  double alpha = 0.99;      ///< in [0, 1]: decay of the averages
  double eps = 1e-8;        ///< >= 0
  double weight_decay = 0;  ///< >= 0; added to the gradient
  double momentum = 0;      ///< >= 0
  bool centered = false;    ///< divide by the standard deviation of the gradients instead of their root mean square
  bool maximize = false;    ///< go up the gradients
  Updates updates = Updates::exact;  ///< of idle rows under sparse gradients
};

extern template class OptimizerOf<RMSpropOptions>;

/// `torch.optim.RMSprop` (Tieleman and Hinton 2012; centered: Graves 2013): g = ±grad + weight_decay·w
///   v = alpha·v + (1 - alpha)·g²;  centered: a += (g - a)(1 - alpha)
///   u = g / (√(centered ? v - a² : v) + eps);  w -= lr · (momentum > 0 ? (b = momentum·b + u) : u)
/// State: step (float32 as in PyTorch), square_avg (v), momentum_buffer (b, with momentum), grad_avg (a, if centered).
/// `Updates::exact` without weight_decay is closed: equal to dense training in real arithmetic, one rounding for the
/// whole of a row's idle time. With it every row's idle steps are replayed: to the bit what dense training does, at
/// Θ(rows) a step.
class RMSprop : public OptimizerOf<RMSpropOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit RMSprop(const std::vector<Tensor>& params, const RMSpropOptions& options = {});
  /// Several groups, each with options of its own.
  explicit RMSprop(const std::vector<Group>& groups);

 private:
  [[nodiscard]] bool needs_slot(std::size_t group, std::size_t slot) const override;
  [[nodiscard]] detail::StepPlan plan(const Entry& entry, std::int64_t step, bool first) const override;
};

}  // namespace embergrad::optim

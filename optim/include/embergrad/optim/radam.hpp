/// @file
/// RAdam.
#pragma once

#include <vector>

#include <embergrad/optim/betas.hpp>
#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

/// Options of `RAdam`, in PyTorch's order. All finite.
struct RAdamOptions {
  double lr = 1e-3;         ///< >= 0
  Betas betas = {};         ///< each in [0, 1)
  double eps = 1e-8;        ///< >= 0
  double weight_decay = 0;  ///< >= 0
  bool decoupled_weight_decay =
      false;                         ///< take the decay off the parameter itself instead of adding it to the gradient
  bool maximize = false;             ///< go up the gradients
  Updates updates = Updates::exact;  ///< of idle rows under sparse gradients
};

extern template class OptimizerOf<RAdamOptions>;

/// `torch.optim.RAdam` (Liu et al. 2020): t += 1;  g = ±grad + weight_decay·w (decoupled: w *= 1 - lr·weight_decay)
///   m += (g - m)(1 - β1);  v = β2·v + (1 - β2)·g²;  ρ = 2/(1 - β2) - 1;  ρ_t = ρ - 2t·β2^t/(1 - β2^t)
///   ρ_t > 5:  w -= lr/(1 - β1^t) · √((ρ_t - 4)(ρ_t - 2)ρ / ((ρ - 4)(ρ - 2)ρ_t)) · √(1 - β2^t)·m / (√v + eps)
///   else:     w -= lr/(1 - β1^t) · m
/// State: step (t, float32 as in PyTorch), exp_avg (m), exp_avg_sq (v). `Updates::exact` without weight_decay, or with
/// decoupled decay, is bounded as Adam's; with decay in the gradient every row's idle steps are replayed: to the bit
/// what dense training does, at Θ(rows) a step.
class RAdam : public OptimizerOf<RAdamOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit RAdam(const std::vector<Tensor>& params, const RAdamOptions& options = {});
  /// Several groups, each with options of its own.
  explicit RAdam(const std::vector<Group>& groups);

 private:
  [[nodiscard]] detail::StepPlan plan(const Entry& entry, std::int64_t step, bool first) const override;
};

}  // namespace embergrad::optim

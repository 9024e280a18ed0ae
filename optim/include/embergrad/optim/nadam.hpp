/// @file
/// NAdam.
#pragma once

#include <vector>

#include <embergrad/optim/betas.hpp>
#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

/// Options of `NAdam`, in PyTorch's order. All finite.
struct NAdamOptions {
  double lr = 2e-3;              ///< >= 0
  Betas betas = {};              ///< each in [0, 1)
  double eps = 1e-8;             ///< >= 0
  double weight_decay = 0;       ///< >= 0
  double momentum_decay = 4e-3;  ///< >= 0
  bool decoupled_weight_decay =
      false;                         ///< take the decay off the parameter itself instead of adding it to the gradient
  bool maximize = false;             ///< go up the gradients
  Updates updates = Updates::exact;  ///< of idle rows under sparse gradients
};

extern template class OptimizerOf<NAdamOptions>;

/// `torch.optim.NAdam` (Dozat 2016): t += 1;  g = ±grad + weight_decay·w (decoupled: w *= 1 - lr·weight_decay)
///   m += (g - m)(1 - β1);  v = β2·v + (1 - β2)·g²;  μ_t = β1·(1 - 0.96^(t·momentum_decay)/2);  M_t = μ_1·…·μ_t
///   w -= lr · ((1 - μ_t)/(1 - M_t)·g + μ_t+1/(1 - M_t·μ_t+1)·m) / (√(v/(1 - β2^t)) + eps)
/// State: step (t) and mu_product (M_t), both float32 as in PyTorch, exp_avg (m), exp_avg_sq (v). `Updates::exact`
/// without weight_decay, or with decoupled decay, is bounded as Adam's; with decay in the gradient every row's idle
/// steps are replayed: to the bit what dense training does, at Θ(rows) a step.
class NAdam : public OptimizerOf<NAdamOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit NAdam(const std::vector<Tensor>& params, const NAdamOptions& options = {});
  /// Several groups, each with options of its own.
  explicit NAdam(const std::vector<Group>& groups);

 private:
  [[nodiscard]] detail::StepPlan plan(const Entry& entry, std::int64_t step, bool first) const override;
};

}  // namespace embergrad::optim

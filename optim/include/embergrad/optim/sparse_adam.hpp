/// @file
/// SparseAdam.
#pragma once

#include <vector>

#include <embergrad/optim/betas.hpp>
#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

/// Options of `SparseAdam`, in PyTorch's order. All finite.
struct SparseAdamOptions {
  double lr = 1e-3;       ///< >= 0
  Betas betas = {};       ///< each in [0, 1)
  double eps = 1e-8;      ///< > 0
  bool maximize = false;  ///< go up the gradients
};

extern template class OptimizerOf<SparseAdamOptions>;

/// `torch.optim.SparseAdam`, for tables with sparse gradients alone: t += 1 for the parameter, then for each row that
/// the gradient holds, g = ±grad
///   m += (g - m)(1 - β1);  v = β2·v + (1 - β2)·g²
///   w -= lr·√(1 - β2^t)/(1 - β1^t) · m / (√v + eps)
/// All other rows stand still, moments included: `updates` is touched_only, and no option. It is not Adam with
/// `Updates::touched_only`: there eps is added to √(v/(1 - β2^t)), here to √v, as if Adam's eps were eps/√(1 - β2^t). A
/// dense gradient is refused by a ValueError. State: step (t), exp_avg (m), exp_avg_sq (v).
class SparseAdam : public OptimizerOf<SparseAdamOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit SparseAdam(const std::vector<Tensor>& params, const SparseAdamOptions& options = {});
  /// Several groups, each with options of its own.
  explicit SparseAdam(const std::vector<Group>& groups);

 private:
  [[nodiscard]] detail::StepPlan plan(const Entry& entry, std::int64_t step, bool first) const override;
};

}  // namespace embergrad::optim

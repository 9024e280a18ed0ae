/// @file
/// Adamax.
#pragma once

#include <vector>

#include <embergrad/optim/betas.hpp>
#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

/// Options of `Adamax`, in PyTorch's order. All finite.
struct AdamaxOptions {
  double lr = 2e-3;                  ///< >= 0
  Betas betas = {};                  ///< each in [0, 1)
  double eps = 1e-8;                 ///< >= 0
  double weight_decay = 0;           ///< >= 0; added to the gradient
  bool maximize = false;             ///< go up the gradients
  Updates updates = Updates::exact;  ///< of idle rows under sparse gradients
};

extern template class OptimizerOf<AdamaxOptions>;

/// `torch.optim.Adamax` (Kingma and Ba 2015): t += 1;  g = ±grad + weight_decay·w
///   m += (g - m)(1 - β1);  u = max(β2·u, |g| + eps);  w -= lr/(1 - β1^t) · m/u
/// State: step (t, float32 as in PyTorch), exp_avg (m), exp_inf (u). `Updates::exact` has no closed form here: every
/// row's idle steps are replayed, to the bit what dense training does, at Θ(rows) a step.
class Adamax : public OptimizerOf<AdamaxOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit Adamax(const std::vector<Tensor>& params, const AdamaxOptions& options = {});
  /// Several groups, each with options of its own.
  explicit Adamax(const std::vector<Group>& groups);

 private:
  [[nodiscard]] detail::StepPlan plan(const Entry& entry, std::int64_t step, bool first) const override;
};

}  // namespace embergrad::optim

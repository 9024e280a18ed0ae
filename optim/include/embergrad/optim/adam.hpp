/// @file
/// Adam and AdamW.
#pragma once

#include <vector>

#include <embergrad/optim/betas.hpp>
#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

/// Options of `Adam`, in PyTorch's order. All finite.
struct AdamOptions {
  double lr = 1e-3;                  ///< >= 0
  Betas betas = {};                  ///< each in [0, 1)
  double eps = 1e-8;                 ///< >= 0
  double weight_decay = 0;           ///< >= 0; added to the gradient
  bool amsgrad = false;              ///< divide by the largest second moment so far
  bool maximize = false;             ///< go up the gradients
  Updates updates = Updates::exact;  ///< of idle rows under sparse gradients
};

/// Options of `AdamW`, in PyTorch's order. All finite.
struct AdamWOptions {
  double lr = 1e-3;                  ///< >= 0
  Betas betas = {};                  ///< each in [0, 1)
  double eps = 1e-8;                 ///< >= 0
  double weight_decay = 1e-2;        ///< >= 0; taken off the parameter itself
  bool amsgrad = false;              ///< divide by the largest second moment so far
  bool maximize = false;             ///< go up the gradients
  Updates updates = Updates::exact;  ///< of idle rows under sparse gradients
};

extern template class OptimizerOf<AdamOptions>;
extern template class OptimizerOf<AdamWOptions>;

namespace detail {
/// What Adam and AdamW share.
template <class OptionsType>
class AdamFamily : public OptimizerOf<OptionsType> {
 protected:
  AdamFamily(const char* name, const std::vector<typename OptimizerOf<OptionsType>::Group>& groups);

 private:
  [[nodiscard]] bool needs_slot(std::size_t group, std::size_t slot) const override;
  [[nodiscard]] StepPlan plan(const Optimizer::Entry& entry, std::int64_t step, bool first) const override;
};
extern template class AdamFamily<AdamOptions>;
extern template class AdamFamily<AdamWOptions>;
}  // namespace detail

/// `torch.optim.Adam`: t += 1; g = ±grad + weight_decay·w
///   m += (g - m)(1 - β1);  v = β2·v + (1 - β2)·g²;  v^ = amsgrad ? (max = max(max, v)) : v
///   w -= lr/(1 - β1^t) · m / (√v^ / √(1 - β2^t) + eps)
/// State: step (t, float32 as in PyTorch), exp_avg (m), exp_avg_sq (v), max_exp_avg_sq (with amsgrad).
/// `Updates::exact` without weight_decay is bounded: a row's idle time is one evaluation whose relative error has a
/// proven bound, below 3e-6 in float32 (docs/optimizers.md has its conditions). With weight_decay, or betas without a
/// good bound (β1 near √β2 or above), every row's idle steps are replayed: to the bit what dense training does, at
/// Θ(rows) a step; AdamW is bounded with decay too.
class Adam : public detail::AdamFamily<AdamOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit Adam(const std::vector<Tensor>& params, const AdamOptions& options = {});
  /// Several groups, each with options of its own.
  explicit Adam(const std::vector<Group>& groups);
};

/// `torch.optim.AdamW`: Adam without decay in the gradient; instead w *= 1 - lr·weight_decay before the step.
class AdamW : public detail::AdamFamily<AdamWOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit AdamW(const std::vector<Tensor>& params, const AdamWOptions& options = {});
  /// Several groups, each with options of its own.
  explicit AdamW(const std::vector<Group>& groups);
};

}  // namespace embergrad::optim

/// @file
/// Lion.
#pragma once

#include <vector>

#include <embergrad/optim/betas.hpp>
#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

/// Options of `Lion`, in the order of `AdamW`'s. All finite.
struct LionOptions {
  double lr = 1e-4;                  ///< >= 0
  Betas betas = {0.9, 0.99};         ///< each in [0, 1): of the moment in a step, and of the moment that is kept
  double weight_decay = 0;           ///< >= 0; taken off the parameter itself
  bool maximize = false;             ///< go up the gradients
  Updates updates = Updates::exact;  ///< of idle rows under sparse gradients
};

extern template class OptimizerOf<LionOptions>;

/// Lion (Chen et al. 2023): g = ±grad
///   w = (1 - lr·weight_decay)·w - lr·sign(β1·m + (1 - β1)·g);  m = β2·m + (1 - β2)·g
/// State: exp_avg (m). A moment that fades stops at 1e-30 (float64: 1e-300) instead of becoming 0: an idle row goes on
/// at full speed for ever, and its direction is the sign. `Updates::exact` is closed: equal to dense training in real
/// arithmetic, one rounding for the whole of a row's idle time; where weight_decay changes, all rows are brought up to
/// date first. With a beta of 0, or lr · weight_decay >= 1, every row takes part in every step.
class Lion : public OptimizerOf<LionOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit Lion(const std::vector<Tensor>& params, const LionOptions& options = {});
  /// Several groups, each with options of its own.
  explicit Lion(const std::vector<Group>& groups);

 private:
  [[nodiscard]] detail::StepPlan plan(const Entry& entry, std::int64_t step, bool first) const override;
};

}  // namespace embergrad::optim

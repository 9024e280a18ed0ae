// What an optimizer makes of one step: what a gradient does to a row, and what time does to a row without one.
#pragma once

#include <memory>
#include <variant>

#include "kernels/update.hpp"
#include "spans.hpp"

namespace embergrad::optim::detail {

// Idle rows stand still.
struct NoTime {};
// Closed: linear in a row and its first slot. Equal to dense training in real arithmetic, one rounding for a span.
struct LinearTime {
  Matrix2 step;
};
// Closed: the averages (slots 0 and 2) fade, w follows the momentum (slot 1).
struct RmspropTime {
  Matrix2 step;  // of w and momentum
  double alpha;
  double eps;
  bool centered;
};
// Closed: w goes on by the sign of the moment (slot 0), which fades.
struct LionTime {
  double lr;
  double beta2;  // above 0
  double weight_decay;
};
// Bounded: the moments fade (slots 0 and 1; the largest second moment is slot 2), within a proven relative error.
struct AdamTime {
  AdamStepOfTime step;
  double eps;
  bool amsgrad = false;
  bool corrected = true;  // false: the second moment is used without bias correction
};
// A rule from outside, which knows itself.
struct OwnTime {
  std::shared_ptr<const embergrad::detail::RowRule> rule;
  std::int64_t step;
};
// Replay: the step itself with a gradient of zeros, for every row and every step; to the bit what dense training does.
struct ReplayTime {};
// No span describes this step: every row is taken along.
struct WholeTable {};

using Time = std::variant<NoTime, LinearTime, RmspropTime, LionTime, AdamTime, OwnTime, ReplayTime, WholeTable>;

// The time of Adam and its kin, by how they decay: where it enters the moments, no form is known.
inline Time time_of_moments(rules::Decay decay, const AdamTime& time) {
  if (decay == rules::Decay::coupled) return ReplayTime{};
  if (time.step.keep <= 0) return WholeTable{};
  return time;
}

// The rule that decays so.
template <template <rules::Decay> class Rule>
StepRule rule_of(rules::Decay decay) {
  switch (decay) {
    case rules::Decay::none:
      return step_rule<Rule<rules::Decay::none>>;
    case rules::Decay::coupled:
      return step_rule<Rule<rules::Decay::coupled>>;
    default:
      return step_rule<Rule<rules::Decay::decoupled>>;
  }
}

struct StepPlan {
  StepRule rule = {};
  StepNumbers numbers = {};
  Time time;
  float number = 1;  // the parameter's, after the step (Optimizer::Layout)

  // For kernels; elements are for the caller to fill in.
  [[nodiscard]] OptimizerStep request() const {
    OptimizerStep step{};
    step.rule = rule;
    step.numbers = numbers;
    if (const auto* own = std::get_if<OwnTime>(&time)) step.own = {own->rule.get(), own->step - 1, own->step};
    return step;
  }
};

}  // namespace embergrad::optim::detail

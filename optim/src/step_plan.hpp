// What an optimizer makes of one step: what a gradient does to a row, and what time does to a row without one.
#pragma once

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
// Bounded: the moments fade (slots 0 and 1; the largest second moment is slot 2), within a proven relative error.
struct AdamTime {
  AdamStepOfTime step;
  double eps;
  bool amsgrad = false;
  bool corrected = true;  // false: the second moment is used without bias correction
};
// Replay: the step itself with a gradient of zeros, for every row and every step; to the bit what dense training does.
struct ReplayTime {};
// No span describes this step: every row is taken along.
struct WholeTable {};

using Time = std::variant<NoTime, LinearTime, AdamTime, ReplayTime, WholeTable>;

struct StepPlan {
  StepRule rule;
  StepNumbers numbers;
  Time time;
};

}  // namespace embergrad::optim::detail

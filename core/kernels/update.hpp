// Contracts: one step of an optimizer, what idle time does to rows, and what clipping needs. float32 or float64; all
// views of one request have the same type, but for a parameter of 16 bits, which is computed in float32. Element by
// element, so a request may be cut anywhere; rules that keep one number for a row may be cut between rows.
#pragma once

#include <cstring>

#include "kernels/launch.hpp"
#include "kernels/rules/update.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// A rule by its number: step_rule<rules::Adagrad<true>>.
enum class StepRule : std::uint8_t {};
enum class IdleRule : std::uint8_t {};
template <class Rule>
inline constexpr StepRule step_rule = StepRule(rules::position_of<Rule>(rules::StepRules{}));
template <class Rule>
inline constexpr IdleRule idle_rule = IdleRule(rules::position_of<Rule>(rules::IdleRules{}));

// The coefficients of any step rule, in the order of its struct.
struct StepNumbers {
  static constexpr int max_count = 12;
  StepNumbers() = default;
  template <class Coefficients>
  StepNumbers(const Coefficients& coefficients) {  // NOLINT(google-explicit-constructor): `.numbers = {.lr = …}`
    static_assert(sizeof(Coefficients) <= sizeof(values));
    std::memcpy(values, &coefficients, sizeof(Coefficients));
  }
  double values[max_count] = {};
};

// What is kept beside a parameter: as many numbers, or one for each row.
inline constexpr int max_slots = 3;

// Which elements a request is about. Without `rows` all of the views, which have one size; with them, the rows of `dim`
// elements that they name of parameter and state, for which the gradient holds `count` rows.
struct RowList {
  const std::int64_t* rows = nullptr;
  std::int64_t count = 0;
  std::int64_t dim = 0;
};

// A step that a replay repeats: its numbers are rounded already to the type that the table is computed in.
struct ReplayStep {
  StepRule rule;
  StepNumbers numbers;
};

// The time since rows were settled. Either a span for each row, or a replay of steps without gradient.
struct IdleTime {
  const std::int64_t* gaps = nullptr;      // of each row: in steps; 0: nothing happened
  IdleRule rule = {};                      // of the spans
  const void* spans = nullptr;             // of each row: `span_size` numbers of the type that is computed in
  std::int64_t span_size = 0;              // those of the rule's Span, and its tail
  const ReplayStep* replay_end = nullptr;  // a row lives through the last `gap` steps before this one
};

// A step of a rule on every element; with `idle`, what time did comes first.
struct OptimizerStep {
  StepRule rule;
  StepNumbers numbers;  // rounded to the type that is computed in
  View param, grad;
  View slots[max_slots];
  RowList rows = {};
  IdleTime idle = {};
};

// What time did to rows, in place; with `out`, the parameter's rows as they would be go there, and nothing is changed.
struct SettleRows {
  View param;
  View slots[max_slots];
  RowList rows;
  IdleTime idle;
  View out = {};
};

// result[0] = Σ |x|^p, or max |x| for p = ∞. Summed in float64, in fixed chunks of 16384 whose sums are added in order.
struct NormTerms {
  View in;
  double p;        // > 0
  double* result;  // on the host
};

// x *= factor
struct ScaleInPlace {
  View inout;
  double factor;  // rounded to the view's type
};

// x = min(max(x, -limit), limit); a NaN stays.
struct ClampInPlace {
  View inout;
  double limit;  // rounded to the view's type
};

void run(OnCpu, const OptimizerStep&);
void run(OnCpu, const SettleRows&);
void run(OnCpu, const NormTerms&);
void run(OnCpu, const ScaleInPlace&);
void run(OnCpu, const ClampInPlace&);

}  // namespace embergrad

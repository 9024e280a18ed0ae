// Contracts: one step of an optimizer, what idle time does to rows, and what clipping needs. float32 or float64; all
// views of one request have the same type, but for a parameter of 16 bits, which is computed in float32 and has no idle
// time. Element by element, so a request may be cut anywhere; with a rule of whole rows, between rows. For a GPU, all
// that a request points to lies in its memory, steps of a replay too; rules from outside have no GPU side.
#pragma once

#include <cstring>

#include "kernels/launch.hpp"
#include "kernels/row_time.hpp"
#include "kernels/rules/update.hpp"
#include "kernels/view.hpp"

namespace embergrad {

namespace detail {
class RowRule;  // <embergrad/row_rule.hpp>
}

// A rule by its number: step_rule<rules::Adagrad<true>>.
enum class StepRule : std::uint8_t {};
enum class IdleRule : std::uint8_t {};
template <class Rule>
inline constexpr StepRule step_rule = StepRule(rules::position_of<Rule>(rules::StepRules{}));
template <class Rule>
inline constexpr IdleRule idle_rule = IdleRule(rules::position_of<Rule>(rules::IdleRules{}));

// Whether a rule is one of whole rows.
template <class... Rules>
constexpr bool is_by_row(rules::RuleList<Rules...> /*list*/, StepRule rule) {
  constexpr bool of_rule[] = {rules::is_by_row<Rules>...};
  return of_rule[static_cast<int>(rule)];
}
constexpr bool is_by_row(StepRule rule) { return is_by_row(rules::StepRules{}, rule); }

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

// What is kept beside a parameter: as many numbers, or with a rule of whole rows one for each row.
inline constexpr int max_slots = 3;

// Which elements a request is about: the `count` rows of `dim` elements that `rows` names of parameter and state, for
// which the gradient holds rows in that order. Without `rows` all of the views. A step leaves the frozen ones of a list
// out.
struct RowList {
  const std::int64_t* rows = nullptr;
  std::int64_t count = 0;
  std::int64_t dim = 0;
  FrozenRows frozen = {};
};

// A step that a replay repeats: its numbers are rounded already to the type that the table is computed in.
struct ReplayStep {
  StepRule rule;
  StepNumbers numbers;
};

// Steps from + 1 … to of a parameter, under a rule from outside.
struct OwnSteps {
  const detail::RowRule* rule = nullptr;
  std::int64_t from = 0;
  std::int64_t to = 0;
};

// The time since rows were settled: a span for each row, a replay of steps without gradient, or steps under rules from
// outside.
struct IdleTime {
  const std::int64_t* gaps = nullptr;      // of each row: in steps; 0: nothing happened
  IdleRule rule = {};                      // of the spans
  const void* spans = nullptr;             // of each row: `span_size` numbers of the type that is computed in
  const std::int64_t* span_of = nullptr;   // which of these is each row's; null: there is one for each, in their order
  std::int64_t span_size = 0;              // those of the rule's Span, and its tail
  const ReplayStep* replay_end = nullptr;  // a row lives through the last `gap` steps before this one
  const OwnSteps* own_end = nullptr;       // likewise, of a list without holes that reaches back as far as gaps do
};

// Rows as they are after their idle time, one after another. Slots have copies where time is no span: ageing them by
// one is as fast as copying them.
struct RowCopies {
  View param;
  View slots[max_slots];
};

// A step of a rule on every element; with `idle`, what time did comes first. A rule from outside is one of whole rows,
// whose slots have as many numbers as a row.
struct OptimizerStep {
  StepRule rule;
  StepNumbers numbers;  // rounded to the type that is computed in
  View param, grad;
  View slots[max_slots];
  RowList rows = {};
  IdleTime idle = {};
  OwnSteps own = {};  // one step of a rule from outside instead
  // Where idle time has been lived through before: each row's place among copies of what came out; -1: there is none.
  const std::int64_t* settled = nullptr;
  RowCopies copies = {};
};

// What time did to rows, in place; with `out`, what they would be goes there, and nothing is changed. Slots may be left
// out there.
struct SettleRows {
  View param;
  View slots[max_slots];
  RowList rows;
  IdleTime idle;
  RowCopies out = {};
};

// result[0] = Σ |x|^p, or max |x| for p = ∞. Summed in float64, in fixed chunks whose sums are added in order; a chunk
// in order, or for p = 2 in 16 lanes.
inline constexpr std::int64_t norm_chunk = 16384;
struct NormTerms {
  View in;
  double p;        // > 0
  double* result;  // where `in` is
};

// x *= factor[0]
struct ScaleInPlace {
  View inout, factor;
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
void run(OnCuda, const OptimizerStep&);
void run(OnCuda, const SettleRows&);
void run(OnCuda, const NormTerms&);
void run(OnCuda, const ScaleInPlace&);
void run(OnCuda, const ClampInPlace&);

}  // namespace embergrad

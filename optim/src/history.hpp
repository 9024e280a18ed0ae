// The time that rows have not lived through yet: one History for each kind of Time.
#pragma once

#include <cstdint>
#include <memory>

#include "step_plan.hpp"

namespace embergrad::optim::detail {

// Steps are counted from the history's origin, 0, where all rows were up to date.
class History {
 public:
  History() = default;
  virtual ~History() = default;
  History(const History&) = delete;
  History& operator=(const History&) = delete;
  History(History&&) = delete;
  History& operator=(History&&) = delete;

  // Whether a step can be added. If not, all rows must be settled, and another history begins.
  [[nodiscard]] virtual bool takes(const StepPlan& plan) = 0;
  virtual void push(const StepPlan& plan) = 0;
  // Steps so far.
  [[nodiscard]] virtual std::int64_t now() const = 0;
  // No row will be asked for that was settled at the steps 1 … s - 1; the origin stays.
  virtual void forget_before(std::int64_t s) = 0;
  [[nodiscard]] virtual std::int64_t bytes() const = 0;
  // True if a row that was never touched since the origin needs no visits.
  [[nodiscard]] virtual bool spares_untouched() const { return true; }
  // True if rows live through their steps one by one.
  [[nodiscard]] virtual bool replays() const { return false; }

  // How kernels see it: `gaps` and `spans` are for the caller to fill in.
  [[nodiscard]] virtual IdleTime idle() const = 0;
  // The spans that end now and are gaps[i] steps long, each idle().span_size numbers of `dtype`; nothing for gaps that
  // are not above 0. Any number of threads.
  virtual void fill_spans(const std::int64_t* gaps, std::int64_t count, void* spans, DType dtype) const = 0;
};

// A history that begins with `plan`, whose time is one that rows live through; `steps_before` of the parameter.
[[nodiscard]] std::unique_ptr<History> make_history(const StepPlan& plan, DType dtype, std::int64_t steps_before);

}  // namespace embergrad::optim::detail

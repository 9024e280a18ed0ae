/// @file
/// RowRule: an optimizer's rule from outside the library, as kernels call it.
#pragma once

#include <cstdint>

namespace embergrad::detail {

// A row, its gradient (null: zeros), and what is kept beside it. All have `size` numbers.
template <class T>
struct RuledRow {
  T* row;
  const T* grad;
  T* const* slots;
  std::int64_t size;
};

// A rule under one set of options. The CPU alone calls it, several threads at once, once for a row.
class RowRule {
 public:
  RowRule() = default;
  virtual ~RowRule() = default;
  RowRule(const RowRule&) = delete;
  RowRule& operator=(const RowRule&) = delete;
  RowRule(RowRule&&) = delete;
  RowRule& operator=(RowRule&&) = delete;

  // Step t of the parameter.
  virtual void step(const RuledRow<float>& row, std::int64_t t) const = 0;
  virtual void step(const RuledRow<double>& row, std::int64_t t) const = 0;
  // The steps from + 1 … to, without a gradient.
  virtual void idle(const RuledRow<float>& row, std::int64_t from, std::int64_t to) const = 0;
  virtual void idle(const RuledRow<double>& row, std::int64_t from, std::int64_t to) const = 0;
  // Whether `idle` repeats `step`.
  [[nodiscard]] virtual bool replays() const = 0;
};

}  // namespace embergrad::detail

// What a storage asks of the optimizer that steps its rows later than they are due. Core never hears of optimizers.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/row_time.hpp"
#include "kernels/view.hpp"

namespace embergrad::detail {

struct Storage;

// Rows of a table whose elements are not what dense training would have made of them yet. The values that a read gives
// depend on steps and on what was settled, never on who read before. What settles or skips rows must have the table for
// itself, but for readers beside settle_all. Lists of rows and what a read fills lie where the table does.
class DeferredRows {
 public:
  DeferredRows() = default;
  virtual ~DeferredRows() = default;
  DeferredRows(const DeferredRows&) = delete;
  DeferredRows& operator=(const DeferredRows&) = delete;
  DeferredRows(DeferredRows&&) = delete;
  DeferredRows& operator=(DeferredRows&&) = delete;

  // Elements in a row.
  [[nodiscard]] virtual std::int64_t dim() const = 0;
  // False if every row is up to date.
  [[nodiscard]] virtual bool pending() const = 0;
  // out[i, :] = the value of the i-th of these rows, which ascend; the table stays as it is. Any number of threads at
  // once. `for_step`: a step on these rows will follow.
  virtual void read(RowNumbers rows, View out, bool for_step) const = 0;
  // Brings rows, each named once, up to date in place.
  virtual void settle(RowNumbers rows) = 0;
  // Brings all rows up to date in place, and what is kept beside them. Any number of threads at once.
  virtual void settle_all() = 0;
  // Declares a row up to date as it is: it did not live through the time since.
  virtual void skip(std::int64_t row) = 0;
};

// The rows of this storage that are behind; null if there are none.
[[nodiscard]] DeferredRows* deferred_rows(const Storage& storage);
// Who defers rows of this storage from now on; null: nobody.
void defer_rows(Storage& storage, std::shared_ptr<DeferredRows> rows);
[[nodiscard]] std::shared_ptr<DeferredRows> deferral_of(const Storage& storage);

}  // namespace embergrad::detail

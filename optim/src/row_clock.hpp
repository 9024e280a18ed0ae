// RowClock: which rows of a table are how far behind, and how they are brought up to date.
#pragma once

#include <embergrad/tensor.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "history.hpp"
#include "src/deferred_rows.hpp"

namespace embergrad::optim::detail {

// Of a table that is the whole of its storage. Frozen rows don't live through any time.
class RowClock final : public embergrad::detail::DeferredRows {
 public:
  // For a (rows, dim) table of float32 or float64; the storage outlives the clock.
  explicit RowClock(const Tensor& table);

  // --- what a storage asks for
  [[nodiscard]] std::int64_t dim() const override { return dim_; }
  [[nodiscard]] bool pending() const override { return pending_.load(std::memory_order_acquire); }
  void read(RowNumbers rows, View out, bool for_step) const override;
  void settle(RowNumbers rows) override;
  void settle_all() override;
  void skip(std::int64_t row) override;

  // --- a step with a sparse gradient: prepare, begin, some rows once or more often, end
  // All that may fail for want of memory; no row changes but by its idle time. Settles all if the time that passed
  // can't go on with this plan. `rows`: how many the step takes.
  void prepare(const StepPlan& plan, std::int64_t steps_before, std::int64_t rows);
  void begin(const StepPlan& plan, const std::array<Tensor, max_slots>& slots, std::int64_t steps_before);
  // Brings rows up to date and steps them, but for frozen ones; `grad` holds their gradients.
  void step(const StepPlan& plan, const std::int64_t* rows, std::int64_t count, const View& grad);
  // The step is done: `rows` were stepped, or are frozen; for all others one step of time passes. Lists of rows lie
  // where the table does.
  void end(const StepPlan& plan, const std::int64_t* rows, std::int64_t count);

  // What slot `slot` would have for a row if that were brought up to date. Nothing is changed.
  [[nodiscard]] Tensor slot_of_row(std::int64_t row, std::size_t slot) const;

  // The step since the last settling of all, of the parameter's count `steps`, to which each row is up to date.
  [[nodiscard]] std::vector<std::int64_t> last_steps(std::int64_t steps) const;
  [[nodiscard]] std::int64_t bytes() const;
  // Whether idle rows live through their steps one by one, which costs what dense training does.
  [[nodiscard]] bool replays() const { return history_ != nullptr && history_->replays(); }

 private:
  // Gaps and spans of some rows.
  class Idle;
  // What the last lookup for a step made of its rows: the step need not make it again. Of a table on the CPU.
  struct Recent {
    std::vector<std::int64_t> rows;  // ascending
    std::vector<char> param;         // their values, row by row
    std::vector<char> spans;         // the time that they lived through, or where it is no span
    std::array<std::vector<char>, max_slots> slots;
    std::int64_t step = -1;  // of the history; -1: nothing is remembered
  };

  // Calls body(some rows, how many there are before) for pieces of a list.
  template <class Body>
  void in_pieces(RowNumbers rows, const Body& body) const;
  [[nodiscard]] std::uint32_t* last() const;
  // The history as kernels see it; for a GPU, with what it needs of all time in its memory.
  [[nodiscard]] IdleTime idle_time() const;
  void upload_time(const IdleTime& time) const;
  [[nodiscard]] std::int64_t count_there(std::int64_t now) const;
  [[nodiscard]] std::size_t bytes_there(std::int64_t now) const;
  void make_room_there(std::int64_t now) const;
  // That of a step, on a GPU.
  [[nodiscard]] std::int64_t* room() const;
  [[nodiscard]] SettleRows request(RowNumbers rows, const Idle& idle) const;
  // `spares_untouched`: but for rows that nobody has touched. `room` as for Idle.
  void bring_up(RowNumbers rows, bool spares_untouched, std::int64_t* room = nullptr);
  void read_and_remember(const std::int64_t* rows, std::int64_t count, View out) const;
  void find_recent(const std::int64_t* rows, std::int64_t count, std::int64_t* places) const;
  // Where what is remembered of recent_.rows lies. Makes room.
  [[nodiscard]] RowCopies recent_copies() const;
  void settle_everything();
  [[nodiscard]] std::int64_t visits(std::int64_t touched) const;
  void sweep(std::int64_t touched);

  embergrad::detail::Storage* storage_;
  View table_;
  Device device_;
  std::int64_t rows_, dim_;
  std::array<Tensor, max_slots> slots_;
  std::unique_ptr<History> history_;  // null: everything is up to date
  Tensor last_;                       // uint32: the history's step to which a row is up to date; 0: not touched since
  std::int64_t oldest_ = 1;           // no row is up to date to a step between 0 and this one
  std::int64_t cursor_ = 0;           // of the sweep
  std::int64_t sweep_began_ = 0;      // at this step of the history
  // On a GPU: the spans since step 0 and since the steps oldest_, oldest_ + 1, …; or the last steps, for a replay.
  mutable Tensor time_there_;
  mutable std::int64_t step_there_ = -1;  // of the history
  Tensor room_there_;                     // for what a step works out about its rows
  mutable std::mutex uploading_;
  std::atomic<bool> pending_ = false;
  mutable std::shared_mutex settling_;  // readers against settle_all
  mutable Recent recent_;
  mutable std::mutex remembering_;  // several lookups at once: one of them remembers
};

// A table that a clock defers. Its end settles the table and lets go of it.
struct Deferral {
  explicit Deferral(const Tensor& parameter);
  ~Deferral();
  Deferral(const Deferral&) = delete;
  Deferral& operator=(const Deferral&) = delete;
  Deferral(Deferral&&) = delete;
  Deferral& operator=(Deferral&&) = delete;

  // Brings the table up to date and lets go of it, unless somebody else has done so.
  void end() const;
  // True if the parameter is still this table, and nobody else has taken it over.
  [[nodiscard]] bool holds(const Tensor& parameter) const;

  Tensor table;
  std::shared_ptr<RowClock> clock;
};

}  // namespace embergrad::optim::detail

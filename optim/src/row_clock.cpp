#include "row_clock.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>
#include <numeric>
#include <utility>

#include <embergrad/ops.hpp>

#include "cpu/parallel.hpp"
#include "src/memory_pool.hpp"
#include "src/tensor_state.hpp"
#include "views.hpp"

namespace embergrad::optim::detail {

using embergrad::detail::Scratch;

namespace {
constexpr std::int64_t block = 128;  // rows taken at once: they and what is known about them stay in the cache
// A sweep visits a tenth of the rows that a step touches, which costs little and bounds the history; where time is
// replayed, every row within so many steps, which bounds how long a read may take.
constexpr std::int64_t sweep_share = 10;
constexpr std::int64_t replay_sweep_steps = 256;
// However few rows a step touches: history is kept for half as many steps as there are rows, at most.
constexpr std::int64_t least_visits = 4;
constexpr std::int64_t most_remembered = std::int64_t{1}
                                         << 20;  // rows: what is remembered stays until the table is settled

// Scratch that is kept from step to step.
char* room_in(std::vector<char>& values, std::size_t bytes) {
  if (values.size() < bytes) values.resize(bytes);
  return values.data();
}
}  // namespace

class RowClock::Idle {
 public:
  // Rows that `settled` has a place for are remembered, with their spans.
  Idle(const RowClock& clock, const std::int64_t* rows, std::int64_t count, const std::int64_t* settled = nullptr)
      : time_(clock.history_->idle()),
        span_bytes_(static_cast<std::size_t>(time_.span_size) * item_size(clock.table_.dtype)),
        gaps_(count),
        spans_(static_cast<std::int64_t>(span_bytes_) * count) {
    const auto is_settled = [&](std::int64_t i) { return settled != nullptr && settled[i] >= 0; };
    for (std::int64_t i = 0; i < count; ++i) gaps_[i] = is_settled(i) ? 0 : clock.gap(rows[i]);
    time_.gaps = gaps_.get();
    if (span_bytes_ == 0) return;
    time_.spans = spans_.get();
    clock.history_->fill_spans(gaps_.get(), count, spans_.get(), clock.table_.dtype);
    for (std::int64_t i = 0; settled != nullptr && i < count; ++i) {
      if (!is_settled(i)) continue;
      gaps_[i] = clock.gap(rows[i]);
      const char* span = clock.recent_.spans.data() + static_cast<std::size_t>(settled[i]) * span_bytes_;
      std::memcpy(spans_.get() + static_cast<std::size_t>(i) * span_bytes_, span, span_bytes_);
    }
  }
  [[nodiscard]] const IdleTime& time() const { return time_; }

 private:
  IdleTime time_;
  std::size_t span_bytes_;
  Scratch<std::int64_t> gaps_;
  Scratch<char> spans_;
};

RowClock::RowClock(const Tensor& table)
    : storage_(table.state()->storage.get()),
      table_(embergrad::detail::unsettled_view(table)),
      device_(table.device()),
      rows_(table.size(0)),
      dim_(table.size(1)),
      last_(static_cast<std::size_t>(rows_)) {}

bool RowClock::is_frozen(std::int64_t row) const {
  return storage_->extras != nullptr && std::ranges::binary_search(storage_->extras->frozen_rows, row);
}

std::int64_t RowClock::gap(std::int64_t row) const {
  const std::int64_t steps = history_->now() - last_[static_cast<std::size_t>(row)];
  return steps == 0 || is_frozen(row) ? 0 : steps;
}

SettleRows RowClock::request(const std::int64_t* rows, std::int64_t count, const Idle& idle) const {
  SettleRows request{.param = table_,
                     .slots = {},
                     .rows = {.rows = rows, .count = count, .dim = dim_},
                     .idle = idle.time(),
                     .out = {}};
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    if (slots_[s].defined()) request.slots[s] = embergrad::detail::unsettled_view(slots_[s]);
  }
  return request;
}

RowCopies RowClock::recent_copies() const {
  const auto count = static_cast<std::int64_t>(recent_.rows.size());
  const auto copies_of = [&](View all, std::vector<char>& values) {
    all.size = all.size / rows_ * count;
    all.data = room_in(values, static_cast<std::size_t>(all.size) * item_size(all.dtype));
    return all;
  };
  RowCopies copies{.param = copies_of(table_, recent_.param), .slots = {}};
  if (history_->idle().span_size > 0) return copies;
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    if (!slots_[s].defined()) continue;
    copies.slots[s] = copies_of(embergrad::detail::unsettled_view(slots_[s]), recent_.slots[s]);
  }
  return copies;
}

void RowClock::read_and_remember(const std::int64_t* rows, std::int64_t count, View out) const {
  recent_.step = -1;
  recent_.rows.assign(rows, rows + count);
  const RowCopies copies = recent_copies();
  const std::size_t span_bytes = static_cast<std::size_t>(history_->idle().span_size) * item_size(table_.dtype);
  char* const spans = room_in(recent_.spans, static_cast<std::size_t>(count) * span_bytes);
  cpu::parallel_chunks(count, block, [&](std::int64_t begin, std::int64_t end) {
    const Idle idle(*this, rows + begin, end - begin);
    SettleRows settle = request(rows + begin, end - begin, idle);
    const auto rows_of = [&](const View& all) {
      const std::int64_t width = all.size / count;
      return part(all, begin * width, (end - begin) * width);
    };
    settle.out.param = rows_of(copies.param);
    std::ranges::transform(copies.slots, settle.out.slots, rows_of);
    launch(device_, settle);
    const View to = part(out, begin * dim_, (end - begin) * dim_);
    std::memcpy(to.data, settle.out.param.data, static_cast<std::size_t>(to.size) * item_size(to.dtype));
    if (span_bytes > 0) {
      std::memcpy(spans + static_cast<std::size_t>(begin) * span_bytes, idle.time().spans,
                  static_cast<std::size_t>(end - begin) * span_bytes);
    }
  });
  recent_.step = history_->now();
}

// The places of these rows among those that are remembered, or -1; both lists are ascending.
void RowClock::find_recent(const std::int64_t* rows, std::int64_t count, std::int64_t* places) const {
  auto known = recent_.rows.end();
  if (recent_.step == history_->now()) known = std::ranges::lower_bound(recent_.rows, rows[0]);
  for (std::int64_t i = 0; i < count; ++i) {
    while (known != recent_.rows.end() && *known < rows[i]) ++known;
    places[i] = known != recent_.rows.end() && *known == rows[i] ? known - recent_.rows.begin() : -1;
  }
}

void RowClock::read(const std::int64_t* rows, std::int64_t count, View out, bool for_step) const {
  const std::shared_lock lock(settling_);
  if (history_ != nullptr && device_.is_cpu() && for_step && count <= most_remembered) {
    if (const std::unique_lock alone(remembering_, std::try_to_lock); alone.owns_lock()) {
      return read_and_remember(rows, count, out);
    }
  }
  const std::size_t row_bytes = static_cast<std::size_t>(dim_) * item_size(table_.dtype);
  cpu::parallel_chunks(count, block, [&](std::int64_t begin, std::int64_t end) {
    char* const to = out.as<char>() + static_cast<std::size_t>(begin) * row_bytes;
    if (history_ == nullptr) {  // settled by another thread since it was asked
      for (std::int64_t i = begin; i < end; ++i) {
        std::memcpy(to + static_cast<std::size_t>(i - begin) * row_bytes,
                    table_.as<const char>() + static_cast<std::size_t>(rows[i]) * row_bytes, row_bytes);
      }
      return;
    }
    const Idle idle(*this, rows + begin, end - begin);
    SettleRows settle = request(rows + begin, end - begin, idle);
    settle.out.param = part(out, begin * dim_, (end - begin) * dim_);
    launch(device_, settle);
  });
}

void RowClock::bring_up(const std::int64_t* rows, std::int64_t count) {
  cpu::parallel_chunks(count, block, [&](std::int64_t begin, std::int64_t end) {
    const Idle idle(*this, rows + begin, end - begin);
    launch(device_, request(rows + begin, end - begin, idle));
  });
}

void RowClock::settle(const std::int64_t* rows, std::int64_t count) {
  if (history_ == nullptr) return;
  recent_.step = -1;
  bring_up(rows, count);
  const auto now = static_cast<std::uint32_t>(history_->now());
  for (std::int64_t i = 0; i < count; ++i) last_[static_cast<std::size_t>(rows[i])] = now;
}

void RowClock::settle_everything() {
  if (history_ == nullptr) return;
  constexpr std::int64_t rows_at_once = 16384;
  const Scratch<std::int64_t> rows(std::min(rows_at_once, rows_));
  for (std::int64_t begin = 0; begin < rows_; begin += rows_at_once) {
    const std::int64_t n = std::min(rows_at_once, rows_ - begin);
    std::iota(rows.get(), rows.get() + n, begin);
    bring_up(rows.get(), n);
  }
  std::ranges::fill(last_, 0);
  history_.reset();
  recent_ = {};
  cursor_ = 0;
  sweep_began_ = 0;
  pending_.store(false, std::memory_order_release);
}

void RowClock::settle_all() {
  const std::unique_lock lock(settling_);
  settle_everything();
}

void RowClock::skip(std::int64_t row) {
  recent_.step = -1;
  if (history_ != nullptr) last_[static_cast<std::size_t>(row)] = static_cast<std::uint32_t>(history_->now());
}

void RowClock::begin(const StepPlan& plan, const std::array<Tensor, max_slots>& slots, std::int64_t steps_before) {
  constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
  if (history_ != nullptr && (history_->now() == most || !history_->takes(plan))) settle_all();
  // What is remembered has the slots that there were.
  const auto same = [](const Tensor& a, const Tensor& b) { return a.state() == b.state(); };
  if (!std::ranges::equal(slots_, slots, same)) recent_.step = -1;
  slots_ = slots;
  if (history_ == nullptr) history_ = make_history(plan, table_.dtype, steps_before);
}

void RowClock::step(const StepPlan& plan, const std::int64_t* rows, std::int64_t count, const View& grad) {
  const RowCopies copies = recent_copies();
  cpu::parallel_chunks(count, block, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<std::int64_t> settled(end - begin);
    find_recent(rows + begin, end - begin, settled.get());
    const Idle idle(*this, rows + begin, end - begin, settled.get());
    const SettleRows settle = request(rows + begin, end - begin, idle);
    OptimizerStep step = plan.request();
    step.param = settle.param;
    step.grad = part(grad, begin * dim_, (end - begin) * dim_);
    std::ranges::copy(settle.slots, step.slots);
    step.rows = settle.rows;
    step.idle = settle.idle;
    step.settled = settled.get();
    step.copies = copies;
    launch(device_, step);
  });
}

void RowClock::end(const StepPlan& plan, const std::int64_t* rows, std::int64_t count) {
  history_->push(plan);
  const auto now = static_cast<std::uint32_t>(history_->now());
  for (std::int64_t i = 0; i < count; ++i) last_[static_cast<std::size_t>(rows[i])] = now;
  recent_.step = -1;
  pending_.store(true, std::memory_order_release);
  sweep(count);
}

Tensor RowClock::slot_of_row(std::int64_t row, std::size_t slot) const {
  const std::shared_lock lock(settling_);
  // The row and its slots, as a table of one row.
  const auto row_of = [&](const Tensor& all) { return narrow(all, 0, row, 1).clone(); };
  std::array<Tensor, max_slots> slots;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (slots_[s].defined()) slots[s] = row_of(slots_[s]);
  }
  if (history_ != nullptr) {
    const Tensor param = empty({1, dim_}, {table_.dtype, device_});
    const Idle idle(*this, &row, 1);
    SettleRows settle = request(nullptr, 1, idle);
    settle.param = part(param, 0, dim_);
    const std::size_t bytes = static_cast<std::size_t>(dim_) * item_size(table_.dtype);
    std::memcpy(settle.param.data, table_.as<char>() + static_cast<std::size_t>(row) * bytes, bytes);
    for (std::size_t s = 0; s < slots.size(); ++s) {
      if (slots[s].defined()) settle.slots[s] = embergrad::detail::unsettled_view(slots[s]);
    }
    launch(device_, settle);
  }
  return slots[slot].reshape({slots[slot].numel()});
}

void RowClock::sweep(std::int64_t touched) {
  const bool spares = history_->spares_untouched();
  const std::int64_t wanted = spares ? std::max(least_visits, touched / sweep_share) : rows_ / replay_sweep_steps + 1;
  const std::int64_t visits = std::min(rows_, wanted);
  const std::int64_t now = history_->now();
  std::int64_t forgotten = 0;
  swept_.clear();
  for (std::int64_t i = 0; i < visits; ++i) {
    const std::uint32_t last = last_[static_cast<std::size_t>(cursor_)];
    if (last != now && !(spares && last == 0) && !is_frozen(cursor_)) swept_.push_back(cursor_);
    if (++cursor_ < rows_) continue;
    cursor_ = 0;
    forgotten = std::exchange(sweep_began_, now);
  }
  settle(swept_.data(), static_cast<std::int64_t>(swept_.size()));
  // Every row was visited since then.
  if (forgotten > 0) history_->forget_before(forgotten);
}

std::vector<std::int64_t> RowClock::last_steps(std::int64_t steps) const {
  if (history_ == nullptr) return {};
  std::vector<std::int64_t> last(last_.size());
  for (std::size_t i = 0; i < last.size(); ++i) {
    last[i] = steps - gap(static_cast<std::int64_t>(i));
  }
  return last;
}

std::int64_t RowClock::bytes() const {
  std::size_t recent =
      recent_.rows.capacity() * sizeof(std::int64_t) + recent_.param.capacity() + recent_.spans.capacity();
  for (const std::vector<char>& values : recent_.slots) recent += values.capacity();
  return static_cast<std::int64_t>(last_.capacity() * sizeof(std::uint32_t) + recent) +
         (history_ == nullptr ? 0 : history_->bytes());
}

Deferral::Deferral(const Tensor& parameter) : table(parameter.detach()), clock(std::make_shared<RowClock>(parameter)) {
  embergrad::detail::defer_rows(*table.state()->storage, clock);
}

Deferral::~Deferral() {
  embergrad::detail::Storage& storage = *table.state()->storage;
  if (embergrad::detail::deferral_of(storage) != clock) return;
  clock->settle_all();
  embergrad::detail::defer_rows(storage, nullptr);
}

bool Deferral::holds(const Tensor& parameter) const {
  return parameter.shares_storage_with(table) && parameter.shape() == table.shape() &&
         embergrad::detail::deferral_of(*table.state()->storage) == clock;
}

}  // namespace embergrad::optim::detail

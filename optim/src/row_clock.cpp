#include "row_clock.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>
#include <utility>

#include <embergrad/ops.hpp>

#include "cpu/parallel.hpp"
#include "kernels/embedding.hpp"
#include "kernels/memory.hpp"
#include "src/device_memory.hpp"
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
constexpr std::int64_t rows_at_once = std::int64_t{1} << 20;  // on a GPU
constexpr std::int64_t most_remembered = std::int64_t{1}
                                         << 20;  // rows: what is remembered stays until the table is settled

// Scratch that is kept from step to step.
char* room_in(std::vector<char>& values, std::size_t bytes) {
  if (values.size() < bytes) values.resize(bytes);
  return values.data();
}
}  // namespace

template <class Body>
void RowClock::in_pieces(RowNumbers rows, const Body& body) const {
  const auto piece = [&](std::int64_t begin, std::int64_t end) {
    const bool listed = rows.list != nullptr;
    body(RowNumbers{listed ? rows.list + begin : nullptr, end - begin, rows.first + begin}, begin);
  };
  if (device_.is_cpu()) return cpu::parallel_chunks(rows.count, block, piece);
  for (std::int64_t begin = 0; begin < rows.count; begin += rows_at_once) {
    piece(begin, std::min(rows.count, begin + rows_at_once));
  }
}

class RowClock::Idle {
 public:
  // Rows that `settled` has a place for are remembered, with their spans. `room`: for two numbers of each row, where
  // the table is; taken from elsewhere if null.
  Idle(const RowClock& clock, RowNumbers rows, bool spares_untouched = false, const std::int64_t* settled = nullptr,
       std::int64_t* room = nullptr)
      : time_(clock.idle_time()),
        span_bytes_(static_cast<std::size_t>(time_.span_size) * item_size(clock.table_.dtype)),
        all_spans_are_there_(!clock.device_.is_cpu() && span_bytes_ > 0),
        own_room_(clock.device_, room != nullptr        ? 0
                                 : all_spans_are_there_ ? 2 * rows.count
                                                        : rows.count),
        gaps_(room != nullptr ? room : own_room_.get()),
        spans_(clock.device_, clock.device_.is_cpu() ? static_cast<std::int64_t>(span_bytes_) * rows.count : 0) {
    time_.gaps = gaps_;
    if (all_spans_are_there_) time_.span_of = gaps_ + rows.count;
    launch(clock.device_, FindGaps{.last = clock.last(),
                                   .now = clock.history_->now(),
                                   .rows = rows,
                                   .frozen = embergrad::detail::frozen_rows_for_kernels(*clock.storage_),
                                   .spares_untouched = spares_untouched,
                                   .gaps = gaps_,
                                   .span_of = all_spans_are_there_ ? gaps_ + rows.count : nullptr,
                                   .oldest = clock.oldest_});
    if (!clock.device_.is_cpu() || span_bytes_ == 0) return;
    time_.spans = spans_.get();
    if (settled != nullptr) hide_settled(rows.count, settled);
    clock.history_->fill_spans(gaps_, rows.count, spans_.get(), clock.table_.dtype);
    if (settled == nullptr) return;
    hide_settled(rows.count, settled);
    for (std::int64_t i = 0; i < rows.count; ++i) {
      if (settled[i] < 0) continue;
      const char* span = clock.recent_.spans.data() + static_cast<std::size_t>(settled[i]) * span_bytes_;
      std::memcpy(spans_.get() + static_cast<std::size_t>(i) * span_bytes_, span, span_bytes_);
    }
  }
  [[nodiscard]] const IdleTime& time() const { return time_; }

 private:
  // From whoever fills spans; or shows them again.
  void hide_settled(std::int64_t count, const std::int64_t* settled) const {
    for (std::int64_t i = 0; i < count; ++i) {
      if (settled[i] >= 0) gaps_[i] = -gaps_[i];
    }
  }

  IdleTime time_;
  std::size_t span_bytes_;
  bool all_spans_are_there_;  // on a GPU
  embergrad::detail::ScratchOn<std::int64_t> own_room_;
  std::int64_t* gaps_;  // and, behind them, where spans stand
  embergrad::detail::ScratchOn<char> spans_;
};

RowClock::RowClock(const Tensor& table)
    : storage_(table.state()->storage.get()),
      table_(embergrad::detail::unsettled_view(table)),
      device_(table.device()),
      rows_(table.size(0)),
      dim_(table.size(1)),
      last_(zeros({rows_}, {DType::int32, device_})) {}

std::uint32_t* RowClock::last() const { return embergrad::detail::unsettled_view(last_).as<std::uint32_t>(); }

IdleTime RowClock::idle_time() const {
  IdleTime time = history_->idle();
  if (device_.is_cpu()) return time;
  const std::scoped_lock lock(uploading_);
  if (step_there_ != history_->now()) upload_time(time);
  const View there = embergrad::detail::unsettled_view(time_there_);
  if (time.span_size > 0) {
    time.spans = there.data;
  } else {
    time.replay_end = reinterpret_cast<const ReplayStep*>(there.data) + count_there(history_->now());
  }
  return time;
}

// Of what any row may need at a step of the history, since nobody here knows which rows there are: spans, or steps.
std::int64_t RowClock::count_there(std::int64_t now) const {
  if (history_->idle().span_size > 0) return now - oldest_ + 1;
  return oldest_ == 1 ? now : now - oldest_;
}

std::size_t RowClock::bytes_there(std::int64_t now) const {
  const auto span_size = static_cast<std::size_t>(history_->idle().span_size);
  const std::size_t each = span_size > 0 ? span_size * item_size(table_.dtype) : sizeof(ReplayStep);
  return static_cast<std::size_t>(count_there(now)) * each;
}

void RowClock::make_room_there(std::int64_t now) const {
  const auto words = static_cast<std::int64_t>((bytes_there(now) + sizeof(double) - 1) / sizeof(double));
  const std::int64_t present = time_there_.defined() ? time_there_.numel() : -1;
  if (words <= present) return;
  time_there_ = empty({std::max(words, 2 * present)}, {DType::float64, device_});  // bytes, rather
  step_there_ = -1;
}

void RowClock::upload_time(const IdleTime& time) const {
  const std::int64_t now = history_->now();
  make_room_there(now);
  const std::int64_t count = count_there(now);
  const std::size_t bytes = bytes_there(now);
  const Scratch<char> made(time.span_size > 0 ? static_cast<std::int64_t>(bytes) : 0);
  const void* all = made.get();
  if (time.span_size > 0) {
    cpu::parallel_chunks(count, block, [&](std::int64_t begin, std::int64_t end) {
      std::int64_t gaps[block];
      for (std::int64_t i = begin; i < end; ++i) gaps[i - begin] = i == 0 ? now : now - (oldest_ + i - 1);
      char* const spans = made.get() + static_cast<std::size_t>(begin) * (bytes / static_cast<std::size_t>(count));
      history_->fill_spans(gaps, end - begin, spans, table_.dtype);
    });
  } else {
    all = time.replay_end - count;
  }
  void* const there = embergrad::detail::unsettled_view(time_there_).data;
  embergrad::detail::copy_bytes(device_, there, Device::cpu(), all, bytes);
  step_there_ = now;
}

SettleRows RowClock::request(RowNumbers rows, const Idle& idle) const {
  const auto those = [&](const View& all) {
    const std::int64_t width = all.size / rows_;
    return rows.list != nullptr ? all : part(all, rows.first * width, rows.count * width);
  };
  SettleRows request{.param = those(table_),
                     .slots = {},
                     .rows = {.rows = rows.list, .count = rows.count, .dim = dim_},
                     .idle = idle.time(),
                     .out = {}};
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    if (slots_[s].defined()) request.slots[s] = those(embergrad::detail::unsettled_view(slots_[s]));
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
  in_pieces({.list = rows, .count = count}, [&](RowNumbers some, std::int64_t begin) {
    const Idle idle(*this, some);
    SettleRows settle = request(some, idle);
    const auto rows_of = [&](const View& all) {
      const std::int64_t width = all.size / count;
      return part(all, begin * width, some.count * width);
    };
    settle.out.param = rows_of(copies.param);
    std::ranges::transform(copies.slots, settle.out.slots, rows_of);
    launch(device_, settle);
    const View to = part(out, begin * dim_, some.count * dim_);
    std::memcpy(to.data, settle.out.param.data, static_cast<std::size_t>(to.size) * item_size(to.dtype));
    if (span_bytes > 0) {
      std::memcpy(spans + static_cast<std::size_t>(begin) * span_bytes, idle.time().spans,
                  static_cast<std::size_t>(some.count) * span_bytes);
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

void RowClock::read(RowNumbers rows, View out, bool for_step) const {
  const std::shared_lock lock(settling_);
  if (history_ == nullptr) {  // settled by another thread since it was asked
    const View index{const_cast<std::int64_t*>(rows.list), DType::int64, rows.count};
    if (rows.list != nullptr)
      return launch(device_, GatherRows{.table = table_, .index = index, .out = out, .dim = dim_});
    return launch(device_, Convert{.in = part(table_, rows.first * dim_, rows.count * dim_), .out = out});
  }
  if (device_.is_cpu() && for_step && rows.list != nullptr && rows.count <= most_remembered) {
    if (const std::unique_lock alone(remembering_, std::try_to_lock); alone.owns_lock()) {
      return read_and_remember(rows.list, rows.count, out);
    }
  }
  in_pieces(rows, [&](RowNumbers some, std::int64_t begin) {
    const Idle idle(*this, some);
    SettleRows settle = request(some, idle);
    settle.out.param = part(out, begin * dim_, some.count * dim_);
    launch(device_, settle);
  });
}

void RowClock::bring_up(RowNumbers rows, bool spares_untouched, std::int64_t* room) {
  const auto now = static_cast<std::uint32_t>(history_->now());
  recent_.step = -1;
  in_pieces(rows, [&](RowNumbers some, std::int64_t /*begin*/) {
    const Idle idle(*this, some, spares_untouched, nullptr, room);
    launch(device_, request(some, idle));
    launch(device_, SetLastSteps{.last = last(), .now = now, .rows = some, .gaps = idle.time().gaps});
  });
}

void RowClock::settle(RowNumbers rows) {
  if (pending()) bring_up(rows, false);
}

void RowClock::settle_everything() {
  if (history_ == nullptr) return;
  if (history_->now() > 0) {
    bring_up({.count = rows_}, false);
    launch(device_, SetLastSteps{.last = last(), .now = 0, .rows = {.count = rows_}});
  }
  history_.reset();
  recent_ = {};
  time_there_ = {};
  step_there_ = -1;
  oldest_ = 1;
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
  if (history_ == nullptr) return;
  const auto now = static_cast<std::uint32_t>(history_->now());
  launch(device_, SetLastSteps{.last = last(), .now = now, .rows = {.count = 1, .first = row}});
}

void RowClock::prepare(const StepPlan& plan, std::int64_t steps_before, std::int64_t rows) {
  constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
  if (history_ != nullptr && (history_->now() == most || !history_->takes(plan))) settle_all();
  if (history_ == nullptr) history_ = make_history(plan, table_.dtype, steps_before);
  if (device_.is_cpu()) return;
  make_room_there(history_->now() + 1);
  const std::int64_t numbers = 2 * std::min(std::max(rows, visits(rows)), rows_at_once);
  if (!room_there_.defined() || room_there_.numel() < numbers) {
    room_there_ = empty({numbers}, {DType::int64, device_});
  }
}

std::int64_t* RowClock::room() const {
  return device_.is_cpu() ? nullptr : embergrad::detail::unsettled_view(room_there_).as<std::int64_t>();
}

void RowClock::begin(const StepPlan& plan, const std::array<Tensor, max_slots>& slots, std::int64_t steps_before) {
  // Somebody may have read the table since.
  if (history_ == nullptr) prepare(plan, steps_before, 0);
  // What is remembered has the slots that there were.
  const auto same = [](const Tensor& a, const Tensor& b) { return a.state() == b.state(); };
  if (!std::ranges::equal(slots_, slots, same)) recent_.step = -1;
  slots_ = slots;
}

void RowClock::step(const StepPlan& plan, const std::int64_t* rows, std::int64_t count, const View& grad) {
  const bool remembers = device_.is_cpu();
  const RowCopies copies = remembers ? recent_copies() : RowCopies{};
  const FrozenRows frozen = embergrad::detail::frozen_rows_for_kernels(*storage_);
  in_pieces({.list = rows, .count = count}, [&](RowNumbers some, std::int64_t begin) {
    const Scratch<std::int64_t> settled(remembers ? some.count : 0);
    if (remembers) find_recent(some.list, some.count, settled.get());
    const std::int64_t* const places = remembers ? settled.get() : nullptr;
    const Idle idle(*this, some, false, places, room());
    const SettleRows settle = request(some, idle);
    OptimizerStep step = plan.request();
    step.param = settle.param;
    step.grad = part(grad, begin * dim_, some.count * dim_);
    std::ranges::copy(settle.slots, step.slots);
    step.rows = settle.rows;
    step.rows.frozen = frozen;
    step.idle = settle.idle;
    step.settled = places;
    step.copies = copies;
    launch(device_, step);
  });
}

void RowClock::end(const StepPlan& plan, const std::int64_t* rows, std::int64_t count) {
  history_->push(plan);
  const auto now = static_cast<std::uint32_t>(history_->now());
  launch(device_, SetLastSteps{.last = last(), .now = now, .rows = {.list = rows, .count = count}});
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
  if (pending()) {
    const Tensor param = empty({1, dim_}, {table_.dtype, device_});
    const RowNumbers one{.count = 1, .first = row};
    const Idle idle(*this, one);
    SettleRows settle = request(one, idle);
    launch(device_, Convert{.in = settle.param, .out = part(param, 0, dim_)});
    settle.param = part(param, 0, dim_);
    for (std::size_t s = 0; s < slots.size(); ++s) {
      if (slots[s].defined()) settle.slots[s] = embergrad::detail::unsettled_view(slots[s]);
    }
    launch(device_, settle);
  }
  return slots[slot].reshape({slots[slot].numel()});
}

// How many rows a sweep visits after a step that touched so many.
std::int64_t RowClock::visits(std::int64_t touched) const {
  const std::int64_t wanted =
      history_->spares_untouched() ? std::max(least_visits, touched / sweep_share) : rows_ / replay_sweep_steps + 1;
  return std::min(rows_, wanted);
}

void RowClock::sweep(std::int64_t touched) {
  const bool spares = history_->spares_untouched();
  const std::int64_t now = history_->now();
  std::int64_t forgotten = 0;
  for (std::int64_t left = visits(touched); left > 0;) {
    const std::int64_t some = std::min(left, rows_ - cursor_);
    bring_up({.count = some, .first = cursor_}, spares, room());
    left -= some;
    cursor_ += some;
    if (cursor_ < rows_) continue;
    cursor_ = 0;
    forgotten = std::exchange(sweep_began_, now);
  }
  if (forgotten == 0) return;
  // Every row was visited since then.
  history_->forget_before(forgotten);
  oldest_ = forgotten;
  step_there_ = -1;
}

std::vector<std::int64_t> RowClock::last_steps(std::int64_t steps) const {
  if (!pending()) return {};
  const embergrad::detail::ScratchOn<std::int64_t> there(device_, rows_);
  launch(device_, FindGaps{.last = last(),
                           .now = history_->now(),
                           .rows = {.count = rows_},
                           .frozen = embergrad::detail::frozen_rows_for_kernels(*storage_),
                           .gaps = there.get()});
  std::vector<std::int64_t> all(static_cast<std::size_t>(rows_));
  embergrad::detail::copy_bytes(Device::cpu(), all.data(), device_, there.get(), all.size() * sizeof(std::int64_t));
  for (std::int64_t& number : all) number = steps - number;
  return all;
}

std::int64_t RowClock::bytes() const {
  std::size_t recent =
      recent_.rows.capacity() * sizeof(std::int64_t) + recent_.param.capacity() + recent_.spans.capacity();
  for (const std::vector<char>& values : recent_.slots) recent += values.capacity();
  if (room_there_.defined()) recent += static_cast<std::size_t>(room_there_.numel()) * sizeof(std::int64_t);
  if (time_there_.defined()) recent += static_cast<std::size_t>(time_there_.numel()) * item_size(time_there_.dtype());
  return static_cast<std::int64_t>(static_cast<std::size_t>(rows_) * sizeof(std::uint32_t) + recent) +
         (history_ == nullptr ? 0 : history_->bytes());
}

Deferral::Deferral(const Tensor& parameter) : table(parameter.detach()), clock(std::make_shared<RowClock>(parameter)) {
  embergrad::detail::defer_rows(*table.state()->storage, clock);
}

Deferral::~Deferral() {
  try {
    end();
  } catch (...) {
    // A GPU without memory, or one that is gone: the table keeps the clock, and is settled when it is read.
  }
}

void Deferral::end() const {
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

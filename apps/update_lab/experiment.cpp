#include "experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <common/interrupt.hpp>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <utility>

namespace lab {
namespace {

namespace eg = embergrad;
using eg::Tensor;

constexpr int64_t never = -1;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The value at a share of the way through the sorted values: 0.5 is the median.
template <class Number>
double quantile(std::vector<Number> values, double share) {
  if (values.empty()) return 0;
  const auto last = static_cast<double>(values.size() - 1);
  const auto place = values.begin() + std::lround(share * last);
  std::nth_element(values.begin(), place, values.end());
  return static_cast<double>(*place);
}

/// What happened to the rows of a table so far.
struct Access {
  std::vector<int64_t> lookups;  // of each row
  std::vector<int64_t> last;     // step of the last one
  int64_t step = 0;
  int64_t touched = 0;  // different rows, summed over the steps since the last measured one
  int64_t touched_last = 0;
  int64_t steps = 0;  // of that sum

  explicit Access(int64_t rows)
      : lookups(static_cast<std::size_t>(rows)), last(static_cast<std::size_t>(rows), never) {}

  void add(const std::vector<int64_t>& rows) {
    ++step;
    ++steps;
    touched_last = 0;
    for (const int64_t row : rows) {
      const auto r = static_cast<std::size_t>(row);
      touched_last += last[r] == step ? 0 : 1;
      last[r] = step;
      ++lookups[r];
    }
    touched += touched_last;
  }
  /// Steps since the last lookup; that of a row never looked up is as long as training.
  [[nodiscard]] int64_t gap(std::size_t row) const { return last[row] == never ? step : step - last[row]; }
};

/// One mode's training.
class Run {
 public:
  Run(Updates updates, Lesson& lesson, const Setting& setting)
      : updates_(updates),
        lesson_(lesson),
        learner_(lesson.learner()),
        optimizer_(make_optimizer(learner_->parameters(), setting, updates)),
        scheduler_(make_scheduler(*optimizer_, setting)),
        state_(state_of(setting)) {}

  /// One step on the data that the lesson has ready.
  void step() {
    const double start = now();
    optimizer_->zero_grad();
    const Tensor loss = learner_->loss();
    loss.backward();
    optimizer_->step();
    if (scheduler_) scheduler_->step();
    eg::synchronize(lesson_.device());
    times_.push_back(now() - start);
    losses_ += loss.item() / lesson_.loss_unit();
  }

  [[nodiscard]] Updates updates() const { return updates_; }
  [[nodiscard]] const std::vector<double>& times() const { return times_; }
  /// Settled values, on the host; the table itself stays as it is.
  [[nodiscard]] Tensor table() const {
    const eg::NoGrad guard;
    return learner_->table().clone().to(eg::Device::cpu());
  }
  [[nodiscard]] Evaluation evaluate() const { return learner_->evaluate(); }
  /// Numbers kept for each number of the table.
  [[nodiscard]] double state() const { return state_; }
  [[nodiscard]] int64_t history_bytes() const { return optimizer_->history_bytes(); }
  /// For each row the step it is settled to; empty if no row is ever behind.
  [[nodiscard]] std::vector<int64_t> last_steps() const {
    const std::vector<Tensor> parameters = optimizer_->parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i].shares_storage_with(learner_->table())) return optimizer_->last_steps(i);
    }
    return {};
  }
  /// Time and mean loss of the steps since it was called last.
  struct Stretch {
    double seconds;  // since the beginning
    double step_time;
    double loss;
  };
  Stretch finish_stretch() {
    for (const double time : times_) seconds_ += time;
    const auto count = static_cast<double>(times_.size());
    const Stretch stretch{seconds_, quantile(times_, 0.5), times_.empty() ? 0 : losses_ / count};
    times_.clear();
    losses_ = 0;
    return stretch;
  }

 private:
  Updates updates_;
  Lesson& lesson_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<eg::optim::Optimizer> optimizer_;
  std::unique_ptr<eg::optim::LRScheduler> scheduler_;
  double state_;
  std::vector<double> times_;  // of steps since the last measured one
  double losses_ = 0;
  double seconds_ = 0;
};

double sum_of_squares(const Tensor& table) {
  const float* w = table.data<float>();
  double sum = 0;
  for (int64_t i = 0; i < table.numel(); ++i) sum += static_cast<double>(w[i]) * static_cast<double>(w[i]);
  return sum;
}

using Runs = std::vector<std::unique_ptr<Run>>;

/// A run of each mode, all from the same start.
Runs runs_of(const std::vector<Updates>& updates, Lesson& lesson, const Setting& setting) {
  Runs runs(updates.size());
  std::transform(updates.begin(), updates.end(), runs.begin(),
                 [&](Updates mode) { return std::make_unique<Run>(mode, lesson, setting); });
  return runs;
}

/// Mean and largest difference of some rows' elements.
struct Differences {
  double sum = 0;
  double most = 0;
  int64_t rows = 0;

  void add(double row_sum, double row_most) {
    sum += row_sum;
    most = std::isnan(row_sum) ? row_sum : std::max(most, row_most);
    ++rows;
  }
  [[nodiscard]] double mean(int64_t dim) const { return sum / static_cast<double>(rows * dim); }
};

/// Writes records of one run at one step.
class Writer {
 public:
  Writer(std::vector<Record>& records, const Setting& setting, Updates updates, uint64_t seed, int64_t step)
      : records_(records), record_{setting, updates, seed, step} {}

  void operator()(const char* quantity, double value, const char* unit, std::string bin = {}) {
    record_.quantity = quantity;
    record_.value = std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;  // without a sign
    record_.unit = unit;
    record_.bin = std::move(bin);
    records_.push_back(record_);
  }

 private:
  std::vector<Record>& records_;
  Record record_;
};

void write_distance(Writer& write, const Tensor& table, const Tensor& dense, const Access& access) {
  const int64_t dim = table.size(1);
  const double rms = std::sqrt(sum_of_squares(dense) / static_cast<double>(dense.numel()));
  Differences all;
  std::array<Differences, bin_count> by_lookups;
  std::array<Differences, bin_count> by_gap;
  const float* a = table.data<float>();
  const float* b = dense.data<float>();
  for (std::size_t row = 0; row < access.lookups.size(); ++row) {
    double sum = 0;
    double most = 0;
    for (int64_t i = 0; i < dim; ++i, ++a, ++b) {
      const double difference = std::abs(static_cast<double>(*a) - static_cast<double>(*b)) / rms;
      sum += difference;
      most = std::max(most, difference);
    }
    all.add(sum, most);
    by_lookups[bin_of(access.lookups[row])].add(sum, most);
    by_gap[bin_of(access.gap(row))].add(sum, most);
  }
  write(distance_mean, all.mean(dim), "RMS");
  write(distance_max, all.most, "RMS");
  for (std::size_t i = 0; i < bin_count; ++i) {
    if (by_lookups[i].rows > 0) write(distance_by_lookups, by_lookups[i].mean(dim), "RMS", bin_name(i));
    if (by_gap[i].rows > 0) write(distance_by_gap, by_gap[i].mean(dim), "RMS", bin_name(i));
  }
}

void write_bins(Writer& write, const Access& access) {
  std::array<int64_t, bin_count> by_lookups{};
  std::array<int64_t, bin_count> by_gap{};
  for (std::size_t row = 0; row < access.lookups.size(); ++row) {
    ++by_lookups[bin_of(access.lookups[row])];
    ++by_gap[bin_of(access.gap(row))];
  }
  for (std::size_t i = 0; i < bin_count; ++i) {
    if (by_lookups[i] > 0) write(rows_by_lookups, static_cast<double>(by_lookups[i]), "rows", bin_name(i));
    if (by_gap[i] > 0) write(rows_by_gap, static_cast<double>(by_gap[i]), "rows", bin_name(i));
  }
}

/// The state of the embedding at the end.
void write_health(Writer& write, const Run& run, const Tensor& table, const Access& access) {
  std::vector<double> norms;
  std::vector<double> dead_norms;
  std::vector<int64_t> gaps;
  double not_finite = 0;
  double dead = 0;
  const int64_t dim = table.size(1);
  const float* w = table.data<float>();
  for (std::size_t row = 0; row < access.lookups.size(); ++row) {
    double square = 0;
    for (int64_t i = 0; i < dim; ++i, ++w) square += static_cast<double>(*w) * static_cast<double>(*w);
    const double norm = std::sqrt(square);
    const bool is_dead = access.lookups[row] == 0;
    gaps.push_back(access.gap(row));
    dead += is_dead ? 1 : 0;
    if (!std::isfinite(norm)) {
      ++not_finite;
      continue;
    }
    norms.push_back(norm);
    if (is_dead) dead_norms.push_back(norm);
  }
  const auto rows = static_cast<double>(access.lookups.size());
  const double zero = static_cast<double>(std::count(norms.begin(), norms.end(), 0.0));
  write(health, rows, "rows", "rows");
  write(health, dead, "rows", "dead rows (never looked up)");
  write(health, quantile(access.lookups, 0.5), "lookups", "lookups of a row, median");
  write(health, quantile(access.lookups, 0.9), "lookups", "lookups of a row, 90th percentile");
  write(health, quantile(access.lookups, 1), "lookups", "lookups of a row, most");
  write(health, quantile(gaps, 0.5), "steps", "steps since the last lookup, median");
  write(health, quantile(gaps, 0.9), "steps", "steps since the last lookup, 90th percentile");
  write(health, quantile(gaps, 1), "steps", "steps since the last lookup, most");
  std::vector<int64_t> behind = run.last_steps();
  const int64_t settled_to = behind.empty() ? 0 : *std::max_element(behind.begin(), behind.end());
  for (int64_t& step : behind) step = settled_to - step;
  write(health, quantile(behind, 0.5), "steps", "steps not yet settled, median");
  write(health, quantile(behind, 1), "steps", "steps not yet settled, most");
  write(health, quantile(norms, 0), "", "norm of a row, least");
  write(health, quantile(norms, 0.5), "", "norm of a row, median");
  write(health, quantile(norms, 1), "", "norm of a row, most");
  write(health, quantile(dead_norms, 0.5), "", "norm of a dead row, median");
  write(health, zero, "rows", "rows of zeros");
  write(health, not_finite, "rows", "rows that are not finite");
}

/// What a run is at one step.
void measure(std::vector<Record>& records, const Setting& setting, uint64_t seed, Run& run, const Access& access,
             const Tensor* dense) {
  Writer write(records, setting, run.updates(), seed, access.step);
  const Run::Stretch stretch = run.finish_stretch();
  if (access.step > 0) write(train_loss, stretch.loss, "");
  const Evaluation evaluation = run.evaluate();
  write(loss, evaluation.loss, "");
  if (evaluation.accuracy) write(accuracy, *evaluation.accuracy, "");
  write(seconds, stretch.seconds, "s");
  if (access.step > 0) {
    const std::vector<int64_t> settled = run.last_steps();
    auto written = static_cast<double>(run.updates() == Updates::dense ? setting.rows : access.touched_last);
    if (!settled.empty()) {
      const int64_t last = *std::max_element(settled.begin(), settled.end());
      written = static_cast<double>(std::count(settled.begin(), settled.end(), last));
    }
    const double state = run.state();
    const auto row_bytes = static_cast<double>(setting.dim) * sizeof(float);
    write(step_time, stretch.step_time, "s");
    write(rows_touched, static_cast<double>(access.touched) / static_cast<double>(access.steps), "rows");
    write(rows_written, written, "rows");
    // Each row that changes is read and written with its state; the gradient's rows are read.
    const auto touched = static_cast<double>(access.touched_last);
    write(step_bytes, row_bytes * (2 * (1 + state) * written + touched), "B");
    write(state_bytes, row_bytes * state * static_cast<double>(setting.rows), "B");
    write(history_bytes, static_cast<double>(run.history_bytes()), "B");
    write_bins(write, access);
  }
  const bool is_compared = dense != nullptr && run.updates() != Updates::dense;
  const bool is_last = access.step == setting.steps;
  if (!is_compared && !is_last) return;
  const Tensor table = run.table();
  if (is_compared) write_distance(write, table, *dense, access);
  if (is_last) write_health(write, run, table, access);
}

}  // namespace

std::vector<Updates> modes_of(const Setting& setting, const std::vector<Updates>& updates) {
  std::vector<Updates> modes = updates;
  if (kind_of(setting.optimizer).touched_only) {
    std::erase_if(modes, [](Updates mode) { return mode != Updates::touched_only; });
  }
  return modes;
}

void compare_modes(const Setting& setting, const std::vector<Updates>& updates, uint64_t seed,
                   const MakeLesson& make_lesson, const StepDone& done, std::vector<Record>& records) {
  const std::unique_ptr<Lesson> lesson = make_lesson(setting, seed);
  const Runs runs = runs_of(updates, *lesson, setting);
  const auto dense =
      std::find_if(runs.begin(), runs.end(), [](const auto& run) { return run->updates() == Updates::dense; });
  Access access(setting.rows);
  int64_t last = 0;
  for (int64_t i = 0; i <= measurements; ++i) {
    const int64_t point = setting.steps * i / measurements;
    if (i > 0 && point == last) continue;
    for (const auto& run : runs) {
      for (int64_t step = last + 1; step <= point; ++step) {
        if (common::interrupted() != 0) return;
        lesson->go_to(step);
        run->step();
        if (run == runs.front()) access.add(lesson->lookups());
        if (done) done();
      }
    }
    last = point;
    const std::optional<Tensor> reference = dense == runs.end() ? std::nullopt : std::optional((*dense)->table());
    for (const auto& run : runs) {
      measure(records, setting, seed, *run, access, reference ? &*reference : nullptr);
    }
    access.touched = 0;
    access.steps = 0;
  }
}

// --- sweeps

namespace {

/// Median time of a step of each mode. The steps come again and again: making new ones would take longer than they do.
std::vector<double> step_times(const Setting& setting, const std::vector<Updates>& updates, uint64_t seed,
                               const MakeLesson& make_lesson) {
  constexpr double seconds_each = 0.12;
  constexpr int64_t rounds = 4;
  constexpr int64_t least = 3;  // steps of a round
  const std::unique_ptr<Lesson> lesson = make_lesson(setting, seed);
  const Runs runs = runs_of(updates, *lesson, setting);
  std::vector<std::vector<double>> times(updates.size());
  std::vector<int64_t> steps(updates.size());
  const int64_t pool = std::min<int64_t>(lesson->kept(), 32);
  for (int64_t round = 0; round <= rounds; ++round) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      double spent = 0;
      for (int64_t k = 0; k < least || (spent < seconds_each / rounds && k < pool); ++k) {
        if (common::interrupted() != 0) return {};
        lesson->go_to(steps[i]++ % pool + 1);
        runs[i]->step();
        const double time = runs[i]->times().back();
        spent += time;
        if (round > 0) times[i].push_back(time);  // the first round warms up
      }
    }
  }
  std::vector<double> medians(times.size());
  std::transform(times.begin(), times.end(), medians.begin(), [](const auto& each) { return quantile(each, 0.5); });
  return medians;
}

}  // namespace

void sweep(const Setting& setting, const std::vector<Updates>& updates, int64_t touched, uint64_t seed,
           const MakeLesson& make_lesson, std::vector<Record>& records) {
  constexpr int64_t most_numbers = int64_t{1} << 24;  // of a table
  Setting tried = setting;
  tried.task = Task::regression;
  tried.trace = zipf_trace;
  tried.schedule = Schedule::constant;
  tried.batch = 0;
  tried.steps = 0;
  const auto time = [&](const char* quantity) {
    const std::vector<double> times = step_times(tried, updates, seed, make_lesson);
    for (std::size_t i = 0; i < times.size(); ++i) {
      Writer(records, tried, updates[i], seed, 0)(quantity, times[i], "s");
    }
  };
  for (int64_t rows = touched; rows < 8 * setting.rows && rows <= most_numbers / setting.dim; rows *= 4) {
    tried.rows = rows;
    tried.touched = static_cast<double>(touched) / static_cast<double>(rows);
    time(sweep_rows);
  }
  tried.rows = std::min(setting.rows, most_numbers / setting.dim);
  for (const double share : {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0}) {
    if (share * static_cast<double>(tried.rows) < 1) continue;
    tried.touched = share;
    time(sweep_touched);
  }
}

}  // namespace lab

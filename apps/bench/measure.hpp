/// @file
/// How time is taken: the one place that looks at a clock.
#pragma once

#include <cstdint>
#include <embergrad/embergrad.hpp>
#include <functional>
#include <nlohmann/json.hpp>

namespace embergrad::bench {

/// How to measure one workload.
struct MeasureOptions {
  int64_t repeat = 7;             ///< groups of steps; the figures are the median and the ends of their times
  double units = 1;               ///< things in one step: times are given per thing
  double warm_up_seconds = 1;     ///< beside at least two steps
  double group_seconds = 0.15;    ///< a group has as many steps as last that long
  Device device = {};             ///< that the clock waits for before and after a group
  std::function<double()> check;  ///< a number read out of results or parameters, so that no work can go unnoticed
};

/// What steps gave, as a number that shows their work. On the CPU the first element of each result is added up at once;
/// a GPU is not waited for: there the last result is kept, and read when somebody asks.
class Shown {
 public:
  /// @param result  float32
  void operator()(const Tensor& result);
  [[nodiscard]] double value() const;

 private:
  double sum_ = 0;
  Tensor last_;
};

/// Runs `step` again and again and tells how long it takes. The fields and what they mean are those of the peers'
/// script: median, min, max (seconds per thing), n (steps in a group), groups, warm (steps before), cpu_per_wall
/// (processor seconds of this process per second), foreign (processors' worth of other processes' work), lin (time of
/// 2n steps per time of n, about 2), checksum (what `check` gave at the end), changed (whether it gave something else
/// at the start). Beside them, allocations: blocks that the library asked of the system while the groups ran. Throws
/// embergrad::Error if `check` gives no finite number.
[[nodiscard]] nlohmann::ordered_json measure(const MeasureOptions& options, const std::function<void()>& step);

/// What another framework needs to train the same, and to see whether it does: the weights before the first step
/// (`model.NAME`) and after the last (`after.NAME`), and the losses between (`losses`, one of each step).
/// @param step  trains once; its loss
[[nodiscard]] StateDict trajectory(nn::Module& model, int64_t steps, const std::function<Tensor(int64_t)>& step);

/// Memory of this process in MiB, now and at most so far; NaN where the system doesn't tell.
[[nodiscard]] double resident_mib();
[[nodiscard]] double peak_resident_mib();

}  // namespace embergrad::bench

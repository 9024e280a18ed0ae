#include "measure.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <ctime>
#include <embergrad/error.hpp>
#include <embergrad/memory.hpp>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace embergrad::bench {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Processor seconds that the whole machine has been busy, stolen time included.
double machine_busy_seconds() {
  std::ifstream stat("/proc/stat");
  std::string name;
  std::array<double, 8> ticks{};  // user nice system idle iowait irq softirq steal
  stat >> name;
  for (double& each : ticks) stat >> each;
  if (!stat) return unknown;
  double busy = 0;
  for (const double each : ticks) busy += each;
  return (busy - ticks[3] - ticks[4]) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double run(int64_t steps, const std::function<void()>& step, Device device) {
  synchronize(device);
  const double start = wall_seconds();
  for (int64_t i = 0; i < steps; ++i) step();
  synchronize(device);
  return wall_seconds() - start;
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double status_mib(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string name; status >> name;) {
    double kib = unknown;
    if (name == field + ":" && status >> kib) return kib / 1024;
  }
  return unknown;
}

}  // namespace

void Shown::operator()(const Tensor& result) {
  if (result.device().is_cpu()) {
    sum_ += static_cast<double>(result.data<float>()[0]);
  } else {
    last_ = result.detach();
  }
}

double Shown::value() const {
  if (!last_.defined()) return sum_;
  return last_.reshape({last_.numel()}).at({0});
}

nlohmann::ordered_json measure(const MeasureOptions& options, const std::function<void()>& step) {
  const double checksum_before = options.check();

  const double start = wall_seconds();
  int64_t warm = 0;
  while (warm < 2 || wall_seconds() - start < options.warm_up_seconds) {
    step();
    synchronize(options.device);
    ++warm;
  }
  const double estimate = (wall_seconds() - start) / static_cast<double>(warm);
  const auto n = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(options.group_seconds / estimate)));

  const int64_t allocations = memory_stats().system_allocations;
  const double busy_before = machine_busy_seconds();
  const double cpu_before = cpu_seconds();
  const double wall_before = wall_seconds();
  std::vector<double> times;
  for (int64_t group = 0; group < options.repeat; ++group)
    times.push_back(run(n, step, options.device) / static_cast<double>(n));
  const double wall = wall_seconds() - wall_before;
  const double cpu = cpu_seconds() - cpu_before;
  const double foreign = std::max(0.0, machine_busy_seconds() - busy_before - cpu) / wall;
  const int64_t allocated = memory_stats().system_allocations - allocations;

  const double linearity = run(2 * n, step, options.device) / (median_of(times) * static_cast<double>(n));
  const double checksum = options.check();
  if (!std::isfinite(checksum)) throw Error("the checksum is not finite");

  for (double& time : times) time /= options.units;
  const auto [least, most] = std::minmax_element(times.begin(), times.end());
  return {{"median", median_of(times)},
          {"min", *least},
          {"max", *most},
          {"n", n},
          {"groups", options.repeat},
          {"warm", warm},
          {"cpu_per_wall", cpu / wall},
          {"foreign", foreign},
          {"lin", linearity},
          {"checksum", checksum},
          {"allocations", allocated},
          {"changed", checksum != checksum_before}};
}

StateDict trajectory(nn::Module& model, int64_t steps, const std::function<Tensor(int64_t)>& step) {
  StateDict found;
  const auto keep = [&](const std::string& when) {
    for (const auto& [name, parameter] : model.state_dict()) found.set(when + name, parameter.detach().clone());
  };
  keep("model.");
  std::vector<float> losses;
  for (int64_t i = 0; i < steps; ++i) losses.push_back(step(i).item<float>());
  found.set("losses", tensor(losses));
  keep("after.");
  return found;
}

double resident_mib() { return status_mib("VmRSS"); }
double peak_resident_mib() { return status_mib("VmHWM"); }

}  // namespace embergrad::bench

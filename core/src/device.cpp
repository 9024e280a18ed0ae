#include <embergrad/device.hpp>
#include <embergrad/error.hpp>

#include <cxxabi.h>
#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <memory>

#include "kernels/device.hpp"
#include "src/device_memory.hpp"
#include "src/index_watch.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace embergrad {

std::string Device::to_string() const { return is_cpu() ? "cpu" : fmt::format("cuda:{}", index_); }

bool cuda_is_available() noexcept {
  if constexpr (built_with_cuda) {
    return cuda::missing(OnCuda{0}).empty();
  } else {
    return false;
  }
}

void synchronize(Device device) {
  detail::require_device("synchronize", device);
  if constexpr (built_with_cuda) {
    if (device.is_cuda()) {
      cuda::synchronize(OnCuda{device.index()});
      detail::report_watched_indices(device);
    }
  }
}

void throw_cannot_run(Device device, const std::type_info& request) {
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(request.name(), nullptr, nullptr, nullptr),
                                                         &std::free);
  throw DeviceError(fmt::format("{}: there is no CUDA kernel for {}", device.to_string(),
                                name != nullptr ? name.get() : request.name()));
}

namespace {
std::atomic<int>& threads_setting() {
#ifdef _OPENMP
  static std::atomic<int> threads{omp_get_max_threads()};
#else
  static std::atomic<int> threads{1};
#endif
  return threads;
}
}  // namespace

int num_threads() { return threads_setting().load(std::memory_order_relaxed); }

void set_num_threads(int threads) {
  if (threads < 1) throw ValueError(fmt::format("set_num_threads: threads must be at least 1, but is {}", threads));
#ifdef _OPENMP
  threads_setting().store(threads, std::memory_order_relaxed);
#endif
}

}  // namespace embergrad

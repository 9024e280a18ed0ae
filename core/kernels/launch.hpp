// Which device runs a request. The one place that knows whether this build has CUDA.
#pragma once

#include <embergrad/device.hpp>

namespace embergrad {

struct OnCpu {};
struct OnCuda {};

#ifdef EMBERGRAD_WITH_CUDA
inline constexpr bool built_with_cuda = true;
#else
inline constexpr bool built_with_cuda = false;
#endif

// Runs a kernel's contract on a device. Tensors can only be on a device that is there, so nothing else is possible.
template <class Request>
void launch(Device device, const Request& request) {
  if constexpr (built_with_cuda) {
    if (device.is_cuda()) return run(OnCuda{}, request);
  }
  run(OnCpu{}, request);
}

}  // namespace embergrad

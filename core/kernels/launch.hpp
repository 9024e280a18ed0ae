// Which device runs a request. The one place that knows whether this build has CUDA.
#pragma once

#include <typeinfo>

#include <embergrad/device.hpp>

namespace embergrad {

struct OnCpu {};
struct OnCuda {
  int index = 0;  // of the GPU
};

#ifdef EMBERGRAD_WITH_CUDA
inline constexpr bool built_with_cuda = true;
#else
inline constexpr bool built_with_cuda = false;
#endif

// A contract has a CUDA side where its header declares one.
template <class Request>
concept HasCudaSide = requires(OnCuda on, const Request& request) {
  run(on, request);
};

// DeviceError: this build, or this contract, has no CUDA.
[[noreturn]] void throw_cannot_run(Device device, const std::type_info& request);

// Runs a kernel's contract on a device.
template <class Request>
void launch(Device device, const Request& request) {
  if (device.is_cpu()) return run(OnCpu{}, request);
  if constexpr (built_with_cuda && HasCudaSide<Request>) {
    run(OnCuda{device.index()}, request);
  } else {
    throw_cannot_run(device, typeid(Request));
  }
}

}  // namespace embergrad

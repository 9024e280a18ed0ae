#include "src/device_memory.hpp"

#include <embergrad/error.hpp>

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "kernels/device.hpp"
#include "src/memory_pool.hpp"

namespace embergrad::detail {
namespace {

// Empty if the device can be used.
std::string missing(Device device) {
  if (device.is_cpu()) return {};
  if constexpr (built_with_cuda) {
    return cuda::missing(OnCuda{device.index()});
  } else {
    return "this build has no CUDA (EMBERGRAD_CUDA=OFF)";
  }
}

}  // namespace

void require_device(const char* op, Device device) {
  const std::string reason = missing(device);
  if (!reason.empty()) throw DeviceError(fmt::format("{}: {} is not available: {}", op, device.to_string(), reason));
}

void* allocate_on(Device device, std::size_t bytes) {
  if constexpr (built_with_cuda) {
    if (device.is_cuda()) return cuda::allocate(OnCuda{device.index()}, bytes);
  }
  return pool_allocate(bytes);
}

void free_on(Device device, void* block, std::size_t bytes) noexcept {
  if constexpr (built_with_cuda) {
    if (device.is_cuda()) return cuda::release(OnCuda{device.index()}, block);
  }
  pool_free(block, bytes);
}

void copy_bytes(Device to_device, void* to, Device from_device, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  if constexpr (built_with_cuda) {
    const OnCuda to_gpu{to_device.index()};
    const OnCuda from_gpu{from_device.index()};
    if (to_device.is_cuda() && from_device.is_cuda()) return cuda::copy_between(to_gpu, to, from_gpu, from, bytes);
    if (to_device.is_cuda()) return cuda::copy_from_host(to_gpu, to, from, bytes);
    if (from_device.is_cuda()) return cuda::copy_to_host(from_gpu, to, from, bytes);
  }
  std::memcpy(to, from, bytes);
}

}  // namespace embergrad::detail

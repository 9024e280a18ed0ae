// Memory of any device, and copies between devices.
#pragma once

#include <embergrad/device.hpp>

#include <cstddef>

namespace embergrad::detail {

// DeviceError, beginning with `op`, that says what is missing for this device to be used.
void require_device(const char* op, Device device);

[[nodiscard]] void* allocate_on(Device device, std::size_t bytes);
void free_on(Device device, void* block, std::size_t bytes) noexcept;

// Returns when `to` can be read on the host or in the order of its device.
void copy_bytes(Device to_device, void* to, Device from_device, const void* from, std::size_t bytes);

}  // namespace embergrad::detail

// Memory of any device, and copies between devices.
#pragma once

#include <embergrad/device.hpp>

#include <cstddef>
#include <cstdint>

namespace embergrad::detail {

// DeviceError, beginning with `op`, that says what is missing for this device to be used.
void require_device(const char* op, Device device);

[[nodiscard]] void* allocate_on(Device device, std::size_t bytes);
void free_on(Device device, void* block, std::size_t bytes) noexcept;

// Returns when `to` can be read on the host or in the order of its device.
void copy_bytes(Device to_device, void* to, Device from_device, const void* from, std::size_t bytes);

// Memory of a device for the kernels that are launched while this lives: it is freed behind them.
template <class T>
class ScratchOn {
 public:
  ScratchOn(Device device, std::int64_t count)
      : device_(device),
        bytes_(static_cast<std::size_t>(count) * sizeof(T)),
        data_(static_cast<T*>(allocate_on(device, bytes_))) {}
  ~ScratchOn() { free_on(device_, data_, bytes_); }
  ScratchOn(const ScratchOn&) = delete;
  ScratchOn& operator=(const ScratchOn&) = delete;
  ScratchOn(ScratchOn&&) = delete;
  ScratchOn& operator=(ScratchOn&&) = delete;
  [[nodiscard]] T* get() const { return data_; }

 private:
  Device device_;
  std::size_t bytes_;
  T* data_;
};

}  // namespace embergrad::detail

/// @file
/// Where a tensor lives.
#pragma once

#include <cstdint>
#include <string>

namespace embergrad {

/// A processor that holds tensors and runs ops.
class Device {
 public:
  /// Kinds of processor.
  enum class Kind : std::uint8_t { cpu, cuda };

  constexpr Device() = default;
  /// The host.
  [[nodiscard]] static constexpr Device cpu() { return {}; }
  /// GPU number `index`. Naming it needs no GPU; putting a tensor there does (DeviceError).
  [[nodiscard]] static constexpr Device cuda(int index = 0) { return Device(Kind::cuda, index); }

  /// What kind of processor it is.
  [[nodiscard]] constexpr Kind kind() const { return kind_; }
  /// Which of its kind; 0 for the host.
  [[nodiscard]] constexpr int index() const { return index_; }
  /// True for the host.
  [[nodiscard]] constexpr bool is_cpu() const { return kind_ == Kind::cpu; }
  /// True for a GPU.
  [[nodiscard]] constexpr bool is_cuda() const { return kind_ == Kind::cuda; }
  /// "cpu" or "cuda:0".
  [[nodiscard]] std::string to_string() const;

  friend constexpr bool operator==(Device, Device) = default;

 private:
  constexpr Device(Kind kind, int index) : kind_(kind), index_(index) {}
  Kind kind_ = Kind::cpu;
  int index_ = 0;
};

/// True if this build has CUDA and GPU 0 can be used. Never throws and prints nothing; any thread may ask. What is
/// missing is told by the DeviceError of `to(Device::cuda())`.
[[nodiscard]] bool cuda_is_available() noexcept;

/// Waits until a GPU has done all that was asked of it (`torch.cuda.synchronize`): what timing needs. The host does
/// nothing later, so for it this returns at once. DeviceError if the device is not there, with what is missing, or if
/// work on it failed; IndexError for bad indices that an op met there.
void synchronize(Device device);

/// Threads that ops of this process may use; at first what OpenMP would take (OMP_NUM_THREADS or all processors).
[[nodiscard]] int num_threads();

/// Sets the number of threads for ops called from any thread. Results don't depend on it. ValueError below 1.
void set_num_threads(int threads);

}  // namespace embergrad

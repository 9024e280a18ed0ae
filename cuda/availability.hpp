// What keeps a GPU from being used, in words.
#pragma once

#include <fmt/format.h>

#include <string>

namespace embergrad::cuda {

// What the CUDA runtime found. Versions as 1000 * major + 10 * minor.
struct Found {
  bool driver_library = false;  // libcuda.so.1 could be loaded
  int driver_version = 0;       // the newest CUDA that the driver supports; 0 if unknown
  int runtime_version = 0;      // the CUDA that this build uses
  bool driver_too_old = false;
  bool no_device = false;
  std::string error;                      // any other answer to the question how many GPUs there are
  const char* visible_devices = nullptr;  // CUDA_VISIBLE_DEVICES
  int count = 0;
};

inline std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

// Empty if GPU `index` is there.
inline std::string missing(const Found& found, int index) {
  if (!found.driver_library) return "no NVIDIA driver: libcuda.so.1 was not found";
  if (found.driver_too_old) {
    return fmt::format("the NVIDIA driver supports CUDA {}, but this build needs {}",
                       version_text(found.driver_version), version_text(found.runtime_version));
  }
  if (found.no_device || (found.error.empty() && found.count == 0)) {
    return found.visible_devices == nullptr
               ? "an NVIDIA driver is there, but no GPU"
               : fmt::format("an NVIDIA driver is there, but no GPU is visible (CUDA_VISIBLE_DEVICES={})",
                             found.visible_devices);
  }
  if (!found.error.empty()) return fmt::format("the NVIDIA driver answers {}", found.error);
  if (index < 0 || index >= found.count) {
    return fmt::format("cuda:{} asked for, {} {} there", index, found.count, found.count == 1 ? "device" : "devices");
  }
  return {};
}

}  // namespace embergrad::cuda

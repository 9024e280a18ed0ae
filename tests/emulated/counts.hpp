// What the host asked of emulated GPUs.
#pragma once

#include <cstdint>

namespace embergrad::emulated {

// Since the program began.
struct Counts {
  std::int64_t launches = 0;
  std::int64_t waits = 0;  // of the host for a GPU
  std::int64_t copies = 0;
};
[[nodiscard]] Counts counts();

}  // namespace embergrad::emulated

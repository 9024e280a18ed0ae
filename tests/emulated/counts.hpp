// What the host asked of emulated GPUs, and what they refuse.
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

// From now on so many blocks of device memory are given, and then none; below 0: as many as there is room for.
void give_blocks(std::int64_t count);

}  // namespace embergrad::emulated

// What a kernel body sees of the GPU. A body is a plain struct: its members are the arguments, its operator() is what
// one thread does:
//   struct Body { template <class B> EMBERGRAD_HD void operator()(B& block) const; };
// nvcc compiles it with CudaBlock (launch.cuh), the tests with an emulated block. Grids are sized by the work, but
// never enter a result.
#pragma once

#include <cstdint>

#include "kernels/host_device.hpp"

namespace embergrad::cuda {

// 16 bytes of numbers: what one thread moves at a time where addresses allow it.
template <class T>
struct alignas(16) Pack {
  static constexpr int width = static_cast<int>(16 / sizeof(T));
  T values[width];
};

// What a body may ask of its block.
template <class B>
concept Block = requires(B& block, const Pack<float>* from, Pack<float>* to) {
  static_cast<int>(block.thread());           // 0 … threads() - 1
  static_cast<int>(block.threads());          // a multiple of 32
  static_cast<std::int64_t>(block.block());   // 0 … blocks() - 1
  static_cast<std::int64_t>(block.blocks());  // of the grid
  block.sync();                               // a barrier: all threads of the block come to it, or none
  // Memory of the block, one object per type; its content is undefined at first.
  static_cast<Pack<float>&>(block.template shared<Pack<float>>());
  // One word, of any type, in one access; addresses are multiples of its size.
  static_cast<Pack<float>>(block.load(from));
  block.store(to, Pack<float>{});
};

// How many blocks of how many threads run a body.
struct Grid {
  std::int64_t blocks;
  int threads;
};

inline constexpr int default_threads = 256;
inline constexpr std::int64_t most_blocks = 4096;  // bodies stride over what is left

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// A grid of one thread per item, up to a limit.
constexpr Grid grid_for(std::int64_t items) {
  const std::int64_t blocks = divide_up(items, default_threads);
  return {blocks < most_blocks ? blocks : most_blocks, default_threads};
}

// The first item of this thread, and the step to its next one.
template <Block B>
EMBERGRAD_HD std::int64_t first_item(B& block) {
  return block.block() * block.threads() + block.thread();
}
template <Block B>
EMBERGRAD_HD std::int64_t item_step(B& block) {
  return block.blocks() * block.threads();
}

// May these be read and written in packs?
template <class... Pointers>
bool all_on_packs(Pointers... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % sizeof(Pack<std::uint32_t>) == 0) && ...);
}

}  // namespace embergrad::cuda

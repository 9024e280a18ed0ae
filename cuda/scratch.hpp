// A GPU's memory for as long as a launch needs it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/device.hpp"

namespace embergrad::cuda {

// Freed in the stream's order: work that was launched before still has it.
template <class T>
class Scratch {
 public:
  Scratch(OnCuda on, std::int64_t count) : on_(on), block_(allocate(on, static_cast<std::size_t>(count) * sizeof(T))) {}
  ~Scratch() { release(on_, block_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Scratch(Scratch&&) = delete;
  Scratch& operator=(Scratch&&) = delete;
  T* get() const { return static_cast<T*>(block_); }

 private:
  OnCuda on_;
  void* block_;
};

}  // namespace embergrad::cuda

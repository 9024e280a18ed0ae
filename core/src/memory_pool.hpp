// Pooled blocks of memory, 64-byte aligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace embergrad::detail {

// A block of at least `bytes`. Throws OutOfMemory after the caches were given back in vain.
[[nodiscard]] void* pool_allocate(std::size_t bytes);
// Gives a block back; `bytes` as it was asked for. Any thread may.
void pool_free(void* block, std::size_t bytes) noexcept;

// Scratch memory of a kernel.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)), data_(static_cast<T*>(pool_allocate(bytes_))) {}
  ~Scratch() { pool_free(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Scratch(Scratch&&) = delete;
  Scratch& operator=(Scratch&&) = delete;
  [[nodiscard]] T* get() const { return data_; }
  T& operator[](std::int64_t i) const { return data_[i]; }

 private:
  std::size_t bytes_;
  T* data_;
};

// Puts standard containers and shared_ptr's blocks into the pool: what a training step makes and drops.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>& /*other*/) {}  // NOLINT(google-explicit-constructor): the standard's rebind
  [[nodiscard]] T* allocate(std::size_t count) { return static_cast<T*>(pool_allocate(count * sizeof(T))); }
  void deallocate(T* block, std::size_t count) noexcept { pool_free(block, count * sizeof(T)); }
  friend bool operator==(PoolAllocator, PoolAllocator) { return true; }
};
template <class T>
using PoolVector = std::vector<T, PoolAllocator<T>>;

}  // namespace embergrad::detail

// Pooled blocks of memory, 64-byte aligned.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define EMBERGRAD_POISON(address, size) ASAN_POISON_MEMORY_REGION(address, size)
#define EMBERGRAD_UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION(address, size)
#else
#define EMBERGRAD_POISON(address, size) static_cast<void>(0)
#define EMBERGRAD_UNPOISON(address, size) static_cast<void>(0)
#endif

namespace embergrad::detail {

constexpr std::size_t alignment = 64;
constexpr int class_count = 8 + 44 * 4;

struct SizeClass {
  int index;
  std::size_t bytes;
};

// Multiples of 64 bytes up to 512, then four steps for each doubling.
constexpr SizeClass size_class(std::size_t bytes) {
  const std::size_t units = bytes == 0 ? 1 : (bytes + alignment - 1) / alignment;
  if (units <= 8) return {static_cast<int>(units) - 1, units * alignment};
  const int power = std::bit_width(units - 1) - 1;
  const std::size_t base = std::size_t{1} << power;
  const std::size_t step = base / 4;
  const std::size_t quarter = (units - 1 - base) / step;
  return {8 + (power - 3) * 4 + static_cast<int>(quarter), (base + (quarter + 1) * step) * alignment};
}

struct FreeBlock {
  FreeBlock* next;
};

struct FreeList {
  FreeBlock* head = nullptr;

  void push(void* block, [[maybe_unused]] std::size_t bytes) {
    auto* free_block = static_cast<FreeBlock*>(block);
    free_block->next = head;
    head = free_block;
    EMBERGRAD_POISON(static_cast<char*>(block) + sizeof(FreeBlock), bytes - sizeof(FreeBlock));
  }
  void* pop([[maybe_unused]] std::size_t bytes) {
    FreeBlock* block = head;
    if (block == nullptr) return nullptr;
    head = block->next;
    EMBERGRAD_UNPOISON(block, bytes);
    return block;
  }
};

// The cache of one thread. Blocks freed after it is gone go to the shared lists.
struct ThreadPool {
  static constexpr std::int64_t cap = std::int64_t{64} << 20;
  FreeList lists[class_count];
  std::int64_t cached = 0;

  void* take(SizeClass size) {
    void* block = lists[size.index].pop(size.bytes);
    if (block != nullptr) cached -= static_cast<std::int64_t>(size.bytes);
    return block;
  }
  // False if the cache is full.
  bool put(void* block, SizeClass size) {
    const std::int64_t with_block = cached + static_cast<std::int64_t>(size.bytes);
    if (with_block > cap) return false;
    cached = with_block;
    lists[size.index].push(block, size.bytes);
    return true;
  }
};

extern thread_local constinit ThreadPool* this_threads_pool;
[[nodiscard]] void* allocate_slowly(std::size_t bytes, SizeClass size);
void free_slowly(void* block, SizeClass size) noexcept;

// A block of at least `bytes`. Throws OutOfMemory after the caches were given back in vain.
[[nodiscard]] inline void* pool_allocate(std::size_t bytes) {
  const SizeClass size = size_class(bytes);
  if (ThreadPool* pool = this_threads_pool; pool != nullptr && size.index < class_count) {
    if (void* block = pool->take(size)) return block;
  }
  return allocate_slowly(bytes, size);
}

// Gives a block back; `bytes` as it was asked for. Any thread may.
inline void pool_free(void* block, std::size_t bytes) noexcept {
  const SizeClass size = size_class(bytes);
  if (ThreadPool* pool = this_threads_pool; pool != nullptr && block != nullptr && pool->put(block, size)) return;
  free_slowly(block, size);
}

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

#include <embergrad/error.hpp>
#include <embergrad/memory.hpp>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>

#include "src/memory_pool.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define EMBERGRAD_POISON(address, size) ASAN_POISON_MEMORY_REGION(address, size)
#define EMBERGRAD_UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION(address, size)
#else
#define EMBERGRAD_POISON(address, size) static_cast<void>(0)
#define EMBERGRAD_UNPOISON(address, size) static_cast<void>(0)
#endif

namespace embergrad {
namespace detail {
namespace {

constexpr std::size_t alignment = 64;
constexpr int class_count = 8 + 44 * 4;
constexpr std::size_t largest_block = std::size_t{1} << 46;
constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::int64_t thread_cap = std::int64_t{64} << 20;

struct SizeClass {
  int index;
  std::size_t bytes;
};

// Multiples of 64 bytes up to 512, then four steps for each doubling.
SizeClass size_class(std::size_t bytes) {
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

std::int64_t quarter_of_physical_memory() {
  return static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) / 4 * static_cast<std::int64_t>(sysconf(_SC_PAGE_SIZE));
}

// What threads have too much of, and what they left behind. Never destroyed: blocks may be freed at any time.
struct SharedPool {
  std::mutex mutex;
  std::array<FreeList, class_count> lists;
  std::array<std::atomic<std::int32_t>, class_count> counts{};
  std::int64_t cached = 0;
  std::int64_t cap = quarter_of_physical_memory();
  std::atomic<std::int64_t> system_allocations{0};
  std::atomic<std::int64_t> bytes_from_system{0};
};

SharedPool& shared_pool() {
  static auto* pool = new SharedPool;
  return *pool;
}

void give_to_system(void* block, std::size_t bytes) {
  EMBERGRAD_UNPOISON(block, bytes);
  std::free(block);
  shared_pool().bytes_from_system.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
}

void give_to_shared(void* block, SizeClass size) {
  SharedPool& pool = shared_pool();
  const std::scoped_lock lock(pool.mutex);
  if (pool.cached + static_cast<std::int64_t>(size.bytes) > pool.cap) return give_to_system(block, size.bytes);
  const auto i = static_cast<std::size_t>(size.index);
  pool.lists[i].push(block, size.bytes);
  pool.counts[i].fetch_add(1, std::memory_order_relaxed);
  pool.cached += static_cast<std::int64_t>(size.bytes);
}

void* take_from_shared(SizeClass size) {
  SharedPool& pool = shared_pool();
  const auto i = static_cast<std::size_t>(size.index);
  if (pool.counts[i].load(std::memory_order_relaxed) == 0) return nullptr;
  const std::scoped_lock lock(pool.mutex);
  void* block = pool.lists[i].pop(size.bytes);
  if (block == nullptr) return nullptr;
  pool.counts[i].fetch_sub(1, std::memory_order_relaxed);
  pool.cached -= static_cast<std::int64_t>(size.bytes);
  return block;
}

std::size_t bytes_of_class(int index) {
  if (index < 8) return static_cast<std::size_t>(index + 1) * alignment;
  const int power = (index - 8) / 4 + 3;
  const std::size_t base = std::size_t{1} << power;
  return (base + static_cast<std::size_t>((index - 8) % 4 + 1) * (base / 4)) * alignment;
}

// The cache of one thread. Blocks freed after its destructor ran go to the shared lists.
struct ThreadPool {
  std::array<FreeList, class_count> lists;
  std::int64_t cached = 0;

  ~ThreadPool();
  template <class Give>
  void drain(const Give& give) {
    for (int i = 0; i < class_count; ++i) {
      const SizeClass size{i, bytes_of_class(i)};
      while (void* block = lists[static_cast<std::size_t>(i)].pop(size.bytes)) give(block, size);
    }
    cached = 0;
  }
};

thread_local bool thread_is_over = false;
thread_local ThreadPool* this_threads_pool = nullptr;

ThreadPool* make_thread_pool() {
  if (thread_is_over) return nullptr;
  thread_local ThreadPool pool;
  this_threads_pool = &pool;
  return &pool;
}

// Null once the thread is on its way out.
ThreadPool* thread_pool() { return this_threads_pool != nullptr ? this_threads_pool : make_thread_pool(); }

ThreadPool::~ThreadPool() {
  thread_is_over = true;
  this_threads_pool = nullptr;
  drain([](void* block, SizeClass size) { give_to_shared(block, size); });
}

void* system_allocate(std::size_t bytes) {
  const std::size_t align = bytes >= 2 * huge_page ? huge_page : alignment;
  void* block = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (block == nullptr) return nullptr;
  if (align == huge_page) madvise(block, bytes, MADV_HUGEPAGE);
  SharedPool& pool = shared_pool();
  pool.system_allocations.fetch_add(1, std::memory_order_relaxed);
  pool.bytes_from_system.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  return block;
}

[[noreturn]] void throw_out_of_memory(std::size_t bytes) {
  const MemoryStats stats = memory_stats();
  throw OutOfMemory(fmt::format("out of memory: {} bytes wanted, {} in use by tensors and graphs, {} held from the system",
                                bytes, stats.bytes_in_use, stats.bytes_from_system));
}

}  // namespace

void* pool_allocate(std::size_t bytes) {
  if (bytes > largest_block) throw_out_of_memory(bytes);
  const SizeClass size = size_class(bytes);
  ThreadPool* pool = thread_pool();
  void* block = nullptr;
  if (pool != nullptr) {
    block = pool->lists[static_cast<std::size_t>(size.index)].pop(size.bytes);
    if (block != nullptr) {
      pool->cached -= static_cast<std::int64_t>(size.bytes);
      return block;
    }
  }
  block = take_from_shared(size);
  if (block == nullptr) block = system_allocate(size.bytes);
  if (block == nullptr) {
    release_cached_memory();
    block = system_allocate(size.bytes);
  }
  if (block == nullptr) throw_out_of_memory(bytes);
  return block;
}

void pool_free(void* block, std::size_t bytes) noexcept {
  if (block == nullptr) return;
  const SizeClass size = size_class(bytes);
  ThreadPool* pool = thread_pool();
  if (pool == nullptr || pool->cached + static_cast<std::int64_t>(size.bytes) > thread_cap) {
    return give_to_shared(block, size);
  }
  pool->cached += static_cast<std::int64_t>(size.bytes);
  pool->lists[static_cast<std::size_t>(size.index)].push(block, size.bytes);
}

}  // namespace detail

MemoryStats memory_stats() {
  detail::SharedPool& shared = detail::shared_pool();
  MemoryStats stats;
  stats.system_allocations = shared.system_allocations.load(std::memory_order_relaxed);
  stats.bytes_from_system = shared.bytes_from_system.load(std::memory_order_relaxed);
  const detail::ThreadPool* mine = detail::thread_pool();
  const std::scoped_lock lock(shared.mutex);
  stats.bytes_in_use = stats.bytes_from_system - shared.cached - (mine != nullptr ? mine->cached : 0);
  return stats;
}

void release_cached_memory() {
  if (detail::ThreadPool* mine = detail::thread_pool()) {
    mine->drain([](void* block, detail::SizeClass size) { detail::give_to_system(block, size.bytes); });
  }
  detail::SharedPool& shared = detail::shared_pool();
  const std::scoped_lock lock(shared.mutex);
  for (int i = 0; i < detail::class_count; ++i) {
    const std::size_t bytes = detail::bytes_of_class(i);
    const auto at = static_cast<std::size_t>(i);
    while (void* block = shared.lists[at].pop(bytes)) detail::give_to_system(block, bytes);
    shared.counts[at].store(0, std::memory_order_relaxed);
  }
  shared.cached = 0;
}

}  // namespace embergrad

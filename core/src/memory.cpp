#include <embergrad/error.hpp>
#include <embergrad/memory.hpp>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>

#include "src/memory_pool.hpp"

namespace embergrad {
namespace detail {
namespace {

constexpr std::size_t largest_block = std::size_t{1} << 46;
constexpr std::size_t huge_page = std::size_t{2} << 20;

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

template <class Give>
void drain(ThreadPool& pool, const Give& give) {
  for (int i = 0; i < class_count; ++i) {
    const SizeClass size{i, bytes_of_class(i)};
    while (void* block = pool.lists[i].pop(size.bytes)) give(block, size);
  }
  pool.cached = 0;
}

thread_local bool thread_is_over = false;

// Gives the thread's blocks to the shared lists when the thread ends.
struct ThreadPoolOwner {
  ThreadPool pool;
  ThreadPoolOwner() { this_threads_pool = &pool; }
  ~ThreadPoolOwner() {
    thread_is_over = true;
    this_threads_pool = nullptr;
    drain(pool, [](void* block, SizeClass size) { give_to_shared(block, size); });
  }
  ThreadPoolOwner(const ThreadPoolOwner&) = delete;
  ThreadPoolOwner& operator=(const ThreadPoolOwner&) = delete;
  ThreadPoolOwner(ThreadPoolOwner&&) = delete;
  ThreadPoolOwner& operator=(ThreadPoolOwner&&) = delete;
};

// Null once the thread is on its way out.
ThreadPool* thread_pool() {
  if (this_threads_pool != nullptr || thread_is_over) return this_threads_pool;
  thread_local ThreadPoolOwner owner;
  return &owner.pool;
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
  throw OutOfMemory(
      fmt::format("out of memory: {} bytes wanted, {} in use by tensors and graphs, {} held from the system", bytes,
                  stats.bytes_in_use, stats.bytes_from_system));
}

}  // namespace

thread_local constinit ThreadPool* this_threads_pool = nullptr;

void* allocate_slowly(std::size_t bytes, SizeClass size) {
  if (bytes > largest_block) throw_out_of_memory(bytes);
  if (ThreadPool* pool = thread_pool()) {
    if (void* block = pool->take(size)) return block;
  }
  void* block = take_from_shared(size);
  if (block == nullptr) block = system_allocate(size.bytes);
  if (block == nullptr) {
    release_cached_memory();
    block = system_allocate(size.bytes);
  }
  if (block == nullptr) throw_out_of_memory(bytes);
  return block;
}

void free_slowly(void* block, SizeClass size) noexcept {
  if (block == nullptr) return;
  ThreadPool* pool = thread_pool();
  if (pool == nullptr || !pool->put(block, size)) give_to_shared(block, size);
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
    detail::drain(*mine, [](void* block, detail::SizeClass size) { detail::give_to_system(block, size.bytes); });
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

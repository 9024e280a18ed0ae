/// @file
/// What the library's memory pools hold.
///
/// Tensors, graph nodes and buffers come from per-thread pools of size classes; a freed block goes to the freeing
/// thread's pool, what exceeds that pool's cap to a shared list, what exceeds the shared cap back to the system. So a
/// training loop asks the system for nothing once every size was seen.
#pragma once

#include <cstdint>

namespace embergrad {

/// Counters over the whole process.
struct MemoryStats {
  std::int64_t system_allocations = 0;  ///< blocks asked of the system since the start
  std::int64_t bytes_from_system = 0;   ///< bytes held now, in use or cached
  std::int64_t bytes_in_use = 0;        ///< of these, not in this thread's or the shared cache
};

/// The counters now. Exact when no other thread allocates.
[[nodiscard]] MemoryStats memory_stats();

/// Gives the cached blocks of this thread and of the shared list back to the system.
void release_cached_memory();

}  // namespace embergrad

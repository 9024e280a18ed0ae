// Loops over fixed chunks on several threads. Chunks depend on the size of the work alone, so results never depend on
// the number of threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

#include <embergrad/device.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace embergrad::cpu {

// Calls body(begin, end) for consecutive ranges of at most `chunk` items, on up to num_threads() threads. A single
// chunk runs here, without a parallel region. What a body throws is thrown on after all have ended.
template <class Body>
void parallel_chunks(std::int64_t items, std::int64_t chunk, const Body& body) {
  if (items <= chunk) {
    if (items > 0) body(std::int64_t{0}, items);
    return;
  }
  const std::int64_t chunks = (items + chunk - 1) / chunk;
#ifdef _OPENMP
  const int threads = static_cast<int>(std::min<std::int64_t>(num_threads(), chunks));
  if (threads > 1 && omp_in_parallel() == 0) {
    std::exception_ptr failure;
    std::atomic_flag failed;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (std::int64_t i = 0; i < chunks; ++i) {
      try {
        body(i * chunk, std::min(items, (i + 1) * chunk));
      } catch (...) {
        if (!failed.test_and_set()) failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
    return;
  }
#endif
  for (std::int64_t i = 0; i < chunks; ++i) body(i * chunk, std::min(items, (i + 1) * chunk));
}

}  // namespace embergrad::cpu

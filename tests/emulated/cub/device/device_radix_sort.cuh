// The part of CUB's DeviceRadixSort that the CUDA room calls, on an emulated GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "emulated/runtime.hpp"

namespace cub {

struct DeviceRadixSort {
  // Stable, by bits begin … end - 1 of the keys.
  template <class Key, class Value>
  static cudaError_t SortPairs(void* room, std::size_t& bytes, const Key* keys, Key* sorted, const Value* values,
                               Value* sorted_values, std::int64_t size, int begin, int end, cudaStream_t stream) {
    if (room == nullptr) {
      bytes = 1;
      return cudaSuccess;
    }
    stream->enqueue(stream, [=] {
      std::multimap<std::uint64_t, std::pair<Key, Value>> in_order;
      const std::uint64_t bits = (std::uint64_t{1} << end) - 1;
      for (std::int64_t i = 0; i < size; ++i) {
        in_order.emplace((static_cast<std::uint64_t>(keys[i]) & bits) >> begin, std::pair(keys[i], values[i]));
      }
      std::int64_t i = 0;
      for (const auto& entry : in_order) {
        sorted[i] = entry.second.first;
        sorted_values[i++] = entry.second.second;
      }
    });
    return cudaSuccess;
  }
};

}  // namespace cub

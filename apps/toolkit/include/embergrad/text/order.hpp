/// @file
/// A counter-based generator for orders and sampled data that is the same, bit for bit, in any language: an order can
/// be compared with a run of another program.
#pragma once

#include <cstdint>
#include <vector>

namespace embergrad::text {

/// Number `i` of the stream of `seed`: splitmix64 as a function of its counter.
[[nodiscard]] constexpr uint64_t mix(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

/// Number `i` of the stream of `seed` as a multiple of 2⁻⁵³ in [0, 1).
[[nodiscard]] constexpr double uniform(uint64_t seed, uint64_t i) {
  return static_cast<double>(mix(seed, i) >> 11) * 0x1p-53;
}

/// 0 … n − 1 in the order that `seed` gives: for i = n − 1 … 1 and k = 0, 1, …, swap places i and ⌊uniform(seed, k)·(i
/// + 1)⌋. Throws ValueError for n < 0.
[[nodiscard]] std::vector<int64_t> permutation(int64_t n, uint64_t seed);

}  // namespace embergrad::text

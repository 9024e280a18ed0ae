// Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011): four 32-bit random numbers for a counter and a key.
#pragma once

#include <cstdint>

#include "kernels/host_device.hpp"

namespace embergrad::rules {

struct Philox {
  std::uint32_t x[4];
};

// Block number `block` of drawing op `tick` under `seed`.
EMBERGRAD_HD Philox philox(std::uint64_t seed, std::uint64_t tick, std::uint64_t block) {
  std::uint32_t c0 = static_cast<std::uint32_t>(block), c1 = static_cast<std::uint32_t>(block >> 32);
  std::uint32_t c2 = static_cast<std::uint32_t>(tick), c3 = static_cast<std::uint32_t>(tick >> 32);
  std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return {{c0, c1, c2, c3}};
}

// [0, 1): 24 bits of one word, 53 of two.
EMBERGRAD_HD float uniform(std::uint32_t x) { return static_cast<float>(x >> 8) * 0x1p-24F; }
EMBERGRAD_HD double uniform(std::uint32_t low, std::uint32_t high) {
  return static_cast<double>(((static_cast<std::uint64_t>(high) << 32) | low) >> 11) * 0x1p-53;
}

// Natural logarithm of a normal number, by + - * / alone: equal bits on every device. x = 2^k m with m in
// [sqrt(1/2), sqrt(2)); log m = 2 artanh((m-1)/(m+1)). Error below 1e-15 relative.
EMBERGRAD_HD double log_by_series(double x) {
  const std::uint64_t bits = __builtin_bit_cast(std::uint64_t, x);
  std::int64_t k = static_cast<std::int64_t>(bits >> 52) - 1023;
  double m = __builtin_bit_cast(double, (bits & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    k += 1;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double p = 1.0 / 21.0;
  p = p * z + 1.0 / 19.0;
  p = p * z + 1.0 / 17.0;
  p = p * z + 1.0 / 15.0;
  p = p * z + 1.0 / 13.0;
  p = p * z + 1.0 / 11.0;
  p = p * z + 1.0 / 9.0;
  p = p * z + 1.0 / 7.0;
  p = p * z + 1.0 / 5.0;
  p = p * z + 1.0 / 3.0;
  p = p * z + 1.0;
  return static_cast<double>(k) * 0.69314718055994531 + 2.0 * s * p;
}

struct SinCos {
  double sin, cos;
};

// sin and cos of 2 pi u for u in [0, 1), by + - * alone: Taylor series on an eighth of a turn.
EMBERGRAD_HD SinCos sin_cos_of_turn(double u) {
  const int quarter = static_cast<int>(u * 4.0 + 0.5);  // NOLINT(bugprone-incorrect-roundings): u is not negative
  const double a = (u - 0.25 * quarter) * 6.283185307179586;
  const double z = a * a;
  double s = -1.0 / 1307674368000.0;
  s = s * z + 1.0 / 6227020800.0;
  s = s * z - 1.0 / 39916800.0;
  s = s * z + 1.0 / 362880.0;
  s = s * z - 1.0 / 5040.0;
  s = s * z + 1.0 / 120.0;
  s = s * z - 1.0 / 6.0;
  s = s * z * a + a;
  double c = 1.0 / 20922789888000.0;
  c = c * z - 1.0 / 87178291200.0;
  c = c * z + 1.0 / 479001600.0;
  c = c * z - 1.0 / 3628800.0;
  c = c * z + 1.0 / 40320.0;
  c = c * z - 1.0 / 720.0;
  c = c * z + 1.0 / 24.0;
  c = c * z - 1.0 / 2.0;
  c = c * z + 1.0;
  switch (quarter & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

// Two independent normal numbers from one block (Box and Muller 1958).
EMBERGRAD_HD SinCos normal_pair(const Philox& r) {
  const double u = uniform(r.x[0], r.x[1]);
  const double radius = __builtin_sqrt(-2.0 * log_by_series(1.0 - u));  // 1 - u is in (0, 1]
  const SinCos turn = sin_cos_of_turn(uniform(r.x[2], r.x[3]));
  return {radius * turn.sin, radius * turn.cos};
}

}  // namespace embergrad::rules

// Functions of one number. exp, sigmoid, tanh of float32: polynomials of our own (below 2 units in the last place for
// exp), in arithmetic that compilers vectorise: the same bits on every instruction set. The rest is the C library's.
#pragma once

#include <math.h>  // NOLINT(modernize-deprecated-headers): <cmath> brings templates

#include <cstdint>

#include "kernels/host_device.hpp"

namespace embergrad::rules {

// e^x = 2^n e^r, |r| <= ln2/2; n by adding and subtracting 1.5 * 2^23, which rounds to an integer.
EMBERGRAD_HD float exp(float x) {
  constexpr float log2e = 1.44269504088896341F;
  constexpr float ln2_high = 0.693359375F;
  constexpr float ln2_low = -2.12194440e-4F;
  constexpr float shift = 12582912.0F;
  const float low = x < -103.97F ? -103.97F : x;  // NaN stays
  const float in_range = low > 88.73F ? 88.73F : low;
  const float shifted = in_range * log2e + shift;
  const float n = shifted - shift;
  const float r = (in_range - n * ln2_high) - n * ln2_low;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = (p * r * r + r) + 1.0F;
  // 2^n in two factors, so that results below the normal range and up to the largest float come out right.
  const std::int32_t k = static_cast<std::int32_t>(__builtin_bit_cast(std::uint32_t, shifted) - 0x4B400000U);
  const std::int32_t half = k >> 1;
  const float a = __builtin_bit_cast(float, (half + 127) << 23);
  const float b = __builtin_bit_cast(float, (k - half + 127) << 23);
  const float y = p * a * b;
  const float large = x > 88.7228394F ? __builtin_inff() : y;
  const float small = x < -103.972084F ? 0.0F : large;
  return x != x ? x : small;
}
EMBERGRAD_HD double exp(double x) { return ::exp(x); }

EMBERGRAD_HD float sigmoid(float x) { return 1.0F / (1.0F + rules::exp(-x)); }
EMBERGRAD_HD double sigmoid(double x) { return 1.0 / (1.0 + ::exp(-x)); }

// |x| < 0.625: odd polynomial (Cephes); beyond: 1 - 2 / (e^2|x| + 1).
EMBERGRAD_HD float tanh(float x) {
  const float z = x * x;
  float p = -5.70498872745e-3F;
  p = p * z + 2.06390887954e-2F;
  p = p * z - 5.37397155531e-2F;
  p = p * z + 1.33314422036e-1F;
  p = p * z - 3.33332819422e-1F;
  const float near = x * (1.0F + p * z);  // keeps the sign of zero
  const float size = x < 0.0F ? -x : x;
  const float far_size = 1.0F - 2.0F / (rules::exp(2.0F * size) + 1.0F);
  const float far = x < 0.0F ? -far_size : far_size;
  return size < 0.625F ? near : far;
}
EMBERGRAD_HD double tanh(double x) { return ::tanh(x); }

EMBERGRAD_HD float log(float x) { return ::logf(x); }
EMBERGRAD_HD double log(double x) { return ::log(x); }
// log(1 + x)
EMBERGRAD_HD float log1p(float x) { return ::log1pf(x); }
EMBERGRAD_HD double log1p(double x) { return ::log1p(x); }

EMBERGRAD_HD float sqrt(float x) { return ::sqrtf(x); }
EMBERGRAD_HD double sqrt(double x) { return ::sqrt(x); }

EMBERGRAD_HD float pow(float x, float y) { return ::powf(x, y); }
EMBERGRAD_HD double pow(double x, double y) { return ::pow(x, y); }

}  // namespace embergrad::rules

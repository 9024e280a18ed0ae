// Conversions between element types.
#pragma once

#include <embergrad/dtype.hpp>

#include <cstdint>

#include "kernels/host_device.hpp"

namespace embergrad::rules {

// float32 -> bfloat16, to nearest even; NaN stays NaN.
EMBERGRAD_HD BFloat16 to_bfloat16(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  if (x != x) return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)};
  return {static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16)};
}
EMBERGRAD_HD float from_bfloat16(BFloat16 x) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(x.bits) << 16);
}

// float32 -> float16, to nearest even; too large becomes infinity; NaN stays NaN.
EMBERGRAD_HD Float16 to_float16(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t size = bits & 0x7FFFFFFFU;
  if (size > 0x7F800000U) return {static_cast<std::uint16_t>(sign | 0x7E00U | ((size >> 13) & 0x1FFU))};
  if (size >= 0x477FF000U) return {static_cast<std::uint16_t>(sign | 0x7C00U)};
  if (size < 0x38800000U) {  // below the smallest normal: adding 0.5 puts the bits in place and rounds them
    const float shifted = __builtin_bit_cast(float, size) + 0.5F;
    return {static_cast<std::uint16_t>(sign | (__builtin_bit_cast(std::uint32_t, shifted) - 0x3F000000U))};
  }
  const std::uint32_t rounded = size + 0xFFFU + ((size >> 13) & 1U);
  return {static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13))};
}
EMBERGRAD_HD float from_float16(Float16 x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000U) << 16;
  const std::uint32_t size = x.bits & 0x7FFFU;
  if (size >= 0x7C00U) return __builtin_bit_cast(float, sign | 0x7F800000U | ((size & 0x3FFU) << 13));
  if (size < 0x400U) {
    const float value = static_cast<float>(size) * 0x1p-24F;
    return __builtin_bit_cast(float, sign | __builtin_bit_cast(std::uint32_t, value));
  }
  return __builtin_bit_cast(float, sign | ((size << 13) + 0x38000000U));
}

// Any element type to any other.
template <class To, class From>
struct Converter {
  EMBERGRAD_HD static To f(From x) { return static_cast<To>(x); }
};
template <class From>
struct Converter<BFloat16, From> {
  EMBERGRAD_HD static BFloat16 f(From x) { return to_bfloat16(static_cast<float>(x)); }
};
template <class From>
struct Converter<Float16, From> {
  EMBERGRAD_HD static Float16 f(From x) { return to_float16(static_cast<float>(x)); }
};
template <class To>
struct Converter<To, BFloat16> {
  EMBERGRAD_HD static To f(BFloat16 x) { return Converter<To, float>::f(from_bfloat16(x)); }
};
template <class To>
struct Converter<To, Float16> {
  EMBERGRAD_HD static To f(Float16 x) { return Converter<To, float>::f(from_float16(x)); }
};
template <>
struct Converter<BFloat16, Float16> {
  EMBERGRAD_HD static BFloat16 f(Float16 x) { return to_bfloat16(from_float16(x)); }
};
template <>
struct Converter<Float16, BFloat16> {
  EMBERGRAD_HD static Float16 f(BFloat16 x) { return to_float16(from_bfloat16(x)); }
};
template <>
struct Converter<BFloat16, BFloat16> {
  EMBERGRAD_HD static BFloat16 f(BFloat16 x) { return x; }
};
template <>
struct Converter<Float16, Float16> {
  EMBERGRAD_HD static Float16 f(Float16 x) { return x; }
};

// Towards zero; what doesn't fit becomes the nearest end, NaN becomes 0.
template <class To, class From>
EMBERGRAD_HD To saturate(From x, To low, To high) {
  if (x != x) return To(0);
  if (x <= static_cast<From>(low)) return low;
  if (x >= static_cast<From>(high)) return high;
  return static_cast<To>(x);
}
template <>
struct Converter<std::int32_t, float> {
  EMBERGRAD_HD static std::int32_t f(float x) { return saturate<std::int32_t>(x, INT32_MIN, INT32_MAX); }
};
template <>
struct Converter<std::int32_t, double> {
  EMBERGRAD_HD static std::int32_t f(double x) { return saturate<std::int32_t>(x, INT32_MIN, INT32_MAX); }
};
template <>
struct Converter<std::int64_t, float> {
  EMBERGRAD_HD static std::int64_t f(float x) { return saturate<std::int64_t>(x, INT64_MIN, INT64_MAX); }
};
template <>
struct Converter<std::int64_t, double> {
  EMBERGRAD_HD static std::int64_t f(double x) { return saturate<std::int64_t>(x, INT64_MIN, INT64_MAX); }
};

}  // namespace embergrad::rules

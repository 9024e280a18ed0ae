/// @file
/// Element types.
#pragma once

#include <cstddef>
#include <cstdint>

namespace embergrad {

/// The element type of a tensor. float32 and float64 compute; int32 and int64 are indices and counts; float16 and
/// bfloat16 are storage formats (tables, files): ops refuse them by name, `to()` converts them.
enum class DType : std::uint8_t { float32, float64, float16, bfloat16, int32, int64 };

/// IEEE half precision, storage only.
struct Float16 {
  std::uint16_t bits;  ///< sign, 5 bits of exponent, 10 of fraction
};

/// bfloat16 (the upper half of a float32), storage only.
struct BFloat16 {
  std::uint16_t bits;  ///< sign, 8 bits of exponent, 7 of fraction
};

/// Bytes of one element.
[[nodiscard]] constexpr std::size_t item_size(DType dtype) {
  switch (dtype) {
    case DType::float64:
    case DType::int64:
      return 8;
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::float16:
    case DType::bfloat16:
      return 2;
  }
  return 0;
}

/// "float32" and so on.
[[nodiscard]] constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "float32";
    case DType::float64:
      return "float64";
    case DType::float16:
      return "float16";
    case DType::bfloat16:
      return "bfloat16";
    case DType::int32:
      return "int32";
    case DType::int64:
      return "int64";
  }
  return "?";
}

/// True for the four floating types.
[[nodiscard]] constexpr bool is_floating(DType dtype) { return dtype < DType::int32; }

/// True for int32 and int64.
[[nodiscard]] constexpr bool is_integer(DType dtype) { return dtype >= DType::int32; }

/// @{
/// The DType of a C++ type; does not compile for types that tensors can't hold.
template <class T>
inline constexpr DType dtype_of = T::not_an_element_type;
template <>
inline constexpr DType dtype_of<float> = DType::float32;
template <>
inline constexpr DType dtype_of<double> = DType::float64;
template <>
inline constexpr DType dtype_of<Float16> = DType::float16;
template <>
inline constexpr DType dtype_of<BFloat16> = DType::bfloat16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::int32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::int64;
template <>
inline constexpr DType dtype_of<long long> = DType::int64;
/// @}

}  // namespace embergrad

// From a run-time element type to a C++ type; in kernels only.
#pragma once

#include <embergrad/dtype.hpp>

#include <cstdint>

namespace embergrad {

// Calls body(T{}) for float or double.
template <class Body>
decltype(auto) visit_floating(DType dtype, const Body& body) {
  return dtype == DType::float64 ? body(double{}) : body(float{});
}

// Calls body(T{}) for float, double, int32 or int64.
template <class Body>
decltype(auto) visit_numbers(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::float64:
      return body(double{});
    case DType::int32:
      return body(std::int32_t{});
    case DType::int64:
      return body(std::int64_t{});
    default:
      return body(float{});
  }
}

// Calls body(T{}) for int32 or int64.
template <class Body>
decltype(auto) visit_index(DType dtype, const Body& body) {
  return dtype == DType::int32 ? body(std::int32_t{}) : body(std::int64_t{});
}

// Calls body(T{}) for every element type.
template <class Body>
decltype(auto) visit(DType dtype, const Body& body) {
  if (dtype == DType::float16) return body(Float16{});
  if (dtype == DType::bfloat16) return body(BFloat16{});
  return visit_numbers(dtype, body);
}

// Calls body(Row{}, T{}): the type of a table's elements, and the one that is computed in.
template <class Body>
void visit_table(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::float64:
      return body(double{}, double{});
    case DType::float16:
      return body(Float16{}, float{});
    case DType::bfloat16:
      return body(BFloat16{}, float{});
    default:
      return body(float{}, float{});
  }
}

// Calls body(Word{}) for the unsigned integer of the type's size: moving elements needs no more of them.
template <class Body>
decltype(auto) visit_word(DType dtype, const Body& body) {
  switch (item_size(dtype)) {
    case 8:
      return body(std::uint64_t{});
    case 4:
      return body(std::uint32_t{});
    default:
      return body(std::uint16_t{});
  }
}

}  // namespace embergrad

// How close numbers have to be: the one table of the tests.
#pragma once

#include <embergrad/dtype.hpp>

namespace embergrad::test {

// |got - expected| <= atol + rtol · |expected|
struct Tolerance {
  double rtol;
  double atol;
};

inline constexpr Tolerance exact{0.0, 0.0};

// For numbers computed in this element type by another road. Integers and the storage formats are copied, not computed.
constexpr Tolerance tolerance(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return {2e-5, 2e-5};
    case DType::float64:
      return {1e-9, 1e-9};
    case DType::float16:
    case DType::bfloat16:
    case DType::int32:
    case DType::int64:
      break;
  }
  return exact;
}

}  // namespace embergrad::test

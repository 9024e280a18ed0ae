// The constant factors that ops fold into their kernels.
#pragma once

#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <cmath>

#include "kernels/elementwise.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

inline void check_finite(const OpCheck& check, const char* name, double factor) {
  if (!std::isfinite(factor)) check.fail_value(fmt::format("{} must be finite, but is {}", name, factor));
}

inline void check_scales(const OpCheck& check, const Scales& scales) {
  if (!std::isfinite(scales.out) || !std::isfinite(scales.grad_in) || !std::isfinite(scales.grad_weight)) {
    check.fail_value(
        fmt::format("scales must be finite, but are {}, {} and {}", scales.out, scales.grad_in, scales.grad_weight));
  }
}

// x *= factor, for a small tensor that nobody else has seen.
inline void scale_in_place(const OpCheck& check, Tensor& tensor, double factor) {
  if (factor == 1) return;
  launch(tensor.device(), BinaryScalarMap{.op = binary_op<rules::Mul>,
                                          .a = detail::view(tensor),
                                          .b = check.number("factor", factor, tensor.dtype()),
                                          .reversed = false,
                                          .out = detail::view(tensor)});
}

}  // namespace embergrad

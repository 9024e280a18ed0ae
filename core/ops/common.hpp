// What several ops share.
#pragma once

#include <embergrad/tensor.hpp>

namespace embergrad {

// The shape that both broadcast to. ShapeError names op and shapes.
[[nodiscard]] Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);

// The gradient of a tensor of `shape` that was broadcast: summed over what was repeated.
[[nodiscard]] Tensor sum_to(const Tensor& gradient, const Shape& shape);

// The type two operands are brought to, as torch.result_type.
[[nodiscard]] DType promote(const Tensor& a, const Tensor& b);

}  // namespace embergrad

#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include "kernels/elementwise.hpp"
#include "ops/common.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

using detail::broadcast_view;
using detail::strided_view;
using detail::view;

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape shape;
  for (int d = 0; d < rank; ++d) {
    const int in_a = d - (rank - a.rank());
    const int in_b = d - (rank - b.rank());
    const std::int64_t x = in_a < 0 ? 1 : a[in_a];
    const std::int64_t y = in_b < 0 ? 1 : b[in_b];
    if (x != y && x != 1 && y != 1) {
      throw ShapeError(fmt::format("{}: shapes {} and {} do not broadcast: {} against {} in dimension {}", op,
                                   a.to_string(), b.to_string(), x, y, d));
    }
    shape.push_back(x == 1 ? y : x);
  }
  return shape;
}

Tensor sum_to(const Tensor& gradient, const Shape& shape) {
  if (gradient.shape() == shape) return gradient;
  const int added = gradient.dim() - shape.rank();
  Dims dims;
  for (int d = 0; d < gradient.dim(); ++d) {
    if (d < added || (shape[d - added] == 1 && gradient.shape()[d] != 1)) dims.push_back(d);
  }
  return dims.empty() ? gradient.reshape(shape) : sum(gradient, dims, true).reshape(shape);
}

// Floating beats integer; among equals, tensors with dimensions decide over those without, and then the wider wins.
DType promote(const Tensor& a, const Tensor& b) {
  const DType x = a.dtype();
  const DType y = b.dtype();
  if (x == y) return x;
  if (is_floating(x) != is_floating(y)) return is_floating(x) ? x : y;
  if ((a.dim() == 0) != (b.dim() == 0)) return a.dim() == 0 ? y : x;
  return item_size(x) >= item_size(y) ? x : y;
}

Tensor map_binary(BinaryOp op, const char* name, const Tensor& a, const Tensor& b) {
  if (a.shape() == b.shape()) {
    Tensor out = empty(a.shape(), a.options());
    launch(a.device(), BinaryMap{.op = op, .a = view(a), .b = view(b), .out = view(out)});
    return out;
  }
  const Shape shape = broadcast_shape(name, a.shape(), b.shape());
  Tensor out = empty(shape, a.options());
  launch(a.device(),
         BinaryBroadcast{
             .op = op, .a = broadcast_view(a, shape), .b = broadcast_view(b, shape), .out = strided_view(out)});
  return out;
}

Operands::Operands(const char* op, const Tensor& a, const Tensor& b, bool to_floating) : first_(a), second_(b) {
  const OpCheck check(op);
  check.not_16_bit("input", a);
  check.not_16_bit("other", b);
  check.same_device(a, b);
  DType dtype = promote(a, b);
  if (to_floating && is_integer(dtype)) dtype = DType::float32;
  if (a.dtype() != dtype) first_ = TensorRef(converted_[0] = a.to(dtype));
  if (b.dtype() != dtype) second_ = TensorRef(converted_[1] = b.to(dtype));
}

Tensor as_floating(const Tensor& input) { return is_integer(input.dtype()) ? input.to(DType::float32) : input; }

Tensor map_scalar(BinaryOp op, const char* name, const Tensor& input, Scalar other, bool reversed, bool to_floating) {
  const OpCheck check(name);
  check.not_16_bit("input", input);
  const Tensor a = to_floating || !other.is_integer() ? as_floating(input) : input;
  Tensor out = empty(a.shape(), a.options());
  launch(a.device(), BinaryScalarMap{.op = op,
                                     .a = view(a),
                                     .b = check.number("other", other, a.dtype()),
                                     .reversed = reversed,
                                     .out = view(out)});
  return out;
}

Tensor add(const Tensor& input, const Tensor& other) {
  const Operands x("add", input, other, false);
  return record("add", map_binary(binary_op<rules::Add>, "add", x.a(), x.b()), {x.a(), x.b()},
                [a = x.a().shape(), b = x.b().shape()](const Tensor& grad, InputGradients& into) {
                  if (into.wants(0)) into.add(0, sum_to(grad, a));
                  if (into.wants(1)) into.add(1, sum_to(grad, b));
                });
}

Tensor sub(const Tensor& input, const Tensor& other) {
  const Operands x("sub", input, other, false);
  return record("sub", map_binary(binary_op<rules::Sub>, "sub", x.a(), x.b()), {x.a(), x.b()},
                [a = x.a().shape(), b = x.b().shape()](const Tensor& grad, InputGradients& into) {
                  if (into.wants(0)) into.add(0, sum_to(grad, a));
                  if (into.wants(1)) into.add(1, neg(sum_to(grad, b)));
                });
}

namespace {
// What backward needs of a tensor if `other` wants a gradient, else only its shape.
struct Factor {
  Factor(const Tensor& tensor, bool needed) : shape(tensor.shape()), saved(needed ? Saved::input(tensor) : Saved()) {}
  Shape shape;
  Saved saved;
};
}  // namespace

Tensor mul(const Tensor& input, const Tensor& other) {
  const Operands x("mul", input, other, false);
  return record("mul", map_binary(binary_op<rules::Mul>, "mul", x.a(), x.b()), {x.a(), x.b()},
                [a = Factor(x.a(), x.b().requires_grad()), b = Factor(x.b(), x.a().requires_grad())](
                    const Tensor& grad, InputGradients& into) {
                  if (into.wants(0))
                    into.add(0, sum_to(map_binary(binary_op<rules::Mul>, "mul", grad, b.saved.get()), a.shape));
                  if (into.wants(1))
                    into.add(1, sum_to(map_binary(binary_op<rules::Mul>, "mul", grad, a.saved.get()), b.shape));
                });
}

Tensor div(const Tensor& input, const Tensor& other) {
  const Operands x("div", input, other, true);
  // d(a/b)/da = 1/b,  d(a/b)/db = -a/b^2
  return record(
      "div", map_binary(binary_op<rules::Div>, "div", x.a(), x.b()), {x.a(), x.b()},
      [a = Factor(x.a(), x.b().requires_grad()), b = Factor(x.b(), true)](const Tensor& grad, InputGradients& into) {
        const Tensor& divisor = b.saved.get();
        const Tensor grad_first = div(grad, divisor);
        if (into.wants(0)) into.add(0, sum_to(grad_first, a.shape));
        if (into.wants(1)) into.add(1, neg(sum_to(mul(grad_first, div(a.saved.get(), divisor)), b.shape)));
      });
}

Tensor add(const Tensor& input, Scalar other) {
  return record("add", map_scalar(binary_op<rules::Add>, "add", input, other, false), {input},
                [](const Tensor& grad) { return Gradient(grad); });
}

Tensor sub(const Tensor& input, Scalar other) {
  return record("sub", map_scalar(binary_op<rules::Sub>, "sub", input, other, false), {input},
                [](const Tensor& grad) { return Gradient(grad); });
}

Tensor rsub(const Tensor& input, Scalar other) {
  return record("rsub", map_scalar(binary_op<rules::Sub>, "rsub", input, other, true), {input},
                [](const Tensor& grad) { return Gradient(neg(grad)); });
}

Tensor mul(const Tensor& input, Scalar other) {
  return record("mul", map_scalar(binary_op<rules::Mul>, "mul", input, other, false), {input},
                [other](const Tensor& grad) { return Gradient(mul(grad, other)); });
}

Tensor div(const Tensor& input, Scalar other) {
  return record("div", map_scalar(binary_op<rules::Div>, "div", input, other, false, true), {input},
                [other](const Tensor& grad) { return Gradient(div(grad, other)); });
}

Tensor rdiv(const Tensor& input, Scalar other) {
  OpCheck("rdiv").defined("input", input);
  const Tensor x = as_floating(input);
  Tensor out = map_scalar(binary_op<rules::Div>, "rdiv", x, other, true);
  // d(s/x)/dx = -(s/x)/x
  return record("rdiv", out, {x}, [y = Saved(out), x = Saved::input(x)](const Tensor& grad) {
    return Gradient(neg(mul(grad, div(y.get(), x.get()))));
  });
}

}  // namespace embergrad

#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include "kernels/matmul.hpp"
#include "ops/common.hpp"
#include "ops/gemm.hpp"
#include "ops/scales.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias, const Scales& scales) {
  const OpCheck check("linear");
  check_scales(check, scales);
  check.computes("input", input);
  check.computes("weight", weight);
  check.same_dtype("weight", weight, "input", input);
  check.same_device(input, weight);
  if (bias.defined()) {
    check.same_dtype("bias", bias, "input", input);
    check.same_device(input, bias);
  }
  if (weight.dim() != 1 && weight.dim() != 2) {
    check.fail_shape(fmt::format("weight must have 1 or 2 dimensions, but has shape {}", weight.shape().to_string()));
  }
  if (input.dim() == 0 || input.shape().back() != weight.shape().back()) {
    check.fail_shape(fmt::format("the last dimension of input {} must be that of weight {}", input.shape().to_string(),
                                 weight.shape().to_string()));
  }
  const bool scaled = scales.out != 1 || scales.grad_in != 1 || scales.grad_weight != 1;
  if (weight.dim() == 1 && !scaled) {
    const Tensor out = matmul(input, weight);
    return bias.defined() ? out + bias : out;
  }
  if (weight.dim() == 1) {
    const bool one_bias = bias.defined() && bias.numel() == 1;
    const Tensor out = linear(input, weight.reshape({1, weight.numel()}), one_bias ? bias.reshape({1}) : bias, scales);
    return out.reshape(input.shape().slice(0, input.dim() - 1));
  }
  const std::int64_t in = weight.shape()[1];
  const std::int64_t out_features = weight.shape()[0];
  const std::int64_t rows = in == 0 ? input.shape().slice(0, input.dim() - 1).numel() : input.numel() / in;
  const Shape shape = input.shape().slice(0, input.dim() - 1) + out_features;
  if (bias.defined() && bias.shape() != Shape{out_features}) {
    if (scaled) {
      check.fail_shape(fmt::format("with scales, bias must have shape {}, but has {}", Shape{out_features}.to_string(),
                                   bias.shape().to_string()));
    }
    // Rarer shapes of bias broadcast, as in PyTorch.
    if (broadcast_shape("linear", shape, bias.shape()) != shape) {
      check.fail_shape(
          fmt::format("bias {} does not broadcast to the output {}", bias.shape().to_string(), shape.to_string()));
    }
    return linear(input, weight) + bias;
  }

  Tensor out = empty(shape, input.options());
  if (bias.defined()) copy_rows(bias, out, rows);
  gemm(input, false, weight, true, out, {rows, out_features, in}, scales.out, bias.defined() ? scales.out : 0);

  // d input = grad W,  d W = grad^T input,  d bias = column sums of grad
  return record("linear", out, {input, weight, bias},
                [x = Saved::input(weight.requires_grad() ? input : Tensor()),
                 w = Saved::input(input.requires_grad() ? weight : Tensor()), in_shape = input.shape(), rows,
                 out_features, in, scales](const Tensor& grad, InputGradients& into) {
                  if (into.wants(0)) {
                    Tensor grad_input = empty(in_shape, grad.options());
                    gemm(grad, false, w.get(), false, grad_input, {rows, in, out_features}, scales.grad_in);
                    into.add(0, std::move(grad_input));
                  }
                  if (into.wants(1)) {
                    Tensor grad_weight = empty({out_features, in}, grad.options());
                    gemm(grad, true, x.get(), false, grad_weight, {out_features, in, rows}, scales.grad_weight);
                    into.add(1, std::move(grad_weight));
                  }
                  if (into.wants(2)) {
                    Tensor grad_bias = sum(grad.reshape({rows, out_features}), {0});
                    scale_in_place(OpCheck("linear"), grad_bias, scales.grad_weight);
                    into.add(2, std::move(grad_bias));
                  }
                });
}

}  // namespace embergrad

#include <embergrad/ops.hpp>

#include <limits>

#include "kernels/elementwise.hpp"
#include "kernels/softmax.hpp"
#include "ops/common.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

using detail::view;

Tensor softmax_along(const char* op, const Tensor& input, int dim, bool log) {
  const OpCheck check(op);
  check.defined("input", input);
  const int d = check.dimension("dim", dim, input.dim());
  // PyTorch minds the type only where there is something to compute.
  if (is_integer(input.dtype()) && input.numel() == 0) return empty(input.shape(), input.options());
  check.computes("input", input);
  const Shape& shape = input.shape();
  const auto [outer, count, inner] = Middle(shape, d);
  Tensor out = empty(shape, input.options());
  if (out.numel() > 0) {
    launch(input.device(),
           Softmax{.in = view(input), .out = view(out), .outer = outer, .count = count, .inner = inner, .log = log});
  }
  if (!grad_enabled() || !input.requires_grad()) return out;
  return record(op, out, {input},
                [y = Saved(out), outer = outer, count = count, inner = inner, log](const Tensor& grad) {
                  const Tensor& kept = y.get();
                  Tensor grad_in = empty(grad.shape(), grad.options());
                  if (grad.numel() > 0) {
                    launch(grad.device(), SoftmaxGrad{.out = view(kept),
                                                      .grad_out = view(grad),
                                                      .grad_in = view(grad_in),
                                                      .outer = outer,
                                                      .count = count,
                                                      .inner = inner,
                                                      .log = log});
                  }
                  return Gradient(grad_in);
                });
}

}  // namespace

Tensor log_softmax(const Tensor& input, int dim) { return softmax_along("log_softmax", input, dim, true); }
Tensor softmax(const Tensor& input, int dim) { return softmax_along("softmax", input, dim, false); }

Tensor logsumexp(const Tensor& input, const Dims& dims, bool keepdim) {
  const OpCheck check("logsumexp");
  check.not_16_bit("input", input);
  const Tensor x = as_floating(input);
  const ReducedDims reduced(check, x.shape(), dims);
  const double infinity = std::numeric_limits<double>::infinity();
  Tensor out = no_grad([&] {
    if (reduced.count() == 0) return full(reduced.result(keepdim), -infinity, x.options());
    // Shifted by the maximum; by 0 where that is infinite, which would make inf - inf.
    Tensor largest = amax(x, dims, true);
    if (x.dim() == 0) largest = x.clone();
    largest = masked_fill(largest, eq(abs(largest), infinity), 0);
    Tensor powers = map_binary(binary_op<rules::Sub>, "logsumexp", x, largest);
    launch(x.device(), UnaryMap{.op = unary_op<rules::Exp>, .in = view(powers), .out = view(powers)});
    Tensor total = sum_runs(powers, reduced).reshape(reduced.kept);
    launch(x.device(), UnaryMap{.op = unary_op<rules::Log>, .in = view(total), .out = view(total)});
    return add(total, largest).reshape(reduced.result(keepdim));
  });
  if (!grad_enabled() || !x.requires_grad()) return out;
  // d/dx = e^(x - logsumexp)
  return record("logsumexp", out, {x}, [x = Saved::input(x), y = Saved(out), kept = reduced.kept](const Tensor& grad) {
    Tensor share = map_binary(binary_op<rules::Sub>, "logsumexp", x.get(), y.get().reshape(kept));
    launch(grad.device(), UnaryMap{.op = unary_op<rules::Exp>, .in = view(share), .out = view(share)});
    return Gradient(mul(share, grad.reshape(kept)));
  });
}

}  // namespace embergrad

#include <embergrad/ops.hpp>

#include "kernels/softmax.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

using detail::view;

Tensor softmax_along(const char* op, const Tensor& input, int dim, bool log) {
  const OpCheck check(op);
  check.computes("input", input);
  const int d = check.dimension("dim", dim, input.dim());
  const Shape& shape = input.shape();
  const int after = std::min(d + 1, shape.rank());
  const std::int64_t outer = shape.slice(0, std::min(d, shape.rank())).numel();
  const std::int64_t count = shape.rank() == 0 ? 1 : shape[d];
  const std::int64_t inner = shape.slice(after, shape.rank()).numel();
  Tensor out = empty(shape, input.options());
  if (out.numel() > 0) {
    launch(input.device(),
           Softmax{.in = view(input), .out = view(out), .outer = outer, .count = count, .inner = inner, .log = log});
  }
  if (!grad_enabled() || !input.requires_grad()) return out;
  return record(op, out, {input}, [y = Saved(out), outer, count, inner, log](const Tensor& grad) {
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

}  // namespace embergrad

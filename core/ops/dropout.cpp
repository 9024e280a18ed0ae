#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include "kernels/random.hpp"
#include "ops/common.hpp"
#include "ops/scales.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

Tensor dropout(const Tensor& input, const DropoutOptions& options, const Scales& scales) {
  const OpCheck check("dropout");
  check_scales(check, scales);
  check.computes("input", input);
  if (!(options.p >= 0 && options.p <= 1)) check.fail_value(fmt::format("p must be in [0, 1], but is {}", options.p));
  if (!options.training) {
    if (scales.out == 1 && scales.grad_in == 1) return input;
    const auto times = [](const Tensor& x, double factor) {
      return map_scalar(binary_op<rules::Mul>, "dropout", x, factor, false);
    };
    return record("dropout", times(input, scales.out), {input},
                  [times, factor = scales.grad_in](const Tensor& grad) { return Gradient(times(grad, factor)); });
  }
  const Generator::Ticket ticket = (options.generator != nullptr ? *options.generator : default_generator()).next();
  const auto apply = [p = options.p, ticket](const Tensor& x, double factor) {
    Tensor out = empty(x.shape(), x.options());
    launch(x.device(), ApplyDropout{.in = detail::view(x),
                                    .out = detail::view(out),
                                    .p = p,
                                    .factor = factor,
                                    .seed = ticket.seed,
                                    .tick = ticket.tick});
    return out;
  };
  // The mask is a function of the ticket: backward draws it again instead of keeping it.
  return record("dropout", apply(input, scales.out), {input},
                [apply, factor = scales.grad_in](const Tensor& grad) { return Gradient(apply(grad, factor)); });
}

}  // namespace embergrad

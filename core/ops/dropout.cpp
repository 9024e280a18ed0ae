#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include "kernels/random.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

Tensor dropout(const Tensor& input, const DropoutOptions& options) {
  const OpCheck check("dropout");
  check.computes("input", input);
  if (!(options.p >= 0 && options.p <= 1)) check.fail_value(fmt::format("p must be in [0, 1], but is {}", options.p));
  if (!options.training) return input;
  const Generator::Ticket ticket = (options.generator != nullptr ? *options.generator : default_generator()).next();
  const auto apply = [p = options.p, ticket](const Tensor& x) {
    Tensor out = empty(x.shape(), x.options());
    launch(x.device(),
           ApplyDropout{
               .in = detail::view(x), .out = detail::view(out), .p = p, .seed = ticket.seed, .tick = ticket.tick});
    return out;
  };
  // The mask is a function of the ticket: backward draws it again instead of keeping it.
  return record("dropout", apply(input), {input}, [apply](const Tensor& grad) { return Gradient(apply(grad)); });
}

}  // namespace embergrad

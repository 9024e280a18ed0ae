// Elementwise ops of one argument. A new one is a rule in kernels/rules/unary.hpp and a line at the end here.
#include <embergrad/ops.hpp>

#include "kernels/elementwise.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

enum class Saves : std::uint8_t { nothing, input, output };

Tensor map(UnaryOp op, const char* name, Saves saves, bool keeps_integers, const Tensor& input) {
  OpCheck(name).not_16_bit("input", input);
  const Tensor x = is_integer(input.dtype()) && !keeps_integers ? input.to(DType::float32) : input;
  Tensor out = empty(x.shape(), x.options());
  launch(x.device(), UnaryMap{.op = op, .in = detail::view(x), .out = detail::view(out)});
  if (!grad_enabled() || !x.requires_grad()) return out;
  if (saves == Saves::nothing) {
    return record(name, out, {x}, [](const Tensor& grad) { return Gradient(neg(grad)); });
  }
  return record(name, out, {x}, [op, saved = saves == Saves::input ? Saved::input(x) : Saved(out)](const Tensor& grad) {
    const Tensor& kept = saved.get();
    Tensor grad_in = empty(grad.shape(), grad.options());
    launch(grad.device(),
           UnaryGrad{.op = op, .saved = detail::view(kept), .grad = detail::view(grad), .out = detail::view(grad_in)});
    return Gradient(grad_in);
  });
}

}  // namespace

Tensor neg(const Tensor& input) { return map(unary_op<rules::Neg>, "neg", Saves::nothing, true, input); }
Tensor exp(const Tensor& input) { return map(unary_op<rules::Exp>, "exp", Saves::output, false, input); }
Tensor log(const Tensor& input) { return map(unary_op<rules::Log>, "log", Saves::input, false, input); }
Tensor sigmoid(const Tensor& input) { return map(unary_op<rules::Sigmoid>, "sigmoid", Saves::output, false, input); }
Tensor tanh(const Tensor& input) { return map(unary_op<rules::Tanh>, "tanh", Saves::output, false, input); }
Tensor sqrt(const Tensor& input) { return map(unary_op<rules::Sqrt>, "sqrt", Saves::output, false, input); }
Tensor square(const Tensor& input) { return map(unary_op<rules::Square>, "square", Saves::input, true, input); }
Tensor abs(const Tensor& input) { return map(unary_op<rules::Abs>, "abs", Saves::input, true, input); }
Tensor logsigmoid(const Tensor& input) {
  OpCheck("logsigmoid").computes("input", input);
  return map(unary_op<rules::LogSigmoid>, "logsigmoid", Saves::input, false, input);
}
Tensor relu(const Tensor& input) { return map(unary_op<rules::Relu>, "relu", Saves::output, true, input); }

}  // namespace embergrad

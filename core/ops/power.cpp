#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include "ops/common.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

using detail::view;

constexpr BinaryOp pow_op = binary_op<rules::Pow>;

Tensor map(UnaryOp op, const Tensor& x) {
  Tensor out = empty(x.shape(), x.options());
  launch(x.device(), UnaryMap{.op = op, .in = view(x), .out = view(out)});
  return out;
}

// x^e of floating x, off the tape. The exponents that are common have shorter ways, the same that PyTorch takes.
Tensor power(const Tensor& x, double e) {
  const auto inverse = [](const Tensor& y) { return map_scalar(binary_op<rules::Div>, "pow", y, 1.0, true); };
  const auto square = [&] { return map(unary_op<rules::Square>, x); };
  if (e == 1) return no_grad([&] { return x.clone(); });
  if (e == 2) return square();
  if (e == 3) return map_binary(binary_op<rules::Mul>, "pow", square(), x);
  if (e == 0.5) return map(unary_op<rules::Sqrt>, x);
  if (e == -0.5) return inverse(map(unary_op<rules::Sqrt>, x));
  if (e == -1) return inverse(x);
  if (e == -2) return inverse(square());
  return map_scalar(pow_op, "pow", x, e, false);
}

}  // namespace

Tensor pow(const Tensor& input, Scalar exponent) {
  const OpCheck check("pow");
  check.not_16_bit("input", input);
  if (is_integer(input.dtype()) && exponent.is_integer()) {
    if (exponent.integer() < 0) {
      check.fail_value(fmt::format("exponent is {}, but integers have no negative powers", exponent.integer()));
    }
    Tensor out = empty(input.shape(), input.options());
    launch(input.device(), BinaryScalarMap{.op = pow_op,
                                           .a = view(input),
                                           .b = check.number("exponent", exponent, input.dtype()),
                                           .reversed = false,
                                           .out = view(out)});
    return out;
  }
  const Tensor x = as_floating(input);
  const double e = exponent.value();
  Tensor out = power(x, e);
  if (!grad_enabled() || !x.requires_grad()) return out;
  // d(x^e)/dx = e x^(e-1), and 0 for e = 0 even where x^(e-1) is infinite
  return record("pow", out, {x}, [x = Saved::input(x), e](const Tensor& grad) {
    if (e == 0) return Gradient(zeros_like(grad));
    return Gradient(mul(grad, mul(power(x.get(), e - 1), e)));
  });
}

Tensor pow(Scalar base, const Tensor& exponent) {
  const OpCheck check("pow");
  check.not_16_bit("exponent", exponent);
  const Tensor e = base.is_integer() ? exponent : as_floating(exponent);
  Tensor out = empty(e.shape(), e.options());
  const Number b = check.number("base", base, e.dtype());
  launch(e.device(), BinaryScalarMap{.op = pow_op, .a = view(e), .b = b, .reversed = true, .out = view(out)});
  return record("pow", out, {e}, [e = Saved::input(e), b](const Tensor& grad) {
    const Tensor& exponents = e.get();
    Tensor slope = empty(grad.shape(), grad.options());
    launch(grad.device(), BinaryScalarMap{.op = binary_op<rules::PowGradExponent>,
                                          .a = view(exponents),
                                          .b = b,
                                          .reversed = true,
                                          .out = view(slope)});
    return Gradient(mul(grad, slope));
  });
}

Tensor pow(const Tensor& input, const Tensor& exponent) {
  const Operands x("pow", input, exponent, false);
  return record("pow", map_binary(pow_op, "pow", x.a(), x.b()), {x.a(), x.b()},
                [a = Saved::input(x.a()), b = Saved::input(x.b())](const Tensor& grad, InputGradients& into) {
                  const Tensor& base = a.get();
                  const Tensor& power_of = b.get();
                  if (into.wants(0)) {
                    into.add(0, sum_to(mul(grad, map_binary(binary_op<rules::PowGradBase>, "pow", base, power_of)),
                                       base.shape()));
                  }
                  if (into.wants(1)) {
                    into.add(1, sum_to(mul(grad, map_binary(binary_op<rules::PowGradExponent>, "pow", base, power_of)),
                                       power_of.shape()));
                  }
                });
}

}  // namespace embergrad

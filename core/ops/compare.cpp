// Comparisons, elementwise extremes of two tensors, clamp, and choosing by a mask.
#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ops/common.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

using detail::broadcast_view;
using detail::strided_view;
using detail::view;

template <class Rule>
Tensor compare(const char* op, const Tensor& input, const Tensor& other) {
  const Operands x(op, input, other, false);
  return map_binary(binary_op<Rule>, op, x.a(), x.b()).to(DType::int32);
}

template <class Rule>
Tensor compare(const char* op, const Tensor& input, Scalar other) {
  return map_scalar(binary_op<Rule>, op, input, other, false).to(DType::int32);
}

}  // namespace

Tensor eq(const Tensor& input, const Tensor& other) { return compare<rules::Eq>("eq", input, other); }
Tensor ne(const Tensor& input, const Tensor& other) { return compare<rules::Ne>("ne", input, other); }
Tensor lt(const Tensor& input, const Tensor& other) { return compare<rules::Lt>("lt", input, other); }
Tensor le(const Tensor& input, const Tensor& other) { return compare<rules::Le>("le", input, other); }
Tensor gt(const Tensor& input, const Tensor& other) { return compare<rules::Gt>("gt", input, other); }
Tensor ge(const Tensor& input, const Tensor& other) { return compare<rules::Ge>("ge", input, other); }
Tensor eq(const Tensor& input, Scalar other) { return compare<rules::Eq>("eq", input, other); }
Tensor ne(const Tensor& input, Scalar other) { return compare<rules::Ne>("ne", input, other); }
Tensor lt(const Tensor& input, Scalar other) { return compare<rules::Lt>("lt", input, other); }
Tensor le(const Tensor& input, Scalar other) { return compare<rules::Le>("le", input, other); }
Tensor gt(const Tensor& input, Scalar other) { return compare<rules::Gt>("gt", input, other); }
Tensor ge(const Tensor& input, Scalar other) { return compare<rules::Ge>("ge", input, other); }

namespace {

template <class Rule>
Tensor extreme_of_two(const char* op, bool smaller, const Tensor& input, const Tensor& other) {
  const Operands x(op, input, other, false);
  Tensor out = map_binary(binary_op<Rule>, op, x.a(), x.b());
  if (!grad_enabled() || !(x.a().requires_grad() || x.b().requires_grad())) return out;
  // The gradient goes to the one that was taken, to each the half where they are equal, and to both where one is NaN.
  return record(op, out, {x.a(), x.b()},
                [a = Saved::input(x.a()), b = Saved::input(x.b()), smaller](const Tensor& grad, InputGradients& into) {
                  const Tensor& first = a.get();
                  const Tensor& second = b.get();
                  const Tensor shared = where(eq(first, second), mul(grad, 0.5), grad);
                  const auto unless = [&](const Tensor& loses) { return where(loses, 0, shared); };
                  if (into.wants(0)) {
                    into.add(0, sum_to(unless(smaller ? gt(first, second) : lt(first, second)), first.shape()));
                  }
                  if (into.wants(1)) {
                    into.add(1, sum_to(unless(smaller ? lt(first, second) : gt(first, second)), second.shape()));
                  }
                });
}

}  // namespace

Tensor maximum(const Tensor& input, const Tensor& other) {
  return extreme_of_two<rules::Maximum>("maximum", false, input, other);
}
Tensor minimum(const Tensor& input, const Tensor& other) {
  return extreme_of_two<rules::Minimum>("minimum", true, input, other);
}

Tensor clamp(const Tensor& input, const ClampOptions& options) {
  const OpCheck check("clamp");
  check.not_16_bit("input", input);
  if (!options.min && !options.max) check.fail_value("neither min nor max is given");
  const bool floating = (options.min && !options.min->is_integer()) || (options.max && !options.max->is_integer());
  const Tensor x = floating ? as_floating(input) : input;
  // A bound that is NaN makes everything NaN; for the kernel, a NaN is no bound.
  if ((options.min && std::isnan(options.min->value())) || (options.max && std::isnan(options.max->value()))) {
    return record("clamp", full(x.shape(), std::numeric_limits<double>::quiet_NaN(), x.options()), {x},
                  [](const Tensor& grad) { return Gradient(zeros_like(grad)); });
  }
  Number low(std::numeric_limits<double>::quiet_NaN());
  Number high = low;
  if (is_integer(x.dtype())) {
    const bool narrow_type = x.dtype() == DType::int32;
    low = Number(narrow_type ? std::int64_t{INT32_MIN} : INT64_MIN);
    high = Number(narrow_type ? std::int64_t{INT32_MAX} : INT64_MAX);
  }
  if (options.min) low = check.number("min", *options.min, x.dtype());
  if (options.max) high = check.number("max", *options.max, x.dtype());
  Tensor out = empty(x.shape(), x.options());
  launch(x.device(), ClampMap{.in = view(x), .out = view(out), .low = low, .high = high});
  return record("clamp", out, {x}, [x = Saved::input(x), low, high](const Tensor& grad) {
    const Tensor& in = x.get();
    Tensor grad_in = empty(grad.shape(), grad.options());
    launch(grad.device(),
           ClampGrad{.in = view(in), .grad = view(grad), .out = view(grad_in), .low = low, .high = high});
    return Gradient(grad_in);
  });
}

Tensor clamp(const Tensor& input, const Tensor& min, const Tensor& max) {
  if (!min.defined() && !max.defined()) OpCheck("clamp").fail_value("neither min nor max is given");
  const Tensor raised = min.defined() ? maximum(input, min) : input;
  return max.defined() ? minimum(raised, max) : raised;
}

Tensor where(const Tensor& condition, const Tensor& input, const Tensor& other) {
  const OpCheck check("where");
  check.is_integer("condition", condition);
  check.same_device(condition, input.defined() ? input : condition);
  const Operands x("where", input, other, false);
  const Shape values = broadcast_shape("where", x.a().shape(), x.b().shape());
  const Shape shape = broadcast_shape("where", condition.shape(), values);
  Tensor out = empty(shape, x.a().options());
  launch(out.device(), Select{.mask = broadcast_view(condition, shape),
                              .a = broadcast_view(x.a(), shape),
                              .b = broadcast_view(x.b(), shape),
                              .out = strided_view(out)});
  return record(
      "where", out, {x.a(), x.b()},
      [mask = Saved::input(condition), a = x.a().shape(), b = x.b().shape()](const Tensor& grad, InputGradients& into) {
        if (into.wants(0)) into.add(0, sum_to(where(mask.get(), grad, 0), a));
        if (into.wants(1)) into.add(1, sum_to(where(mask.get(), 0, grad), b));
      });
}

namespace {

// A scalar as a tensor that is promoted with `beside` as the scalar would be.
Tensor scalar_beside(const OpCheck& check, const char* argument, Scalar scalar, const Tensor& beside) {
  check.not_16_bit(argument, beside);
  const bool keeps = scalar.is_integer() || is_floating(beside.dtype());
  return full({}, scalar, {keeps ? beside.dtype() : DType::float32, beside.device()});
}

}  // namespace

Tensor where(const Tensor& condition, const Tensor& input, Scalar other) {
  return where(condition, input, scalar_beside(OpCheck("where"), "input", other, input));
}
Tensor where(const Tensor& condition, Scalar input, const Tensor& other) {
  return where(condition, scalar_beside(OpCheck("where"), "other", input, other), other);
}
Tensor where(const Tensor& condition, Scalar input, Scalar other) {
  OpCheck("where").is_integer("condition", condition);
  const DType dtype = input.is_integer() && other.is_integer() ? DType::int64 : DType::float32;
  const TensorOptions options{dtype, condition.device()};
  return where(condition, full({}, input, options), full({}, other, options));
}

Tensor masked_fill(const Tensor& input, const Tensor& mask, Scalar value) {
  const OpCheck check("masked_fill");
  check.not_16_bit("input", input);
  static_cast<void>(check.number("value", value, input.dtype()));
  return masked_fill(input, mask, full({}, value, input.options()));
}

Tensor masked_fill(const Tensor& input, const Tensor& mask, const Tensor& value) {
  const OpCheck check("masked_fill");
  check.not_16_bit("input", input);
  check.is_integer("mask", mask);
  check.not_16_bit("value", value);
  check.has_rank("value", value, 0);
  static_cast<void>(broadcast_shape("masked_fill", input.shape(), mask.shape()));
  return where(mask, value.to(input.dtype()), input);
}

}  // namespace embergrad

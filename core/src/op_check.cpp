#include "src/op_check.hpp"

#include <fmt/format.h>

#include <embergrad/autograd.hpp>

#include "src/index_watch.hpp"

namespace embergrad {

std::string position_text(const Shape& shape, std::int64_t flat) {
  std::string text;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    text = fmt::format("{}{}{}", flat % shape[d], text.empty() ? "" : ", ", text);
    flat /= shape[d];
  }
  return text;
}

int OpCheck::dimension(const char* argument, int dim, int rank) const {
  const int range = rank == 0 ? 1 : rank;
  if (dim < -range || dim >= range) {
    throw IndexError(fmt::format("{}: {} is {}, but a tensor of {} dimensions has {} to {}", op_, argument, dim, rank,
                                 -range, range - 1));
  }
  return dim < 0 ? dim + range : dim;
}

Tensor OpCheck::rows_exist(const char* argument, const Tensor& input, const char* what, std::int64_t rows,
                           bool or_minus_one) const {
  const auto expected = [&] { return fmt::format("but {} has {} rows", what, rows); };
  return detail::checked_indices({op_, argument}, expected, input, rows,
                                 or_minus_one ? std::optional<std::int64_t>(-1) : std::nullopt);
}

Tensor OpCheck::classes_exist(const char* argument, const Tensor& target, std::int64_t classes,
                              std::int64_t ignored) const {
  const auto expected = [&] { return fmt::format("but there are {} classes", classes); };
  return detail::checked_indices({op_, argument}, expected, target, classes, ignored);
}

Number OpCheck::number(const char* argument, Scalar scalar, DType dtype) const {
  if (!embergrad::is_integer(dtype)) return scalar.is_integer() ? Number(scalar.integer()) : Number(scalar.value());
  const auto refuse = [&](const auto& value) {
    fail_value(fmt::format("{} is {}, which {} can't hold", argument, value, name_of(dtype)));
  };
  std::int64_t whole = scalar.integer();
  if (!scalar.is_integer()) {
    if (!(scalar.value() >= -0x1p63 && scalar.value() < 0x1p63)) refuse(scalar.value());
    whole = static_cast<std::int64_t>(scalar.value());
  }
  if (dtype == DType::int32 && (whole < INT32_MIN || whole > INT32_MAX)) refuse(whole);
  return {whole};
}

void OpCheck::fail_shape(const std::string& message) const { throw ShapeError(fmt::format("{}: {}", op_, message)); }
void OpCheck::fail_value(const std::string& message) const { throw ValueError(fmt::format("{}: {}", op_, message)); }
void OpCheck::fail_dtype(const std::string& message) const { throw DTypeError(fmt::format("{}: {}", op_, message)); }
void OpCheck::fail_index(const std::string& message) const { throw IndexError(fmt::format("{}: {}", op_, message)); }

void OpCheck::throw_undefined(const char* argument) const { fail_value(fmt::format("{} is undefined", argument)); }

void OpCheck::throw_dtype(const char* argument, const Tensor& tensor, const char* expected) const {
  fail_dtype(fmt::format("{} must be {}, but is {}", argument, expected, name_of(tensor.dtype())));
}

void OpCheck::throw_dtypes_differ(const char* argument, const Tensor& tensor, const char* other_argument,
                                  const Tensor& other) const {
  fail_dtype(
      fmt::format("{} is {}, but {} is {}", argument, name_of(tensor.dtype()), other_argument, name_of(other.dtype())));
}

void OpCheck::throw_rank(const char* argument, const Tensor& tensor, int rank) const {
  fail_shape(fmt::format("{} must have {} dimensions, but has shape {}", argument, rank, tensor.shape().to_string()));
}

void OpCheck::throw_shape(const char* argument, const Tensor& tensor, const Shape& shape) const {
  fail_shape(fmt::format("{} must have shape {}, but has {}", argument, shape.to_string(), tensor.shape().to_string()));
}

void OpCheck::throw_devices_differ(const Tensor& a, const Tensor& b) const {
  throw DeviceError(fmt::format("{}: tensors on {} and {}", op_, a.device().to_string(), b.device().to_string()));
}

void OpCheck::wants_no_gradient(const char* argument, const Tensor& tensor) const {
  if (!grad_enabled() || !tensor.requires_grad()) return;
  fail_value(fmt::format("{} requires a gradient, which this loss does not give", argument));
}

}  // namespace embergrad

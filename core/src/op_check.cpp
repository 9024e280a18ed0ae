#include "src/op_check.hpp"

#include <fmt/format.h>

#include <embergrad/autograd.hpp>

#include "src/tensor_state.hpp"

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

namespace {

template <class T>
std::int64_t first_outside(const T* values, std::int64_t count, std::int64_t range, std::int64_t also) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<std::int64_t>(values[i]);
    if ((value < 0 || value >= range) && value != also) return i;
  }
  return -1;
}

// The first position whose value is neither in [0, range) nor `also`, or -1.
std::int64_t first_outside(const View& all, std::int64_t range, std::int64_t also) {
  return all.dtype == DType::int32 ? first_outside(all.as<std::int32_t>(), all.size, range, also)
                                   : first_outside(all.as<std::int64_t>(), all.size, range, also);
}

std::int64_t value_at(const View& all, std::int64_t at) {
  return all.dtype == DType::int32 ? all.as<std::int32_t>()[at] : all.as<std::int64_t>()[at];
}

}  // namespace

void OpCheck::rows_exist(const char* argument, const Tensor& input, const char* what, std::int64_t rows,
                         bool or_minus_one) const {
  const Tensor here = input.to(Device::cpu());
  const View all = detail::view(here);
  const std::int64_t at = first_outside(all, rows, or_minus_one ? -1 : 0);
  const bool zero_of_none = !or_minus_one && rows == 0 && all.size > 0;
  if (at < 0 && !zero_of_none) return;
  const std::int64_t bad = at < 0 ? 0 : at;
  fail_index(fmt::format("{}[{}] is {}, but {} has {} rows", argument, position_text(input.shape(), bad),
                         value_at(all, bad), what, rows));
}

void OpCheck::classes_exist(const char* argument, const Tensor& target, std::int64_t classes,
                            std::int64_t ignored) const {
  const Tensor here = target.to(Device::cpu());
  const View all = detail::view(here);
  const std::int64_t at = first_outside(all, classes, ignored);
  if (at < 0) return;
  fail_index(fmt::format("{}[{}] is {}, but there are {} classes", argument, position_text(target.shape(), at),
                         value_at(all, at), classes));
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

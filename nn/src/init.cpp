#include <embergrad/nn/init.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

namespace embergrad::nn::init {
namespace {

void check_floating(const char* op, const Tensor& tensor) {
  if (!tensor.defined()) throw ValueError(fmt::format("init::{}: tensor is undefined", op));
  if (!is_floating(tensor.dtype())) {
    throw DTypeError(fmt::format("init::{}: tensor must be floating, but is {}", op, name_of(tensor.dtype())));
  }
}

// Fills a tensor, but for its frozen rows, with what make(shape) gives, by pieces: a large table must not be made
// twice.
template <class Make>
void assign(const Tensor& tensor, const Make& make) {
  constexpr std::int64_t piece = std::int64_t{1} << 24;
  const NoGrad guard;
  std::vector<std::pair<std::int64_t, Tensor>> kept;
  for (const std::int64_t row : embergrad::detail::frozen_rows(tensor)) {
    if (tensor.dim() > 0 && row < tensor.size(0)) kept.emplace_back(row, tensor[row].clone());
  }
  const Tensor flat = tensor.reshape({tensor.numel()});
  for (std::int64_t begin = 0; begin < flat.numel(); begin += piece) {
    const std::int64_t count = std::min(piece, flat.numel() - begin);
    narrow(flat, 0, begin, count).copy_from(make(Shape{count}));
  }
  for (const auto& [row, values] : kept) tensor[row].copy_from(values);
}

// 16-bit tensors are drawn in float32.
TensorOptions drawn_as(const Tensor& tensor) {
  return {tensor.dtype() == DType::float64 ? DType::float64 : DType::float32, tensor.device()};
}

struct Fans {
  double in;
  double out;
};

Fans fans_of(const char* op, const Tensor& tensor) {
  check_floating(op, tensor);
  if (tensor.dim() < 2) {
    throw ShapeError(fmt::format("init::{}: tensor must have at least two dimensions, but has shape {}", op,
                                 tensor.shape().to_string()));
  }
  double field = 1;
  for (int d = 2; d < tensor.dim(); ++d) field *= static_cast<double>(tensor.shape()[d]);
  return {static_cast<double>(tensor.shape()[1]) * field, static_cast<double>(tensor.shape()[0]) * field};
}

double kaiming_scale(const char* op, const Tensor& tensor, double a, FanMode mode, Nonlinearity nonlinearity) {
  const Fans fans = fans_of(op, tensor);
  return calculate_gain(nonlinearity, a) / std::sqrt(mode == FanMode::fan_in ? fans.in : fans.out);
}

}  // namespace

double calculate_gain(Nonlinearity nonlinearity, double negative_slope) {
  switch (nonlinearity) {
    case Nonlinearity::linear:
    case Nonlinearity::sigmoid:
      return 1;
    case Nonlinearity::tanh:
      return 5.0 / 3;
    case Nonlinearity::relu:
      return std::sqrt(2.0);
    case Nonlinearity::leaky_relu:
      return std::sqrt(2 / (1 + negative_slope * negative_slope));
    case Nonlinearity::selu:
      return 0.75;
  }
  throw ValueError(fmt::format("calculate_gain: nonlinearity {} is unknown", static_cast<int>(nonlinearity)));
}

void uniform(Tensor tensor, double a, double b, Generator& generator) {
  check_floating("uniform", tensor);
  if (!(std::isfinite(a) && std::isfinite(b) && a <= b)) {
    throw ValueError(fmt::format("init::uniform: a and b must be finite with a <= b, but are {} and {}", a, b));
  }
  if (tensor.numel() == 0) return;
  const NoGrad guard;
  assign(tensor, [&](const Shape& shape) { return rand(shape, drawn_as(tensor), generator) * (b - a) + a; });
}

void normal(Tensor tensor, double mean, double std, Generator& generator) {
  check_floating("normal", tensor);
  if (!(std::isfinite(mean) && std::isfinite(std) && std >= 0)) {
    throw ValueError(
        fmt::format("init::normal: mean and std must be finite with std >= 0, but are {} and {}", mean, std));
  }
  if (tensor.numel() == 0) return;
  const NoGrad guard;
  assign(tensor, [&](const Shape& shape) { return randn(shape, drawn_as(tensor), generator) * std + mean; });
}

void constant(Tensor tensor, double value) {
  if (!tensor.defined()) throw ValueError("init::constant: tensor is undefined");
  assign(tensor, [&](const Shape& shape) { return full(shape, value, tensor.options()); });
}

void zeros(Tensor tensor) { constant(std::move(tensor), 0); }
void ones(Tensor tensor) { constant(std::move(tensor), 1); }

void xavier_uniform(Tensor tensor, double gain, Generator& generator) {
  const Fans fans = fans_of("xavier_uniform", tensor);
  if (tensor.numel() == 0) return;
  const double bound = gain * std::sqrt(6 / (fans.in + fans.out));
  uniform(std::move(tensor), -bound, bound, generator);
}

void xavier_normal(Tensor tensor, double gain, Generator& generator) {
  const Fans fans = fans_of("xavier_normal", tensor);
  if (tensor.numel() == 0) return;
  normal(std::move(tensor), 0, gain * std::sqrt(2 / (fans.in + fans.out)), generator);
}

void kaiming_uniform(Tensor tensor, double a, FanMode mode, Nonlinearity nonlinearity, Generator& generator) {
  const double scale = kaiming_scale("kaiming_uniform", tensor, a, mode, nonlinearity);
  if (tensor.numel() == 0) return;
  const double bound = std::sqrt(3.0) * scale;
  uniform(std::move(tensor), -bound, bound, generator);
}

void kaiming_normal(Tensor tensor, double a, FanMode mode, Nonlinearity nonlinearity, Generator& generator) {
  const double scale = kaiming_scale("kaiming_normal", tensor, a, mode, nonlinearity);
  if (tensor.numel() == 0) return;
  normal(std::move(tensor), 0, scale, generator);
}

}  // namespace embergrad::nn::init

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/optim/clip.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/update.hpp"
#include "src/tensor_state.hpp"

namespace embergrad::optim {
namespace {

// The parameters that have a gradient, each once.
std::vector<Tensor> with_gradient(const char* op, const std::vector<Tensor>& parameters) {
  std::vector<Tensor> found;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].defined()) throw ValueError(fmt::format("{}: parameter {} is undefined", op, i));
    const Gradient& gradient = parameters[i].grad();
    if (!gradient.defined()) continue;
    const DType dtype = gradient.is_sparse() ? gradient.rows().dtype() : gradient.dense().dtype();
    if (dtype > DType::float64) {
      throw DTypeError(
          fmt::format("{}: the gradient of parameter {} must be float32 or float64, but is {}", op, i, name_of(dtype)));
    }
    found.push_back(parameters[i]);
  }
  const auto by_state = [](const Tensor& tensor) { return tensor.state(); };
  std::vector<const void*> seen;
  seen.reserve(found.size());
  for (const Tensor& tensor : found) seen.push_back(tensor.state());
  std::ranges::sort(seen);
  if (std::ranges::adjacent_find(seen) == seen.end()) return found;
  // Only then: the order of the sum is that of the parameters.
  std::vector<Tensor> unique;
  for (const Tensor& tensor : found) {
    if (std::ranges::find(unique, tensor.state(), by_state) == unique.end()) unique.push_back(tensor);
  }
  return unique;
}

// The elements that aren't zero by construction.
Tensor elements_of(const Gradient& gradient) {
  return gradient.is_sparse() ? gradient.rows().values() : gradient.dense();
}

}  // namespace

double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm, double norm_type,
                      bool error_if_nonfinite) {
  const char* op = "clip_grad_norm";
  if (!(max_norm >= 0)) throw ValueError(fmt::format("{}: max_norm must not be negative, but is {}", op, max_norm));
  if (!(norm_type > 0)) throw ValueError(fmt::format("{}: norm_type must be above 0, but is {}", op, norm_type));
  const NoGrad guard;
  const std::vector<Tensor> clipped = with_gradient(op, parameters);

  double norm = 0;
  for (const Tensor& parameter : clipped) {
    const Tensor elements = elements_of(parameter.grad());
    double terms = 0;
    launch(elements.device(), NormTerms{.in = embergrad::detail::view(elements), .p = norm_type, .result = &terms});
    if (!std::isinf(norm_type)) {
      norm += terms;
    } else if (terms > norm || std::isnan(terms)) {
      norm = terms;
    }
    if (std::isnan(norm)) break;
  }
  if (norm_type == 2) {
    norm = std::sqrt(norm);
  } else if (!std::isinf(norm_type)) {
    norm = std::pow(norm, 1 / norm_type);
  }
  if (error_if_nonfinite && !std::isfinite(norm)) {
    throw ValueError(fmt::format("{}: the norm of the gradients is {}", op, norm));
  }

  double factor = max_norm / (norm + 1e-6);
  if (factor > 1) factor = 1;
  for (const Tensor& parameter : clipped) {
    Tensor handle = parameter;
    const Gradient& gradient = parameter.grad();
    if (gradient.is_sparse()) {
      handle.set_grad(gradient.rows().scaled(factor));
      continue;
    }
    const Tensor& dense = gradient.dense();
    // A finite factor keeps zeros zero, so the gradient still knows which of its rows were touched, and nobody saved it
    // for a backward: no change that others must hear of. NaN is one.
    if (!std::isfinite(factor)) embergrad::detail::begin_change(op, dense);
    launch(dense.device(), ScaleInPlace{.inout = embergrad::detail::view(dense), .factor = factor});
  }
  return norm;
}

void clip_grad_value(const std::vector<Tensor>& parameters, double clip_value) {
  const char* op = "clip_grad_value";
  if (!(clip_value >= 0))
    throw ValueError(fmt::format("{}: clip_value must not be negative, but is {}", op, clip_value));
  const NoGrad guard;
  for (const Tensor& parameter : with_gradient(op, parameters)) {
    const Gradient& gradient = parameter.grad();
    if (gradient.is_sparse()) {
      const RowSparse& rows = gradient.rows();
      const Tensor values = rows.values().clone();
      launch(values.device(), ClampInPlace{.inout = embergrad::detail::view(values), .limit = clip_value});
      Tensor handle = parameter;
      handle.set_grad(RowSparse::from_rows(rows.indices(), values, rows.rows()));
      continue;
    }
    // Zeros stay zero: see clip_grad_norm.
    launch(gradient.dense().device(),
           ClampInPlace{.inout = embergrad::detail::view(gradient.dense()), .limit = clip_value});
  }
}

}  // namespace embergrad::optim

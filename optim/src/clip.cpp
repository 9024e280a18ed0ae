#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/optim/clip.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/update.hpp"
#include "norm_terms.hpp"
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

Tensor detail::norm_terms(const std::vector<Tensor>& tensors, double p) {
  std::vector<Tensor> terms;
  terms.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    const Tensor own = empty({}, {DType::float64, tensor.device()});
    launch(
        tensor.device(),
        NormTerms{.in = embergrad::detail::view(tensor), .p = p, .result = embergrad::detail::view(own).as<double>()});
    terms.push_back(own.to(tensors.front().device()));
  }
  if (terms.empty()) return zeros({}, {DType::float64, {}});
  if (terms.size() == 1) return terms.front();
  const Tensor all = stack(terms);
  return std::isinf(p) ? amax(all) : sum(all);
}

Tensor clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm, double norm_type,
                      bool error_if_nonfinite) {
  const char* op = "clip_grad_norm";
  if (!(max_norm >= 0)) throw ValueError(fmt::format("{}: max_norm must not be negative, but is {}", op, max_norm));
  if (!(norm_type > 0)) throw ValueError(fmt::format("{}: norm_type must be above 0, but is {}", op, norm_type));
  const NoGrad guard;
  const std::vector<Tensor> clipped = with_gradient(op, parameters);
  std::vector<Tensor> elements;
  elements.reserve(clipped.size());
  for (const Tensor& parameter : clipped) elements.push_back(elements_of(parameter.grad()));

  Tensor norm = detail::norm_terms(elements, norm_type);
  if (norm_type == 2) {
    norm = sqrt(norm);
  } else if (!std::isinf(norm_type) && norm_type != 1) {
    norm = pow(norm, 1 / norm_type);
  }
  if (error_if_nonfinite && !std::isfinite(norm.item())) {
    throw ValueError(fmt::format("{}: the norm of the gradients is {}", op, norm.item()));
  }

  const Tensor factor = clamp(div(full({}, max_norm, norm.options()), add(norm, 1e-6)), {.max = 1.0});
  std::vector<Tensor> factors;
  factors.reserve(clipped.size());
  std::vector<Gradient> sparse(clipped.size());
  for (std::size_t i = 0; i < clipped.size(); ++i) {
    factors.push_back(factor.to(elements[i].dtype()).to(elements[i].device()));
    const Gradient& gradient = clipped[i].grad();
    if (gradient.is_sparse()) sparse[i] = gradient.rows().with_values(mul(elements[i], factors[i]));
  }
  // From here on no memory is asked for.
  for (std::size_t i = 0; i < clipped.size(); ++i) {
    Tensor handle = clipped[i];
    if (sparse[i].defined()) {
      handle.set_grad(std::move(sparse[i]));
      continue;
    }
    const Tensor& dense = handle.grad().dense();
    // A finite factor keeps zeros zero, so the gradient still knows which of its rows were touched, and nobody saved it
    // for a backward: no change that others must hear of. NaN is one, and of a GPU's factor nobody waits to know.
    if (!dense.device().is_cpu() || !std::isfinite(factors[i].item())) embergrad::detail::begin_change(op, dense);
    launch(dense.device(),
           ScaleInPlace{.inout = embergrad::detail::view(dense), .factor = embergrad::detail::view(factors[i])});
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
      const Tensor values = gradient.rows().values().clone();
      launch(values.device(), ClampInPlace{.inout = embergrad::detail::view(values), .limit = clip_value});
      Tensor handle = parameter;
      handle.set_grad(gradient.rows().with_values(values));
      continue;
    }
    // Zeros stay zero: see clip_grad_norm.
    launch(gradient.dense().device(),
           ClampInPlace{.inout = embergrad::detail::view(gradient.dense()), .limit = clip_value});
  }
}

}  // namespace embergrad::optim

#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <array>

#include "kernels/memory.hpp"
#include "kernels/reduce.hpp"
#include "ops/common.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

using detail::view;

std::int64_t product(const Shape& shape, int first, int last) {
  std::int64_t n = 1;
  for (int d = first; d < last; ++d) n *= shape[d];
  return n;
}

// Which dimensions to reduce; an empty list means all.
std::array<bool, Shape::max_rank> chosen(const OpCheck& check, const Dims& dims, int rank) {
  std::array<bool, Shape::max_rank> reduced{};
  bool scalar_named = false;  // a scalar has one dimension to name, and none to reduce
  for (int d = 0; dims.empty() && d < rank; ++d) reduced[static_cast<std::size_t>(d)] = true;
  for (int i = 0; i < dims.rank(); ++i) {
    const auto d = static_cast<std::size_t>(check.dimension("dim", static_cast<int>(dims[i]), rank));
    bool& named = rank == 0 ? scalar_named : reduced[d];
    if (named) check.fail_value(fmt::format("dim {} appears twice in {}", dims[i], dims.to_string()));
    named = true;
  }
  return reduced;
}

Shape without(const Shape& shape, const std::array<bool, Shape::max_rank>& reduced, bool keepdim) {
  Shape left;
  for (int d = 0; d < shape.rank(); ++d) {
    if (!reduced[static_cast<std::size_t>(d)]) {
      left.push_back(shape[d]);
    } else if (keepdim) {
      left.push_back(1);
    }
  }
  return left;
}

// Sums runs of neighbouring dimensions, the last run first.
Tensor sum_dims(const Tensor& input, const std::array<bool, Shape::max_rank>& reduced) {
  Tensor now = input;
  int last = input.dim();
  while (last > 0) {
    if (!reduced[static_cast<std::size_t>(last - 1)]) {
      --last;
      continue;
    }
    int first = last - 1;
    while (first > 0 && reduced[static_cast<std::size_t>(first - 1)]) --first;
    Shape shape = now.shape();
    const std::int64_t outer = product(shape, 0, first);
    const std::int64_t count = product(shape, first, last);
    const std::int64_t inner = product(shape, last, shape.rank());
    for (int d = first; d < last; ++d) shape[d] = 1;
    Tensor out = empty(shape, now.options());
    launch(now.device(), SumMiddle{.in = view(now), .out = view(out), .outer = outer, .count = count, .inner = inner});
    now = out;
    last = first;
  }
  return now;
}

// The gradient of a sum: repeated over what was summed.
Tensor repeat_to(const Tensor& grad, const Shape& kept, const Shape& shape) {
  Tensor wide = empty(shape, grad.options());
  launch(grad.device(),
         CopyStrided{.in = detail::broadcast_view(grad.reshape(kept), shape), .out = detail::strided_view(wide)});
  return wide;
}

}  // namespace

Tensor sum(const Tensor& input) { return sum(input, {}, false); }

Tensor sum(const Tensor& input, const Dims& dims, bool keepdim) {
  const OpCheck check("sum");
  check.not_16_bit("input", input);
  if (input.dtype() == DType::int32) return sum(input.to(DType::int64), dims, keepdim);
  const auto reduced = chosen(check, dims, input.dim());
  const Shape kept = without(input.shape(), reduced, true);
  Tensor total = sum_dims(input, reduced);
  if (total.shares_storage_with(input)) total = no_grad([&] { return input.clone(); });
  Tensor out = total.reshape(without(input.shape(), reduced, keepdim));
  return record("sum", out, {input},
                [kept, shape = input.shape()](const Tensor& grad) { return Gradient(repeat_to(grad, kept, shape)); });
}

Tensor mean(const Tensor& input) { return mean(input, {}, false); }

Tensor mean(const Tensor& input, const Dims& dims, bool keepdim) {
  const OpCheck check("mean");
  check.computes("input", input);
  const auto reduced = chosen(check, dims, input.dim());
  std::int64_t count = 1;
  for (int d = 0; d < input.dim(); ++d) count *= reduced[static_cast<std::size_t>(d)] ? input.shape()[d] : 1;
  return div(sum(input, dims, keepdim), static_cast<double>(count));
}

Tensor argmax(const Tensor& input, int dim, bool keepdim) {
  const OpCheck check("argmax");
  check.not_16_bit("input", input);
  const int d = check.dimension("dim", dim, input.dim());
  const Shape& shape = input.shape();
  const std::int64_t count = shape.rank() == 0 ? 1 : shape[d];
  if (count == 0) check.fail_index(fmt::format("dimension {} of shape {} is empty", d, shape.to_string()));
  Shape left;
  for (int k = 0; k < shape.rank(); ++k) {
    if (k != d) left.push_back(shape[k]);
    if (k == d && keepdim) left.push_back(1);
  }
  Tensor out = empty(left, {DType::int64, input.device()});
  const int after = std::min(d + 1, shape.rank());
  launch(input.device(), ExtremeMiddle{.in = view(input),
                                       .values = {},
                                       .indices = view(out),
                                       .outer = product(shape, 0, d),
                                       .count = count,
                                       .inner = product(shape, after, shape.rank()),
                                       .smallest = false});
  return out;
}

Tensor argmax(const Tensor& input) { return argmax(input.detach().reshape({-1}), 0); }

}  // namespace embergrad

// Largest and smallest elements, and where they are.
#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <cmath>

#include "kernels/memory.hpp"
#include "kernels/reduce.hpp"
#include "ops/common.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

using detail::view;

// Over some dimensions, off the tape.
Tensor extreme_over(const OpCheck& check, const Tensor& input, const ReducedDims& dims, bool smallest) {
  for (int d = 0; d < input.dim(); ++d) {
    if (dims.reduced[static_cast<std::size_t>(d)] && input.shape()[d] == 0) {
      check.fail_index(fmt::format("dimension {} of shape {} is empty", d, input.shape().to_string()));
    }
  }
  Tensor now = detail::settled(input);
  dims.for_each_run([&](std::int64_t outer, std::int64_t count, std::int64_t inner) {
    Tensor out = empty({outer * inner}, now.options());
    if (out.numel() > 0) {
      launch(now.device(), ExtremeMiddle{.in = view(now),
                                         .values = view(out),
                                         .indices = {},
                                         .outer = outer,
                                         .count = count,
                                         .inner = inner,
                                         .smallest = smallest});
    }
    now = out;
  });
  return no_grad([&] { return now.shares_storage_with(input) ? input.clone() : now; });
}

// The gradient goes to every element that is the extreme, in equal parts.
Tensor share_among_ties(const Tensor& grad, const Tensor& input, const Tensor& extreme, const ReducedDims& dims) {
  const Tensor ties = map_binary(binary_op<rules::Eq>, "amax", input, extreme.reshape(dims.kept));
  const Tensor counts = sum_runs(ties, dims).reshape(dims.kept);
  return div(mul(grad.reshape(dims.kept), ties), counts);
}

Tensor extremes(const char* op, const Tensor& input, const Dims& dims, bool keepdim, bool smallest) {
  const OpCheck check(op);
  check.not_16_bit("input", input);
  const ReducedDims reduced(check, input.shape(), dims);
  Tensor out = no_grad([&] { return extreme_over(check, input, reduced, smallest).reshape(reduced.result(keepdim)); });
  if (!grad_enabled() || !input.requires_grad()) return out;
  return record(op, out, {input}, [x = Saved::input(input), y = Saved(out), reduced](const Tensor& grad) {
    return Gradient(share_among_ties(grad, x.get(), y.get(), reduced));
  });
}

// Of all elements. As extremes(), but a NaN that is the result shares the gradient with all NaN.
Tensor extreme_of_all(const char* op, const Tensor& input, bool smallest) {
  const OpCheck check(op);
  check.not_16_bit("input", input);
  const ReducedDims all(check, input.shape(), {});
  Tensor out = no_grad([&] { return extreme_over(check, input, all, smallest).reshape({}); });
  if (!grad_enabled() || !input.requires_grad()) return out;
  return record(op, out, {input}, [x = Saved::input(input), y = Saved(out), all, op](const Tensor& grad) {
    const auto equal = [&] { return map_binary(binary_op<rules::Eq>, op, x.get(), y.get()); };
    const auto is_nan = [&] { return map_binary(binary_op<rules::Ne>, op, x.get(), x.get()); };
    // Where the result is NaN, nothing equals it; where it is not, nothing is NaN: so a GPU needs no look at it.
    const bool on_host = y.get().device().is_cpu();
    const Tensor ties = !on_host ? add(equal(), is_nan()) : std::isnan(y.get().item()) ? is_nan() : equal();
    const Tensor share = div(grad, sum_runs(ties, all).reshape({}));
    return Gradient(where(ties.to(DType::int32), share, 0));
  });
}

struct Place {
  int dim;
  Middle middle;
};

Place checked_place(const OpCheck& check, const Tensor& input, int dim) {
  check.not_16_bit("input", input);
  const int d = check.dimension("dim", dim, input.dim());
  const Middle middle(input.shape(), d);
  if (middle.count == 0) {
    check.fail_index(fmt::format("dimension {} of shape {} is empty", d, input.shape().to_string()));
  }
  return {d, middle};
}

// The derivative of picking k elements of a dimension.
Tensor place(const Tensor& grad, const Tensor& indices, const Shape& shape, const Middle& middle, std::int64_t k) {
  Tensor grad_in = empty(shape, grad.options());
  if (grad_in.numel() > 0) {
    launch(grad.device(), PlaceMiddle{.in = view(grad),
                                      .indices = view(indices),
                                      .out = view(grad_in),
                                      .outer = middle.outer,
                                      .count = middle.count,
                                      .inner = middle.inner,
                                      .k = k});
  }
  return grad_in;
}

ValuesAndIndices picked(const char* op, const Tensor& input, Tensor values, const Tensor& indices, const Middle& middle,
                        std::int64_t k) {
  Tensor found = record(op, std::move(values), {input},
                        [at = Saved::input(indices), shape = input.shape(), middle, k](const Tensor& grad) {
                          return Gradient(place(grad, at.get(), shape, middle, k));
                        });
  return {std::move(found), indices};
}

ValuesAndIndices extreme_along(const char* op, const Tensor& input, int dim, bool keepdim, bool smallest) {
  const auto [d, middle] = checked_place(OpCheck(op), input, dim);
  const Shape shape = with_extent(input.shape(), d, keepdim ? 1 : -1);
  Tensor values = empty(shape, input.options());
  Tensor indices = empty(shape, {DType::int64, input.device()});
  if (values.numel() > 0) {
    launch(input.device(), ExtremeMiddle{.in = view(input),
                                         .values = view(values),
                                         .indices = view(indices),
                                         .outer = middle.outer,
                                         .count = middle.count,
                                         .inner = middle.inner,
                                         .smallest = smallest});
  }
  return picked(op, input, std::move(values), indices, middle, 1);
}

Tensor position_along(const char* op, const Tensor& input, int dim, bool keepdim, bool smallest) {
  const auto [d, middle] = checked_place(OpCheck(op), input, dim);
  Tensor out = empty(with_extent(input.shape(), d, keepdim ? 1 : -1), {DType::int64, input.device()});
  if (out.numel() > 0) {
    launch(input.device(), ExtremeMiddle{.in = view(input),
                                         .values = {},
                                         .indices = view(out),
                                         .outer = middle.outer,
                                         .count = middle.count,
                                         .inner = middle.inner,
                                         .smallest = smallest});
  }
  return out;
}

}  // namespace

Tensor max(const Tensor& input) { return extreme_of_all("max", input, false); }
Tensor min(const Tensor& input) { return extreme_of_all("min", input, true); }
ValuesAndIndices max(const Tensor& input, int dim, bool keepdim) {
  return extreme_along("max", input, dim, keepdim, false);
}
ValuesAndIndices min(const Tensor& input, int dim, bool keepdim) {
  return extreme_along("min", input, dim, keepdim, true);
}
Tensor amax(const Tensor& input, const Dims& dims, bool keepdim) {
  return extremes("amax", input, dims, keepdim, false);
}
Tensor amin(const Tensor& input, const Dims& dims, bool keepdim) {
  return extremes("amin", input, dims, keepdim, true);
}

Tensor argmax(const Tensor& input, int dim, bool keepdim) {
  return position_along("argmax", input, dim, keepdim, false);
}
Tensor argmin(const Tensor& input, int dim, bool keepdim) {
  return position_along("argmin", input, dim, keepdim, true);
}
Tensor argmax(const Tensor& input) {
  OpCheck("argmax").defined("input", input);
  return argmax(input.detach().reshape({-1}), 0);
}
Tensor argmin(const Tensor& input) {
  OpCheck("argmin").defined("input", input);
  return argmin(input.detach().reshape({-1}), 0);
}

ValuesAndIndices topk(const Tensor& input, std::int64_t k, const TopkOptions& options) {
  const OpCheck check("topk");
  check.not_16_bit("input", input);
  const int d = check.dimension("dim", options.dim, input.dim());
  const Middle middle(input.shape(), d);
  if (k < (input.dim() == 0 ? 1 : 0) || k > middle.count) {
    check.fail_value(fmt::format("k is {}, but dimension {} of shape {} has {} elements", k, d,
                                 input.shape().to_string(), middle.count));
  }
  const Shape shape = with_extent(input.shape(), d, k);
  Tensor values = empty(shape, input.options());
  Tensor indices = empty(shape, {DType::int64, input.device()});
  if (values.numel() > 0) {
    launch(input.device(), TopkMiddle{.in = view(input),
                                      .values = view(values),
                                      .indices = view(indices),
                                      .outer = middle.outer,
                                      .count = middle.count,
                                      .inner = middle.inner,
                                      .k = k,
                                      .smallest = !options.largest,
                                      .sorted = options.sorted});
  }
  return picked("topk", input, std::move(values), indices, middle, k);
}

}  // namespace embergrad

#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kernels/memory.hpp"
#include "kernels/reduce.hpp"
#include "ops/common.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

using detail::view;

ReducedDims::ReducedDims(const OpCheck& check, const Shape& of, const Dims& dims) : shape(of) {
  const int rank = shape.rank();
  bool scalar_named = false;  // a scalar has one dimension to name, and none to reduce
  for (int d = 0; dims.empty() && d < rank; ++d) reduced[static_cast<std::size_t>(d)] = true;
  for (const std::int64_t dim : dims) {
    // One that no tensor has must not become one by losing bits.
    const auto narrow_dim = static_cast<int>(std::clamp<std::int64_t>(dim, -1000, 1000));
    const auto d = static_cast<std::size_t>(check.dimension("dim", narrow_dim, rank));
    bool& named = rank == 0 ? scalar_named : reduced[d];
    if (named) check.fail_value(fmt::format("dim {} appears twice in {}", dim, dims.to_string()));
    named = true;
  }
  for (int d = 0; d < rank; ++d) {
    const bool gone = reduced[static_cast<std::size_t>(d)];
    kept.push_back(gone ? 1 : shape[d]);
    if (!gone) left.push_back(shape[d]);
  }
}

std::int64_t ReducedDims::count() const {
  std::int64_t n = 1;
  for (int d = 0; d < shape.rank(); ++d) n *= reduced[static_cast<std::size_t>(d)] ? shape[d] : 1;
  return n;
}

Middle::Middle(const Shape& shape, int dim)
    : outer(shape.slice(0, std::min(dim, shape.rank())).numel()),
      count(shape.rank() == 0 ? 1 : shape[dim]),
      inner(shape.slice(std::min(dim + 1, shape.rank()), shape.rank()).numel()) {}

Shape with_extent(const Shape& shape, int dim, std::int64_t extent) {
  Shape changed;
  for (int d = 0; d < shape.rank(); ++d) {
    if (d != dim) changed.push_back(shape[d]);
    if (d == dim && extent >= 0) changed.push_back(extent);
  }
  return changed;
}

Tensor sum_runs(const Tensor& input, const ReducedDims& dims) {
  Tensor now = detail::settled(input);
  dims.for_each_run([&](std::int64_t outer, std::int64_t count, std::int64_t inner) {
    Tensor out = empty({outer * inner}, now.options());
    launch(now.device(), SumMiddle{.in = view(now), .out = view(out), .outer = outer, .count = count, .inner = inner});
    now = out;
  });
  return now;
}

namespace {

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
  const ReducedDims reduced(check, input.shape(), dims);
  Tensor total = sum_runs(input, reduced);
  if (total.shares_storage_with(input)) total = no_grad([&] { return input.clone(); });
  Tensor out = no_grad([&] { return total.reshape(reduced.result(keepdim)); });
  return record("sum", out, {input}, [kept = reduced.kept, shape = input.shape()](const Tensor& grad) {
    return Gradient(repeat_to(grad, kept, shape));
  });
}

Tensor mean(const Tensor& input) { return mean(input, {}, false); }

Tensor mean(const Tensor& input, const Dims& dims, bool keepdim) {
  const OpCheck check("mean");
  check.computes("input", input);
  const ReducedDims reduced(check, input.shape(), dims);
  // 0 / 0 is a NaN with a sign on x86, which C++ prints as -nan.
  const double count =
      reduced.count() == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(reduced.count());
  return div(sum(input, dims, keepdim), count);
}

}  // namespace embergrad

#include <embergrad/ops.hpp>

#include "ops/common.hpp"

namespace embergrad {
namespace {

// The common type; a tensor without dimensions counts like any other, because both are broadcast first.
DType common_type(DType a, DType b) {
  if (is_floating(a) != is_floating(b)) return is_floating(a) ? a : b;
  return item_size(a) >= item_size(b) ? a : b;
}

}  // namespace

Tensor mse_loss(const Tensor& input, const Tensor& target, const MseLossOptions& options) {
  const OpCheck check("mse_loss");
  check.not_16_bit("input", input);
  check.not_16_bit("target", target);
  check.same_device(input, target);
  const DType dtype = common_type(input.dtype(), target.dtype());
  if (!options.weight.defined() && is_integer(dtype)) check.computes("input", input);
  static_cast<void>(broadcast_shape("mse_loss", input.shape(), target.shape()));
  const Tensor errors = square(sub(input.to(dtype), target.to(dtype)));
  if (!options.weight.defined()) {
    if (options.reduction == Reduction::none) return errors;
    return options.reduction == Reduction::sum ? sum(errors) : mean(errors);
  }
  check.not_16_bit("weight", options.weight);
  check.has_shape("weight", options.weight, input.shape());
  const Tensor weighted = mul(errors, options.weight);
  if (options.reduction == Reduction::none) return weighted;
  return options.reduction == Reduction::sum ? sum(weighted) : div(sum(weighted), sum(options.weight));
}

}  // namespace embergrad

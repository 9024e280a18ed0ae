#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include "kernels/binary_cross_entropy.hpp"
#include "ops/common.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

using detail::broadcast_view;
using detail::strided_view;

// weight and pos_weight: broadcast to the logits, of the losses' type, without a gradient of their own.
Tensor checked_weight(const OpCheck& check, const char* argument, const Tensor& weight, const Tensor& target) {
  if (!weight.defined()) return {};
  check.not_16_bit(argument, weight);
  check.same_device(target, weight);
  check.wants_no_gradient(argument, weight);
  if (broadcast_shape(check.op(), weight.shape(), target.shape()) != target.shape()) {
    check.fail_shape(fmt::format("{} has shape {}, which does not broadcast to input {}", argument,
                                 weight.shape().to_string(), target.shape().to_string()));
  }
  return weight.to(target.dtype());
}

StridedView weight_view(const Tensor& weight, const Shape& shape) {
  return weight.defined() ? broadcast_view(weight, shape) : StridedView{};
}

}  // namespace

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target,
                                        const BinaryCrossEntropyOptions& options) {
  const OpCheck check("binary_cross_entropy_with_logits");
  check.computes("input", input);
  check.computes("target", target);
  check.same_device(input, target);
  check.has_shape("target", target, input.shape());
  const Tensor weight = checked_weight(check, "weight", options.weight, target);
  const Tensor pos_weight = checked_weight(check, "pos_weight", options.pos_weight, target);
  const Tensor x = input.to(target.dtype());
  const Shape& shape = x.shape();
  Tensor losses = empty(shape, x.options());
  launch(x.device(), BinaryCrossEntropy{.logits = strided_view(x),
                                        .target = strided_view(target),
                                        .weight = weight_view(weight, shape),
                                        .pos_weight = weight_view(pos_weight, shape),
                                        .losses = strided_view(losses)});
  Tensor out = losses;
  if (options.reduction != Reduction::none) {
    out = no_grad([&] { return options.reduction == Reduction::sum ? sum(losses) : mean(losses); });
  }
  const bool is_mean = options.reduction == Reduction::mean;
  return record(check.op(), out, {x, target},
                [x = Saved::input(x), target = Saved::input(target), weight = Saved::input(weight),
                 pos_weight = Saved::input(pos_weight), is_mean](const Tensor& grad, InputGradients& into) {
                  const Tensor& logits = x.get();
                  const Tensor& targets = target.get();
                  const Tensor& w = weight.get();
                  const Tensor& p = pos_weight.get();
                  const Tensor scale = is_mean ? div(grad, static_cast<double>(logits.numel())) : grad;
                  if (into.wants(0)) {
                    Tensor grad_in = empty(logits.shape(), logits.options());
                    launch(logits.device(), BinaryCrossEntropyGrad{.logits = strided_view(logits),
                                                                   .target = strided_view(targets),
                                                                   .weight = weight_view(w, logits.shape()),
                                                                   .pos_weight = weight_view(p, logits.shape()),
                                                                   .scale = broadcast_view(scale, logits.shape()),
                                                                   .grad_in = strided_view(grad_in)});
                    into.add(0, grad_in);
                  }
                  if (into.wants(1)) {
                    // log(sigmoid(-x)) - pos_weight · log(sigmoid(x)), which is -x without pos_weight
                    const Tensor negative = neg(logits);
                    const Tensor slope = p.defined() ? sub(logsigmoid(negative), mul(logsigmoid(logits), p)) : negative;
                    into.add(1, mul(w.defined() ? mul(slope, w) : slope, scale));
                  }
                });
}

}  // namespace embergrad

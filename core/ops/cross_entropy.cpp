// nll_loss and cross_entropy: what they share is checking targets and reducing.
#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <limits>

#include "kernels/cross_entropy.hpp"
#include "ops/scales.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

using detail::view;

struct Samples {
  Shape shape;  // of target and of losses that are not reduced
  LossSizes sizes;
  Tensor target;  // to use in place of the one that was given
};

Samples check_samples(const OpCheck& check, const char* argument, const Tensor& scores, const Tensor& target,
                      const Tensor& weight, std::int64_t ignore_index) {
  check.computes(argument, scores);
  check.defined("target", target);
  if (is_floating(target.dtype())) {
    check.fail_dtype(
        fmt::format("target must be class indices of int32 or int64, but is {} (class probabilities are not supported)",
                    name_of(target.dtype())));
  }
  check.same_device(scores, target);
  const Shape& shape = scores.shape();
  if (shape.rank() == 0) check.fail_shape(fmt::format("{} has no dimensions", argument));
  Samples samples;
  const int class_dim = shape.rank() == 1 ? 0 : 1;
  for (int d = 0; d < shape.rank(); ++d) {
    if (d != class_dim) samples.shape.push_back(shape[d]);
  }
  const bool one_for_scalar = shape.rank() == 1 && target.shape() == Shape{1};
  if (target.shape() != samples.shape && !one_for_scalar) {
    check.fail_shape(fmt::format("target must have shape {} for {} {}, but has {}", samples.shape.to_string(), argument,
                                 shape.to_string(), target.shape().to_string()));
  }
  if (one_for_scalar) samples.shape = Shape();
  const std::int64_t classes = shape[class_dim];
  samples.sizes = {shape.rank() == 1 ? 1 : shape[0], classes, shape.slice(class_dim + 1, shape.rank()).numel()};
  if (weight.defined()) {
    check.same_dtype("weight", weight, argument, scores);
    check.same_device(scores, weight);
    check.wants_no_gradient("weight", weight);
    if ((shape.rank() <= 2 && weight.dim() != 1) || weight.numel() != classes) {
      check.fail_shape(fmt::format("weight must have one number for each of the {} classes, but has shape {}", classes,
                                   weight.shape().to_string()));
    }
  }
  samples.target = check.classes_exist("target", target, classes, ignore_index);
  return samples;
}

View view_or_nothing(const Tensor& tensor, DType dtype) {
  return tensor.defined() ? view(tensor) : View{nullptr, dtype, 0};
}

struct Reduced {
  Tensor value;         // the loss
  Tensor total_weight;  // mean: what it was divided by
};

Reduced reduce(const Tensor& losses, const Tensor& weights, Reduction reduction) {
  if (reduction == Reduction::none) return {losses, {}};
  const Tensor total = sum(losses);
  if (reduction == Reduction::sum) return {total, {}};
  const Tensor weight = sum(weights);
  return {div(total, weight), weight};
}

// The factor of each derivative of a sample that counts.
Tensor sample_scale(const Tensor& grad, const Tensor& total_weight) {
  return total_weight.defined() ? div(grad, total_weight) : grad;
}

}  // namespace

Tensor nll_loss(const Tensor& log_probs, const Tensor& target, const NllLossOptions& options) {
  const OpCheck check("nll_loss");
  const Samples samples = check_samples(check, "log_probs", log_probs, target, options.weight, options.ignore_index);
  const DType dtype = log_probs.dtype();
  Tensor losses = empty(samples.shape, log_probs.options());
  Tensor weights = empty(samples.shape, log_probs.options());
  launch(log_probs.device(), NllLoss{.log_probs = view(log_probs),
                                     .target = view(samples.target),
                                     .class_weight = view_or_nothing(options.weight, dtype),
                                     .losses = view(losses),
                                     .weights = view(weights),
                                     .sizes = samples.sizes,
                                     .ignore_index = options.ignore_index});
  const Reduced reduced = no_grad([&] { return reduce(losses, weights, options.reduction); });
  return record(
      "nll_loss", reduced.value, {log_probs},
      [target = Saved::input(samples.target), class_weight = Saved::input(options.weight), total = reduced.total_weight,
       shape = log_probs.shape(), sizes = samples.sizes, ignore = options.ignore_index](const Tensor& grad) {
        const Tensor& targets = target.get();
        const Tensor scale = sample_scale(grad, total);
        Tensor grad_in = empty(shape, grad.options());
        launch(grad.device(), NllLossGrad{.target = view(targets),
                                          .class_weight = view_or_nothing(class_weight.get(), grad.dtype()),
                                          .scale = view(scale),
                                          .grad_in = view(grad_in),
                                          .sizes = sizes,
                                          .ignore_index = ignore});
        return Gradient(grad_in);
      });
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options,
                     const CrossEntropyScales& scales) {
  const OpCheck check("cross_entropy");
  check_finite(check, "scales.logits", scales.logits);
  check_finite(check, "scales.out", scales.out);
  check_finite(check, "scales.grad_in", scales.grad_in);
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1)) {
    check.fail_value(fmt::format("label_smoothing must be in [0, 1], but is {}", options.label_smoothing));
  }
  const Samples samples = check_samples(check, "logits", logits, target, options.weight, options.ignore_index);
  const DType dtype = logits.dtype();
  Tensor losses = empty(samples.shape, logits.options());
  Tensor weights = empty(samples.shape, logits.options());
  Tensor probs = empty(logits.shape(), logits.options());
  launch(logits.device(), CrossEntropy{.logits = view(logits),
                                       .target = view(samples.target),
                                       .class_weight = view_or_nothing(options.weight, dtype),
                                       .losses = view(losses),
                                       .weights = view(weights),
                                       .probs = view(probs),
                                       .sizes = samples.sizes,
                                       .ignore_index = options.ignore_index,
                                       .label_smoothing = options.label_smoothing,
                                       .logits_factor = scales.logits,
                                       .loss_factor = scales.out});
  const Reduced reduced = no_grad([&] {
    Reduced result = reduce(losses, weights, options.reduction);
    if (options.label_smoothing > 0 && options.weight.defined() && result.total_weight.defined()) {
      // PyTorch divides the target's part and the smoothed one apart: 0/0 + x/0.
      result.value = masked_fill(result.value, eq(result.total_weight, 0.0), std::numeric_limits<double>::quiet_NaN());
    }
    return result;
  });
  return record("cross_entropy", reduced.value, {logits},
                [probs, target = Saved::input(samples.target), class_weight = Saved::input(options.weight),
                 total = scales.mean_divides_grad ? reduced.total_weight : Tensor(), sizes = samples.sizes,
                 ignore = options.ignore_index, smoothing = options.label_smoothing,
                 factor = scales.grad_in](const Tensor& grad) {
                  const Tensor& targets = target.get();
                  const Tensor scale = sample_scale(grad, total);
                  Tensor grad_in = empty(probs.shape(), grad.options());
                  launch(grad.device(),
                         CrossEntropyGrad{.probs = view(probs),
                                          .target = view(targets),
                                          .class_weight = view_or_nothing(class_weight.get(), grad.dtype()),
                                          .scale = view(scale),
                                          .grad_in = view(grad_in),
                                          .sizes = sizes,
                                          .ignore_index = ignore,
                                          .label_smoothing = smoothing,
                                          .factor = factor});
                  return Gradient(grad_in);
                });
}

}  // namespace embergrad

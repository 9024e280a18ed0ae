#include <embergrad/nn/loss.hpp>

#include <fmt/format.h>

#include <vector>

#include <embergrad/error.hpp>

namespace embergrad::nn {

Tensor cross_entropy(const PackedSequence& logits, const PackedSequence& targets, const CrossEntropyOptions& options) {
  check_same_order("cross_entropy", "logits", logits, "targets", targets);
  return embergrad::cross_entropy(logits.values(), targets.values(), options);
}

Tensor nll_loss(const PackedSequence& log_probs, const PackedSequence& targets, const NllLossOptions& options) {
  check_same_order("nll_loss", "log_probs", log_probs, "targets", targets);
  return embergrad::nll_loss(log_probs.values(), targets.values(), options);
}

Tensor binary_cross_entropy_with_logits(const PackedSequence& input, const PackedSequence& target,
                                        const BinaryCrossEntropyOptions& options) {
  check_same_order("binary_cross_entropy_with_logits", "input", input, "target", target);
  return embergrad::binary_cross_entropy_with_logits(input.values(), target.values(), options);
}

Tensor mse_loss(const PackedSequence& input, const PackedSequence& target, const MseLossOptions& options) {
  check_same_order("mse_loss", "input", input, "target", target);
  return embergrad::mse_loss(input.values(), target.values(), options);
}

Accuracy accuracy(const Tensor& scores, const Tensor& targets, std::int64_t ignore_index) {
  if (!scores.defined() || !targets.defined()) {
    throw ValueError(fmt::format("accuracy: {} is undefined", scores.defined() ? "targets" : "scores"));
  }
  if (!is_integer(targets.dtype())) {
    throw DTypeError(fmt::format("accuracy: targets must be int32 or int64, but is {}", name_of(targets.dtype())));
  }
  if (scores.dim() != 2 || targets.dim() != 1 || scores.size(0) != targets.size(0)) {
    throw ShapeError(fmt::format("accuracy: scores must have shape (N, classes) and targets (N), but have {} and {}",
                                 scores.shape().to_string(), targets.shape().to_string()));
  }
  Accuracy result;
  if (targets.numel() == 0) return result;
  const std::vector<std::int64_t> found = argmax(scores, 1).to_vector<std::int64_t>();
  const std::vector<std::int64_t> wanted = targets.to_vector<std::int64_t>();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == ignore_index) continue;
    ++result.total;
    result.correct += found[i] == wanted[i] ? 1 : 0;
  }
  return result;
}

Accuracy accuracy(const PackedSequence& scores, const PackedSequence& targets, std::int64_t ignore_index) {
  check_same_order("accuracy", "scores", scores, "targets", targets);
  return accuracy(scores.values(), targets.values(), ignore_index);
}

}  // namespace embergrad::nn

/// @file
/// Losses and accuracy over packed sequences. Those over tensors are `embergrad`'s.
#pragma once

#include <cstdint>

#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/ops.hpp>

namespace embergrad::nn {

using embergrad::binary_cross_entropy_with_logits;
using embergrad::cross_entropy;
using embergrad::mse_loss;
using embergrad::nll_loss;

/// `embergrad::cross_entropy` over all steps of all sequences. Reduction::none gives one loss for each packed row.
/// @param logits  (Σ lengths, classes)
/// @param targets  (Σ lengths), classes. ValueError unless packed in the same order as the logits
[[nodiscard]] Tensor cross_entropy(const PackedSequence& logits, const PackedSequence& targets,
                                   const CrossEntropyOptions& options = {});

/// `embergrad::nll_loss` over all steps of all sequences; as `cross_entropy`, but takes log-probabilities.
[[nodiscard]] Tensor nll_loss(const PackedSequence& log_probs, const PackedSequence& targets,
                              const NllLossOptions& options = {});

/// `embergrad::binary_cross_entropy_with_logits` over all steps of all sequences. ValueError unless packed in the same
/// order.
/// @param input  (Σ lengths, …), logits
/// @param target  the same shape, from 0 to 1
[[nodiscard]] Tensor binary_cross_entropy_with_logits(const PackedSequence& input, const PackedSequence& target,
                                                      const BinaryCrossEntropyOptions& options = {});

/// `embergrad::mse_loss` over all steps of all sequences. ValueError unless packed in the same order.
[[nodiscard]] Tensor mse_loss(const PackedSequence& input, const PackedSequence& target,
                              const MseLossOptions& options = {});

/// How many targets were hit.
struct Accuracy {
  std::int64_t correct = 0;  ///< targets that were hit
  std::int64_t total = 0;    ///< targets that counted
  /// correct / total; 0 of nothing.
  [[nodiscard]] double value() const {
    return total == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(total);
  }
};

/// Counts the rows whose largest score (the first of equals) is the target's. Targets of `ignore_index` are left out.
/// @param scores  (N, classes)
/// @param targets  (N), int32 or int64
[[nodiscard]] Accuracy accuracy(const Tensor& scores, const Tensor& targets, std::int64_t ignore_index = -100);
/// The same over all steps of all sequences. ValueError unless packed in the same order.
[[nodiscard]] Accuracy accuracy(const PackedSequence& scores, const PackedSequence& targets,
                                std::int64_t ignore_index = -100);

}  // namespace embergrad::nn

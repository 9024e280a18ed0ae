/// @file
/// Samples of different lengths as the tensors of one batch: padded, or as bags.
#pragma once

#include <cstdint>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/tensor.hpp>
#include <embergrad/text/bags.hpp>
#include <optional>
#include <span>
#include <vector>

namespace embergrad::text {

/// Options of `pad_ids`.
struct PadIdsOptions {
  /// Give (B, T); otherwise (T, B). Unlike `nn::pad_sequence`, whose default follows the recurrent layers, a batch of
  /// ids comes first by default, as tokenizers give it; recurrent layers take ids best through `nn::pack_ids`.
  bool batch_first = true;
  int64_t padding_value = 0;                              ///< stands where a sequence has no id
  std::optional<int64_t> max_length = {};                 ///< longer sequences are cut: their first ids are kept
  std::optional<int64_t> total_length = {};               ///< T, at least the longest length; default: that length
  nn::PaddingSide padding_side = nn::PaddingSide::right;  ///< after the end, or before the start
};

/// What `pad_ids` gives; `auto [ids, lengths, mask] = …`.
struct PaddedIds {
  Tensor ids;      ///< (B, T), or (T, B) without batch_first, int64
  Tensor lengths;  ///< (B), int64: ids of each sequence, after it was cut
  Tensor mask;     ///< the shape of `ids`, int64: 1 where an id stands, 0 where padding does
};

/// Fills sequences of ids up to one length. Sequences may be empty, and there may be none (shape (0, T)). For sequences
/// that are tensors see `nn::pad_sequence`; for layers that need no padding `nn::pack_ids`. Throws ValueError for a
/// negative `max_length`, and for a `total_length` below the longest length.
/// @code
/// const auto [ids, lengths, mask] = pad_ids({{5, 6, 7}, {8}});   // ids 5 6 7 / 8 0 0, lengths 3 1, mask 1 1 1 / 1 0 0
/// @endcode
[[nodiscard]] PaddedIds pad_ids(std::span<const Ids> sequences, const PadIdsOptions& options = {});

/// The same of sequences that are held.
[[nodiscard]] PaddedIds pad_ids(const std::vector<std::vector<int64_t>>& sequences, const PadIdsOptions& options = {});

/// Something with ids and a class: a text, a session.
struct Sample {
  std::vector<int64_t> ids = {};  ///< in order; may be empty
  int64_t label = 0;              ///< the class
};

/// The number of ids of each sample: what `batch_order` sorts by.
[[nodiscard]] std::vector<int64_t> lengths_of(std::span<const Sample> samples);

/// What `collate` gives.
struct PaddedBatch {
  Tensor ids;      ///< as in PaddedIds
  Tensor lengths;  ///< as in PaddedIds
  Tensor mask;     ///< as in PaddedIds
  Tensor labels;   ///< (B), int64
};

/// What `collate_bags` gives.
struct BagBatch {
  Tensor input;    ///< as in Bags
  Tensor offsets;  ///< as in Bags
  Tensor labels;   ///< (B), int64
};

/// The samples named by `which`, in that order, padded. Throws IndexError for a sample that is not there, and as
/// `pad_ids` does.
/// @code
/// for (const auto& which : batch_order(lengths_of(samples), {.sentences = 32, .epoch = epoch, .bucket = 10})) {
///   const PaddedBatch batch = collate(samples, which);
/// }
/// @endcode
[[nodiscard]] PaddedBatch collate(std::span<const Sample> samples, std::span<const int64_t> which,
                                  const PadIdsOptions& options = {});

/// The same as bags. Throws IndexError for a sample that is not there.
[[nodiscard]] BagBatch collate_bags(std::span<const Sample> samples, std::span<const int64_t> which,
                                    const BagsOptions& options = {});

}  // namespace embergrad::text

/// @file
/// Cutting a corpus into batches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace embergrad::text {

/// How to cut a corpus into batches, and in which order to visit them.
struct BatchOptions {
  int64_t sentences = 32;  ///< sentences in a batch; the last one holds what is left
  uint64_t seed = 1;       ///< of the run
  int64_t epoch = 1;       ///< each epoch has an order of its own
  bool shuffle = true;     ///< otherwise the order of the file
  bool sort_all = false;   ///< sort the whole set by length before cutting, for evaluation; needs `shuffle = false`
  int64_t bucket = 1;  ///< sort by length within windows of so many batches before cutting: less padding, less chance
};

/// The sentences of each batch, as positions in `lengths` (`Corpus::lengths`), each position once. Within a batch the
/// longest sentence comes first; equally long ones keep their order.
///
/// Shuffled, the order is `permutation(n, 1000·seed + epoch)`, cut every `sentences`. With `bucket` > 1 each window of
/// `bucket`·`sentences` of that order is sorted by length before it is cut, and, when shuffled, the batches are then
/// visited in the order `permutation(batches, ~(1000·seed + epoch))`, as the longest would come first otherwise. With
/// `sort_all` all sentences are sorted (longest first, stable) and cut. No sentence, no batch.
///
/// Throws ValueError for `sentences` or `bucket` < 1, for `sort_all` with `shuffle` or with `bucket` > 1, and for a
/// negative length. O(n log n).
[[nodiscard]] std::vector<std::vector<int64_t>> batch_order(std::span<const int64_t> lengths,
                                                            const BatchOptions& options = {});

}  // namespace embergrad::text

/// @file
/// Bags of ids as EmbeddingBag takes them: one flat tensor of ids, and where each bag starts.
#pragma once

#include <cstdint>
#include <embergrad/tensor.hpp>
#include <span>
#include <vector>

namespace embergrad::text {

/// Ids of one text, one user's items, one word's n-grams: a view of whatever holds them.
using Ids = std::span<const int64_t>;

/// Options of `bags`.
struct BagsOptions {
  bool include_last_offset = false;  ///< offsets end with the number of all ids, as `nn.EmbeddingBag` has it
};

/// What `bags` gives; `auto [input, offsets] = bags(…)`.
struct Bags {
  Tensor input;    ///< (ids of all bags), int64: one bag after the other
  Tensor offsets;  ///< (bags), or (bags + 1) with include_last_offset, int64: where each bag starts in `input`
};

/// What `weighted_bags` gives.
struct WeightedBags {
  Tensor input;               ///< as in Bags
  Tensor offsets;             ///< as in Bags
  Tensor per_sample_weights;  ///< (ids of all bags), float32: the weight of each id
};

/// Joins lists of ids. A list may be empty, and so may be the list of lists. O(ids + bags).
/// @code
/// const auto [input, offsets] = bags({{4, 2}, {}, {7}});   // input 4 2 7, offsets 0 2 2
/// @endcode
[[nodiscard]] Bags bags(std::span<const Ids> lists, const BagsOptions& options = {});

/// The same of lists that are held.
[[nodiscard]] Bags bags(const std::vector<std::vector<int64_t>>& lists, const BagsOptions& options = {});

/// The same with a weight for each id. Throws ShapeError, naming the bag, unless `weights` has the same lengths.
[[nodiscard]] WeightedBags weighted_bags(const std::vector<std::vector<int64_t>>& lists,
                                         const std::vector<std::vector<float>>& weights,
                                         const BagsOptions& options = {});

}  // namespace embergrad::text

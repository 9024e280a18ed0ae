#include <embergrad/text/bags.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <embergrad/error.hpp>
#include <utility>

#include "as_ids.hpp"

namespace embergrad::text {

Bags bags(std::span<const Ids> lists, const BagsOptions& options) {
  std::vector<int64_t> offsets;
  offsets.reserve(lists.size() + 1);
  int64_t count = 0;
  for (const Ids list : lists) {
    offsets.push_back(count);
    count += static_cast<int64_t>(list.size());
  }
  if (options.include_last_offset) offsets.push_back(count);
  Tensor input = empty({count}, {.dtype = DType::int64});
  auto* out = input.mutable_data<int64_t>();
  for (const Ids list : lists) out = std::copy(list.begin(), list.end(), out);
  return {.input = std::move(input), .offsets = tensor(offsets)};
}

Bags bags(const std::vector<std::vector<int64_t>>& lists, const BagsOptions& options) {
  return bags(as_ids(lists), options);
}

WeightedBags weighted_bags(const std::vector<std::vector<int64_t>>& lists,
                           const std::vector<std::vector<float>>& weights, const BagsOptions& options) {
  if (weights.size() != lists.size()) {
    throw ShapeError(fmt::format("weighted_bags: weights for {} bags, but there are {}", weights.size(), lists.size()));
  }
  std::vector<float> flat;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (weights[i].size() != lists[i].size()) {
      throw ShapeError(
          fmt::format("weighted_bags: bag {} has {} weights for {} ids", i, weights[i].size(), lists[i].size()));
    }
    flat.insert(flat.end(), weights[i].begin(), weights[i].end());
  }
  Bags joined = bags(lists, options);
  return {.input = std::move(joined.input), .offsets = std::move(joined.offsets), .per_sample_weights = tensor(flat)};
}

}  // namespace embergrad::text

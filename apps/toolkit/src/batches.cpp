#include <embergrad/text/batches.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <embergrad/error.hpp>
#include <embergrad/text/order.hpp>
#include <numeric>
#include <utility>

namespace embergrad::text {
namespace {

void check(std::span<const int64_t> lengths, const BatchOptions& options) {
  if (options.sentences < 1) throw ValueError(fmt::format("batches: sentences is {}, less than 1", options.sentences));
  if (options.bucket < 1) throw ValueError(fmt::format("batches: bucket is {}, less than 1", options.bucket));
  if (options.sort_all && options.shuffle)
    throw ValueError("batches: sort_all leaves nothing to shuffle; set shuffle = false");
  if (options.sort_all && options.bucket > 1) throw ValueError("batches: sort_all and bucket sort twice; choose one");
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < 0) throw ValueError(fmt::format("batches: length {} is {}", i, lengths[i]));
  }
}

/// Positions in the order in which they are cut into windows.
std::vector<int64_t> first_order(int64_t n, const BatchOptions& options, uint64_t seed) {
  if (options.shuffle) return permutation(n, seed);
  std::vector<int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

}  // namespace

std::vector<std::vector<int64_t>> batch_order(std::span<const int64_t> lengths, const BatchOptions& options) {
  check(lengths, options);
  const auto n = static_cast<int64_t>(lengths.size());
  const uint64_t seed = 1000 * options.seed + static_cast<uint64_t>(options.epoch);
  std::vector<int64_t> order = first_order(n, options, seed);

  // A window is what is sorted at once. Sizes are capped at n, so that no product of options overflows.
  const int64_t sentences = std::min(options.sentences, std::max<int64_t>(n, 1));
  const int64_t batches = (n + sentences - 1) / sentences;
  const int64_t window = options.sort_all ? std::max<int64_t>(n, 1) : std::min(options.bucket, batches) * sentences;
  const auto longer = [&](int64_t a, int64_t b) {
    return lengths[static_cast<std::size_t>(a)] > lengths[static_cast<std::size_t>(b)];
  };
  for (int64_t start = 0; start < n; start += window) {
    std::stable_sort(order.begin() + start, order.begin() + std::min(start + window, n), longer);
  }

  std::vector<std::vector<int64_t>> cut;
  cut.reserve(static_cast<std::size_t>(batches));
  for (int64_t start = 0; start < n; start += sentences) {
    cut.emplace_back(order.begin() + start, order.begin() + std::min(start + sentences, n));
  }
  if (!options.shuffle || options.bucket == 1) return cut;

  std::vector<std::vector<int64_t>> visited;
  visited.reserve(cut.size());
  for (const int64_t batch : permutation(batches, ~seed))
    visited.push_back(std::move(cut[static_cast<std::size_t>(batch)]));
  return visited;
}

}  // namespace embergrad::text

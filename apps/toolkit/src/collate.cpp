#include <embergrad/text/collate.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <embergrad/error.hpp>
#include <utility>

#include "as_ids.hpp"

namespace embergrad::text {
namespace {

/// Ids and labels of some samples.
struct Chosen {
  std::vector<Ids> ids;
  std::vector<int64_t> labels;
};

Chosen choose(const char* function, std::span<const Sample> samples, std::span<const int64_t> which) {
  Chosen chosen;
  chosen.ids.reserve(which.size());
  chosen.labels.reserve(which.size());
  for (const int64_t i : which) {
    if (i < 0 || static_cast<std::size_t>(i) >= samples.size()) {
      throw IndexError(fmt::format("{}: sample {} of {}", function, i, samples.size()));
    }
    const Sample& sample = samples[static_cast<std::size_t>(i)];
    chosen.ids.emplace_back(sample.ids);
    chosen.labels.push_back(sample.label);
  }
  return chosen;
}

}  // namespace

PaddedIds pad_ids(std::span<const Ids> sequences, const PadIdsOptions& options) {
  if (options.max_length.value_or(0) < 0) {
    throw ValueError(fmt::format("pad_ids: max_length is {}, less than 0", *options.max_length));
  }
  std::vector<int64_t> lengths;
  lengths.reserve(sequences.size());
  int64_t longest = 0;
  for (const Ids sequence : sequences) {
    const auto length = static_cast<int64_t>(sequence.size());
    lengths.push_back(std::min(length, options.max_length.value_or(length)));
    longest = std::max(longest, lengths.back());
  }
  const int64_t steps = options.total_length.value_or(longest);
  if (steps < longest) {
    throw ValueError(fmt::format("pad_ids: total_length is {}, but the longest sequence has {} ids", steps, longest));
  }

  const auto batch = static_cast<int64_t>(sequences.size());
  const Shape shape = options.batch_first ? Shape{batch, steps} : Shape{steps, batch};
  Tensor ids = full(shape, options.padding_value, {.dtype = DType::int64});
  Tensor mask = zeros(shape, {.dtype = DType::int64});
  auto* const id_at = ids.mutable_data<int64_t>();
  auto* const mask_at = mask.mutable_data<int64_t>();
  for (int64_t b = 0; b < batch; ++b) {
    const Ids sequence = sequences[static_cast<std::size_t>(b)];
    const int64_t length = lengths[static_cast<std::size_t>(b)];
    const int64_t start = options.padding_side == nn::PaddingSide::left ? steps - length : 0;
    for (int64_t i = 0; i < length; ++i) {
      const int64_t place = options.batch_first ? b * steps + start + i : (start + i) * batch + b;
      id_at[place] = sequence[static_cast<std::size_t>(i)];
      mask_at[place] = 1;
    }
  }
  return {.ids = std::move(ids), .lengths = tensor(lengths), .mask = std::move(mask)};
}

PaddedIds pad_ids(const std::vector<std::vector<int64_t>>& sequences, const PadIdsOptions& options) {
  return pad_ids(as_ids(sequences), options);
}

std::vector<int64_t> lengths_of(std::span<const Sample> samples) {
  std::vector<int64_t> lengths;
  lengths.reserve(samples.size());
  for (const Sample& sample : samples) lengths.push_back(static_cast<int64_t>(sample.ids.size()));
  return lengths;
}

PaddedBatch collate(std::span<const Sample> samples, std::span<const int64_t> which, const PadIdsOptions& options) {
  const Chosen chosen = choose("collate", samples, which);
  PaddedIds padded = pad_ids(chosen.ids, options);
  return {.ids = std::move(padded.ids),
          .lengths = std::move(padded.lengths),
          .mask = std::move(padded.mask),
          .labels = tensor(chosen.labels)};
}

BagBatch collate_bags(std::span<const Sample> samples, std::span<const int64_t> which, const BagsOptions& options) {
  const Chosen chosen = choose("collate_bags", samples, which);
  Bags joined = bags(chosen.ids, options);
  return {.input = std::move(joined.input), .offsets = std::move(joined.offsets), .labels = tensor(chosen.labels)};
}

}  // namespace embergrad::text

#include <embergrad/text/batches.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <embergrad/error.hpp>
#include <embergrad/text/order.hpp>
#include <numeric>
#include <utility>

namespace embergrad::text {
namespace {

constexpr int64_t ignored_tag = -100;  // what losses and metrics leave out by default

void check(std::span<const int64_t> lengths, const BatchOptions& options) {
  if (options.sentences < 1) throw ValueError(fmt::format("batches: sentences is {}, less than 1", options.sentences));
  if (options.bucket < 1) throw ValueError(fmt::format("batches: bucket is {}, less than 1", options.bucket));
  if (options.most_words < 0) {
    throw ValueError(fmt::format("batches: most_words is {}, less than 0", options.most_words));
  }
  if (options.skip < 0) throw ValueError(fmt::format("batches: skip is {}, less than 0", options.skip));
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

/// All batches of the epoch.
std::vector<std::vector<int64_t>> cut_epoch(std::span<const int64_t> lengths, const BatchOptions& options) {
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
  for (int64_t start = 0; start < n;) {
    // A batch lies in one window, so that it is sorted; `sentences` divides windows, only `most_words` does not.
    const int64_t most = std::min({start + sentences, n, (start / window + 1) * window});
    int64_t end = start;
    for (int64_t words = 0; end < most; ++end) {
      words += lengths[static_cast<std::size_t>(order[static_cast<std::size_t>(end)])];
      if (options.most_words > 0 && words > options.most_words && end > start) break;
    }
    cut.emplace_back(order.begin() + start, order.begin() + end);
    start = end;
  }
  if (!options.shuffle || options.bucket == 1) return cut;

  std::vector<std::vector<int64_t>> visited;
  visited.reserve(cut.size());
  for (const int64_t batch : permutation(static_cast<int64_t>(cut.size()), ~seed))
    visited.push_back(std::move(cut[static_cast<std::size_t>(batch)]));
  return visited;
}

}  // namespace

std::vector<std::vector<int64_t>> batch_order(std::span<const int64_t> lengths, const BatchOptions& options) {
  check(lengths, options);
  std::vector<std::vector<int64_t>> order = cut_epoch(lengths, options);
  order.erase(order.begin(), order.begin() + std::min(options.skip, static_cast<int64_t>(order.size())));
  return order;
}

Batches::Batches(const Corpus& corpus, const Vocabulary& words, const Vocabulary* tags, const BatchOptions& options)
    : corpus_(&corpus),
      words_(&words),
      tags_(tags),
      ignore_unknown_tags_(options.ignore_unknown_tags),
      order_(batch_order(corpus.lengths(), options)) {}

Batches::Iterator Batches::begin() const { return Iterator(*this); }

Batches::Iterator::Iterator(const Batches& batches) : batches_(&batches) { ++*this; }

Batches::Iterator& Batches::Iterator::operator++() {
  const Batches& all = *batches_;
  if (next_++ >= all.order_.size()) {
    batch_ = {};
    return *this;
  }
  batch_.sentences = all.order_[next_ - 1];
  batch_.word_count = 0;
  if (ids_.size() < batch_.sentences.size()) ids_.resize(batch_.sentences.size());
  const auto packed = [&](const auto& id_of) {
    for (std::size_t i = 0; i < batch_.sentences.size(); ++i) {
      ids_[i].clear();
      for (const Word& word : (*all.corpus_)[batch_.sentences[i]]) ids_[i].push_back(id_of(word));
    }
    return nn::pack_ids(std::span(ids_).first(batch_.sentences.size()));
  };

  batch_.words = packed([&](const Word& word) { return all.words_->id(word.form); });
  batch_.word_count = batch_.words.values().size(0);
  if (all.tags_ == nullptr) return *this;
  const nn::PackedSequence tags = packed([&](const Word& word) {
    if (!all.ignore_unknown_tags_) return all.tags_->id(word.tag);
    return all.tags_->find(word.tag).value_or(ignored_tag);
  });
  batch_.tags = batch_.words.with_values(tags.values());  // one description of the packing for both
  return *this;
}

Batches batches(const Corpus& corpus, const Vocabulary& words, const Vocabulary& tags, const BatchOptions& options) {
  return {corpus, words, &tags, options};
}

Batches batches(const Corpus& corpus, const Vocabulary& words, const BatchOptions& options) {
  return {corpus, words, nullptr, options};
}

}  // namespace embergrad::text

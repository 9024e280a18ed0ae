/// @file
/// Cutting a corpus into batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/text/corpus.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <iterator>
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
  int64_t most_words = 0;  ///< cut a batch short that would have more words, which bounds memory; 0: no limit
  int64_t skip = 0;        ///< leave out so many batches at the start: goes on in the middle of an epoch
  /// A tag that the vocabulary lacks becomes -100, which losses and metrics leave out.
  bool ignore_unknown_tags = false;
};

/// The sentences of each batch, as positions in `lengths` (`Corpus::lengths`), each position once unless `skip`. Within
/// a batch the longest sentence comes first; equally long ones keep their order.
///
/// Shuffled, the order is `permutation(n, 1000·seed + epoch)`, cut every `sentences`. With `bucket` > 1 each window of
/// `bucket`·`sentences` of that order is sorted by length before it is cut, and, when shuffled, the batches are then
/// visited in the order `permutation(batches, ~(1000·seed + epoch))`, as the longest would come first otherwise. With
/// `sort_all` all sentences are sorted (longest first, stable) and cut. No sentence, no batch. A sentence of more than
/// `most_words` words is a batch of its own.
///
/// Throws ValueError for `sentences` or `bucket` < 1, for `most_words` or `skip` < 0, for `sort_all` with `shuffle` or
/// with `bucket` > 1, and for a negative length. O(n log n).
[[nodiscard]] std::vector<std::vector<int64_t>> batch_order(std::span<const int64_t> lengths,
                                                            const BatchOptions& options = {});

/// Some sentences as numbers. Sequence i of `words` and `tags` is sentence `sentences[i]` of the corpus.
struct Batch {
  nn::PackedSequence words;  ///< ids of the forms, int64
  nn::PackedSequence tags;   ///< ids of the tags, packed as `words`; undefined where no vocabulary of tags was given
  std::vector<int64_t> sentences;  ///< positions in the corpus
  int64_t word_count = 0;          ///< words of all sentences together
};

/// The batches of one epoch, built one after the other as they are asked for: at any time there is one.
///
/// Made by `batches`. Refers to the corpus and the vocabularies, which must outlive it. May be walked several times,
/// each time in the same order.
class Batches {
 public:
  class Iterator;

  /// See `batches`; `tags` may be null.
  Batches(const Corpus& corpus, const Vocabulary& words, const Vocabulary* tags, const BatchOptions& options);

  /// Number of batches.
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(order_.size()); }
  /// Whether there is no batch.
  [[nodiscard]] bool empty() const { return order_.empty(); }

  /// Builds the first batch.
  [[nodiscard]] Iterator begin() const;
  /// Behind the last batch.
  [[nodiscard]] static std::default_sentinel_t end() { return {}; }

 private:
  const Corpus* corpus_;
  const Vocabulary* words_;
  const Vocabulary* tags_;
  bool ignore_unknown_tags_;
  std::vector<std::vector<int64_t>> order_;
};

/// Walks Batches. Holds the batch it stands at; keep a copy (handles to the same tensors) of what is needed longer.
class Batches::Iterator {
 public:
  using iterator_concept = std::input_iterator_tag;  ///< may be walked once
  using value_type = Batch;                          ///< what it stands at
  using difference_type = std::ptrdiff_t;            ///< required of iterators

  /// At the first batch.
  explicit Iterator(const Batches& batches);
  /// The batch it stands at.
  [[nodiscard]] const Batch& operator*() const { return batch_; }
  /// The batch it stands at.
  [[nodiscard]] const Batch* operator->() const { return &batch_; }
  /// Builds the next batch. Throws ValueError for a tag that is not in the vocabulary.
  Iterator& operator++();
  /// The same; gives nothing back.
  void operator++(int) { ++*this; }
  /// Whether it is behind the last batch.
  [[nodiscard]] bool operator==(std::default_sentinel_t) const { return next_ > batches_->order_.size(); }

 private:
  const Batches* batches_;
  std::size_t next_ = 0;                   // the batch after the present one
  std::vector<std::vector<int64_t>> ids_;  // of one batch; kept for its memory
  Batch batch_;
};

/// Cuts a corpus into batches of ids, as `batch_order` says; words that `words` lacks are unknown (`Vocabulary::id`).
/// @code
/// for (const auto& batch : batches(corpus, words, tags, {.sentences = 32, .seed = 1, .epoch = epoch})) {
///   const Tensor loss = nn::cross_entropy(model.forward(batch.words), batch.tags);
/// }
/// @endcode
/// Throws as `batch_order` does; a tag that `tags` lacks is a ValueError when its batch is built, unless
/// `ignore_unknown_tags`.
[[nodiscard]] Batches batches(const Corpus& corpus, const Vocabulary& words, const Vocabulary& tags,
                              const BatchOptions& options = {});

/// The same without tags: for a corpus that is to be tagged.
[[nodiscard]] Batches batches(const Corpus& corpus, const Vocabulary& words, const BatchOptions& options = {});

// A corpus that ends with the statement would leave the batches without their words.
Batches batches(Corpus&&, const Vocabulary&, const Vocabulary&, const BatchOptions& = {}) = delete;
Batches batches(Corpus&&, const Vocabulary&, const BatchOptions& = {}) = delete;

}  // namespace embergrad::text

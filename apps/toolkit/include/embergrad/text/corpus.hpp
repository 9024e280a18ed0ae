/// @file
/// Sentences of words with tags, as the readers give them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace embergrad::text {

/// A word and its tag: views into the bytes of the Corpus it came from, valid as long as that Corpus or a copy of it
/// lives.
struct Word {
  std::string_view form = {};  ///< as it stands in the file: nothing folded, nothing normalised
  std::string_view tag = {};   ///< UPOS in CoNLL-U (empty or `_` where there is none), empty in plain text
};

/// The words of one sentence, in order; never empty.
using Sentence = std::span<const Word>;

/// Where a Corpus came from, and so which writer takes it.
enum class CorpusFormat { conllu, text };

/// The sentences of one file or several. Holds each file's bytes once, shared between copies, and two views a word.
///
/// @code
/// const Corpus corpus = read_conllu("train.conllu");
/// for (const Sentence sentence : corpus) {
///   for (const Word& word : sentence) std::cout << word.form << ' ' << word.tag << '\n';
/// }
/// @endcode
class Corpus {
 public:
  class Iterator;

  /// No sentence at all.
  Corpus() = default;

  /// For readers: the words of all sentences one after the other, views into `*bytes`, and each sentence's end in
  /// `words` (rising, the last one `words.size()`). Throws ValueError if the ends don't fit.
  Corpus(std::shared_ptr<const std::string> bytes, std::vector<Word> words, std::vector<int64_t> ends,
         CorpusFormat format);

  /// Number of sentences.
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(ends_.size()); }
  /// Whether there is no sentence.
  [[nodiscard]] bool empty() const { return ends_.empty(); }

  /// Number of words of all sentences together.
  [[nodiscard]] int64_t word_count() const { return static_cast<int64_t>(words_.size()); }

  /// The words of all sentences, one sentence after the other.
  [[nodiscard]] std::span<const Word> words() const { return words_; }

  /// Sentence `i`, from 0. Throws IndexError.
  [[nodiscard]] Sentence operator[](int64_t i) const;

  /// The first sentence.
  [[nodiscard]] Iterator begin() const;
  /// Behind the last sentence.
  [[nodiscard]] Iterator end() const;

  /// The comments of sentence `i` in CoNLL-U, in the file's order: the lines of its block that start with `#`, without
  /// that sign and the spaces after it and at the end. Empty in plain text. Found in the bytes when asked for, so
  /// comments take no memory of their own; the time is linear in the block's size. Throws IndexError.
  [[nodiscard]] std::vector<std::string_view> comments(int64_t i) const;

  /// The value of the first comment `# key = value` of sentence `i`, without spaces around it, or nothing where there
  /// is none. Throws IndexError.
  /// @code
  /// corpus.comment(0, "sent_id");  // weblog-blogspot.com_nominations_20041117172713_ENG_20041117_172713-0001
  /// @endcode
  [[nodiscard]] std::optional<std::string_view> comment(int64_t i, std::string_view key) const;

  /// Words of each sentence, in order.
  [[nodiscard]] std::vector<int64_t> lengths() const;

  /// The sentences named, in that order (a development set cut from the training data, for example). Throws IndexError.
  /// The result shares the bytes; no writer takes it, see `source`.
  [[nodiscard]] Corpus select(std::span<const int64_t> sentences) const;

  /// Adds the sentences of `other` behind one's own.
  void append(const Corpus& other);

  /// Where it came from.
  [[nodiscard]] CorpusFormat format() const { return format_; }

  /// The bytes of the file that this corpus is the whole of, which is what a writer starts from. Throws ValueError
  /// after `select` or `append`.
  [[nodiscard]] std::string_view source() const;

 private:
  std::vector<std::shared_ptr<const std::string>> files_;
  std::vector<Word> words_;
  std::vector<int64_t> ends_;
  CorpusFormat format_ = CorpusFormat::conllu;
  bool whole_ = true;
};

/// Walks the sentences of a Corpus.
class Corpus::Iterator {
 public:
  using iterator_category = std::input_iterator_tag;  ///< required of iterators, as those below
  using value_type = Sentence;                        ///< what it stands at
  using difference_type = std::ptrdiff_t;             ///< between sentences
  using pointer = void;                               ///< there is none: sentences are views made on the way
  using reference = Sentence;                         ///< a view

  /// At no sentence.
  Iterator() = default;
  /// At a sentence of a corpus.
  Iterator(const Corpus* corpus, int64_t sentence) : corpus_(corpus), sentence_(sentence) {}
  /// The sentence it stands at.
  [[nodiscard]] Sentence operator*() const { return (*corpus_)[sentence_]; }
  /// On to the next sentence.
  Iterator& operator++() {
    ++sentence_;
    return *this;
  }
  /// The same; gives back where it stood.
  Iterator operator++(int) {
    Iterator before = *this;
    ++sentence_;
    return before;
  }
  /// Whether both stand at the same sentence of the same corpus.
  [[nodiscard]] bool operator==(const Iterator&) const = default;

 private:
  const Corpus* corpus_ = nullptr;
  int64_t sentence_ = 0;
};

inline Corpus::Iterator Corpus::begin() const { return {this, 0}; }
inline Corpus::Iterator Corpus::end() const { return {this, size()}; }

}  // namespace embergrad::text

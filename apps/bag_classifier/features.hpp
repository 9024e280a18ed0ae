/// @file
/// From texts to ids: words, word n-grams and character n-grams.
#pragma once

#include <cstdint>
#include <embergrad/text/char_ngrams.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace classify {

/// What of a text becomes an id. n-grams share `buckets` rows, by their hash.
struct FeatureOptions {
  static constexpr int64_t most_words = 8;  ///< of word n-grams
  static constexpr int64_t most_buckets = int64_t{1} << 28;

  int64_t word_ngrams = 2;  ///< words of the longest word n-grams; 1: words alone
  int64_t min_chars = 3;    ///< characters of the shortest character n-grams
  int64_t max_chars = 5;    ///< of the longest; 0: none
  int64_t buckets = 65536;
};

/// The words of a text in small letters (of ASCII): letters, digits, apostrophes and all that is not ASCII belong to
/// words; any other character but a space is a word by itself.
[[nodiscard]] std::vector<std::string> words_of(std::string_view text);

/// The ids of texts: first the words, then the buckets.
class Features {
 public:
  /// `words`: without specials.
  Features(embergrad::text::Vocabulary words, const FeatureOptions& options);

  /// A word that the vocabulary lacks has no id of its own, only those of its n-grams. Word n-grams are hashed as
  /// fastText does it. Any bytes are taken; O(bytes · max_chars + words · word_ngrams).
  [[nodiscard]] std::vector<int64_t> ids(std::string_view text) const;

  /// Rows that a table needs.
  [[nodiscard]] int64_t rows() const;
  [[nodiscard]] const embergrad::text::Vocabulary& words() const { return words_; }
  [[nodiscard]] const FeatureOptions& options() const { return options_; }

 private:
  embergrad::text::Vocabulary words_;
  FeatureOptions options_;
  embergrad::text::CharNgrams chars_;
};

}  // namespace classify

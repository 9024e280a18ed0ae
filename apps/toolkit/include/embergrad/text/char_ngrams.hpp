/// @file
/// Character n-grams of words as rows of a table: what lets a model say something about words that training never saw.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace embergrad::text {

/// fastText's hash of a string: 32-bit FNV-1a, h = 2166136261, then for each byte b: h = (h xor s(b)) · 16777619 mod
/// 2³², where s(b) is b as a *signed* 8-bit number extended to 32 bits. So it differs from plain FNV-1a beyond ASCII.
/// `hash` continues the hash of what stands before `text`.
[[nodiscard]] constexpr uint32_t fasttext_hash(std::string_view text, uint32_t hash = 2166136261U) {
  for (const char byte : text) hash = (hash ^ static_cast<uint32_t>(static_cast<int8_t>(byte))) * 16777619U;
  return hash;
}

/// Options of CharNgrams; names and defaults are fastText's.
struct CharNgramOptions {
  int64_t minn = 3;          ///< characters of the shortest n-grams
  int64_t maxn = 6;          ///< characters of the longest; 0: no n-grams; at most CharNgrams::most_characters
  int64_t bucket = 2000000;  ///< rows that the n-grams share, by their hash; at most 2³²
  int64_t first_id = 0;      ///< the row of the first bucket: the size of the vocabulary whose rows stand before it
};

/// The n-grams of a word, as fastText takes them (Bojanowski, Grave, Joulin, Mikolov 2017, "Enriching word vectors with
/// subword information", TACL 5): the word is put between `<` and `>`; of that, all substrings of minn … maxn
/// characters of UTF-8, but not a mark alone; each has the id first_id + fasttext_hash(n-gram) mod bucket. Ids come in
/// the order of their starts, shorter ones first; what occurs twice stands there twice.
///
/// @code
/// const CharNgrams ngrams({.bucket = 50000, .first_id = words.size()});
/// nn::Embedding table({.num_embeddings = ngrams.rows(), .embedding_dim = 100});
/// std::vector<int64_t> ids;
/// if (const auto id = words.find(form)) ids.push_back(*id);   // the word's own row, where it has one
/// ngrams.append(form, ids);
/// @endcode
///
/// fastText gives its end-of-sentence word `</s>` no n-grams; here it is a word like any other.
class CharNgrams {
 public:
  /// The longest n-grams that can be asked for: keeps time and memory linear in the word's length.
  static constexpr int64_t most_characters = 64;

  /// Throws ValueError for a negative number, maxn below minn (unless 0) or above `most_characters`, and a bucket below
  /// 1 or above 2³².
  explicit CharNgrams(const CharNgramOptions& options = {});

  /// Appends the ids of the n-grams of `word` to `ids`. Any bytes are taken: what is not UTF-8 is cut before each byte
  /// that does not continue a character, as fastText does. O(bytes · maxn).
  void append(std::string_view word, std::vector<int64_t>& ids) const;

  /// The same as a new list.
  [[nodiscard]] std::vector<int64_t> ids(std::string_view word) const;

  /// first_id + bucket: the rows that a table of words and n-grams needs.
  [[nodiscard]] int64_t rows() const { return options_.first_id + options_.bucket; }
  /// What was given.
  [[nodiscard]] const CharNgramOptions& options() const { return options_; }

 private:
  CharNgramOptions options_;
};

}  // namespace embergrad::text

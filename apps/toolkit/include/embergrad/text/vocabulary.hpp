/// @file
/// Strings to rows of a table and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <embergrad/text/corpus.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace embergrad::text {

/// How to choose the words of a Vocabulary.
struct VocabularyOptions {
  int64_t min_count = 1;  ///< forms seen less often are left out, and so become the unknown word
};

/// A numbered list of strings, ids 0 … size() − 1.
///
/// A vocabulary of words has two specials in front, `<pad>` (id 0) and `<unk>` (id 1, every string that is not in the
/// list); one of tags has none. Specials are places, not strings: a form in the data that reads `<pad>` or `<unk>` is a
/// word like any other, with an id of its own or unknown.
///
/// Copies are deep. Const members may be called from several threads.
class Vocabulary {
 public:
  static constexpr int64_t pad_id = 0;      ///< padding, where there are specials
  static constexpr int64_t unknown_id = 1;  ///< the unknown word, where there are specials

  /// No string at all.
  Vocabulary() = default;

  /// The strings in this order: what `words()` and `has_specials()` of another vocabulary gave, stored and read again.
  /// Throws ValueError for a string that stands there twice and, with `has_specials`, unless the list starts with
  /// `<pad>`,
  /// `<unk>`.
  Vocabulary(std::vector<std::string> words, bool has_specials);

  /// The specials, then the forms of `corpus` with at least `min_count` occurrences, most frequent first, equally
  /// frequent ones by their bytes. Throws ValueError for `min_count` < 1. O(n log n) in the number of types.
  [[nodiscard]] static Vocabulary of_words(const Corpus& corpus, const VocabularyOptions& options = {});

  /// The same of any strings, one an occurrence: the words of texts, or the users of a table of ratings.
  [[nodiscard]] static Vocabulary of_words(std::span<const std::string_view> words,
                                           const VocabularyOptions& options = {});

  /// The tags of `corpus`, ordered by their bytes. Throws ValueError for a word without a tag (empty or `_`), which
  /// reading with Purpose::train refuses.
  [[nodiscard]] static Vocabulary of_tags(const Corpus& corpus);

  /// The different strings of `labels`, ordered by their bytes, without specials: classes.
  [[nodiscard]] static Vocabulary of_labels(std::span<const std::string_view> labels);

  /// Number of ids, specials included: the rows that a table needs.
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(words_.size()); }
  /// Whether ids 0 and 1 are padding and the unknown word.
  [[nodiscard]] bool has_specials() const { return has_specials_; }

  /// The id of `word`; for one that is not there `unknown_id`, or ValueError naming it where there are no specials.
  /// O(1), no allocation.
  [[nodiscard]] int64_t id(std::string_view word) const;

  /// The id of `word`, or nothing if it is not there; never a special. O(1), no allocation.
  [[nodiscard]] std::optional<int64_t> find(std::string_view word) const;

  /// Whether `word` has an id of its own.
  [[nodiscard]] bool contains(std::string_view word) const { return find(word).has_value(); }

  /// The string of an id. Throws IndexError.
  [[nodiscard]] const std::string& name(int64_t id) const;

  /// `id` of each string.
  [[nodiscard]] std::vector<int64_t> ids(std::span<const std::string_view> words) const;

  /// `id` of each word's form.
  [[nodiscard]] std::vector<int64_t> form_ids(Sentence sentence) const;

  /// `id` of each word's tag.
  [[nodiscard]] std::vector<int64_t> tag_ids(Sentence sentence) const;

  /// `name` of each id, as the writers take tags. Throws IndexError.
  [[nodiscard]] std::vector<std::string> names(std::span<const int64_t> ids) const;

  /// All strings in order of their ids, specials included.
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view word) const { return std::hash<std::string_view>{}(word); }
  };

  std::vector<std::string> words_;
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> ids_;  // without the specials
  bool has_specials_ = false;
};

}  // namespace embergrad::text

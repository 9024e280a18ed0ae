/// @file
/// How well a tagger tagged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace embergrad::text {

/// The counts of one tag. The ratios are 0 where there is nothing to divide by, never NaN.
struct TagScore {
  std::string tag = {};
  int64_t gold = 0;       ///< words that have this tag
  int64_t predicted = 0;  ///< words that were given it
  int64_t correct = 0;    ///< words for which both hold

  [[nodiscard]] double precision() const;  ///< correct / predicted
  [[nodiscard]] double recall() const;     ///< correct / gold
  [[nodiscard]] double f1() const;         ///< 2·correct / (gold + predicted), the harmonic mean of the two
};

/// Counts right and wrong tags, in all and by tag, and on words that training never saw.
class TaggingReport {
 public:
  /// One word: its tag, the one it was given, and whether its form has an id of its own in the vocabulary. Any string
  /// is a tag, also one that training never saw. No allocation once both tags were seen.
  void add(std::string_view gold, std::string_view predicted, bool known = true);

  [[nodiscard]] int64_t words() const { return words_; }
  [[nodiscard]] int64_t correct() const { return correct_; }
  [[nodiscard]] int64_t unknown_words() const { return unknown_words_; }
  [[nodiscard]] int64_t unknown_correct() const { return unknown_correct_; }

  /// correct / words; 0 where there are no words.
  [[nodiscard]] double accuracy() const;

  /// The same for the unknown words; nothing where there are none.
  [[nodiscard]] std::optional<double> unknown_accuracy() const;

  /// Every tag that was seen or given, most frequent in the gold data first, then by what was predicted, then by bytes.
  [[nodiscard]] std::vector<TagScore> scores() const;

  /// Writes the report:
  /// @code
  /// accuracy 0.8912  (22391 of 25148 words)
  /// unknown words 0.5512  (1045 of 1896 words)
  ///
  /// tag         gold  predicted  correct  precision  recall      f1
  /// NOUN        4123       4391     3702     0.8431  0.8979  0.8696
  /// @endcode
  /// `n/a` stands where there is nothing to divide by.
  void print(std::ostream& out) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view tag) const { return std::hash<std::string_view>{}(tag); }
  };
  TagScore& score(std::string_view tag);

  std::unordered_map<std::string, TagScore, Hash, std::equal_to<>> scores_;
  int64_t words_ = 0;
  int64_t correct_ = 0;
  int64_t unknown_words_ = 0;
  int64_t unknown_correct_ = 0;
};

/// Writes `report.print(out)`.
std::ostream& operator<<(std::ostream& out, const TaggingReport& report);

}  // namespace embergrad::text

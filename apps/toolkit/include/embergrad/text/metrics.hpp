/// @file
/// How well a model did: tags, spans, classes, scores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <embergrad/tensor.hpp>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace embergrad::text {

/// The counts of one tag, one type of span, or one class of texts. The ratios are 0 where there is nothing to divide
/// by, never NaN.
struct TagScore {
  std::string tag = {};   ///< the tag, or the type
  int64_t gold = 0;       ///< words that have this tag (spans in the gold data)
  int64_t predicted = 0;  ///< words that were given it (spans predicted)
  int64_t correct = 0;    ///< words for which both hold (spans with the same type, start and end in both)

  [[nodiscard]] double precision() const;  ///< correct / predicted
  [[nodiscard]] double recall() const;     ///< correct / gold
  [[nodiscard]] double f1() const;         ///< 2·correct / (gold + predicted), the harmonic mean of the two
};

namespace detail {

/// Counts by tag.
class TagScores {
 public:
  /// The counts of `tag`, zero at first. No allocation once the tag was seen.
  TagScore& of(std::string_view tag);
  /// All, most frequent in the gold data first, then by what was predicted, then by bytes.
  [[nodiscard]] std::vector<TagScore> sorted() const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view tag) const { return std::hash<std::string_view>{}(tag); }
  };
  std::unordered_map<std::string, TagScore, Hash, std::equal_to<>> scores_;
};

}  // namespace detail

/// Counts right and wrong tags, in all and by tag, and on words that training never saw.
class TaggingReport {
 public:
  /// One word: its tag, the one it was given, and whether its form has an id of its own in the vocabulary. Any string
  /// is a tag, also one that training never saw. No allocation once both tags were seen.
  void add(std::string_view gold, std::string_view predicted, bool known = true);

  /// Words added.
  [[nodiscard]] int64_t words() const { return words_; }
  /// Words that were given their tag.
  [[nodiscard]] int64_t correct() const { return correct_; }
  /// Words added as not known.
  [[nodiscard]] int64_t unknown_words() const { return unknown_words_; }
  /// Words added as not known that were given their tag.
  [[nodiscard]] int64_t unknown_correct() const { return unknown_correct_; }

  /// correct / words; 0 where there are no words.
  [[nodiscard]] double accuracy() const;

  /// The same for the unknown words; nothing where there are none.
  [[nodiscard]] std::optional<double> unknown_accuracy() const;

  /// Every tag that was seen or given, most frequent in the gold data first, then by what was predicted, then by bytes.
  [[nodiscard]] std::vector<TagScore> scores() const { return scores_.sorted(); }

  /// Writes the report:
  /// @code{.txt}
  /// accuracy 0.8912  (22391 of 25148 words)
  /// unknown words 0.5512  (1045 of 1896 words)
  ///
  /// tag         gold  predicted  correct  precision  recall      f1
  /// NOUN        4123       4391     3702     0.8431  0.8979  0.8696
  /// @endcode
  /// `n/a` stands where there is nothing to divide by.
  void print(std::ostream& out) const;

 private:
  detail::TagScores scores_;
  int64_t words_ = 0;
  int64_t correct_ = 0;
  int64_t unknown_words_ = 0;
  int64_t unknown_correct_ = 0;
};

/// Writes `report.print(out)`.
std::ostream& operator<<(std::ostream& out, const TaggingReport& report);

/// Some words in a row that belong together: a name, a phrase.
struct LabelledSpan {
  std::string_view type = {};  ///< a view into a tag; `_` where the tags name none
  int64_t begin = 0;           ///< the first word, from 0
  int64_t end = 0;             ///< one behind the last word

  /// True if type and place are the same.
  friend bool operator==(const LabelledSpan&, const LabelledSpan&) = default;
};

/// The spans that the tags of one sentence mark, in order. Tags are `O` (no span), or `B` (the first word of a span),
/// `I` (a word inside), `E` (the last of several), `S` (the only one), alone or followed by `-` and the type: IOB1,
/// IOB2 (BIO) and IOBES.
///
/// Any order of tags is read, as conlleval and seqeval (its default mode) do: `I` and `E` start a span where they can't
/// continue one, which is after `O`, `E` and `S`, at the start of the sentence and after another type. So `O I-PER
/// I-LOC` are two spans, and in IOB2, too, a prediction that starts with `I` counts.
///
/// Throws ValueError naming any other tag, seqeval's warning.
[[nodiscard]] std::vector<LabelledSpan> spans_of(std::span<const std::string_view> tags);

/// Precision, recall and F1 of spans, in all and by type: a span is right if type, start and end are (conlleval,
/// seqeval).
///
/// @code
/// SpanReport report;
/// report.add(gold, predicted);   // of one sentence: {"B-PER", "I-PER", "O"}, {"B-PER", "O", "O"}
/// report.total().f1();
/// @endcode
class SpanReport {
 public:
  /// One sentence. Throws ShapeError unless there are as many tags in both, ValueError as `spans_of` does; nothing is
  /// counted then.
  void add(std::span<const std::string_view> gold, std::span<const std::string_view> predicted);
  /// The same of strings that are held.
  void add(std::span<const std::string> gold, std::span<const std::string> predicted);

  /// Sentences added.
  [[nodiscard]] int64_t sentences() const { return sentences_; }

  /// The counts of all types together; its ratios are the micro averages. The tag is empty.
  [[nodiscard]] const TagScore& total() const { return total_; }

  /// Each type that was seen or predicted, most frequent in the gold data first, then by what was predicted, then by
  /// bytes.
  [[nodiscard]] std::vector<TagScore> scores() const { return scores_.sorted(); }

  /// The mean of the types' F1, each counted once; 0 where there is no type.
  [[nodiscard]] double macro_f1() const;

  /// Writes the report:
  /// @code{.txt}
  /// spans  precision 0.8125  recall 0.7647  f1 0.7879  (13 right of 16 predicted, 17 in the gold data)
  ///
  /// type        gold  predicted  correct  precision  recall      f1
  /// PER            9          8        8     1.0000  0.8889  0.9412
  /// @endcode
  /// `n/a` stands where there is nothing to divide by.
  void print(std::ostream& out) const;

 private:
  detail::TagScores scores_;
  TagScore total_;
  int64_t sentences_ = 0;
};

/// Writes `report.print(out)`.
std::ostream& operator<<(std::ostream& out, const SpanReport& report);

/// Two classes that were mixed up.
struct Confusion {
  std::string gold = {};       ///< the class
  std::string predicted = {};  ///< the one that was given instead
  int64_t count = 0;           ///< how often

  /// True if all three are the same.
  friend bool operator==(const Confusion&, const Confusion&) = default;
};

/// Counts right and wrong classes of whole texts (or of anything else), in all, by class and by pair of classes.
///
/// @code
/// ClassificationReport report;
/// report.add("refund", "cancel");   // a text of class refund, taken for cancel
/// std::cout << report;
/// @endcode
class ClassificationReport {
 public:
  /// One text: its class and the one it was given. Any string is a class, also one that training never saw.
  void add(std::string_view gold, std::string_view predicted);

  /// Texts added.
  [[nodiscard]] int64_t size() const { return size_; }
  /// Texts that were given their class.
  [[nodiscard]] int64_t correct() const { return correct_; }
  /// correct / size; 0 where there are no texts.
  [[nodiscard]] double accuracy() const;
  /// The mean of the classes' F1, each counted once; 0 where there is no class.
  [[nodiscard]] double macro_f1() const;

  /// Every class that was seen or given, most frequent in the gold data first, then by what was predicted, then by
  /// bytes.
  [[nodiscard]] std::vector<TagScore> scores() const { return scores_.sorted(); }
  /// The pairs that were mixed up most often, at most `most`; equally frequent ones by their bytes.
  [[nodiscard]] std::vector<Confusion> confusions(std::size_t most) const;

  /// Writes the report, with the ten pairs that were mixed up most often:
  /// @code{.txt}
  /// accuracy 0.8912  macro F1 0.8901  (2745 of 3080 texts)
  ///
  /// class     support  predicted  correct  precision  recall      f1
  /// refund         40         39       37     0.9487  0.9250  0.9367
  ///
  /// most often mixed up
  ///       7  refund taken for cancel
  /// @endcode
  /// `n/a` stands where there is nothing to divide by.
  void print(std::ostream& out) const;

 private:
  detail::TagScores scores_;
  std::map<std::pair<std::string, std::string>, int64_t> confusions_;
  int64_t size_ = 0;
  int64_t correct_ = 0;
};

/// Writes `report.print(out)`.
std::ostream& operator<<(std::ostream& out, const ClassificationReport& report);

/// The area under the ROC curve of a binary classifier, batch by batch: the probability that a positive has a higher
/// score than a negative, where a tie counts half (Mann and Whitney's U, with average ranks for ties; sklearn's
/// `roc_auc_score`, torchmetrics' `BinaryAUROC`). Exact: keeps every score, 8 bytes each.
///
/// @code
/// RocAuc auc;
/// for (const auto& batch : dev) auc.add(model.forward(batch), batch.labels);  // logits will do: only order counts
/// std::cout << auc.value();
/// @endcode
class RocAuc {
 public:
  /// One score and whether it belongs to a positive. Throws ValueError for NaN.
  void add(double score, bool positive);

  /// A batch: scores of any floating type, labels 0 and 1 of any type and of the same shape, on any device. Throws
  /// ShapeError, DTypeError for integer scores, and ValueError for NaN or another label; nothing is added then.
  void add(const Tensor& scores, const Tensor& labels);

  /// Scores added.
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(positives_.size() + negatives_.size()); }

  /// The area, 0 … 1. Throws ValueError unless both classes were seen: there is no area then. O(n log n).
  [[nodiscard]] double value() const;

 private:
  std::vector<double> positives_;
  std::vector<double> negatives_;
};

/// `RocAuc` of one batch.
[[nodiscard]] double roc_auc(const Tensor& scores, const Tensor& labels);

}  // namespace embergrad::text

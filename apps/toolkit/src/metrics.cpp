#include <embergrad/text/metrics.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <embergrad/error.hpp>
#include <iterator>
#include <ostream>
#include <tuple>

#include "printable.hpp"

namespace embergrad::text {
namespace {

double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string shown(int64_t part, int64_t whole) {
  return whole == 0 ? std::string("n/a") : fmt::format("{:.4f}", ratio(part, whole));
}

double mean_f1(const std::vector<TagScore>& scores) {
  double sum = 0;
  for (const TagScore& one : scores) sum += one.f1();
  return scores.empty() ? 0.0 : sum / static_cast<double>(scores.size());
}

/// An empty line and the scores, if there are any. `gold`: the name of that column.
void append_table(std::string& text, const char* what, const char* gold, const std::vector<TagScore>& scores) {
  if (scores.empty()) return;
  std::size_t width = 8;
  for (const TagScore& one : scores) width = std::max(width, printable(one.tag).size());
  const auto row = [&](const auto& tag, const auto&... cells) {
    fmt::format_to(std::back_inserter(text), "{:<{}}", tag, width);
    fmt::format_to(std::back_inserter(text), "{:>9}{:>11}{:>9}{:>11}{:>8}{:>8}\n", cells...);
  };
  text += '\n';
  row(what, gold, "predicted", "correct", "precision", "recall", "f1");
  for (const TagScore& one : scores) {
    row(printable(one.tag), one.gold, one.predicted, one.correct, shown(one.correct, one.predicted),
        shown(one.correct, one.gold), shown(2 * one.correct, one.gold + one.predicted));
  }
}

/// A tag of a span scheme: its letter and its type.
struct SpanTag {
  char letter = 'O';
  std::string_view type = {};
};

SpanTag span_tag(std::string_view tag) {
  if (tag == "O") return {};
  const bool known = !tag.empty() && std::string_view("BIES").find(tag.front()) != std::string_view::npos;
  if (!known || (tag.size() > 1 && tag[1] != '-')) {
    throw ValueError(fmt::format("spans_of: '{}' is none of O, B-type, I-type, E-type, S-type", printable(tag)));
  }
  const std::string_view type = tag.substr(std::min<std::size_t>(2, tag.size()));
  return {.letter = tag.front(), .type = type.empty() ? std::string_view("_") : type};
}

}  // namespace

double TagScore::precision() const { return ratio(correct, predicted); }
double TagScore::recall() const { return ratio(correct, gold); }
double TagScore::f1() const { return ratio(2 * correct, gold + predicted); }

TagScore& detail::TagScores::of(std::string_view tag) {
  if (const auto place = scores_.find(tag); place != scores_.end()) return place->second;
  return scores_.emplace(tag, TagScore{.tag = std::string(tag)}).first->second;
}

std::vector<TagScore> detail::TagScores::sorted() const {
  std::vector<TagScore> sorted;
  sorted.reserve(scores_.size());
  for (const auto& entry : scores_) sorted.push_back(entry.second);
  std::sort(sorted.begin(), sorted.end(), [](const TagScore& a, const TagScore& b) {
    return std::tie(b.gold, b.predicted, a.tag) < std::tie(a.gold, a.predicted, b.tag);
  });
  return sorted;
}

void TaggingReport::add(std::string_view gold, std::string_view predicted, bool known) {
  const bool right = gold == predicted;
  ++scores_.of(gold).gold;
  TagScore& given = scores_.of(predicted);
  ++given.predicted;
  ++words_;
  if (!known) ++unknown_words_;
  if (!right) return;
  ++given.correct;
  ++correct_;
  if (!known) ++unknown_correct_;
}

double TaggingReport::accuracy() const { return ratio(correct_, words_); }

std::optional<double> TaggingReport::unknown_accuracy() const {
  if (unknown_words_ == 0) return std::nullopt;
  return ratio(unknown_correct_, unknown_words_);
}

void TaggingReport::print(std::ostream& out) const {
  std::string text;
  const auto end = std::back_inserter(text);
  fmt::format_to(end, "accuracy {}  ({} of {} words)\n", shown(correct_, words_), correct_, words_);
  fmt::format_to(end, "unknown words {}  ({} of {} words)\n", shown(unknown_correct_, unknown_words_), unknown_correct_,
                 unknown_words_);
  append_table(text, "tag", "gold", scores());
  out << text;
}

std::ostream& operator<<(std::ostream& out, const TaggingReport& report) {
  report.print(out);
  return out;
}

std::vector<LabelledSpan> spans_of(std::span<const std::string_view> tags) {
  std::vector<LabelledSpan> spans;
  bool open = false;  // whether the next word may continue the last span
  for (std::size_t i = 0; i < tags.size(); ++i) {
    const SpanTag tag = span_tag(tags[i]);
    const auto place = static_cast<int64_t>(i);
    if (tag.letter == 'O') {
      open = false;
      continue;
    }
    const bool continues = open && (tag.letter == 'I' || tag.letter == 'E') && spans.back().type == tag.type;
    if (!continues) spans.push_back({.type = tag.type, .begin = place, .end = place});
    spans.back().end = place + 1;
    open = tag.letter == 'B' || tag.letter == 'I';
  }
  return spans;
}

void SpanReport::add(std::span<const std::string_view> gold, std::span<const std::string_view> predicted) {
  if (gold.size() != predicted.size()) {
    throw ShapeError(fmt::format("SpanReport: {} tags predicted for a sentence of {}", predicted.size(), gold.size()));
  }
  const std::vector<LabelledSpan> wanted = spans_of(gold);
  const std::vector<LabelledSpan> given = spans_of(predicted);
  ++sentences_;
  for (const LabelledSpan& span : wanted) ++scores_.of(span.type).gold;
  for (const LabelledSpan& span : given) ++scores_.of(span.type).predicted;
  total_.gold += static_cast<int64_t>(wanted.size());
  total_.predicted += static_cast<int64_t>(given.size());
  // Both are in order, and no two spans of one sentence start at one word.
  for (std::size_t i = 0, k = 0; i < wanted.size() && k < given.size();) {
    if (wanted[i] == given[k]) {
      ++scores_.of(wanted[i].type).correct;
      ++total_.correct;
    }
    const int64_t at = wanted[i].begin;
    if (at <= given[k].begin) ++i;
    if (at >= given[k].begin) ++k;
  }
}

void SpanReport::add(std::span<const std::string> gold, std::span<const std::string> predicted) {
  const std::vector<std::string_view> gold_views(gold.begin(), gold.end());
  const std::vector<std::string_view> predicted_views(predicted.begin(), predicted.end());
  add(gold_views, predicted_views);
}

double SpanReport::macro_f1() const { return mean_f1(scores()); }

void SpanReport::print(std::ostream& out) const {
  std::string text = fmt::format(
      "spans  precision {}  recall {}  f1 {}  ({} right of {} predicted, {} in the gold data)\n",
      shown(total_.correct, total_.predicted), shown(total_.correct, total_.gold),
      shown(2 * total_.correct, total_.gold + total_.predicted), total_.correct, total_.predicted, total_.gold);
  append_table(text, "type", "gold", scores());
  out << text;
}

std::ostream& operator<<(std::ostream& out, const SpanReport& report) {
  report.print(out);
  return out;
}

void ClassificationReport::add(std::string_view gold, std::string_view predicted) {
  ++scores_.of(gold).gold;
  TagScore& given = scores_.of(predicted);
  ++given.predicted;
  ++size_;
  if (gold == predicted) {
    ++given.correct;
    ++correct_;
  } else {
    ++confusions_[{std::string(gold), std::string(predicted)}];
  }
}

double ClassificationReport::accuracy() const { return ratio(correct_, size_); }

double ClassificationReport::macro_f1() const { return mean_f1(scores()); }

std::vector<Confusion> ClassificationReport::confusions(std::size_t most) const {
  std::vector<Confusion> sorted;
  sorted.reserve(confusions_.size());
  for (const auto& [pair, count] : confusions_) {
    sorted.push_back({.gold = pair.first, .predicted = pair.second, .count = count});
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Confusion& a, const Confusion& b) { return a.count > b.count; });
  sorted.resize(std::min(most, sorted.size()));
  return sorted;
}

void ClassificationReport::print(std::ostream& out) const {
  constexpr std::size_t most_confusions = 10;
  std::string text = fmt::format("accuracy {}  macro F1 {:.4f}  ({} of {} texts)\n", shown(correct_, size_), macro_f1(),
                                 correct_, size_);
  append_table(text, "class", "support", scores());
  if (!confusions_.empty()) text += "\nmost often mixed up\n";
  for (const Confusion& one : confusions(most_confusions)) {
    fmt::format_to(std::back_inserter(text), "{:>8}  {} taken for {}\n", one.count, printable(one.gold),
                   printable(one.predicted));
  }
  out << text;
}

std::ostream& operator<<(std::ostream& out, const ClassificationReport& report) {
  report.print(out);
  return out;
}

void RocAuc::add(double score, bool positive) {
  if (std::isnan(score)) throw ValueError(fmt::format("RocAuc: score {} is NaN", size()));
  (positive ? positives_ : negatives_).push_back(score);
}

void RocAuc::add(const Tensor& scores, const Tensor& labels) {
  if (scores.shape() != labels.shape()) {
    throw ShapeError(fmt::format("RocAuc: scores have shape {}, but labels have {}", scores.shape().to_string(),
                                 labels.shape().to_string()));
  }
  if (!is_floating(scores.dtype())) {
    throw DTypeError(fmt::format("RocAuc: scores are {}, not of a floating type", name_of(scores.dtype())));
  }
  const std::vector<double> score = scores.to(Device::cpu()).to_vector<double>();
  const std::vector<double> label = labels.to(Device::cpu()).to_vector<double>();
  for (std::size_t i = 0; i < score.size(); ++i) {
    if (std::isnan(score[i])) throw ValueError(fmt::format("RocAuc: scores[{}] (flat) is NaN", i));
    if (label[i] != 0 && label[i] != 1) {
      throw ValueError(fmt::format("RocAuc: labels[{}] (flat) is {}, neither 0 nor 1", i, label[i]));
    }
  }
  for (std::size_t i = 0; i < score.size(); ++i) add(score[i], label[i] == 1);
}

double RocAuc::value() const {
  if (positives_.empty() || negatives_.empty()) {
    throw ValueError(
        fmt::format("RocAuc: {} positives and {} negatives; both are needed", positives_.size(), negatives_.size()));
  }
  std::vector<double> above = positives_;
  std::vector<double> below = negatives_;
  std::sort(above.begin(), above.end());
  std::sort(below.begin(), below.end());
  // For each positive: negatives with a lower score count two, those with the same score one. Whole numbers: exact.
  uint64_t halves = 0;
  std::size_t lower = 0;
  std::size_t not_higher = 0;
  for (const double score : above) {
    while (lower < below.size() && below[lower] < score) ++lower;
    while (not_higher < below.size() && below[not_higher] <= score) ++not_higher;
    halves += lower + not_higher;
  }
  return static_cast<double>(halves) / (2.0 * static_cast<double>(above.size()) * static_cast<double>(below.size()));
}

double roc_auc(const Tensor& scores, const Tensor& labels) {
  RocAuc auc;
  auc.add(scores, labels);
  return auc.value();
}

}  // namespace embergrad::text

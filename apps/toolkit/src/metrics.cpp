#include <embergrad/text/metrics.hpp>

#include <fmt/format.h>

#include <algorithm>
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

}  // namespace

double TagScore::precision() const { return ratio(correct, predicted); }
double TagScore::recall() const { return ratio(correct, gold); }
double TagScore::f1() const { return ratio(2 * correct, gold + predicted); }

TagScore& TaggingReport::score(std::string_view tag) {
  if (const auto place = scores_.find(tag); place != scores_.end()) return place->second;
  return scores_.emplace(tag, TagScore{.tag = std::string(tag)}).first->second;
}

void TaggingReport::add(std::string_view gold, std::string_view predicted, bool known) {
  const bool right = gold == predicted;
  ++score(gold).gold;
  TagScore& given = score(predicted);
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

std::vector<TagScore> TaggingReport::scores() const {
  std::vector<TagScore> sorted;
  sorted.reserve(scores_.size());
  for (const auto& entry : scores_) sorted.push_back(entry.second);
  std::sort(sorted.begin(), sorted.end(), [](const TagScore& a, const TagScore& b) {
    return std::tie(b.gold, b.predicted, a.tag) < std::tie(a.gold, a.predicted, b.tag);
  });
  return sorted;
}

void TaggingReport::print(std::ostream& out) const {
  const std::vector<TagScore> sorted = scores();
  std::size_t width = 8;
  for (const TagScore& one : sorted) width = std::max(width, printable(one.tag).size());

  std::string text;
  const auto end = std::back_inserter(text);
  fmt::format_to(end, "accuracy {}  ({} of {} words)\n", shown(correct_, words_), correct_, words_);
  fmt::format_to(end, "unknown words {}  ({} of {} words)\n", shown(unknown_correct_, unknown_words_), unknown_correct_,
                 unknown_words_);
  if (!scores_.empty()) {
    const auto row = [&](const auto& tag, const auto&... cells) {
      fmt::format_to(end, "{:<{}}", tag, width);
      fmt::format_to(end, "{:>9}{:>11}{:>9}{:>11}{:>8}{:>8}\n", cells...);
    };
    text += '\n';
    row("tag", "gold", "predicted", "correct", "precision", "recall", "f1");
    for (const TagScore& one : sorted) {
      row(printable(one.tag), one.gold, one.predicted, one.correct, shown(one.correct, one.predicted),
          shown(one.correct, one.gold), shown(2 * one.correct, one.gold + one.predicted));
    }
  }
  out << text;
}

std::ostream& operator<<(std::ostream& out, const TaggingReport& report) {
  report.print(out);
  return out;
}

}  // namespace embergrad::text

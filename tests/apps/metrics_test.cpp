#include <boost/test/unit_test.hpp>
#include <cmath>
#include <embergrad/embergrad.hpp>
#include <embergrad/text/metrics.hpp>
#include <embergrad/text/order.hpp>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using embergrad::DType;
using embergrad::DTypeError;
using embergrad::ShapeError;
using embergrad::tensor;
using embergrad::ValueError;
using embergrad::text::ClassificationReport;
using embergrad::text::Confusion;
using embergrad::text::LabelledSpan;
using embergrad::text::roc_auc;
using embergrad::text::RocAuc;
using embergrad::text::SpanReport;
using embergrad::text::TaggingReport;
using embergrad::text::TagScore;

template <class Report>
std::string printed(const Report& report) {
  std::ostringstream out;
  out << report;
  return out.str();
}

using Tags = std::vector<std::string>;

/// Spans as `type begin end`, joined by commas.
std::string spans(const Tags& tags) {
  const std::vector<std::string_view> views(tags.begin(), tags.end());
  std::ostringstream out;
  for (const LabelledSpan& span : embergrad::text::spans_of(views)) {
    out << (out.tellp() > 0 ? ", " : "") << span.type << ' ' << span.begin << ' ' << span.end;
  }
  return out.str();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(metrics)

BOOST_AUTO_TEST_CASE(counts_by_hand) {
  TaggingReport report;
  report.add("NOUN", "NOUN");
  report.add("NOUN", "VERB", false);
  report.add("NOUN", "NOUN", false);
  report.add("VERB", "VERB");
  report.add("ADJ", "NOUN", false);
  report.add("VERB", "X");

  BOOST_TEST(report.words() == 6);
  BOOST_TEST(report.correct() == 3);
  BOOST_TEST(report.accuracy() == 0.5);
  BOOST_TEST(report.unknown_words() == 3);
  BOOST_TEST(report.unknown_correct() == 1);
  BOOST_TEST(report.unknown_accuracy().value() == 1.0 / 3);

  const auto scores = report.scores();
  BOOST_REQUIRE(scores.size() == 4U);
  BOOST_TEST(scores[0].tag == "NOUN");
  BOOST_TEST(scores[0].gold == 3);
  BOOST_TEST(scores[0].predicted == 3);
  BOOST_TEST(scores[0].correct == 2);
  BOOST_TEST(scores[0].precision() == 2.0 / 3);
  BOOST_TEST(scores[0].recall() == 2.0 / 3);
  BOOST_TEST(scores[1].tag == "VERB");
  BOOST_TEST(scores[1].precision() == 0.5);
  BOOST_TEST(scores[1].f1() == 0.5);
  BOOST_TEST(scores[2].tag == "ADJ");
  BOOST_TEST(scores[3].tag == "X");
  BOOST_TEST(printed(report) ==
             "accuracy 0.5000  (3 of 6 words)\n"
             "unknown words 0.3333  (1 of 3 words)\n"
             "\n"
             "tag          gold  predicted  correct  precision  recall      f1\n"
             "NOUN            3          3        2     0.6667  0.6667  0.6667\n"
             "VERB            2          2        1     0.5000  0.5000  0.5000\n"
             "ADJ             1          0        0        n/a  0.0000  0.0000\n"
             "X               0          1        0     0.0000     n/a  0.0000\n");
}

BOOST_AUTO_TEST_CASE(nothing_is_not_a_number) {
  const TaggingReport empty;
  BOOST_TEST(empty.accuracy() == 0.0);
  BOOST_TEST(!empty.unknown_accuracy().has_value());
  BOOST_TEST(printed(empty) == "accuracy n/a  (0 of 0 words)\nunknown words n/a  (0 of 0 words)\n");
  const TagScore none;
  BOOST_TEST(none.precision() == 0.0);
  BOOST_TEST(none.recall() == 0.0);
  BOOST_TEST(none.f1() == 0.0);
}

BOOST_AUTO_TEST_CASE(tags_cannot_steer_the_terminal) {
  TaggingReport report;
  report.add("\x1b[2J", "A");
  BOOST_TEST(printed(report).find('\x1b') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(spans_by_hand) {
  BOOST_TEST(spans({}) == "");
  BOOST_TEST(spans({"O", "O"}) == "");
  BOOST_TEST(spans({"B-PER", "I-PER", "O", "B-LOC"}) == "PER 0 2, LOC 3 4");
  BOOST_TEST(spans({"B-PER", "B-PER", "I-PER"}) == "PER 0 1, PER 1 3");
  BOOST_TEST(spans({"I-PER", "I-PER", "I-LOC", "O", "I-LOC"}) == "PER 0 2, LOC 2 3, LOC 4 5");
  BOOST_TEST(spans({"B-PER", "E-PER", "S-PER", "I-PER", "E-PER", "E-PER"}) == "PER 0 2, PER 2 3, PER 3 5, PER 5 6");
  BOOST_TEST(spans({"B-PER", "I-LOC", "I-PER"}) == "PER 0 1, LOC 1 2, PER 2 3");
  BOOST_TEST(spans({"B", "I", "I-X-Y", "B-"}) == "_ 0 2, X-Y 2 3, _ 3 4");
  for (const char* wrong : {"", "X", "NOUN", "BPER", "B_PER", "o", "b-PER", "L-PER", "O-PER", "-PER"}) {
    BOOST_CHECK_THROW(spans({"O", wrong}), ValueError);
  }
}

BOOST_AUTO_TEST_CASE(spans_are_counted_by_type) {
  SpanReport report;
  // The example of seqeval's documentation.
  report.add(Tags{"O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"},
             Tags{"O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"});
  report.add(Tags{"B-PER", "I-PER", "O"}, Tags{"B-PER", "I-PER", "O"});
  BOOST_TEST(report.sentences() == 2);
  BOOST_TEST(report.total().precision() == 0.5);
  BOOST_TEST(report.total().recall() == 0.5);
  BOOST_TEST(report.total().f1() == 0.5);
  BOOST_TEST(report.macro_f1() == 0.5);
  report.add(Tags{"O", "O"}, Tags{"B-LOC", "I-PER"});
  BOOST_TEST(report.total().precision() == 0.25);
  BOOST_TEST(report.macro_f1() == (0.0 + 2.0 / 3 + 0.0) / 3);
  BOOST_TEST(printed(report) ==
             "spans  precision 0.2500  recall 0.5000  f1 0.3333  (1 right of 4 predicted, 2 in the gold data)\n"
             "\n"
             "type         gold  predicted  correct  precision  recall      f1\n"
             "PER             1          2        1     0.5000  1.0000  0.6667\n"
             "MISC            1          1        0     0.0000  0.0000  0.0000\n"
             "LOC             0          1        0     0.0000     n/a  0.0000\n");
  const std::string before = printed(report);
  BOOST_CHECK_THROW(report.add(Tags{"O"}, Tags{"O", "O"}), ShapeError);
  BOOST_CHECK_THROW(report.add(Tags{"B-PER"}, Tags{"X"}), ValueError);
  BOOST_TEST(printed(report) == before);
  BOOST_TEST(report.sentences() == 3);
  BOOST_TEST(SpanReport().macro_f1() == 0.0);
  BOOST_TEST(printed(SpanReport()).starts_with("spans  precision n/a  recall n/a  f1 n/a"));
}

// The same sentences went through get_entities of seqeval 1.2.2 (default mode), whose counts these are.
BOOST_AUTO_TEST_CASE(counts_of_seqeval) {
  const Tags tags = {"O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "B", "I", "I-A-B"};
  const uint64_t seed = 11;
  uint64_t draws = 0;
  const auto below = [&](std::size_t n) {
    return static_cast<std::size_t>(embergrad::text::uniform(seed, draws++) * static_cast<double>(n));
  };
  SpanReport report;
  uint64_t places = 0;
  for (int sentence = 0; sentence < 2000; ++sentence) {
    const std::size_t words = below(12);
    Tags gold(words);
    Tags predicted(words);
    for (auto& tag : gold) tag = tags[below(tags.size())];
    for (std::size_t i = 0; i < words; ++i) predicted[i] = below(3) > 0 ? gold[i] : tags[below(tags.size())];
    report.add(gold, predicted);
    const std::vector<std::string_view> views(gold.begin(), gold.end());
    for (const LabelledSpan& span : embergrad::text::spans_of(views)) {
      places = places * 31 + span.type.size() * 1000003 + static_cast<uint64_t>(span.begin * 101 + span.end - 1);
    }
  }
  BOOST_TEST(draws == 27691U);
  BOOST_TEST(places == 11588582555815324325U);
  std::ostringstream counts;
  for (const TagScore& one : report.scores()) {
    counts << one.tag << ' ' << one.gold << ' ' << one.predicted << ' ' << one.correct << '\n';
  }
  BOOST_TEST(counts.str() ==
             "PER 3458 3490 2528\n"
             "LOC 3368 3445 2452\n"
             "_ 1695 1683 1124\n"
             "A-B 841 812 546\n");
  BOOST_TEST(report.total().correct == 2528 + 2452 + 1124 + 546);
}

BOOST_AUTO_TEST_CASE(auc_by_hand) {
  BOOST_TEST(roc_auc(tensor({0.1, 0.4, 0.35, 0.8}), tensor({0, 0, 1, 1})) == 0.75);  // sklearn's example
  BOOST_TEST(roc_auc(tensor({1.0, 2.0, 3.0}), tensor({0, 0, 1})) == 1.0);
  BOOST_TEST(roc_auc(tensor({1.0, 2.0, 3.0}), tensor({1.0, 0.0, 0.0})) == 0.0);
  BOOST_TEST(roc_auc(tensor({2.0, 2.0, 2.0, 2.0}), tensor({1, 0, 0, 1})) == 0.5);
  BOOST_TEST(roc_auc(tensor({{-0.0}, {0.0}}), tensor({{1}, {0}})) == 0.5);
  const double infinity = std::numeric_limits<double>::infinity();
  BOOST_TEST(roc_auc(tensor({-infinity, infinity}, {DType::float64, {}}), tensor({0, 1})) == 1.0);
}

BOOST_AUTO_TEST_CASE(auc_is_the_share_of_pairs_in_order) {
  const uint64_t seed = 3;
  for (uint64_t round = 0; round < 50; ++round) {
    const std::size_t n = 2 + round * 5;
    std::vector<double> scores;
    std::vector<int64_t> labels;
    for (std::size_t i = 0; i < n; ++i) {
      // Few different scores, so that there are many ties.
      scores.push_back(std::floor(embergrad::text::uniform(seed, 1000 * round + 2 * i) * 20) / 7);
      labels.push_back(embergrad::text::uniform(seed, 1000 * round + 2 * i + 1) < 0.3 ? 1 : 0);
    }
    labels[0] = 0;
    labels[1] = 1;
    double pairs = 0;
    double right = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t k = 0; k < n; ++k) {
        if (labels[i] == 0 || labels[k] == 1) continue;
        pairs += 1;
        right += scores[i] > scores[k] ? 1.0 : (scores[i] == scores[k] ? 0.5 : 0.0);
      }
    }
    BOOST_TEST_CONTEXT("seed " << seed << ", round " << round) {
      BOOST_TEST(roc_auc(tensor(scores), tensor(labels)) == right / pairs);
      RocAuc one_by_one;
      for (std::size_t i = 0; i < n; ++i) one_by_one.add(scores[i], labels[i] == 1);
      BOOST_TEST(one_by_one.value() == right / pairs);
      BOOST_TEST(one_by_one.size() == static_cast<int64_t>(n));
    }
  }
}

BOOST_AUTO_TEST_CASE(auc_refuses_what_has_none) {
  BOOST_CHECK_EXCEPTION((void)roc_auc(tensor({1.0, 2.0}), tensor({1, 1})), ValueError, [](const ValueError& error) {
    return std::string(error.what()) == "RocAuc: 2 positives and 0 negatives; both are needed";
  });
  BOOST_CHECK_THROW((void)RocAuc().value(), ValueError);
  BOOST_CHECK_THROW((void)roc_auc(tensor({1.0, 2.0}), tensor({0})), ShapeError);
  BOOST_CHECK_THROW((void)roc_auc(tensor({1, 2}), tensor({0, 1})), DTypeError);
  RocAuc auc;
  auc.add(tensor({1.0, 2.0}), tensor({0, 1}));
  BOOST_CHECK_THROW(auc.add(tensor({1.0, 2.0}), tensor({0, 2})), ValueError);
  BOOST_CHECK_THROW(auc.add(tensor({1.0, 2.0}), tensor({0.0, 0.5})), ValueError);
  BOOST_CHECK_THROW(auc.add(tensor({1.0, std::nan("")}), tensor({0, 1})), ValueError);
  BOOST_CHECK_THROW(auc.add(std::nan(""), true), ValueError);
  BOOST_TEST(auc.size() == 2);
  BOOST_TEST(auc.value() == 1.0);
}

BOOST_AUTO_TEST_CASE(classes_of_texts) {
  ClassificationReport report;
  BOOST_TEST(report.accuracy() == 0.0);
  BOOST_TEST(report.macro_f1() == 0.0);
  BOOST_TEST(printed(report) == "accuracy n/a  macro F1 0.0000  (0 of 0 texts)\n");

  // By hand: a 3 gold, 2 right, 3 given; b 2 gold, 1 right, 2 given; c 1 gold, never given; d given once.
  for (const auto& [gold, predicted] : std::vector<std::pair<std::string, std::string>>{
           {"a", "a"}, {"a", "a"}, {"a", "b"}, {"b", "b"}, {"b", "d"}, {"c", "a"}}) {
    report.add(gold, predicted);
  }
  BOOST_TEST(report.size() == 6);
  BOOST_TEST(report.correct() == 3);
  BOOST_TEST(report.accuracy() == 0.5);
  BOOST_TEST(report.macro_f1() == (2.0 / 3 + 0.5 + 0 + 0) / 4);
  for (int i = 0; i < 2; ++i) report.add("c", "b");
  const std::vector<Confusion> expected = {{"c", "b", 2}, {"a", "b", 1}, {"b", "d", 1}};
  BOOST_TEST((report.confusions(3) == expected));
  BOOST_TEST(report.confusions(10).size() == 4U);
  BOOST_TEST(printed(report) ==
             "accuracy 0.3750  macro F1 0.2500  (3 of 8 texts)\n"
             "\n"
             "class     support  predicted  correct  precision  recall      f1\n"
             "a               3          3        2     0.6667  0.6667  0.6667\n"
             "c               3          0        0        n/a  0.0000  0.0000\n"
             "b               2          4        1     0.2500  0.5000  0.3333\n"
             "d               0          1        0     0.0000     n/a  0.0000\n"
             "\n"
             "most often mixed up\n"
             "       2  c taken for b\n"
             "       1  a taken for b\n"
             "       1  b taken for d\n"
             "       1  c taken for a\n");
}

BOOST_AUTO_TEST_SUITE_END()

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <embergrad/text/metrics.hpp>
#include <sstream>
#include <string>

namespace {

using embergrad::text::TaggingReport;
using embergrad::text::TagScore;

std::string printed(const TaggingReport& report) {
  std::ostringstream out;
  out << report;
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

BOOST_AUTO_TEST_SUITE_END()

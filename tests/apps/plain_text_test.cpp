#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/plain_text.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "bad_files.hpp"

namespace {

using embergrad::ValueError;
using embergrad::text::Corpus;
using embergrad::text::parse_text;
using embergrad::text::read_text;
using embergrad::text::write_text;

std::string written(const Corpus& corpus, const std::vector<std::vector<std::string>>& tags) {
  std::ostringstream out;
  write_text(out, corpus, tags);
  return out.str();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plain_text)

BOOST_AUTO_TEST_CASE(answers_every_bad_file_as_expected) {
  const auto rows = bad_files::expectations(".txt");
  BOOST_TEST(rows.size() == 8U);
  for (const auto& row : rows) {
    bad_files::check(row, [](const std::string& path) {
      const Corpus corpus = read_text(path);
      return std::pair(corpus.size(), corpus.word_count());
    });
  }
}

BOOST_AUTO_TEST_CASE(words_stand_between_spaces_and_tabs) {
  const Corpus corpus = parse_text("\xEF\xBB\xBF\tone  two\t \r\n\n a\u00a0b c\x0b/", "f");
  BOOST_REQUIRE(corpus.size() == 2);
  BOOST_TEST(corpus[0][0].form == "one");
  BOOST_TEST(corpus[0][1].form == "two");
  BOOST_TEST(corpus[1][0].form == "a\u00a0b");
  BOOST_TEST(corpus[1][1].form == "c\x0b/");
  BOOST_TEST(corpus[1][1].tag.empty());
}

BOOST_AUTO_TEST_CASE(writes_a_line_for_a_line) {
  const Corpus corpus = parse_text("\xEF\xBB\xBF\n One two\r\n \t \n\n1/2\n\n", "f");
  BOOST_TEST(written(corpus, {{"NUM", "NOUN"}, {"X"}}) == "\nOne/NUM two/NOUN\n\n\n1/2/X\n\n");
  BOOST_TEST(written(parse_text("a", "f"), {{"X"}}) == "a/X\n");
  BOOST_TEST(written(parse_text("", "f"), {}).empty());
}

BOOST_AUTO_TEST_CASE(the_writer_refuses_what_does_not_fit) {
  const Corpus corpus = parse_text("a b\n", "f");
  BOOST_CHECK_THROW(written(corpus, {}), ValueError);
  BOOST_CHECK_THROW(written(corpus, {{"A"}}), ValueError);
  BOOST_CHECK_THROW(written(corpus, {{"A", "B C"}}), ValueError);
  BOOST_CHECK_THROW(written(corpus, {{"A", ""}}), ValueError);
  BOOST_CHECK_THROW(written(embergrad::text::parse_conllu("", "f", {.purpose = embergrad::text::Purpose::tag}), {}),
                    ValueError);
}

BOOST_AUTO_TEST_CASE(long_inputs) {
  const Corpus corpus = parse_text(std::string(std::size_t{5} << 20, 'y') + "\nshort line\n", "f");
  BOOST_TEST(corpus.size() == 2);
  BOOST_TEST(corpus[0][0].form.size() == std::size_t{5} << 20);
  std::string many;
  for (int i = 0; i < 100000; ++i) many += "w ";
  BOOST_TEST(parse_text(many, "f")[0].size() == 100000U);
}

BOOST_AUTO_TEST_SUITE_END()

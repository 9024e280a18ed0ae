#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/plain_text.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <string>
#include <vector>

namespace {

using embergrad::IndexError;
using embergrad::ValueError;
using embergrad::text::Corpus;
using embergrad::text::parse_text;
using embergrad::text::Vocabulary;

using Strings = std::vector<std::string>;

Corpus tagged(const Strings& tags) {
  std::string bytes;
  for (const auto& tag : tags) bytes += "1\tw\t_\t" + tag + "\t_\t_\t_\t_\t_\t_\n\n";
  return embergrad::text::parse_conllu(bytes, "f", {.purpose = embergrad::text::Purpose::tag});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(vocabulary)

BOOST_AUTO_TEST_CASE(words_by_frequency_then_bytes) {
  const Corpus corpus = parse_text("b a é B a c\nb a e\u0301 é\n", "f");
  const auto words = Vocabulary::of_words(corpus);
  BOOST_TEST(words.words() == (Strings{"<pad>", "<unk>", "a", "b", "é", "B", "c", "e\u0301"}),
             boost::test_tools::per_element());
  BOOST_TEST(words.size() == 8);
  BOOST_TEST(words.has_specials());
  const auto frequent = Vocabulary::of_words(corpus, {.min_count = 3});
  BOOST_TEST(frequent.words() == (Strings{"<pad>", "<unk>", "a"}), boost::test_tools::per_element());
  BOOST_TEST(frequent.form_ids(corpus[1]) == (std::vector<int64_t>{1, 2, 1, 1}), boost::test_tools::per_element());
  BOOST_CHECK_THROW((void)Vocabulary::of_words(corpus, {.min_count = 0}), ValueError);
  BOOST_TEST(Vocabulary::of_words(Corpus()).size() == 2);
}

BOOST_AUTO_TEST_CASE(of_any_strings) {
  const std::vector<std::string_view> users = {"u7", "u1", "u7", "", "u3", "u1", "u7"};
  const auto words = Vocabulary::of_words(users);
  BOOST_TEST(words.words() == (Strings{"<pad>", "<unk>", "u7", "u1", "", "u3"}), boost::test_tools::per_element());
  const auto frequent = Vocabulary::of_words(users, {.min_count = 2});
  BOOST_TEST(frequent.ids(users) == (std::vector<int64_t>{2, 3, 2, 1, 1, 3, 2}), boost::test_tools::per_element());
  BOOST_CHECK_THROW((void)Vocabulary::of_words(users, {.min_count = 0}), ValueError);
  const auto labels = Vocabulary::of_labels(users);
  BOOST_TEST(labels.words() == (Strings{"", "u1", "u3", "u7"}), boost::test_tools::per_element());
  BOOST_TEST(!labels.has_specials());
  const std::vector<std::string_view> other = {"u1", "u2"};
  BOOST_CHECK_THROW((void)labels.ids(other), ValueError);
}

BOOST_AUTO_TEST_CASE(specials_are_places_not_strings) {
  const auto words = Vocabulary::of_words(parse_text("<unk> <pad> <unk> x", "f"));
  BOOST_TEST(words.words() == (Strings{"<pad>", "<unk>", "<unk>", "<pad>", "x"}), boost::test_tools::per_element());
  BOOST_TEST(words.id("<unk>") == 2);
  BOOST_TEST(words.id("<pad>") == 3);
  const auto others = Vocabulary::of_words(parse_text("x", "f"));
  BOOST_TEST(others.id("<pad>") == Vocabulary::unknown_id);
  BOOST_TEST(!others.contains("<pad>"));
  BOOST_TEST(!others.contains("<unk>"));
  const Vocabulary again(words.words(), words.has_specials());
  BOOST_TEST(again.words() == words.words(), boost::test_tools::per_element());
  BOOST_TEST(again.id("<pad>") == 3);
}

BOOST_AUTO_TEST_CASE(tags_by_bytes) {
  const auto corpus = tagged({"NOUN", "verb", "ADJ", "NOUN", "Ä"});
  const auto tags = Vocabulary::of_tags(corpus);
  BOOST_TEST(tags.words() == (Strings{"ADJ", "NOUN", "verb", "Ä"}), boost::test_tools::per_element());
  BOOST_TEST(!tags.has_specials());
  BOOST_TEST(tags.tag_ids(corpus[1]) == std::vector<int64_t>{2}, boost::test_tools::per_element());
  BOOST_TEST(tags.names(std::vector<int64_t>{3, 0}) == (Strings{"Ä", "ADJ"}), boost::test_tools::per_element());
  BOOST_CHECK_THROW((void)Vocabulary::of_tags(tagged({"A", "_"})), ValueError);
  BOOST_CHECK_THROW((void)Vocabulary::of_tags(tagged({"A", ""})), ValueError);
}

BOOST_AUTO_TEST_CASE(what_is_not_there) {
  const Vocabulary tags({"A", "B"}, false);
  BOOST_CHECK_EXCEPTION((void)tags.id("C"), ValueError, [](const ValueError& error) {
    return std::string(error.what()) == "Vocabulary: 'C' is not one of its 2 strings";
  });
  BOOST_TEST(!tags.find("C").has_value());
  BOOST_TEST(tags.find("B").value() == 1);
  BOOST_CHECK_EXCEPTION((void)tags.name(2), IndexError, [](const IndexError& error) {
    return std::string(error.what()) == "Vocabulary: id 2, but there are 2";
  });
  BOOST_CHECK_THROW((void)tags.name(-1), IndexError);
  BOOST_CHECK_THROW((void)tags.names(std::vector<int64_t>{0, 2}), IndexError);
  BOOST_CHECK_THROW(Vocabulary({"A", "B", "A"}, false), ValueError);
  BOOST_CHECK_THROW(Vocabulary({"<pad>", "<unk>", "a", "a"}, true), ValueError);
  BOOST_CHECK_THROW(Vocabulary({"<unk>", "<pad>"}, true), ValueError);
  BOOST_CHECK_THROW(Vocabulary({"<pad>"}, true), ValueError);
  BOOST_TEST(Vocabulary().size() == 0);
}

BOOST_AUTO_TEST_CASE(copies_are_deep) {
  Vocabulary copy;
  {
    const Vocabulary words = Vocabulary::of_words(parse_text("a b", "f"));
    copy = words;
  }
  BOOST_TEST(copy.id("b") == 3);
  BOOST_TEST(copy.name(3) == "b");
}

BOOST_AUTO_TEST_SUITE_END()

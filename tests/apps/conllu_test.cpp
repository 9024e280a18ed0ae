#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/plain_text.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "bad_files.hpp"

namespace {

using embergrad::FormatError;
using embergrad::IoError;
using embergrad::ValueError;
using embergrad::text::ConlluOptions;
using embergrad::text::Corpus;
using embergrad::text::parse_conllu;
using embergrad::text::Purpose;
using embergrad::text::read_conllu;
using embergrad::text::Sentence;
using embergrad::text::write_conllu;

std::string word(const std::string& id, const std::string& form, const std::string& tag = "NOUN") {
  return id + "\t" + form + "\t_\t" + tag + "\t_\t_\t_\t_\t_\t_\n";
}

std::vector<std::vector<std::string>> tags_of(const Corpus& corpus) {
  std::vector<std::vector<std::string>> tags;
  for (const Sentence sentence : corpus) {
    tags.emplace_back();
    for (const auto& one : sentence) tags.back().emplace_back(one.tag);
  }
  return tags;
}

std::string written(const Corpus& corpus, const std::vector<std::vector<std::string>>& tags) {
  std::ostringstream out;
  write_conllu(out, corpus, tags);
  return out.str();
}

std::string message_of(const std::string& bytes, Purpose purpose = Purpose::tag) {
  return bad_files::refusal([&] { (void)parse_conllu(bytes, "f", {.purpose = purpose}); }).value_or("accepted");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(conllu)

BOOST_AUTO_TEST_CASE(answers_every_bad_file_as_expected) {
  const auto rows = bad_files::expectations(".conllu");
  BOOST_TEST(rows.size() == 106U);
  for (const auto& row : rows) {
    bad_files::check(row, [&](const std::string& path) {
      const Corpus corpus = read_conllu(path, {.purpose = row.mode == "train" ? Purpose::train : Purpose::tag});
      return std::pair(corpus.size(), corpus.word_count());
    });
  }
}

BOOST_AUTO_TEST_CASE(reads_forms_and_tags) {
  const Corpus corpus =
      parse_conllu("\xEF\xBB\xBF# c\n" + word("1-2", "it's", "_") + word("1", "it", "PRON") + word("2", "'s", "AUX") +
                       word("2.1", "x", "VERB") + "\r\n  \n" + word("1", "10 000", "a\u00a0b"),
                   "f");
  BOOST_REQUIRE(corpus.size() == 2);
  BOOST_REQUIRE(corpus[0].size() == 2U);
  BOOST_TEST(corpus[0][0].form == "it");
  BOOST_TEST(corpus[0][0].tag == "PRON");
  BOOST_TEST(corpus[0][1].form == "'s");
  BOOST_TEST(corpus[1][0].form == "10 000");
  BOOST_TEST(corpus[1][0].tag == "a\u00a0b");
  BOOST_TEST(corpus.lengths() == (std::vector<int64_t>{2, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(names_the_fault) {
  BOOST_TEST(message_of(word("1", "a") + word("18446744073709551618", "b")) ==
             "f:2: ID 18446744073709551618 where 2 was due");
  BOOST_TEST(message_of(word("1", "a") + word("18446744073709551617", "b")).starts_with("f:2: "));
  BOOST_TEST(message_of(word("01", "a")).starts_with("f:1: "));
  BOOST_TEST(message_of(word("1-18446744073709551617", "a") + word("1", "a")) ==
             "f:1: the range reaches to word 18446744073709551615, but the sentence ends with word 1");
  BOOST_TEST(message_of(word("1-2", "ab") + word("1", "a") + word("2-3", "bc") + word("2", "b") + word("3", "c")) ==
             "f:3: range 2-3 overlaps the one before");
  BOOST_TEST(message_of(word("1.2", "a")).starts_with("f:1: empty node 1.2 where 0.1"));
  BOOST_TEST(message_of(word("1.1.1", "a")).starts_with("f:1: "));
  BOOST_TEST(message_of(word("1-", "a")).starts_with("f:1: "));
  BOOST_TEST(message_of(word("", "a")) == "f:1: '' is no ID");
  BOOST_TEST(message_of("1\tDogs\n") == "f:1: 2 columns instead of ten, separated by single tabs: '1\\x09Dogs'");
  BOOST_TEST(message_of(" \t \n").starts_with("f:1: 2 columns"));
  BOOST_TEST(message_of(word("1", "a", ""), Purpose::train) == "f:1: word 1 has no tag in column 4");
  BOOST_TEST(message_of("# \n\n", Purpose::train) == "f: no sentence in the file");
  BOOST_TEST(message_of("version https://git-lfs.github.com/spec/v1\n").find("Git LFS") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_first_fault_in_the_file_wins) {
  // A later line with bad bytes must not be looked at before an earlier one with a bad ID, and the other way round.
  BOOST_TEST(message_of(word("2", "a") + "\xFF\n").starts_with("f:1: ID 2"));
  BOOST_TEST(message_of("#\xFF\n" + word("2", "a")).starts_with("f:1: not UTF-8"));
  BOOST_TEST(message_of(word("1-5", "a") + word("1", "a") + "\n\xFF").starts_with("f:1: the range"));
}

BOOST_AUTO_TEST_CASE(a_tag_is_not_looked_at_when_tagging) {
  BOOST_TEST(parse_conllu(word("1", "a", "_") + word("2", "b", ""), "f", {.purpose = Purpose::tag}).word_count() == 2);
}

BOOST_AUTO_TEST_CASE(unreadable_files_are_io_errors) {
  BOOST_CHECK_EXCEPTION((void)read_conllu("/no/such/file.conllu"), IoError, [](const IoError& error) {
    return std::string(error.what()) == "/no/such/file.conllu: can't be opened: No such file or directory";
  });
  BOOST_CHECK_EXCEPTION((void)read_conllu(bad_files::folder), IoError,
                        [](const IoError& error) { return std::string(error.what()).ends_with(": Is a directory"); });
}

BOOST_AUTO_TEST_CASE(writing_the_same_tags_gives_the_same_bytes) {
  int files = 0;
  for (const auto& row : bad_files::expectations(".conllu")) {
    if (row.mode != "tag" || row.verdict != "accept" || row.file == "tag_empty.conllu") continue;
    const std::string bytes = bad_files::bytes_of(row.file);
    const Corpus corpus = read_conllu(bad_files::folder + row.file, {.purpose = Purpose::tag});
    BOOST_TEST(written(corpus, tags_of(corpus)) == bytes, row.file);
    ++files;
  }
  BOOST_TEST(files == 20);
}

BOOST_AUTO_TEST_CASE(writing_changes_the_tag_column_of_words_alone) {
  const std::string start = "\xEF\xBB\xBF\r\n# a\tb\tc\td\r\n";
  const auto file = [&](const std::string& one, const std::string& two, const std::string& three) {
    return start + word("1-2", "it's", "_") + word("1", "it", one) + "#\n" + word("2", "'s", two) +
           word("2.1", "x", "V") + "  \n\n# last\n" + "1\tyes\t_\t" + three + "\t_\tA=B\t0\troot\t_\tSpaceAfter=No";
  };
  const Corpus corpus = parse_conllu(file("", "_", "OLD"), "f", {.purpose = Purpose::tag});
  BOOST_TEST(written(corpus, {{"PRON", "A-LONG-ONE"}, {"X"}}) == file("PRON", "A-LONG-ONE", "X"));
  // Copies and moves share the bytes.
  Corpus moved = parse_conllu(word("1", "a"), "f");
  const Corpus copy = moved;
  const Corpus last = std::move(moved);
  BOOST_TEST(written(copy, {{"V"}}) == word("1", "a", "V"));
  BOOST_TEST(written(last, {{"V"}}) == word("1", "a", "V"));
}

BOOST_AUTO_TEST_CASE(the_writer_refuses_what_does_not_fit_before_it_writes) {
  const Corpus corpus = parse_conllu(word("1", "a") + word("2", "b"), "f");
  const auto refused = [](const Corpus& what, const std::vector<std::vector<std::string>>& tags) {
    std::ostringstream out;
    BOOST_CHECK_THROW(write_conllu(out, what, tags), ValueError);
    BOOST_TEST(out.str().empty());
  };
  refused(corpus, {});
  refused(corpus, {{"A"}});
  refused(corpus, {{"A", "B"}, {"C"}});
  refused(corpus, {{"A", ""}});
  refused(corpus, {{"A", "B\tC"}});
  refused(corpus, {{"A", "B\n"}});
  refused(corpus.select(std::vector<int64_t>{0}), {{"A", "B"}});
  refused(embergrad::text::parse_text("a b", "f"), {{"A", "B"}});
  std::ostringstream broken;
  broken.setstate(std::ios::badbit);
  BOOST_CHECK_THROW(write_conllu(broken, corpus, {{"A", "B"}}), IoError);
}

BOOST_AUTO_TEST_CASE(comments_of_sentences) {
  const Corpus corpus = parse_conllu("\xEF\xBB\xBF# newdoc id = d1\r\n#sent_id=a-1  \n" + word("1-2", "ab") +
                                         word("1", "a") + "# sent_id = late\n" + word("2", "b") +
                                         "#\n  \n# lost = yes\n\n\n#  text = x = y\n# sent_id = a-2\n" +
                                         word("1", "#") + "\n" + word("1", "c"),
                                     "f");
  BOOST_REQUIRE(corpus.size() == 3);
  BOOST_TEST(corpus.comments(0) == (std::vector<std::string>{"newdoc id = d1", "sent_id=a-1", "sent_id = late", ""}),
             boost::test_tools::per_element());
  BOOST_TEST(corpus.comments(1) == (std::vector<std::string>{"text = x = y", "sent_id = a-2"}),
             boost::test_tools::per_element());
  BOOST_TEST(corpus.comments(2).empty());
  BOOST_TEST(corpus.comment(0, "sent_id").value() == "a-1");
  BOOST_TEST(corpus.comment(0, "newdoc id").value() == "d1");
  BOOST_TEST(corpus.comment(1, "text").value() == "x = y");
  BOOST_TEST(!corpus.comment(1, "lost").has_value());
  BOOST_TEST(!corpus.comment(0, "").has_value());
  BOOST_CHECK_THROW((void)corpus.comments(3), embergrad::IndexError);
  BOOST_CHECK_THROW((void)corpus.comment(-1, "x"), embergrad::IndexError);

  Corpus all = corpus.select(std::vector<int64_t>{1, 0});
  all.append(parse_conllu("# sent_id = b-1\n" + word("1", "d"), "g"));
  BOOST_TEST(all.comment(0, "sent_id").value() == "a-2");
  BOOST_TEST(all.comment(1, "sent_id").value() == "a-1");
  BOOST_TEST(all.comment(2, "sent_id").value() == "b-1");
  BOOST_TEST(embergrad::text::parse_text("# sent_id = no", "h").comments(0).empty());
}

BOOST_AUTO_TEST_CASE(select_and_append) {
  Corpus all;
  BOOST_TEST(written(all, {}).empty());
  {
    const Corpus first = parse_conllu(word("1", "a", "A") + "\n" + word("1", "b", "B") + word("2", "c", "C"), "one");
    const Corpus second = parse_conllu(word("1", "d", "D"), "two");
    all.append(first);
    BOOST_TEST(!all.source().empty());
    all.append(second);
    all.append(all);
  }
  BOOST_TEST(all.lengths() == (std::vector<int64_t>{1, 2, 1, 1, 2, 1}), boost::test_tools::per_element());
  BOOST_TEST(all[5][0].form == "d");
  BOOST_CHECK_THROW((void)all.source(), ValueError);
  BOOST_CHECK_THROW((void)all[6], embergrad::IndexError);
  BOOST_CHECK_THROW((void)all[-1], embergrad::IndexError);
  const Corpus some = all.select(std::vector<int64_t>{2, 1});
  BOOST_TEST(some.word_count() == 3);
  BOOST_TEST(some[0][0].form == "d");
  BOOST_TEST(some[1][1].tag == "C");
  BOOST_CHECK_THROW((void)all.select(std::vector<int64_t>{6}), embergrad::IndexError);
}

BOOST_AUTO_TEST_CASE(long_inputs) {
  std::string sentence = "# one sentence of 100,000 words\n";
  for (int i = 1; i <= 100000; ++i) sentence += word(std::to_string(i), "w" + std::to_string(i % 997));
  const Corpus one = parse_conllu(sentence, "f");
  BOOST_TEST(one.size() == 1);
  BOOST_TEST(one.word_count() == 100000);
  BOOST_TEST((written(one, tags_of(one)) == sentence));

  const std::string form(std::size_t{5} << 20, 'x');
  const Corpus two = parse_conllu(word("1", "a") + word("2", form), "f");
  BOOST_TEST(two.word_count() == 2);
  BOOST_TEST((two[0][1].form == form));

  const Corpus blank = parse_conllu(std::string(1000000, '\n') + word("1", "a"), "f");
  BOOST_TEST(blank.size() == 1);
  BOOST_TEST(message_of(std::string(1000000, '\n') + word("2", "a")).starts_with("f:1000001: "));

  std::string types;
  for (int i = 0; i < 200000; ++i) types += word("1", "t" + std::to_string(i)) + "\n";
  BOOST_TEST(parse_conllu(types, "f").size() == 200000);
}

BOOST_AUTO_TEST_SUITE_END()

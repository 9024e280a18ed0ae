#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/text/char_ngrams.hpp>
#include <embergrad/text/order.hpp>
#include <string>
#include <vector>

namespace {

using embergrad::ValueError;
using embergrad::text::CharNgramOptions;
using embergrad::text::CharNgrams;
using embergrad::text::fasttext_hash;

using Numbers = std::vector<int64_t>;

/// The definition: every substring of characters, cut out and hashed.
Numbers reference(const std::string& word, const CharNgramOptions& options) {
  std::vector<std::string> characters;
  for (const char byte : "<" + word + ">") {
    if (characters.empty() || (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U) characters.emplace_back();
    characters.back() += byte;
  }
  const auto count = static_cast<int64_t>(characters.size());
  Numbers ids;
  for (int64_t start = 0; start < count; ++start) {
    for (int64_t n = std::max<int64_t>(options.minn, 1); n <= options.maxn && start + n <= count; ++n) {
      if (n == 1 && (start == 0 || start == count - 1)) continue;
      uint32_t hash = 2166136261U;
      for (int64_t i = start; i < start + n; ++i) {
        for (const char byte : characters[static_cast<std::size_t>(i)]) {
          int value = static_cast<unsigned char>(byte);
          if (value > 127) value -= 256;
          hash ^= static_cast<uint32_t>(value);
          hash *= 16777619U;
        }
      }
      ids.push_back(options.first_id + static_cast<int64_t>(hash) % options.bucket);
    }
  }
  return ids;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(char_ngrams)

// Numbers from fastText's own code (dictionary.cc of version 0.9.2).
BOOST_AUTO_TEST_CASE(hashes_as_fasttext) {
  BOOST_TEST(fasttext_hash("") == 2166136261U);
  BOOST_TEST(fasttext_hash("a") == 3826002220U);
  BOOST_TEST(fasttext_hash("<the>") == 4243648960U);
  BOOST_TEST(fasttext_hash("straße") == 3998610456U);
  BOOST_TEST(fasttext_hash("日本語") == 308035559U);
  BOOST_TEST(fasttext_hash("\xF0\x9F\x98\x80") == 604031496U);
  BOOST_TEST(fasttext_hash("語", fasttext_hash("日本")) == 308035559U);
}

BOOST_AUTO_TEST_CASE(the_ids_of_fasttext) {
  const auto check = [](const CharNgramOptions& options, const std::string& word, const Numbers& expected) {
    BOOST_TEST(CharNgrams(options).ids(word) == expected, boost::test_tools::per_element());
  };
  const CharNgramOptions usual;
  check(usual, "where",
        {167652, 989715, 1526707, 1071586, 420941, 312621, 969176, 121234, 1473420, 1540811, 114991, 1529033, 1568469,
         867498});
  check(usual, "é日x", {1669751, 567965, 439449, 1451907, 1023751, 1634099});
  check(usual, "a", {1087600});
  check(usual, "", {});
  check(usual, "\x80\xC3", {1526248});
  const CharNgramOptions pairs{.minn = 1, .maxn = 2, .bucket = 1000};
  check(pairs, "where", {84, 886, 706, 791, 254, 744, 446, 981, 64, 744, 490});
  check(pairs, "é日x", {627, 777, 393, 749, 823, 695, 91});
  check(pairs, "a", {750, 220, 806});
  check(pairs, "", {367});
  check(pairs, "\x80\xC3", {958, 138, 660});
  const CharNgramOptions single{.minn = 0, .maxn = 1, .bucket = 7};
  check(single, "where", {5, 1, 6, 2, 6});
  check(single, "é日x", {0, 4, 4});
  check(single, "", {});
  check({.minn = 3, .maxn = 0}, "where", {});
}

BOOST_AUTO_TEST_CASE(agrees_with_the_definition) {
  const uint64_t seed = 5;
  uint64_t draws = 0;
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(embergrad::text::uniform(seed, draws++) * static_cast<double>(n));
  };
  const std::vector<std::string> pieces = {"a", "<", ">", "é", "日", "\xF0\x9F\x98\x80", "\x80", "\xE2\x82", "-", "zz"};
  for (int round = 0; round < 3000; ++round) {
    std::string word;
    for (int64_t n = below(8); n > 0; --n) word += pieces[static_cast<std::size_t>(below(10))];
    const int64_t minn = below(5);
    const CharNgramOptions options{
        .minn = minn, .maxn = minn + below(4), .bucket = 1 + below(100000), .first_id = below(50)};
    const Numbers got = CharNgrams(options).ids(word);
    const Numbers expected = reference(word, options);
    BOOST_REQUIRE_MESSAGE(got == expected, "seed " << seed << ", round " << round << ", '" << word << "'");
    for (const int64_t id : got) BOOST_REQUIRE((id >= options.first_id && id < CharNgrams(options).rows()));
  }
}

BOOST_AUTO_TEST_CASE(rows_stand_behind_the_words) {
  const CharNgrams ngrams({.bucket = 1000, .first_id = 77});
  BOOST_TEST(ngrams.rows() == 1077);
  Numbers ids = {5};
  ngrams.append("a", ids);
  BOOST_TEST(ids == (Numbers{5, 77 + 600}), boost::test_tools::per_element());
  BOOST_TEST(CharNgrams({.bucket = int64_t{1} << 32}).ids("a").at(0) == static_cast<int64_t>(fasttext_hash("<a>")));
}

BOOST_AUTO_TEST_CASE(long_words_and_wrong_options) {
  BOOST_TEST(CharNgrams().ids(std::string(70000, 'x')).size() == std::size_t{4} * 70002 - 2 - 3 - 4 - 5);
  BOOST_TEST(CharNgrams({.maxn = 64}).ids(std::string(70000, '\x80')).size() == 0U);
  for (const CharNgramOptions& wrong : std::vector<CharNgramOptions>{{.minn = -1},
                                                                     {.maxn = -1},
                                                                     {.minn = 3, .maxn = 2},
                                                                     {.minn = 65, .maxn = 65},
                                                                     {.maxn = 65},
                                                                     {.bucket = 0},
                                                                     {.bucket = (int64_t{1} << 32) + 1},
                                                                     {.first_id = -1},
                                                                     {.first_id = INT64_MAX}}) {
    BOOST_CHECK_THROW(CharNgrams{wrong}, ValueError);
  }
}

BOOST_AUTO_TEST_SUITE_END()

// The expected orders come from order_of of the PyTorch program that embergrad is compared with, cut and sorted there.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/text/batches.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/plain_text.hpp>
#include <limits>
#include <string>
#include <vector>

namespace {

using embergrad::ValueError;
using embergrad::text::Batch;
using embergrad::text::batch_order;
using embergrad::text::BatchOptions;
using embergrad::text::Corpus;
using embergrad::text::Vocabulary;
using Batches = std::vector<std::vector<int64_t>>;

std::vector<int64_t> some_lengths(int64_t n = 20) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < n; ++i) lengths.push_back(i * 7 % 11 + 1);
  return lengths;
}

void check_batches(const Batches& got, const Batches& expected) {
  BOOST_REQUIRE(got.size() == expected.size());
  for (std::size_t b = 0; b < got.size(); ++b) {
    BOOST_TEST_CONTEXT("batch " << b) { BOOST_TEST(got[b] == expected[b], boost::test_tools::per_element()); }
  }
}

// Three sentences of 2, 3 and 1 words. Ids: a 2, b 3, the rest is unknown; X 0, Y 1.
Corpus small_corpus() {
  return embergrad::text::parse_conllu(
      "1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n2\tb\t_\tY\t_\t_\t_\t_\t_\t_\n\n"
      "1\tb\t_\tX\t_\t_\t_\t_\t_\t_\n2\tc\t_\tY\t_\t_\t_\t_\t_\t_\n3\ta\t_\tX\t_\t_\t_\t_\t_\t_\n\n"
      "1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n\n",
      "small");
}
const Vocabulary small_words({"<pad>", "<unk>", "a", "b"}, true);
const Vocabulary small_tags({"X", "Y"}, false);

using Ids = std::vector<int64_t>;

}  // namespace

BOOST_AUTO_TEST_SUITE(batches)

BOOST_AUTO_TEST_CASE(an_epoch_is_shuffled_and_cut_and_each_batch_sorted) {
  check_batches(batch_order(some_lengths(), {.sentences = 6, .seed = 2, .epoch = 3}),
                {{14, 3, 4, 18, 13, 16}, {17, 6, 9, 10, 2, 11}, {12, 1, 15, 5, 19, 8}, {7, 0}});
}

BOOST_AUTO_TEST_CASE(evaluation_sorts_everything) {
  check_batches(batch_order(some_lengths(), {.sentences = 6, .shuffle = false, .sort_all = true}),
                {{3, 14, 6, 17, 9, 1}, {12, 4, 15, 7, 18, 10}, {2, 13, 5, 16, 8, 19}, {0, 11}});
}

BOOST_AUTO_TEST_CASE(buckets_sort_windows_and_shuffle_the_batches) {
  check_batches(batch_order(some_lengths(), {.sentences = 6, .seed = 2, .epoch = 3, .bucket = 2}),
                {{14, 3, 17, 6, 9, 4}, {8, 0}, {18, 10, 13, 2, 16, 11}, {12, 1, 15, 7, 5, 19}});
  check_batches(batch_order(std::vector<int64_t>{1, 2, 3, 4, 5}, {.sentences = 1, .shuffle = false, .bucket = 2}),
                {{1}, {0}, {3}, {2}, {4}});
}

BOOST_AUTO_TEST_CASE(file_order) {
  check_batches(batch_order(std::vector<int64_t>{1, 2, 2, 0}, {.sentences = 3, .shuffle = false}), {{1, 2, 0}, {3}});
}

BOOST_AUTO_TEST_CASE(an_epoch_goes_on_in_its_midst) {
  for (const int64_t bucket : {1, 2}) {
    const Batches whole = batch_order(some_lengths(), {.sentences = 6, .epoch = 3, .bucket = bucket});
    for (int64_t skip = 0; skip <= 4; ++skip) {
      check_batches(batch_order(some_lengths(), {.sentences = 6, .epoch = 3, .bucket = bucket, .skip = skip}),
                    Batches(whole.begin() + skip, whole.end()));
    }
    BOOST_TEST(batch_order(some_lengths(), {.bucket = bucket, .skip = std::numeric_limits<int64_t>::max()}).empty());
  }
  BOOST_CHECK_THROW((void)batch_order(some_lengths(), {.skip = -1}), ValueError);
  const Corpus corpus = small_corpus();
  const auto rest =
      embergrad::text::batches(corpus, small_words, small_tags, {.sentences = 1, .shuffle = false, .skip = 2});
  BOOST_TEST(rest.size() == 1);
  BOOST_TEST((*rest.begin()).sentences == Ids{2}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(every_sentence_once_whatever_the_options) {
  constexpr int64_t huge = std::numeric_limits<int64_t>::max();
  for (const int64_t n : {0, 1, 2, 31, 32, 33, 100}) {
    for (const BatchOptions& options :
         {BatchOptions{}, BatchOptions{.most_words = 13}, BatchOptions{.bucket = 2, .most_words = 1},
          BatchOptions{.sentences = 1, .bucket = 7}, BatchOptions{.sentences = huge, .bucket = huge},
          BatchOptions{.bucket = huge}, BatchOptions{.sentences = huge, .shuffle = false, .sort_all = true}}) {
      std::vector<int64_t> seen;
      for (const auto& batch : batch_order(some_lengths(n), options)) {
        BOOST_TEST(!batch.empty());
        seen.insert(seen.end(), batch.begin(), batch.end());
      }
      std::sort(seen.begin(), seen.end());
      BOOST_REQUIRE(static_cast<int64_t>(seen.size()) == n);
      for (int64_t i = 0; i < n; ++i) BOOST_REQUIRE(seen[static_cast<std::size_t>(i)] == i);
    }
  }
}

BOOST_AUTO_TEST_CASE(epochs_and_seeds_differ) {
  const auto lengths = std::vector<int64_t>(100, 5);
  BOOST_TEST((batch_order(lengths, {.epoch = 1}) != batch_order(lengths, {.epoch = 2})));
  BOOST_TEST((batch_order(lengths, {.seed = 1}) != batch_order(lengths, {.seed = 2})));
  BOOST_TEST((batch_order(lengths, {.seed = 1}) == batch_order(lengths, {.seed = 1})));
}

BOOST_AUTO_TEST_CASE(wrong_options) {
  const auto lengths = some_lengths();
  BOOST_CHECK_THROW((void)batch_order(lengths, {.sentences = 0}), ValueError);
  BOOST_CHECK_THROW((void)batch_order(lengths, {.bucket = 0}), ValueError);
  BOOST_CHECK_THROW((void)batch_order(lengths, {.most_words = -1}), ValueError);
  BOOST_CHECK_THROW((void)batch_order(lengths, {.sort_all = true}), ValueError);
  BOOST_CHECK_THROW((void)batch_order(lengths, {.shuffle = false, .sort_all = true, .bucket = 2}), ValueError);
  BOOST_CHECK_THROW((void)batch_order(std::vector<int64_t>{3, -1}), ValueError);
}

BOOST_AUTO_TEST_CASE(a_batch_of_too_many_words_is_cut_short) {
  const Ids lengths = {3, 9, 2, 2, 4, 1, 20, 1};
  check_batches(batch_order(lengths, {.sentences = 3, .shuffle = false, .sort_all = true, .most_words = 9}),
                {{6}, {1}, {4, 0, 2}, {3, 5, 7}});
  // Without sort_all each run of `sentences` is sorted by itself, and no batch reaches into the next run.
  check_batches(batch_order(lengths, {.sentences = 3, .shuffle = false, .most_words = 9}),
                {{1}, {0, 2}, {4, 3, 5}, {6}, {7}});
  for (const auto& batch : batch_order(some_lengths(100), {.bucket = 2, .most_words = 17})) {
    int64_t words = 0;
    for (const int64_t i : batch) words += some_lengths(100)[static_cast<std::size_t>(i)];
    BOOST_TEST(words <= 17);
  }
}

BOOST_AUTO_TEST_CASE(ids_are_packed_with_their_tags) {
  const Corpus corpus = small_corpus();
  const auto all = embergrad::text::batches(corpus, small_words, small_tags, {.sentences = 2, .shuffle = false});
  BOOST_TEST(all.size() == 2);
  std::vector<Batch> seen;
  for (const Batch& batch : all) seen.push_back(batch);
  BOOST_REQUIRE(seen.size() == 2U);

  BOOST_TEST(seen[0].sentences == (Ids{1, 0}), boost::test_tools::per_element());
  BOOST_TEST(seen[0].word_count == 5);
  BOOST_TEST(seen[0].words.values().to_vector<int64_t>() == (Ids{3, 2, 1, 3, 2}), boost::test_tools::per_element());
  BOOST_TEST(seen[0].tags.values().to_vector<int64_t>() == (Ids{0, 0, 1, 1, 0}), boost::test_tools::per_element());
  BOOST_TEST(same_order(seen[0].words, seen[0].tags));
  BOOST_TEST(seen[1].sentences == (Ids{2}), boost::test_tools::per_element());
  BOOST_TEST(seen[1].word_count == 1);
  BOOST_TEST(seen[1].words.values().to_vector<int64_t>() == (Ids{2}), boost::test_tools::per_element());

  // Again, in the same order.
  std::size_t again = 0;
  for (const Batch& batch : all) {
    BOOST_TEST(batch.sentences == seen[again].sentences, boost::test_tools::per_element());
    ++again;
  }
  BOOST_TEST(again == 2U);
}

BOOST_AUTO_TEST_CASE(without_tags) {
  const Corpus corpus = embergrad::text::parse_text("a b\nc\n", "small");
  for (const Batch& batch : embergrad::text::batches(corpus, small_words, {.shuffle = false})) {
    BOOST_TEST(batch.words.values().to_vector<int64_t>() == (Ids{2, 1, 3}), boost::test_tools::per_element());
    BOOST_TEST(!batch.tags.defined());
  }
  const Corpus none;
  for (const Batch& batch : embergrad::text::batches(none, small_words)) BOOST_ERROR(batch.word_count);
}

BOOST_AUTO_TEST_CASE(tags_that_the_vocabulary_lacks) {
  const Corpus corpus = small_corpus();
  const Vocabulary tags({"X"}, false);
  const auto strict = embergrad::text::batches(corpus, small_words, tags, {.shuffle = false});
  BOOST_CHECK_THROW((void)strict.begin(), ValueError);
  const auto lenient =
      embergrad::text::batches(corpus, small_words, tags, {.shuffle = false, .ignore_unknown_tags = true});
  const Batch batch = *lenient.begin();
  BOOST_TEST(batch.tags.values().to_vector<int64_t>() == (Ids{0, 0, 0, -100, -100, 0}),
             boost::test_tools::per_element());
  // The loss leaves them out.
  const auto scores = embergrad::zeros({6, 2});
  BOOST_TEST(embergrad::cross_entropy(scores, batch.tags.values(), {.reduction = embergrad::Reduction::sum}).item() ==
                 4 * std::log(2.0),
             boost::test_tools::tolerance(1e-5));
}

BOOST_AUTO_TEST_SUITE_END()

// The expected orders come from order_of of the PyTorch program that embergrad is compared with, cut and sorted there.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/text/batches.hpp>
#include <limits>
#include <vector>

namespace {

using embergrad::ValueError;
using embergrad::text::batch_order;
using embergrad::text::BatchOptions;
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

BOOST_AUTO_TEST_CASE(every_sentence_once_whatever_the_options) {
  constexpr int64_t huge = std::numeric_limits<int64_t>::max();
  for (const int64_t n : {0, 1, 2, 31, 32, 33, 100}) {
    for (const BatchOptions& options :
         {BatchOptions{}, BatchOptions{.sentences = 1, .bucket = 7}, BatchOptions{.sentences = huge, .bucket = huge},
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
  BOOST_CHECK_THROW((void)batch_order(lengths, {.sort_all = true}), ValueError);
  BOOST_CHECK_THROW((void)batch_order(lengths, {.shuffle = false, .sort_all = true, .bucket = 2}), ValueError);
  BOOST_CHECK_THROW((void)batch_order(std::vector<int64_t>{3, -1}), ValueError);
}

BOOST_AUTO_TEST_SUITE_END()

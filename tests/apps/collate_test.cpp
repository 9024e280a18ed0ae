#include <boost/test/unit_test.hpp>
#include <embergrad/embergrad.hpp>
#include <embergrad/text/batches.hpp>
#include <embergrad/text/collate.hpp>
#include <set>
#include <vector>

namespace {

using embergrad::DType;
using embergrad::IndexError;
using embergrad::Shape;
using embergrad::Tensor;
using embergrad::ValueError;
using embergrad::nn::PaddingSide;
using embergrad::text::lengths_of;
using embergrad::text::pad_ids;
using embergrad::text::PadIdsOptions;
using embergrad::text::Sample;

using Numbers = std::vector<int64_t>;

void check(const Tensor& tensor, const Shape& shape, const Numbers& expected) {
  BOOST_TEST((tensor.dtype() == DType::int64));
  BOOST_TEST(tensor.shape().to_string() == shape.to_string());
  BOOST_TEST(tensor.to_vector<int64_t>() == expected, boost::test_tools::per_element());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(collate)

BOOST_AUTO_TEST_CASE(pads_to_the_longest) {
  const auto [ids, lengths, mask] = pad_ids({{5, 6, 7}, {}, {8}});
  check(ids, {3, 3}, {5, 6, 7, 0, 0, 0, 8, 0, 0});
  check(lengths, {3}, {3, 0, 1});
  check(mask, {3, 3}, {1, 1, 1, 0, 0, 0, 1, 0, 0});
  const auto steps_first = pad_ids({{5, 6, 7}, {}, {8}}, {.batch_first = false, .padding_value = -100});
  check(steps_first.ids, {3, 3}, {5, -100, 8, 6, -100, -100, 7, -100, -100});
  check(steps_first.mask, {3, 3}, {1, 0, 1, 1, 0, 0, 1, 0, 0});
}

BOOST_AUTO_TEST_CASE(cuts_and_widens) {
  const auto cut = pad_ids({{5, 6, 7}, {8}}, {.max_length = 2, .padding_side = PaddingSide::left});
  check(cut.ids, {2, 2}, {5, 6, 0, 8});
  check(cut.mask, {2, 2}, {1, 1, 0, 1});
  check(cut.lengths, {2}, {2, 1});
  const auto wide = pad_ids({{5, 6, 7}, {8}}, {.max_length = 2, .total_length = 3});
  check(wide.ids, {2, 3}, {5, 6, 0, 8, 0, 0});
  check(pad_ids({{5}, {6}}, {.max_length = 0}).ids, {2, 0}, {});
  check(pad_ids({{5}, {6}}, {.max_length = INT64_MAX}).ids, {2, 1}, {5, 6});
  BOOST_CHECK_THROW((void)pad_ids({{5}, {6}}, {.max_length = -1}), ValueError);
  BOOST_CHECK_THROW((void)pad_ids({{5, 6}, {6}}, {.total_length = 1}), ValueError);
  BOOST_CHECK_THROW((void)pad_ids(std::vector<Numbers>(), {.total_length = -1}), ValueError);
}

BOOST_AUTO_TEST_CASE(nothing_to_pad) {
  const auto none = pad_ids(std::vector<Numbers>());
  check(none.ids, {0, 0}, {});
  check(none.lengths, {0}, {});
  check(pad_ids(std::vector<Numbers>(), {.total_length = 4}).mask, {0, 4}, {});
  check(pad_ids({{}, {}}, {.batch_first = false}).ids, {0, 2}, {});
}

BOOST_AUTO_TEST_CASE(pads_as_pad_sequence_does) {
  const std::vector<Numbers> lists = {{1, 2}, {3, 4, 5, 6}, {7}};
  std::vector<Tensor> tensors;
  for (const auto& list : lists) tensors.push_back(embergrad::tensor(list));
  for (const bool batch_first : {false, true}) {
    for (const PaddingSide side : {PaddingSide::left, PaddingSide::right}) {
      const Tensor expected =
          embergrad::nn::pad_sequence(tensors, {.batch_first = batch_first, .padding_value = 9, .padding_side = side});
      const auto got = pad_ids(lists, {.batch_first = batch_first, .padding_value = 9, .padding_side = side});
      check(got.ids, expected.shape(), expected.to_vector<int64_t>());
    }
  }
}

BOOST_AUTO_TEST_CASE(batches_of_samples) {
  const std::vector<Sample> samples = {{{1, 2}, 0}, {{}, 1}, {{3, 4, 5}, 2}, {{6}, 3}};
  BOOST_TEST(lengths_of(samples) == (Numbers{2, 0, 3, 1}), boost::test_tools::per_element());
  const auto padded = embergrad::text::collate(samples, Numbers{2, 1, 0}, {.padding_value = -1});
  check(padded.ids, {3, 3}, {3, 4, 5, -1, -1, -1, 1, 2, -1});
  check(padded.lengths, {3}, {3, 0, 2});
  check(padded.mask, {3, 3}, {1, 1, 1, 0, 0, 0, 1, 1, 0});
  check(padded.labels, {3}, {2, 1, 0});
  const auto bags = embergrad::text::collate_bags(samples, Numbers{3, 3, 1, 0}, {.include_last_offset = true});
  check(bags.input, {4}, {6, 6, 1, 2});
  check(bags.offsets, {5}, {0, 1, 2, 2, 4});
  check(bags.labels, {4}, {3, 3, 1, 0});
  check(embergrad::text::collate(samples, Numbers()).ids, {0, 0}, {});
  for (const int64_t wrong : {-1, 4}) {
    BOOST_CHECK_THROW((void)embergrad::text::collate(samples, Numbers{0, wrong}), IndexError);
    BOOST_CHECK_THROW((void)embergrad::text::collate_bags(samples, Numbers{wrong}), IndexError);
  }

  std::multiset<int64_t> labels;
  for (const auto& which : embergrad::text::batch_order(lengths_of(samples), {.sentences = 3, .bucket = 2})) {
    for (const int64_t label : embergrad::text::collate(samples, which).labels.to_vector<int64_t>())
      labels.insert(label);
  }
  BOOST_TEST(labels == (std::multiset<int64_t>{0, 1, 2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

#include <embergrad/nn/packed_sequence.hpp>

#include <boost/test/unit_test.hpp>
#include <numeric>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/gradcheck.hpp>
#include <embergrad/ops.hpp>

#include "nn/says.hpp"
#include "support/compare.hpp"
#include "support/random.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using eg::test::Draw;
using eg::test::equal_to;
using eg::test::says;

namespace {

std::vector<std::int64_t> list(std::span<const std::int64_t> values) { return {values.begin(), values.end()}; }
using Ints = std::vector<std::int64_t>;

// Batches that a packing has to get right.
const std::vector<Ints>& length_cases() {
  static const std::vector<Ints> cases{{3},       {3, 2, 1},    {1, 3, 2},       {2, 2, 2}, {0, 3, 0, 1},
                                       {0, 0, 0}, {4, 1, 4, 1}, {1, 1, 5, 0, 5}, {}};
  return cases;
}

Tensor transposed(const Tensor& tensor, bool swap) { return swap ? eg::transpose(tensor, 0, 1) : tensor; }

// Zeros past each sequence's end; (T, B, …).
Tensor cut(const Tensor& padded, const Ints& lengths) {
  Tensor result = padded.clone();
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    for (std::int64_t t = lengths[b]; t < padded.size(0); ++t) result[t][static_cast<std::int64_t>(b)].fill(0);
  }
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(packed_sequence)

BOOST_AUTO_TEST_CASE(layout_is_by_step_longest_first) {
  // a: 1 2, b: 3 4 5, c: 6
  const std::vector<Ints> ids{{1, 2}, {3, 4, 5}, {6}};
  const nn::PackedSequence packed = nn::pack_ids(ids);
  BOOST_TEST(packed.values().to_vector<std::int64_t>() == (Ints{3, 1, 6, 4, 2, 5}), boost::test_tools::per_element());
  BOOST_TEST(list(packed.batch_sizes()) == (Ints{3, 2, 1}), boost::test_tools::per_element());
  BOOST_TEST(list(packed.order()) == (Ints{1, 0, 2}), boost::test_tools::per_element());
  BOOST_TEST(list(packed.lengths()) == (Ints{2, 3, 1}), boost::test_tools::per_element());
  BOOST_TEST(packed.batch() == 3);
  BOOST_TEST(!packed.in_user_order());
  BOOST_TEST(nn::pack_ids(std::vector<Ints>{{1, 2}, {3}}).in_user_order());
}

BOOST_AUTO_TEST_CASE(round_trips) {
  Draw draw(1);
  for (const Ints& lengths : length_cases()) {
    const auto batch = static_cast<std::int64_t>(lengths.size());
    const std::int64_t longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
    for (const DType dtype : {DType::float32, DType::float64, DType::int64, DType::int32}) {
      for (const bool batch_first : {false, true}) {
        for (const Shape& rest : {Shape{}, Shape{3}, Shape{2, 2}}) {
          Shape shape{longest + 2, batch};
          for (const std::int64_t extent : rest) shape.push_back(extent);
          const Tensor padded = draw.uniform(shape, DType::float64, -9, 9).to(dtype);
          const nn::PackedSequence packed = nn::pack_padded_sequence(
              transposed(padded, batch_first), lengths, {.batch_first = batch_first, .enforce_sorted = false});
          BOOST_TEST(packed.values().size(0) == std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}));
          const auto [back, back_lengths] =
              nn::pad_packed_sequence(packed, {.batch_first = batch_first, .total_length = longest + 2});
          BOOST_TEST(equal_to("padded", transposed(back, batch_first), cut(padded, lengths)));
          BOOST_TEST(equal_to("lengths", back_lengths, eg::tensor(lengths)));
          const auto shortest = nn::pad_packed_sequence(packed);
          BOOST_TEST(shortest.padded.size(0) == longest);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(sequences_one_by_one_pack_like_a_padded_batch) {
  Draw draw(2);
  for (const Ints& lengths : length_cases()) {
    if (lengths.empty()) continue;
    std::vector<Tensor> sequences;
    for (const std::int64_t length : lengths) sequences.push_back(draw.uniform({length, 2}));
    const Tensor padded = nn::pad_sequence(sequences);
    const nn::PackedSequence one = nn::pack_sequence(sequences, false);
    const nn::PackedSequence two = nn::pack_padded_sequence(padded, lengths, {.enforce_sorted = false});
    BOOST_TEST(equal_to("values", one.values(), two.values()));
    BOOST_TEST(same_order(one, two));
    const Tensor first = nn::pad_sequence(sequences, {.batch_first = true, .padding_value = -7});
    const auto back = nn::pad_packed_sequence(one, {.batch_first = true, .padding_value = -7});
    BOOST_TEST(equal_to("batch first", first, back.padded));
  }
}

BOOST_AUTO_TEST_CASE(pads_on_either_side_with_any_value) {
  const std::vector<Tensor> sequences{eg::tensor({1, 2, 3}), eg::tensor({4}), eg::tensor(Ints{})};
  BOOST_TEST(equal_to("right", nn::pad_sequence(sequences, {.batch_first = true, .padding_value = 9}),
                      eg::tensor({{1, 2, 3}, {4, 9, 9}, {9, 9, 9}})));
  BOOST_TEST(equal_to(
      "left",
      nn::pad_sequence(sequences, {.batch_first = true, .padding_value = 9, .padding_side = nn::PaddingSide::left}),
      eg::tensor({{1, 2, 3}, {9, 9, 4}, {9, 9, 9}})));
  BOOST_TEST(equal_to("by step", nn::pad_sequence(sequences), eg::tensor({{1, 4, 0}, {2, 0, 0}, {3, 0, 0}})));
}

BOOST_AUTO_TEST_CASE(lengths_may_be_a_list_a_span_or_a_tensor) {
  const Tensor padded = eg::ones({3, 2});
  const Ints lengths{3, 1};
  const nn::PackedSequence by_vector = nn::pack_padded_sequence(padded, lengths);
  BOOST_TEST(same_order(by_vector, nn::pack_padded_sequence(padded, {3, 1})));
  BOOST_TEST(same_order(by_vector, nn::pack_padded_sequence(padded, std::span<const std::int64_t>(lengths))));
  BOOST_TEST(same_order(by_vector, nn::pack_padded_sequence(padded, eg::tensor({3, 1}, {DType::int32, {}}))));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::pack_padded_sequence(padded, eg::tensor({3.0, 1.0}))), eg::DTypeError,
                        says({"lengths", "float32"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::pack_padded_sequence(padded, eg::tensor({{3, 1}}))), eg::ShapeError,
                        says({"lengths", "[1, 2]"}));
}

BOOST_AUTO_TEST_CASE(all_is_differentiable) {
  Draw draw(3);
  const Ints lengths{1, 3, 0, 2};
  const auto leaf = [&](const Shape& shape) { return draw.uniform(shape, DType::float64).set_requires_grad(); };
  eg::gradcheck(
      [&](const std::vector<Tensor>& in) {
        const auto packed = nn::pack_padded_sequence(in[0], lengths, {.batch_first = true, .enforce_sorted = false});
        return nn::pad_packed_sequence(packed, {.total_length = 5}).padded;
      },
      {leaf({4, 4, 2})});
  const std::function<Tensor(const std::vector<Tensor>&)> packs = [](const std::vector<Tensor>& in) {
    return nn::pack_sequence(in, false).values();
  };
  eg::gradcheck(packs, {leaf({1, 2}), leaf({3, 2}), leaf({0, 2})});
  const std::function<Tensor(const std::vector<Tensor>&)> pads = [](const std::vector<Tensor>& in) {
    return nn::pad_sequence(in, {.padding_value = 5, .padding_side = nn::PaddingSide::left});
  };
  eg::gradcheck(pads, {leaf({1, 2}), leaf({3, 2})});
}

BOOST_AUTO_TEST_CASE(orders_are_told_apart) {
  const nn::PackedSequence a = nn::pack_ids(std::vector<Ints>{{1, 2}, {3}});
  const nn::PackedSequence b = nn::pack_ids(std::vector<Ints>{{7, 8}, {9}});
  const nn::PackedSequence c = nn::pack_ids(std::vector<Ints>{{7}, {8, 9}});
  BOOST_TEST(same_order(a, a.with_values(eg::ones({3, 4}))));
  BOOST_TEST(same_order(a, b));
  BOOST_TEST(!same_order(a, c));
  BOOST_TEST(!same_order(a, nn::PackedSequence()));
  BOOST_CHECK_EXCEPTION(nn::check_same_order("op", "x", a, "y", c), eg::ValueError,
                        says({"op: x and y", "lengths [2, 1]", "lengths [1, 2]"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(a.with_values(eg::ones({2}))), eg::ShapeError, says({"3 rows", "[2]"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::PackedSequence().values()), eg::ValueError, says({"undefined"}));
}

BOOST_AUTO_TEST_CASE(refusals) {
  const Tensor padded = eg::ones({3, 4, 1});
  const auto pack = [&](const Ints& lengths, const nn::PackPaddedOptions& options) {
    return static_cast<void>(nn::pack_padded_sequence(padded, lengths, options));
  };
  // (rows 36, 37 of the list of PyTorch's surprises)
  BOOST_CHECK_EXCEPTION(pack({2, 3}, {.enforce_sorted = false}), eg::ValueError,
                        says({"pack_padded_sequence", "2 lengths", "4 sequences"}));
  BOOST_CHECK_EXCEPTION(pack({4, 2, 1, 1}, {}), eg::ValueError, says({"lengths[0] is 4", "0 to 3"}));
  BOOST_CHECK_EXCEPTION(pack({3, -1, 1, 1}, {.enforce_sorted = false}), eg::ValueError, says({"lengths[1] is -1"}));
  BOOST_CHECK_EXCEPTION(pack({1, 2, 1, 1}, {}), eg::ValueError, says({"enforce_sorted"}));
  BOOST_CHECK_EXCEPTION(pack({5, 2, 1}, {.batch_first = true}), eg::ValueError, says({"5"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::pack_padded_sequence(eg::ones({3}), {3})), eg::ShapeError, says({"[3]"}));
  const nn::PackedSequence packed = nn::pack_padded_sequence(padded, {3, 2, 1, 1});
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::pad_packed_sequence(packed, {.total_length = 2})), eg::ValueError,
                        says({"total_length", "at least 3", "is 2"}));
  // (row 41)
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::pad_sequence({eg::tensor({1}), eg::tensor({4.5, 2.0})})), eg::DTypeError,
                        says({"pad_sequence", "int64", "float32"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::pack_sequence({eg::ones({2, 1}), eg::ones({1, 3})})), eg::ShapeError,
                        says({"pack_sequence", "[2, 1]", "[1, 3]"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::pack_sequence({})), eg::ValueError, says({"sequences", "empty"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::pack_sequence({eg::tensor(1.0)})), eg::ShapeError,
                        says({"sequences[0]"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::pack_sequence({eg::ones({1}), eg::ones({2})})), eg::ValueError,
                        says({"enforce_sorted"}));
}

BOOST_AUTO_TEST_SUITE_END()

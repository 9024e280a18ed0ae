#include <embergrad/nn/embedding.hpp>

#include <boost/test/unit_test.hpp>
#include <sstream>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn/init.hpp>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/ops.hpp>

#include "nn/says.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::Tensor;
using eg::test::close_to;
using eg::test::equal_to;
using eg::test::says;

BOOST_AUTO_TEST_SUITE(embedding)

// "an Embedding module containing 10 tensors of size 3, a batch of 2 samples of 4 indices each"
BOOST_AUTO_TEST_CASE(documents_example) {
  const nn::Embedding embedding(10, 3);
  const Tensor output = embedding(eg::tensor({{1, 2, 4, 5}, {4, 3, 2, 9}}));
  BOOST_TEST((output.shape() == eg::Shape{2, 4, 3}));
  for (const int d : {0, 1, 2}) {
    BOOST_TEST(output.at({0, 2, d}) == embedding.weight.at({4, d}));
    BOOST_TEST(output.at({1, 3, d}) == embedding.weight.at({9, d}));
  }
  std::ostringstream out;
  out << embedding.weight << output;
  BOOST_TEST(out.str().find("[10, 3]") != std::string::npos, out.str());
  BOOST_TEST(out.str().find("[2, 4, 3]") != std::string::npos, out.str());
}

// "example with padding_idx": rows of index 0 are zeros.
BOOST_AUTO_TEST_CASE(documents_example_with_padding) {
  const nn::Embedding embedding({.num_embeddings = 10, .embedding_dim = 3, .padding_idx = 0});
  const Tensor output = embedding(eg::tensor({{0, 2, 0, 5}}));
  BOOST_TEST((output.shape() == eg::Shape{1, 4, 3}));
  BOOST_TEST(equal_to("0", output[0][0].detach(), eg::zeros({3})));
  BOOST_TEST(equal_to("2", output[0][2].detach(), eg::zeros({3})));
  BOOST_TEST(equal_to("1", output[0][1].detach(), embedding.weight[2].detach()));
  eg::sum(output).backward();
  const Tensor grad = embedding.weight.grad().to_dense();
  for (int row = 0; row < 10; ++row) {
    BOOST_TEST(equal_to("grad", grad[row], eg::full({3}, row == 2 || row == 5 ? 1 : 0)));
  }
}

BOOST_AUTO_TEST_CASE(draws_the_whole_table_then_zeroes_the_padding_row) {
  eg::Generator a(5);
  eg::Generator b(5);
  const nn::Embedding plain(8, 4, a);
  const nn::Embedding padded({.num_embeddings = 8, .embedding_dim = 4, .padding_idx = -3}, b);
  BOOST_TEST(padded.padding_idx().value() == 5);
  for (int row = 0; row < 8; ++row) {
    BOOST_TEST(equal_to("row", padded.weight[row].detach(), row == 5 ? eg::zeros({4}) : plain.weight[row].detach()));
  }
  BOOST_TEST(a.tick() == b.tick());
  BOOST_TEST(equal_to("randn", plain.weight.detach(), [] {
    eg::Generator again(5);
    return eg::randn({8, 4}, {}, again);
  }()));
}

BOOST_AUTO_TEST_CASE(reset_and_init_leave_the_padding_row_at_zero) {
  nn::Embedding embedding({.num_embeddings = 4, .embedding_dim = 2, .padding_idx = 1});
  const Tensor before = embedding.weight.clone().detach();
  embedding.reset_parameters();
  BOOST_TEST(equal_to("1", embedding.weight[1].detach(), eg::zeros({2})));
  BOOST_TEST(!equal_to("0", embedding.weight[0].detach(), before[0]));
  nn::init::constant(embedding.weight, 3);
  BOOST_TEST(equal_to("1", embedding.weight[1].detach(), eg::zeros({2})));
  BOOST_TEST(equal_to("2", embedding.weight[2].detach(), eg::full({2}, 3)));
  const auto frozen = eg::detail::frozen_rows(embedding.weight);
  BOOST_REQUIRE_EQUAL(frozen.size(), 1U);
  BOOST_TEST(frozen[0] == 1);
}

BOOST_AUTO_TEST_CASE(starts_from_a_given_weight) {
  const Tensor table = eg::tensor({{1.0, 2.0}, {3.0, 4.0}}, {eg::DType::float64, {}});
  const nn::Embedding embedding(
      {.num_embeddings = 2, .embedding_dim = 2, .padding_idx = 0, .weight = table, .dtype = eg::DType::float32});
  BOOST_TEST((embedding.weight.dtype() == eg::DType::float64));
  BOOST_TEST(embedding.weight.shares_storage_with(table));
  BOOST_TEST(embedding.weight.requires_grad());
  BOOST_TEST(!table.requires_grad());
  BOOST_TEST(embedding.weight.at({0, 1}) == 2);  // the padding row keeps its values
}

BOOST_AUTO_TEST_CASE(from_pretrained_shares_and_freezes_only_itself) {
  Tensor table = eg::tensor({{1.0, 2.3, 3.0}, {4.0, 5.1, 6.3}});
  table.set_requires_grad();
  const nn::Embedding frozen = nn::Embedding::from_pretrained(table, {.padding_idx = -1});
  BOOST_TEST(!frozen.weight.requires_grad());
  BOOST_TEST(table.requires_grad());
  BOOST_TEST(frozen.weight.shares_storage_with(table));
  BOOST_TEST(frozen.padding_idx().value() == 1);
  BOOST_TEST(frozen.weight.at({1, 0}) == 4);
  BOOST_TEST(equal_to("row", frozen(eg::tensor({1}))[0], table[1].detach()));
  const nn::Embedding trained = nn::Embedding::from_pretrained(table, {.freeze = false});
  BOOST_TEST(trained.weight.requires_grad());
  BOOST_TEST(trained.weight.is_leaf());
}

BOOST_AUTO_TEST_CASE(takes_packed_ids_and_other_types) {
  const nn::Embedding embedding(10, 3);
  const std::vector<std::vector<std::int64_t>> ids{{1, 2}, {3, 4, 5}};
  const nn::PackedSequence packed = nn::pack_ids(ids);
  const nn::PackedSequence rows = embedding(packed);
  BOOST_TEST((rows.values().shape() == eg::Shape{5, 3}));
  BOOST_TEST(same_order(rows, packed));
  BOOST_TEST(equal_to("int32", embedding(eg::tensor({3, 4}, {eg::DType::int32, {}})).detach(),
                      embedding(eg::tensor({3, 4})).detach()));
  const nn::Embedding half({.num_embeddings = 4, .embedding_dim = 2, .dtype = eg::DType::bfloat16});
  BOOST_TEST((half.weight.dtype() == eg::DType::bfloat16));
}

BOOST_AUTO_TEST_CASE(options_reach_the_lookup) {
  nn::Embedding embedding({.num_embeddings = 4,
                           .embedding_dim = 2,
                           .max_norm = 5.0,
                           .norm_type = 1,
                           .scale_grad_by_freq = true,
                           .sparse = true});
  eg::no_grad([&] { return embedding.weight.fill(10); });
  const Tensor rows = embedding(eg::tensor({0, 0, 1}));
  BOOST_TEST(close_to("rows", rows.detach(), eg::full({3, 2}, 2.5)));
  BOOST_TEST(embedding.weight.at({2, 0}) == 10);
  rows.backward(eg::ones({3, 2}));
  BOOST_TEST(embedding.weight.grad().is_sparse());
  BOOST_TEST(equal_to("grad", embedding.weight.grad().rows().values(), eg::ones({2, 2})));
  BOOST_TEST(embedding.describe() == "Embedding(4, 2, max_norm=5, norm_type=1, scale_grad_by_freq=True, sparse=True)");
  const nn::Embedding frozen({.num_embeddings = 4, .embedding_dim = 2, .freeze = true});
  BOOST_TEST(!frozen.weight.requires_grad());
}

BOOST_AUTO_TEST_CASE(the_padding_row_can_be_set_afterwards) {
  const nn::Embedding embedding({.num_embeddings = 4, .embedding_dim = 2, .padding_idx = 0});
  eg::no_grad([&] { return embedding.weight[0].copy_from(eg::tensor({7.0, 8.0})); });
  BOOST_TEST(equal_to("row", embedding(eg::tensor({0}))[0].detach(), eg::tensor({7.0, 8.0})));
}

BOOST_AUTO_TEST_CASE(grows) {
  nn::Embedding embedding({.num_embeddings = 3, .embedding_dim = 2, .padding_idx = 0});
  const nn::Embedding copy = embedding;
  const Tensor before = embedding.weight.detach().clone();
  const Tensor alias = embedding.weight.detach();
  eg::sum(embedding(eg::tensor({1}))).backward();
  embedding.grow(6);
  BOOST_TEST(embedding.num_embeddings() == 6);
  BOOST_TEST(copy.num_embeddings() == 6);
  BOOST_TEST(alias.size(0) == 3);
  BOOST_TEST(!embedding.weight.grad().defined());
  BOOST_TEST(embedding.weight.requires_grad());
  BOOST_TEST(equal_to("old", eg::narrow(embedding.weight, 0, 0, 3).detach(), before));
  BOOST_TEST(embedding.weight.at({5, 0}) != 0);
  BOOST_TEST(eg::detail::frozen_rows(embedding.weight).size() == 1U);
  eg::sum(embedding(eg::tensor({5}))).backward();
  BOOST_TEST(embedding.weight.grad().to_dense().at({5, 1}) == 1);
  embedding.grow(6);
  BOOST_CHECK_EXCEPTION(embedding.grow(5), eg::ValueError, says({"Embedding: grow", "6", "5"}));
}

BOOST_AUTO_TEST_CASE(a_graph_from_before_growing_is_refused) {
  nn::Embedding embedding(3, 2);
  const Tensor loss = eg::sum(embedding(eg::tensor({1})));
  embedding.grow(4);
  BOOST_CHECK_EXCEPTION(loss.backward(), eg::ShapeError, says({"embedding", "[3, 2]", "[4, 2]"}));
}

BOOST_AUTO_TEST_CASE(freezes_rows) {
  nn::Embedding embedding(5, 2);
  const std::vector<std::int64_t> rows = {3, 1};
  embedding.freeze_rows(rows);
  const auto frozen = eg::detail::frozen_rows(embedding.weight);
  BOOST_REQUIRE_EQUAL(frozen.size(), 2U);
  BOOST_TEST(frozen[0] == 1);
  const std::vector<std::int64_t> bad = {0, 5};
  BOOST_CHECK_EXCEPTION(embedding.freeze_rows(bad), eg::IndexError, says({"freeze_rows: rows[1] is 5", "5 rows"}));
  BOOST_TEST(eg::detail::frozen_rows(embedding.weight).size() == 2U);
}

BOOST_AUTO_TEST_CASE(empty_tables) {
  const nn::Embedding no_rows(0, 3);
  BOOST_TEST((no_rows(eg::tensor(std::vector<std::int64_t>{})).shape() == eg::Shape{0, 3}));
  const nn::Embedding no_width(3, 0);
  BOOST_TEST((no_width(eg::tensor({1})).shape() == eg::Shape{1, 0}));
}

BOOST_AUTO_TEST_CASE(refusals) {
  BOOST_CHECK_EXCEPTION(nn::Embedding(-1, 2), eg::ValueError, says({"Embedding", "num_embeddings", "-1"}));
  BOOST_CHECK_EXCEPTION(nn::Embedding({.num_embeddings = 3, .embedding_dim = 2, .padding_idx = 3}), eg::IndexError,
                        says({"padding_idx", "3"}));
  BOOST_CHECK_EXCEPTION(nn::Embedding({.num_embeddings = 3, .embedding_dim = 2, .padding_idx = -4}), eg::IndexError,
                        says({"padding_idx", "-4"}));
  BOOST_CHECK_EXCEPTION(nn::Embedding({.num_embeddings = 0, .embedding_dim = 2, .padding_idx = 0}), eg::IndexError,
                        says({"padding_idx"}));
  BOOST_CHECK_EXCEPTION(nn::Embedding({.num_embeddings = 3, .embedding_dim = 2, .max_norm = 0.0}), eg::ValueError,
                        says({"Embedding: max_norm must be above 0, but is 0"}));
  BOOST_CHECK_EXCEPTION(nn::Embedding({.num_embeddings = 3, .embedding_dim = 2, .weight = eg::ones({2, 2})}),
                        eg::ShapeError, says({"[3, 2]", "[2, 2]"}));
  BOOST_CHECK_EXCEPTION(
      nn::Embedding({.num_embeddings = 3, .embedding_dim = 2, .weight = eg::full({3, 2}, 1, {eg::DType::int64, {}})}),
      eg::DTypeError, says({"weight", "int64"}));
  BOOST_CHECK_EXCEPTION(nn::Embedding({.num_embeddings = 3, .embedding_dim = 2, .dtype = eg::DType::int32}),
                        eg::DTypeError, says({"dtype", "int32"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::Embedding::from_pretrained(eg::ones({3}))), eg::ShapeError,
                        says({"[3]"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::Embedding::from_pretrained(Tensor())), eg::ValueError,
                        says({"embeddings", "undefined"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::Embedding(3, 2)(eg::tensor({0, 3}))), eg::IndexError,
                        says({"input[1] is 3", "3 rows"}));
}

BOOST_AUTO_TEST_SUITE_END()

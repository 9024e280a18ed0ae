#include <embergrad/nn/embedding_bag.hpp>

#include <boost/test/unit_test.hpp>
#include <sstream>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn/embedding.hpp>
#include <embergrad/nn/linear.hpp>
#include <embergrad/ops.hpp>

#include "nn/says.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::BagMode;
using eg::Tensor;
using eg::test::close_to;
using eg::test::equal_to;
using eg::test::says;

BOOST_AUTO_TEST_SUITE(embedding_bag)

// "an EmbeddingBag module containing 10 tensors of size 3; a batch of 2 samples of 4 indices each"
BOOST_AUTO_TEST_CASE(documents_example) {
  const nn::EmbeddingBag bag({.num_embeddings = 10, .embedding_dim = 3, .mode = BagMode::sum});
  const Tensor sums = bag(eg::tensor({1, 2, 4, 5, 4, 3, 2, 9}), eg::tensor({0, 4}));
  BOOST_TEST((sums.shape() == eg::Shape{2, 3}));
  for (const int d : {0, 1, 2}) {
    const auto w = [&](int row) { return bag.weight.at({row, d}); };
    BOOST_TEST(sums.at({0, d}) == w(1) + w(2) + w(4) + w(5), boost::test_tools::tolerance(1e-5));
    BOOST_TEST(sums.at({1, d}) == w(4) + w(3) + w(2) + w(9), boost::test_tools::tolerance(1e-5));
  }
}

// "example with padding_idx": the padding row is zero, and bags leave it out.
BOOST_AUTO_TEST_CASE(documents_example_with_padding) {
  const nn::EmbeddingBag bag({.num_embeddings = 10, .embedding_dim = 3, .mode = BagMode::sum, .padding_idx = 2});
  BOOST_TEST(equal_to("row", bag.weight[2].detach(), eg::zeros({3})));
  const Tensor sums = bag(eg::tensor({2, 2, 2, 2, 4, 3, 2, 9}), eg::tensor({0, 4}));
  BOOST_TEST(equal_to("first", sums[0].detach(), eg::zeros({3})));
  eg::sum(sums).backward();
  BOOST_TEST(equal_to("grad", bag.weight.grad().to_dense()[2], eg::zeros({3})));
}

// "FloatTensor containing pretrained weights"; "an EmbeddingBag can be loaded from an Embedding like so"
BOOST_AUTO_TEST_CASE(documents_examples_of_pretrained_tables) {
  const Tensor weight = eg::tensor({{1.0, 2.3, 3.0}, {4.0, 5.1, 6.3}});
  const nn::EmbeddingBag means = nn::EmbeddingBag::from_pretrained(weight);
  BOOST_TEST(close_to("mean", means(eg::tensor({{1, 0}})), eg::tensor({{2.5, 3.7, 4.65}})));
  BOOST_TEST(!means.weight.requires_grad());

  const nn::Embedding embedding({.num_embeddings = 10, .embedding_dim = 3, .padding_idx = 2});
  const nn::EmbeddingBag sums = nn::EmbeddingBag::from_pretrained(
      embedding.weight, {.mode = BagMode::sum, .padding_idx = embedding.padding_idx()});
  BOOST_TEST(sums.weight.shares_storage_with(embedding.weight));
  BOOST_TEST(embedding.weight.requires_grad());
  BOOST_TEST(sums.padding_idx().value() == 2);
  BOOST_TEST(equal_to("sum", sums(eg::tensor({{1, 2}}))[0], embedding.weight[1].detach()));
}

BOOST_AUTO_TEST_CASE(takes_weights_and_all_options) {
  nn::EmbeddingBag bag({.num_embeddings = 4,
                        .embedding_dim = 2,
                        .max_norm = 5.0,
                        .norm_type = 1,
                        .scale_grad_by_freq = true,
                        .mode = BagMode::sum,
                        .sparse = true,
                        .include_last_offset = true});
  eg::no_grad([&] { return bag.weight.fill(10); });
  const Tensor weights = eg::tensor({1.0, 2.0, 3.0});
  const Tensor out = bag(eg::tensor({0, 0, 1}), eg::tensor({0, 2, 3}), weights);
  BOOST_TEST(close_to("output", out.detach(), eg::tensor({{7.5, 7.5}, {7.5, 7.5}})));
  out.backward(eg::ones({2, 2}));
  BOOST_TEST(bag.weight.grad().is_sparse());
  BOOST_TEST(close_to("grad", bag.weight.grad().rows().values(), eg::tensor({{1.5, 1.5}, {3.0, 3.0}})));
  std::ostringstream text;
  text << bag;
  BOOST_TEST(text.str().find("EmbeddingBag(4, 2, max_norm=5, norm_type=1, scale_grad_by_freq=True, sparse=True, "
                             "mode=sum)") != std::string::npos,
             text.str());
  BOOST_TEST(nn::EmbeddingBag(4, 2).describe() == "EmbeddingBag(4, 2, mode=mean)");
}

BOOST_AUTO_TEST_CASE(a_table_can_be_shared_with_an_output_layer) {
  nn::Embedding embedding({.num_embeddings = 5, .embedding_dim = 3, .sparse = true});
  nn::Linear output({.in_features = 3, .out_features = 5, .bias = false});
  embedding.tie(output.weight);
  const Tensor logits = output(embedding(eg::tensor({1, 1, 2})));
  eg::sum(logits).backward();
  BOOST_TEST(!output.weight.grad().is_sparse());  // the product's gradient is dense
  const Tensor column = eg::sum(output.weight.detach(), {0});
  const Tensor rows = output.weight.detach()[1] * 2 + output.weight.detach()[2];
  for (int row = 0; row < 5; ++row) {
    const double looked_up = row == 1 ? 2 : row == 2 ? 1 : 0;
    BOOST_TEST(close_to("grad", output.weight.grad().dense()[row], rows + column * looked_up));
  }
  nn::EmbeddingBag bag(5, 3);
  bag.tie(output.weight);
  BOOST_TEST(bag.weight.shares_storage_with(embedding.weight));
  BOOST_CHECK_EXCEPTION(bag.tie(eg::ones({4, 3})), eg::ShapeError, says({"EmbeddingBag: tie", "[5, 3]", "[4, 3]"}));
  BOOST_CHECK_EXCEPTION(bag.tie(eg::ones({5, 3}, {eg::DType::float64, {}})), eg::DTypeError, says({"tie", "float64"}));
  BOOST_CHECK_EXCEPTION(bag.tie(Tensor()), eg::ValueError, says({"tie", "undefined"}));
}

BOOST_AUTO_TEST_CASE(refusals) {
  BOOST_CHECK_EXCEPTION(nn::EmbeddingBag(-1, 2), eg::ValueError, says({"EmbeddingBag", "num_embeddings", "-1"}));
  BOOST_CHECK_EXCEPTION(nn::EmbeddingBag({.num_embeddings = 3, .embedding_dim = 2, .max_norm = -1.0}), eg::ValueError,
                        says({"EmbeddingBag: max_norm must be above 0, but is -1"}));
  BOOST_CHECK_EXCEPTION(nn::EmbeddingBag({.num_embeddings = 3, .embedding_dim = 2, .padding_idx = 3}), eg::IndexError,
                        says({"EmbeddingBag: padding_idx", "3"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::EmbeddingBag::from_pretrained(eg::ones({3}))), eg::ShapeError,
                        says({"EmbeddingBag::from_pretrained", "[3]"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::EmbeddingBag(3, 2)(eg::tensor({0, 1}))), eg::ValueError,
                        says({"embedding_bag: offsets must be given"}));
}

BOOST_AUTO_TEST_SUITE_END()

#include <embergrad/nn/loss.hpp>

#include <boost/test/unit_test.hpp>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "nn/says.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::Tensor;
using eg::test::close_to;
using eg::test::equal_to;
using eg::test::says;

namespace {

nn::PackedSequence tags() { return nn::pack_ids(std::vector<std::vector<std::int64_t>>{{1}, {2, 0}}); }
// Rows: b0, a0, b1.
nn::PackedSequence scores() { return tags().with_values(eg::tensor({{.1, .9, -.4}, {1.2, 0.0, .3}, {-.5, .2, 2.0}})); }

}  // namespace

BOOST_AUTO_TEST_SUITE(loss)

BOOST_AUTO_TEST_CASE(packed_losses_are_those_of_the_rows) {
  const Tensor expected = eg::cross_entropy(scores().values(), eg::tensor({2, 1, 0}));
  BOOST_TEST(equal_to("mean", nn::cross_entropy(scores(), tags()), expected));
  const auto log_probs = scores().with_values(eg::log_softmax(scores().values(), -1));
  BOOST_TEST(close_to("nll", nn::nll_loss(log_probs, tags()), expected));
  const Tensor rows = nn::cross_entropy(scores(), tags(), {.reduction = eg::Reduction::none});
  BOOST_TEST((rows.shape() == eg::Shape{3}));
  BOOST_TEST(equal_to("tensors", nn::cross_entropy(scores().values(), tags().values()), expected));
}

BOOST_AUTO_TEST_CASE(packed_regression_losses_are_those_of_the_rows) {
  const nn::PackedSequence targets =
      scores().with_values(eg::tensor({{0.0, 1.0, 1.0}, {1.0, 0.5, 0.0}, {0.0, 1.0, 1.0}}));
  const Tensor x = scores().values();
  const Tensor t = targets.values();
  BOOST_TEST(equal_to("bce", nn::binary_cross_entropy_with_logits(scores(), targets),
                      eg::binary_cross_entropy_with_logits(x, t)));
  BOOST_TEST(equal_to("mse", nn::mse_loss(scores(), targets, {.reduction = eg::Reduction::sum}),
                      eg::mse_loss(x, t, {.reduction = eg::Reduction::sum})));
  BOOST_TEST(equal_to("tensors", nn::mse_loss(x, t), eg::mse_loss(x, t)));
  BOOST_TEST(
      equal_to("tensors", nn::binary_cross_entropy_with_logits(x, t), eg::binary_cross_entropy_with_logits(x, t)));
}

BOOST_AUTO_TEST_CASE(partners_of_another_order_are_refused) {
  const nn::PackedSequence other = nn::pack_ids(std::vector<std::vector<std::int64_t>>{{2, 0}, {1}});
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::cross_entropy(scores(), other)), eg::ValueError,
                        says({"cross_entropy", "logits", "targets", "same order", "[1, 2]", "[2, 1]"}));
  BOOST_CHECK_THROW(static_cast<void>(nn::nll_loss(scores(), other)), eg::ValueError);
  BOOST_CHECK_THROW(static_cast<void>(nn::accuracy(scores(), other)), eg::ValueError);
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::mse_loss(scores(), other)), eg::ValueError, says({"mse_loss", "input"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::binary_cross_entropy_with_logits(scores(), other)), eg::ValueError,
                        says({"binary_cross_entropy_with_logits", "target"}));
}

BOOST_AUTO_TEST_CASE(accuracy_counts) {
  // best of b0 is 1 (gold 2), of a0 0 (gold 1), of b1 2 (gold 0)
  const nn::Accuracy none = nn::accuracy(scores(), tags());
  BOOST_TEST(none.correct == 0);
  BOOST_TEST(none.total == 3);
  const nn::Accuracy some = nn::accuracy(scores().values(), eg::tensor({1, -100, 0}));
  BOOST_TEST(some.correct == 1);
  BOOST_TEST(some.total == 2);
  BOOST_TEST(some.value() == 0.5);
  BOOST_TEST(nn::accuracy(eg::ones({0, 3}), eg::tensor(std::vector<std::int64_t>{})).value() == 0);
  BOOST_TEST(nn::accuracy(scores().values(), eg::tensor({1, 0, 0}), 0).total == 1);
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::accuracy(eg::ones({2, 3}), eg::tensor({1}))), eg::ShapeError,
                        says({"accuracy", "[2, 3]", "[1]"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(nn::accuracy(eg::ones({1, 3}), eg::ones({1}))), eg::DTypeError,
                        says({"targets", "float32"}));
}

BOOST_AUTO_TEST_SUITE_END()

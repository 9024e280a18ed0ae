#include <embergrad/optim/sgd.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn/embedding.hpp>
#include <embergrad/ops.hpp>

#include "kernels/rules/sgd.hpp"
#include "nn/says.hpp"
#include "optim/optim_support.hpp"
#include "optim/rule_support.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using eg::test::after_stored_gradients;
using eg::test::Draw;
using eg::test::equal_to;
using eg::test::leaf;
using eg::test::says;
using optim::SGD;
using optim::SGDW;
using optim::SGDWOptions;

namespace {

double stored(const optim::SGDOptions& options) { return after_stored_gradients<SGD>(options); }
constexpr double twelve_places = 6e-13;

}  // namespace

BOOST_AUTO_TEST_SUITE(sgd)

// PyTorch 2.15, float64.
BOOST_AUTO_TEST_CASE(numbers_of_pytorch) {
  BOOST_TEST(std::abs(stored({.lr = .1}) - 0.388) < twelve_places);
  BOOST_TEST(std::abs(stored({.lr = .1, .momentum = .9}) - 0.462457) < twelve_places);
  BOOST_TEST(std::abs(stored({.lr = .1, .momentum = .9, .dampening = .5, .weight_decay = .1}) - 0.378309407916) <
             twelve_places);
  BOOST_TEST(std::abs(stored({.lr = .1, .momentum = .9, .weight_decay = .1, .nesterov = true, .maximize = true}) -
                      0.568863436709) < twelve_places);
}

// PyTorch 2.15, float64: w *= 1 - lr·weight_decay, then a step of its SGD without decay.
BOOST_AUTO_TEST_CASE(numbers_of_decoupled_decay) {
  const auto stored_w = [](const SGDWOptions& options) { return after_stored_gradients<SGDW>(options); };
  BOOST_TEST(std::abs(stored_w({.lr = .1, .weight_decay = .1}) - 0.36263787465) < twelve_places);
  BOOST_TEST(std::abs(stored_w({.lr = .1, .momentum = .9, .weight_decay = .1}) - 0.43679637165) < twelve_places);
  BOOST_TEST(std::abs(stored_w({.lr = .1, .momentum = .9, .dampening = .5, .weight_decay = .2}) - 0.3732637696) <
             twelve_places);
  BOOST_TEST(std::abs(stored_w({.lr = .1, .momentum = .9, .weight_decay = .1, .nesterov = true, .maximize = true}) -
                      0.62318096322) < twelve_places);
}

BOOST_AUTO_TEST_CASE(decoupled_decay_in_all_modes) {
  using eg::test::check_modes;
  using eg::test::trainer;
  check_modes(trainer<SGDW>("plain", SGDWOptions{.lr = .1, .weight_decay = .05}, eg::test::closed));
  check_modes(trainer<SGDW>("momentum", SGDWOptions{.lr = .1, .momentum = .9, .dampening = .5, .weight_decay = .05},
                            eg::test::closed));
  check_modes(trainer<SGDW>("nesterov", SGDWOptions{.lr = .1, .momentum = .9, .weight_decay = .05, .nesterov = true},
                            eg::test::closed));
  // A row that decay throws over to the other side.
  check_modes(
      trainer<SGDW>("fast decay", SGDWOptions{.lr = .05, .momentum = .5, .weight_decay = 30}, eg::test::closed));
}

BOOST_AUTO_TEST_CASE(the_first_momentum_is_the_gradient_itself) {
  Tensor p = leaf(eg::zeros({2}));
  SGD optimizer({p}, {.lr = 1, .momentum = .8, .dampening = .5});
  p.set_grad(eg::ones({2}));
  BOOST_TEST(!optimizer.state(0, "momentum_buffer").defined());
  optimizer.step();
  BOOST_TEST(equal_to("b1", optimizer.state(0, "momentum_buffer"), eg::ones({2})));
  optimizer.step();
  BOOST_TEST(optimizer.state(0, "momentum_buffer").at({0}) == 1.3F);
}

BOOST_AUTO_TEST_CASE(frozen_rows_and_views_of_tables_do_not_move) {
  eg::nn::Embedding embedding({.num_embeddings = 5, .embedding_dim = 3, .padding_idx = 2});
  eg::detail::freeze_row(embedding.weight, 4);
  eg::no_grad([&] { embedding.weight.fill(1); });
  SGD optimizer({embedding.weight}, {.lr = .5, .momentum = .9, .weight_decay = .1});
  embedding.weight.set_grad(eg::ones({5, 3}));
  for (int i = 0; i < 3; ++i) optimizer.step();
  for (const int row : {0, 1, 3}) BOOST_TEST(embedding.weight.at({row, 1}) < 1);
  for (const int row : {2, 4}) BOOST_TEST(equal_to("frozen", embedding.weight[row].detach(), eg::ones({3})));

  Tensor table = eg::ones({4, 2});
  eg::detail::freeze_row(table, 3);
  Tensor lower = leaf(eg::narrow(table, 0, 2, 2));
  SGD of_view({lower}, {.lr = 1});
  lower.set_grad(eg::ones({2, 2}));
  of_view.step();
  BOOST_TEST(equal_to("table", table, eg::tensor({{1.0, 1.0}, {1.0, 1.0}, {0.0, 0.0}, {1.0, 1.0}})));
}

BOOST_AUTO_TEST_CASE(small_momentum_becomes_zero_in_float32_alone) {
  for (const eg::DType dtype : {eg::DType::float32, eg::DType::float64}) {
    Tensor p = leaf(eg::ones({1}, {dtype, {}}));
    SGD optimizer({p}, {.lr = 1, .momentum = .5});
    p.set_grad(eg::full({1}, 1.5e-30, {dtype, {}}));
    optimizer.step();
    p.set_grad(eg::zeros({1}, {dtype, {}}));
    optimizer.step();
    BOOST_TEST((optimizer.state(0, "momentum_buffer").item() == 0) == (dtype == eg::DType::float32));
  }
}

BOOST_AUTO_TEST_CASE(no_decay_means_none_even_of_infinity) {
  Tensor p = leaf(eg::full({1}, std::numeric_limits<double>::infinity()));
  SGD optimizer({p}, {.lr = .1});
  p.set_grad(eg::ones({1}));
  optimizer.step();
  BOOST_TEST(std::isinf(p.item()));
}

// The loops are cut into chunks; sizes around them, and both types, against a loop in double written here.
BOOST_AUTO_TEST_CASE(any_size) {
  for (const std::int64_t size : {0, 1, 15, 16, 17, 16383, 16384, 16385, 40000}) {
    Draw draw(static_cast<std::uint64_t>(size));
    const Tensor start = draw.uniform({size}, eg::DType::float64);
    const Tensor grad = draw.uniform({size}, eg::DType::float64);
    Tensor p = leaf(start.clone());
    SGD optimizer({p}, {.lr = .3, .momentum = .7, .weight_decay = .2, .nesterov = true});
    std::vector<double> w = start.to_vector<double>();
    std::vector<double> b(w.size());
    const std::vector<double> g = grad.to_vector<double>();
    for (int step = 0; step < 3; ++step) {
      p.set_grad(grad.clone());
      optimizer.step();
      for (std::size_t i = 0; i < w.size(); ++i) {
        const double decayed = g[i] + .2 * w[i];
        b[i] = .7 * b[i] + decayed;
        w[i] -= .3 * (decayed + .7 * b[i]);
      }
    }
    BOOST_TEST(eg::test::close_to("parameter", p.detach(), eg::tensor(w), {1e-14, 1e-14}));
  }
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  Tensor p = leaf(eg::ones({1}));
  const auto refused = [&](const optim::SGDOptions& options, const std::vector<std::string>& parts) {
    BOOST_CHECK_EXCEPTION(SGD({p}, options), eg::ValueError, says(parts));
    SGD good({p});
    BOOST_CHECK_EXCEPTION(good.set_options(0, options), eg::ValueError, says(parts));
    BOOST_TEST(good.lr() == 1e-3);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  refused({.lr = -1}, {"SGD", "group 0", "lr", "-1"});
  refused({.lr = nan}, {"lr", "nan"});
  refused({.lr = infinity}, {"lr", "inf"});
  refused({.momentum = -.1}, {"momentum", "-0.1"});
  refused({.momentum = infinity}, {"momentum"});
  refused({.dampening = nan}, {"dampening"});
  refused({.weight_decay = -1}, {"weight_decay"});
  refused({.nesterov = true}, {"nesterov", "momentum"});
  refused({.momentum = .9, .dampening = .1, .nesterov = true}, {"nesterov", "0.1"});
  refused({.lr = -1, .weight_decay = -2}, {"lr", "weight_decay"});  // all at once
  eg::test::check_refused<SGDW>(SGDWOptions{.lr = -1}, {"SGDW", "group 0", "lr", "-1"});
  eg::test::check_refused<SGDW>(SGDWOptions{.weight_decay = nan}, {"SGDW", "weight_decay", "nan"});
  BOOST_TEST(SGDW({p}).options().weight_decay == 1e-2);
}

BOOST_AUTO_TEST_SUITE_END()

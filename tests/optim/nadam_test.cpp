#include <embergrad/optim/nadam.hpp>

#include <boost/test/unit_test.hpp>
#include <limits>

#include "optim/rule_support.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests
using optim::NAdam;
using optim::NAdamOptions;

BOOST_AUTO_TEST_SUITE(nadam)

// PyTorch 2.15, float64. The product of the momenta is float32 there.
BOOST_AUTO_TEST_CASE(numbers_of_pytorch) {
  const auto within = boost::test_tools::tolerance(1e-13);
  const auto stored = [](const NAdamOptions& options) { return after_stored_gradients<NAdam>(options); };
  BOOST_TEST(stored({.lr = .1}) == 0.374250984241609, within);
  BOOST_TEST(
      stored({.lr = .1, .betas = {.8, .95}, .eps = 1e-3, .weight_decay = .1, .momentum_decay = .05}) == 0.3433992188217,
      within);
  BOOST_TEST(
      stored({.lr = .1, .weight_decay = .1, .decoupled_weight_decay = true, .maximize = true}) == 0.59992343937261,
      within);
}

BOOST_AUTO_TEST_CASE(all_modes) {
  check_modes(trainer<NAdam>("plain", NAdamOptions{.lr = 1e-2}, bounded));
  check_modes(trainer<NAdam>("momentum decay", NAdamOptions{.lr = 1e-2, .momentum_decay = .1}, bounded));
  check_modes(trainer<NAdam>("decoupled", NAdamOptions{.lr = 1e-2, .weight_decay = .1, .decoupled_weight_decay = true},
                             bounded));
  check_modes(trainer<NAdam>("coupled", NAdamOptions{.lr = 1e-2, .eps = 1e-3, .weight_decay = .05}, replayed));
}

// The product of the momenta is state: it goes on as if never stopped, also while betas change.
BOOST_AUTO_TEST_CASE(mu_product_is_saved_and_loaded) {
  Tensor whole = leaf(eg::ones({2}, f64));
  Tensor stopped = leaf(eg::ones({2}, f64));
  NAdam straight({whole}, {.lr = .1, .momentum_decay = .1});
  auto other = std::make_unique<NAdam>(std::vector<Tensor>{stopped}, straight.options());
  BOOST_TEST(!straight.state(0, "mu_product").defined());
  for (int step = 0; step < 8; ++step) {
    if (step == 4) {
      eg::StateDict state;
      for (const auto& [name, value] : other->state_dict()) state.set(name, value.clone());
      other = std::make_unique<NAdam>(std::vector<Tensor>{stopped});
      other->load_state_dict(state);
    }
    for (NAdam* optimizer : {&straight, other.get()}) {
      NAdamOptions options = optimizer->options();
      options.betas.beta1 = .9 - .1 * (step % 2);
      optimizer->set_options(0, options);
    }
    const double g = stored_gradients()[static_cast<std::size_t>(step % 5)];
    for (Tensor* p : {&whole, &stopped}) p->set_grad(eg::full({2}, g, f64));
    straight.step();
    other->step();
  }
  BOOST_TEST(equal_to("parameter", stopped.detach(), whole.detach()));
  BOOST_TEST((straight.state(0, "mu_product").dtype() == eg::DType::float32));
  BOOST_TEST(straight.state(0, "mu_product").item() == other->state(0, "mu_product").item());

  const auto refused = [&](const char* name, const Tensor& value, const std::vector<std::string>& parts) {
    eg::StateDict bad;
    for (const auto& [key, given] : straight.state_dict()) {
      if (key != name) bad.set(key, given);
    }
    if (value.defined()) bad.set(name, value);
    BOOST_CHECK_EXCEPTION(other->load_state_dict(bad), eg::ValueError, says(parts));
  };
  refused("state.0.mu_product", Tensor(), {"state.0.step, mu_product, exp_avg, exp_avg_sq must be there together"});
  refused("state.0.mu_product", eg::tensor(2.0), {"state.0.mu_product must be one number in [0, 1]"});
  refused("state.0.step", Tensor(), {"must be there together"});
  BOOST_CHECK_EXCEPTION(static_cast<void>(straight.state(0, "sum")), eg::ValueError,
                        says({"\"sum\"", "step, mu_product, exp_avg, exp_avg_sq"}));
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  check_refused<NAdam>(NAdamOptions{.lr = -1}, {"NAdam", "group 0", "lr", "-1"});
  check_refused<NAdam>(NAdamOptions{.betas = {1, .9}}, {"betas", "[0, 1)", "1"});
  check_refused<NAdam>(NAdamOptions{.eps = -1}, {"eps"});
  check_refused<NAdam>(NAdamOptions{.weight_decay = -1}, {"weight_decay"});
  check_refused<NAdam>(NAdamOptions{.momentum_decay = -1}, {"momentum_decay"});
}

BOOST_AUTO_TEST_SUITE_END()

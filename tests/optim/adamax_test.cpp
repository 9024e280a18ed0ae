#include <embergrad/optim/adamax.hpp>

#include <boost/test/unit_test.hpp>
#include <limits>

#include "optim/rule_support.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests
using optim::Adamax;
using optim::AdamaxOptions;

BOOST_AUTO_TEST_SUITE(adamax)

// PyTorch 2.15, float64.
BOOST_AUTO_TEST_CASE(numbers_of_pytorch) {
  const auto within = boost::test_tools::tolerance(1e-13);
  const auto stored = [](const AdamaxOptions& options) { return after_stored_gradients<Adamax>(options); };
  BOOST_TEST(stored({.lr = .1}) == 0.44586479453507, within);
  BOOST_TEST(
      stored({.lr = .1, .betas = {.8, .95}, .eps = 1e-3, .weight_decay = .1, .maximize = true}) == 0.532079750990808,
      within);
}

BOOST_AUTO_TEST_CASE(state_has_pytorchs_names) {
  Tensor p = leaf(eg::ones({1}, f64));
  Adamax optimizer({p}, {.betas = {.5, .25}, .eps = 0});
  for (const double gradient : {-2.0, .25}) {
    p.set_grad(eg::tensor({gradient}, f64));
    optimizer.step();
  }
  BOOST_TEST(optimizer.state(0, "step").item() == 2);
  BOOST_TEST(optimizer.state(0, "exp_avg").item() == -.375);
  BOOST_TEST(optimizer.state(0, "exp_inf").item() == .5);
}

BOOST_AUTO_TEST_CASE(all_modes) {
  check_modes(trainer<Adamax>("plain", AdamaxOptions{.lr = 1e-2}, replayed));
  check_modes(trainer<Adamax>("decay", AdamaxOptions{.lr = 1e-2, .betas = {.8, .9}, .weight_decay = .05}, replayed));
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  check_refused<Adamax>(AdamaxOptions{.lr = -1}, {"Adamax", "group 0", "lr", "-1"});
  check_refused<Adamax>(AdamaxOptions{.betas = {1, .9}}, {"betas", "[0, 1)", "1"});
  check_refused<Adamax>(AdamaxOptions{.eps = -1}, {"eps"});
  check_refused<Adamax>(AdamaxOptions{.weight_decay = -1}, {"weight_decay"});
}

BOOST_AUTO_TEST_SUITE_END()

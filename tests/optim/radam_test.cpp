#include <embergrad/optim/radam.hpp>

#include <boost/test/unit_test.hpp>
#include <limits>

#include "optim/rule_support.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests
using optim::RAdam;
using optim::RAdamOptions;

namespace {

// As after_stored_gradients, with three more: plain steps, and some that are not.
double after_eight(const RAdamOptions& options) {
  Tensor p = leaf(eg::tensor({.5}, f64));
  RAdam optimizer({p}, options);
  for (const double gradient : {.3, -.7, .02, 0., 1.5, .4, -.2, .1}) {
    p.set_grad(eg::tensor({gradient}, f64));
    optimizer.step();
  }
  return p.item();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(radam)

// PyTorch 2.15, float64.
BOOST_AUTO_TEST_CASE(numbers_of_pytorch) {
  const auto within = boost::test_tools::tolerance(1e-13);
  BOOST_TEST(after_stored_gradients<RAdam>(RAdamOptions{.lr = .1}) == 0.48640857181901, within);
  BOOST_TEST(after_eight({.lr = .1}) == 0.482933822980231, within);
  BOOST_TEST(after_eight({.lr = .1, .betas = {.8, .95}, .eps = 1e-3, .weight_decay = .1}) == 0.425611190265775, within);
  BOOST_TEST(after_eight({.lr = .1, .weight_decay = .1, .decoupled_weight_decay = true, .maximize = true}) ==
                 0.477860902414896,
             within);
  BOOST_TEST(after_eight({.lr = .1, .betas = {.9, .6}}) == 0.413350263757367, within);  // plain for ever
}

BOOST_AUTO_TEST_CASE(all_modes) {
  check_modes(trainer<RAdam>("plain", RAdamOptions{.lr = 1e-2}, bounded));
  check_modes(trainer<RAdam>("long plain", RAdamOptions{.lr = 1e-2, .betas = {.9, .98}, .eps = 1e-4}, bounded));
  check_modes(trainer<RAdam>("decoupled", RAdamOptions{.lr = 1e-2, .weight_decay = .1, .decoupled_weight_decay = true},
                             bounded));
  check_modes(trainer<RAdam>("coupled", RAdamOptions{.lr = 1e-2, .eps = 1e-3, .weight_decay = .05}, replayed));
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  check_refused<RAdam>(RAdamOptions{.lr = -1}, {"RAdam", "group 0", "lr", "-1"});
  check_refused<RAdam>(RAdamOptions{.betas = {1, .9}}, {"betas", "[0, 1)", "1"});
  check_refused<RAdam>(RAdamOptions{.eps = -1}, {"eps"});
  check_refused<RAdam>(RAdamOptions{.weight_decay = -1}, {"weight_decay"});
}

BOOST_AUTO_TEST_SUITE_END()

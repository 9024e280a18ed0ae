#include <embergrad/optim/rmsprop.hpp>

#include <boost/test/unit_test.hpp>
#include <limits>

#include "optim/rule_support.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests
using optim::RMSprop;
using optim::RMSpropOptions;

BOOST_AUTO_TEST_SUITE(rmsprop)

// PyTorch 2.15, float64.
BOOST_AUTO_TEST_CASE(numbers_of_pytorch) {
  const auto within = boost::test_tools::tolerance(1e-11);
  const auto stored = [](const RMSpropOptions& options) { return after_stored_gradients<RMSprop>(options); };
  BOOST_TEST(stored({.lr = .1}) == -0.50100585427244, within);
  BOOST_TEST(stored({.lr = .1, .momentum = .9}) == -1.397721374162073, within);
  BOOST_TEST(stored({.lr = .1, .centered = true}) == -0.506816573348146, within);
  BOOST_TEST(stored({.lr = .1, .momentum = .9, .centered = true}) == -1.41602860849901, within);
  BOOST_TEST(stored({.lr = .1, .alpha = .9, .eps = 1e-3, .weight_decay = .1, .maximize = true}) == 0.761305215529866,
             within);
  BOOST_TEST(stored({.lr = .1, .alpha = .9, .eps = 1e-3, .weight_decay = .1, .momentum = .5, .centered = true}) ==
                 0.036645533773972,
             within);
}

BOOST_AUTO_TEST_CASE(state_has_pytorchs_names) {
  const auto names = [](const RMSpropOptions& options) {
    Tensor p = leaf(eg::ones({2}));
    RMSprop optimizer({p}, options);
    p.set_grad(eg::ones({2}));
    optimizer.step();
    std::string found;
    for (const auto& [key, value] : optimizer.state_dict()) {
      if (key.starts_with("state.0.")) found += key.substr(8) + " ";
    }
    return found;
  };
  BOOST_TEST(names({}) == "step square_avg ");
  BOOST_TEST(names({.momentum = .9}) == "step square_avg momentum_buffer ");
  BOOST_TEST(names({.centered = true}) == "step square_avg grad_avg ");
  BOOST_TEST(names({.momentum = .9, .centered = true}) == "step square_avg momentum_buffer grad_avg ");
}

BOOST_AUTO_TEST_CASE(all_modes) {
  check_modes(trainer<RMSprop>("plain", RMSpropOptions{.lr = 1e-2, .alpha = .9}, closed));
  check_modes(trainer<RMSprop>("maximize", RMSpropOptions{.lr = 1e-4, .alpha = .9, .maximize = true}, closed));
  check_modes(trainer<RMSprop>("momentum", RMSpropOptions{.lr = 1e-2, .momentum = .9}, closed));
  // Differences of close numbers: what is rounded away counts.
  const double loose = 1e-9;
  check_modes(trainer<RMSprop>("centered", RMSpropOptions{.lr = 1e-2, .eps = 1e-3, .centered = true}, loose));
  check_modes(trainer<RMSprop>("centered, momentum",
                               RMSpropOptions{.lr = 1e-2, .eps = 1e-3, .momentum = .9, .centered = true}, loose));
  check_modes(trainer<RMSprop>(
      "decay", RMSpropOptions{.lr = 1e-2, .eps = 1e-2, .weight_decay = .05, .momentum = .5, .centered = true},
      replayed));
}

BOOST_AUTO_TEST_CASE(options_that_change_on_the_way) {
  const auto run = [](bool sparse) {
    std::vector<Tensor> state;
    const Hook change = [&](optim::Optimizer& optimizer, std::int64_t step) {
      auto& rmsprop = dynamic_cast<RMSprop&>(optimizer);
      RMSpropOptions options = rmsprop.options();
      options.alpha = step % 2 == 0 ? .9 : .99;
      options.momentum = step / 100 % 2 == 0 ? .5 : 0;  // the buffer waits
      options.centered = step < 250;                    // then the mean waits
      options.weight_decay = step / 50 % 5 == 4 ? .1 : 0;
      rmsprop.set_options(0, options);
      if (step < 599) return;
      for (const char* name : {"square_avg", "momentum_buffer", "grad_avg"}) {
        state.push_back(rmsprop.state(0, name).clone());
      }
    };
    const Trainer trainer = eg::test::trainer<RMSprop>("changing", RMSpropOptions{.lr = 1e-2, .eps = 1e-2}, 0);
    state.push_back(trained(Regression({}), trainer, 600, sparse, change));
    return state;
  };
  const std::vector<Tensor> dense = run(false);
  const std::vector<Tensor> sparse = run(true);
  for (std::size_t i = 0; i < dense.size(); ++i) BOOST_TEST(near(std::to_string(i), sparse[i], dense[i], 1e-9));
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  check_refused<RMSprop>(RMSpropOptions{.lr = -1}, {"RMSprop", "group 0", "lr", "-1"});
  check_refused<RMSprop>(RMSpropOptions{.alpha = 1.5}, {"alpha", "[0, 1]", "1.5"});
  check_refused<RMSprop>(RMSpropOptions{.alpha = nan}, {"alpha", "nan"});
  check_refused<RMSprop>(RMSpropOptions{.eps = -1}, {"eps"});
  check_refused<RMSprop>(RMSpropOptions{.weight_decay = nan}, {"weight_decay"});
  check_refused<RMSprop>(RMSpropOptions{.momentum = -1}, {"momentum"});
}

// Dense training would divide 0 by 0.
BOOST_AUTO_TEST_CASE(exact_updates_need_an_eps) {
  Tensor p = leaf(eg::ones({3, 2}));
  RMSprop optimizer({p}, {.eps = 0});
  p.set_grad(eg::RowSparse::from_rows(eg::tensor({1}), eg::ones({1, 2}), 3));
  BOOST_TEST(refuses<eg::ValueError>([&] { optimizer.step(); }, {"RMSprop", "eps is 0"}));
  optimizer.set_updates(0, optim::Updates::touched_only);
  BOOST_TEST(optimizer.step());
}

BOOST_AUTO_TEST_SUITE_END()

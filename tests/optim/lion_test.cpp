#include <embergrad/optim/lion.hpp>

#include <boost/test/unit_test.hpp>
#include <limits>

#include "optim/rule_support.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests
using optim::Lion;
using optim::LionOptions;

BOOST_AUTO_TEST_SUITE(lion)

// The paper's program, with PyTorch 2.15 in float64.
BOOST_AUTO_TEST_CASE(numbers_of_the_paper) {
  const auto within = boost::test_tools::tolerance(1e-13);
  const auto stored = [](const LionOptions& options) { return after_stored_gradients<Lion>(options); };
  BOOST_TEST(stored({.lr = .1}) == 0.6, within);
  BOOST_TEST(stored({.lr = .1, .betas = {.8, .5}, .weight_decay = .2}) == 0.5478827824, within);
  BOOST_TEST(stored({.lr = .1, .weight_decay = .1, .maximize = true}) == 0.37751472595, within);
  BOOST_TEST(stored({.lr = .1, .betas = {0, .99}}) == 0.3, within);
  BOOST_TEST(stored({.lr = .1, .betas = {.9, 0}}) == 0.2, within);
}

BOOST_AUTO_TEST_CASE(all_modes) {
  check_modes(trainer<Lion>("plain", LionOptions{.lr = 1e-3}, closed));
  check_modes(trainer<Lion>("decay", LionOptions{.lr = 1e-3, .weight_decay = .1}, closed));
  check_modes(trainer<Lion>("fast", LionOptions{.lr = 1e-2, .betas = {.8, .5}, .weight_decay = 5}, closed));
  check_modes(trainer<Lion>("over the end", LionOptions{.lr = 1e-2, .weight_decay = 150}, closed));
  check_modes(trainer<Lion>("signs of gradients", LionOptions{.lr = 1e-2, .betas = {0, .99}}, replayed));
  check_modes(trainer<Lion>("no memory", LionOptions{.lr = 1e-2, .betas = {.9, 0}}, replayed));
}

BOOST_AUTO_TEST_CASE(decay_that_changes_on_the_way) {
  const Hook change = [](optim::Optimizer& optimizer, std::int64_t step) {
    auto& lion = dynamic_cast<Lion&>(optimizer);
    LionOptions options = lion.options();
    options.weight_decay = step / 40 % 2 == 0 ? .1 : step < 300 ? .5 : 0;
    options.betas = {.85 + .1 * static_cast<double>(step % 2), .99};
    lion.set_options(0, options);
  };
  const Regression task({});
  const Trainer trainer = eg::test::trainer<Lion>("changing", LionOptions{.lr = 1e-3}, closed);
  BOOST_TEST(
      near("table", trained(task, trainer, 600, true, change), trained(task, trainer, 600, false, change), closed));
}

// The moment fades below all numbers, its sign stays, and with it the row's motion.
BOOST_AUTO_TEST_CASE(an_idle_row_goes_on_for_ever) {
  for (const eg::DType dtype : {eg::DType::float32, eg::DType::float64}) {
    for (const bool sparse : {false, true}) {
      Tensor table = leaf(eg::zeros({2, 2}, {dtype, {}}));
      Lion optimizer({table}, {.lr = 1, .betas = {.9, .1}});
      const auto step = [&](std::int64_t row, double value) {
        const auto rows = eg::RowSparse::from_rows(eg::tensor({row}), eg::full({1, 2}, value, {dtype, {}}), 2);
        if (sparse) {
          table.set_grad(rows);
        } else {
          table.set_grad(rows.to_dense());
        }
        optimizer.step();
      };
      step(0, -1e-3);
      for (int i = 0; i < 999; ++i) step(1, i % 2 == 0 ? 1 : -1);
      BOOST_TEST(table.at({0, 1}) == 1000);
      const double m = optimizer.state(0, "exp_avg").at({0, 0});
      BOOST_TEST(m == (dtype == eg::DType::float32 ? static_cast<double>(-1e-30F) : -1e-300));
      step(0, 0);  // and with a gradient of zeros
      BOOST_TEST(table.at({0, 1}) == 1001);
      step(0, 1);
      BOOST_TEST(table.at({0, 1}) == 1000);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_gradient_that_is_not_a_number_is_seen) {
  Tensor p = leaf(eg::ones({1}));
  Lion optimizer({p});
  p.set_grad(eg::full({1}, std::numeric_limits<double>::quiet_NaN()));
  optimizer.step();
  BOOST_TEST(std::isnan(p.item()));
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  check_refused<Lion>(LionOptions{.lr = -1}, {"Lion", "group 0", "lr", "-1"});
  check_refused<Lion>(LionOptions{.betas = {1, .9}}, {"betas", "[0, 1)", "1"});
  check_refused<Lion>(LionOptions{.weight_decay = nan}, {"weight_decay", "nan"});
  BOOST_TEST(Lion({leaf(eg::ones({1}))}).options().betas.beta2 == .99);
}

BOOST_AUTO_TEST_SUITE_END()

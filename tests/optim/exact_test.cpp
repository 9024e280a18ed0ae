// Updates::exact beside dense training: how close, for every rule and along any schedule.
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "optim/exact_support.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests

namespace {

const std::vector<Trainer>& all_rules() {
  using optim::Betas;
  static const std::vector<Trainer> all{
      trainer<optim::SGD>("SGD", optim::SGDOptions{.lr = .1}, replayed),
      trainer<optim::SGD>("SGD, decay", optim::SGDOptions{.lr = .1, .weight_decay = .05}, closed),
      trainer<optim::SGD>("SGD, momentum", optim::SGDOptions{.lr = .1, .momentum = .9}, closed),
      trainer<optim::SGD>("SGD, dampening, decay",
                          optim::SGDOptions{.lr = .2, .momentum = .9, .dampening = .5, .weight_decay = .05}, closed),
      trainer<optim::SGD>("SGD, nesterov, decay",
                          optim::SGDOptions{.lr = .1, .momentum = .95, .weight_decay = 1e-2, .nesterov = true}, closed),
      trainer<optim::SGD>("SGD, slow momentum", optim::SGDOptions{.lr = .02, .momentum = .99, .weight_decay = 1e-3},
                          closed),
      trainer<optim::SGDW>("SGDW", optim::SGDWOptions{.lr = .1, .momentum = .9, .weight_decay = .05}, closed),
      trainer<optim::Adam>("Adam", optim::AdamOptions{.lr = 1e-2}, bounded),
      trainer<optim::Adam>("Adam, amsgrad", optim::AdamOptions{.lr = 1e-2, .amsgrad = true}, bounded),
      trainer<optim::Adam>("Adam, decay", optim::AdamOptions{.lr = 1e-2, .eps = 1e-3, .weight_decay = .05}, replayed),
      trainer<optim::AdamW>("AdamW", optim::AdamWOptions{.lr = 1e-2, .weight_decay = .1}, bounded),
      trainer<optim::AdamW>("AdamW, amsgrad", optim::AdamWOptions{.lr = 1e-2, .weight_decay = .1, .amsgrad = true},
                            bounded),
      trainer<optim::AdamW>("AdamW, .9 .98", optim::AdamWOptions{.lr = 1e-2, .betas = {.9, .98}, .eps = 1e-6}, bounded),
      trainer<optim::AdamW>("AdamW, .9 .95", optim::AdamWOptions{.lr = 1e-2, .betas = {.9, .95}}, bounded),
      trainer<optim::AdamW>("AdamW, .9 .9", optim::AdamWOptions{.lr = 1e-2, .betas = {.9, .9}, .eps = 1e-4}, bounded),
      trainer<optim::AdamW>("AdamW, 0 .99", optim::AdamWOptions{.lr = 1e-2, .betas = {0, .99}}, bounded),
      trainer<optim::AdamW>("AdamW, large eps", optim::AdamWOptions{.lr = 1e-1, .eps = .1}, bounded),
      trainer<optim::Adamax>("Adamax", optim::AdamaxOptions{.lr = 1e-2}, bounded),
      trainer<optim::Adamax>("Adamax, decay", optim::AdamaxOptions{.lr = 1e-2, .eps = 1e-3, .weight_decay = .05},
                             replayed),
      trainer<optim::NAdam>("NAdam", optim::NAdamOptions{.lr = 1e-2}, bounded),
      trainer<optim::NAdam>("NAdam, decay", optim::NAdamOptions{.lr = 1e-2, .eps = 1e-3, .weight_decay = .05},
                            replayed),
      trainer<optim::RAdam>("RAdam", optim::RAdamOptions{.lr = 1e-2}, bounded),
      trainer<optim::RAdam>("RAdam, decay", optim::RAdamOptions{.lr = 1e-2, .eps = 1e-3, .weight_decay = .05},
                            replayed),
      trainer<optim::Adagrad>("Adagrad", optim::AdagradOptions{.lr = .1, .lr_decay = 1e-2}, replayed),
      trainer<optim::Adagrad>("Adagrad, decay", optim::AdagradOptions{.lr = .1, .weight_decay = .05}, replayed),
      trainer<optim::RowwiseAdagrad>("RowwiseAdagrad", optim::RowwiseAdagradOptions{.lr = .1}, replayed),
      trainer<optim::RowwiseAdagrad>("RowwiseAdagrad, decay",
                                     optim::RowwiseAdagradOptions{.lr = .1, .weight_decay = .05}, bounded),
      trainer<optim::RMSprop>("RMSprop", optim::RMSpropOptions{.lr = 1e-2, .alpha = .9}, bounded),
      trainer<optim::RMSprop>("RMSprop, momentum", optim::RMSpropOptions{.lr = 1e-2, .momentum = .9}, closed),
      trainer<optim::RMSprop>("RMSprop, centered", optim::RMSpropOptions{.lr = 1e-2, .eps = 1e-3, .centered = true},
                              bounded),
      trainer<optim::RMSprop>("RMSprop, decay",
                              optim::RMSpropOptions{.lr = 1e-2, .eps = 1e-2, .weight_decay = .05, .momentum = .5},
                              replayed),
      trainer<optim::Lion>("Lion", optim::LionOptions{.lr = 1e-3}, closed),
      trainer<optim::Lion>("Lion, decay", optim::LionOptions{.lr = 1e-3, .weight_decay = .1}, closed)};
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(exact)

// Section "test oracles" of the mathematics, 1: float64 beside dense float64, over 600 steps.
BOOST_AUTO_TEST_CASE(every_rule_in_float64) {
  const Regression task({});
  is_a_speed_switch([&](const Trainer& trainer, bool sparse) { return trained(task, trainer, 600, sparse); },
                    all_rules());
}

BOOST_AUTO_TEST_SUITE_END()

// What the test of every rule asks: the three modes, and how close exact updates come to dense training.
#pragma once

#include <embergrad/error.hpp>

#include "nn/says.hpp"
#include "optim/exact_support.hpp"
#include "support/compare.hpp"

namespace embergrad::test {

// Sparse and dense training agree, in float64 over 600 steps of a schedule; as dense updates they have the same bits;
// and where idle rows stand still, they do.
inline void check_modes(const Trainer& trainer) {
  BOOST_TEST_CONTEXT(trainer.name) {
    const Regression task({});
    const Tensor dense = trained(task, trainer, 600, false);
    BOOST_TEST(near(trainer.name, trained(task, trainer, 600, true), dense, trainer.closeness));

    const auto in_mode = [&](optim::Updates updates) {
      Trainer same = trainer;
      same.make = [&trainer, updates](const auto& parameters) {
        auto optimizer = trainer.make(parameters);
        optimizer->set_updates(0, updates);
        return optimizer;
      };
      return same;
    };
    BOOST_TEST(near("as dense", trained(task, in_mode(optim::Updates::dense), 60, true),
                    trained(task, trainer, 60, false), replayed));

    Tensor table = leaf(full({3, 2}, .5, {DType::float64, {}}));
    const auto optimizer = in_mode(optim::Updates::touched_only).make({table});
    const auto step = [&](std::int64_t row) {
      table.set_grad(RowSparse::from_rows(tensor({row}), ones({1, 2}, {DType::float64, {}}), 3));
      optimizer->step();
    };
    step(1);
    const Tensor once = table.detach().clone();
    BOOST_TEST(!equal_to("touched", once[1], full({2}, .5, {DType::float64, {}})));
    for (int i = 0; i < 5; ++i) step(2);
    BOOST_TEST(equal_to("touched once", table[1].detach(), once[1]));
    BOOST_TEST(equal_to("never touched", table[0].detach(), full({2}, .5, {DType::float64, {}})));
  }
}

// Options that construction and set_options refuse, and what they say.
template <class Optimizer, class Options>
void check_refused(const Options& options, const std::vector<std::string>& parts) {
  const Tensor p = leaf(ones({2, 3}));
  BOOST_CHECK_EXCEPTION(Optimizer({p}, options), ValueError, says(parts));
  Optimizer good({p});
  const double lr = good.lr();
  BOOST_CHECK_EXCEPTION(good.set_options(0, options), ValueError, says(parts));
  BOOST_TEST(good.lr() == lr);
}

}  // namespace embergrad::test

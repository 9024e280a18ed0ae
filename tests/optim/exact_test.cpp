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

// What rows of zeros have moved by when they were idle for `count` steps after step number `after`: one row for each
// root of v, in units of eps, columns m > 0 and m < 0.
const std::vector<double> roots{0, 1e-6, 1e-4, 1e-2, .1, .3, 1, 3, 10, 1e2, 1e4, 1e6, 1e8};

Tensor moves(const optim::AdamWOptions& options, eg::DType dtype, std::int64_t after, std::int64_t count, bool sparse) {
  const auto rows = static_cast<std::int64_t>(roots.size());
  std::vector<double> m;
  std::vector<double> v;
  for (const double root : roots) {
    for (const double sign : {1.0, -1.0}) {
      m.push_back(sign * std::max(root, 1e-6) * options.eps);
      v.push_back(root * root * options.eps * options.eps);
    }
  }
  Tensor table = leaf(eg::zeros({rows, 2}, {dtype, {}}));
  optim::AdamW optimizer({table}, options);
  const auto step = [&] {
    table.set_grad(sparse ? no_rows(table) : eg::Gradient(eg::zeros({rows, 2}, {dtype, {}})));
    optimizer.step();
  };
  step();
  eg::StateDict state;
  for (const auto& [name, tensor] : optimizer.state_dict()) state.set(name, tensor);
  state.set("state.0.step", eg::tensor(static_cast<float>(after)));
  state.set("state.0.exp_avg", eg::tensor(m, {rows, 2}).to(dtype));
  for (const char* name : {"state.0.exp_avg_sq", "state.0.max_exp_avg_sq"}) {
    if (state.contains(name)) state.set(name, eg::tensor(v, {rows, 2}).to(dtype));
  }
  optimizer.load_state_dict(state);
  for (std::int64_t i = 0; i < count; ++i) step();
  return table.detach().clone();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(exact)

// Section "test oracles" of the mathematics, 1: float64 beside dense float64, over 600 steps.
BOOST_AUTO_TEST_CASE(every_rule_in_float64) {
  const Regression task({});
  is_a_speed_switch([&](const Trainer& trainer, bool sparse) { return trained(task, trainer, 600, sparse); },
                    all_rules());
}

// 2: float32 beside dense float64, over 2,000 steps.
BOOST_AUTO_TEST_CASE(float32_over_2000_steps) {
  const Regression task({.rows = 2000, .dim = 8, .batch = 64, .exponent = 1.2});
  const Regression narrow({.rows = 2000, .dim = 8, .batch = 64, .exponent = 1.2, .dtype = eg::DType::float32});
  const std::vector<Trainer> trainers{
      trainer<optim::SGD>("SGD", optim::SGDOptions{.lr = .1, .momentum = .9, .weight_decay = 1e-4}, closed),
      trainer<optim::SGD>("SGD, nesterov",
                          optim::SGDOptions{.lr = .1, .momentum = .9, .weight_decay = 1e-3, .nesterov = true}, closed),
      trainer<optim::Adam>("Adam", optim::AdamOptions{.lr = 1e-2}, bounded),
      trainer<optim::AdamW>("AdamW", optim::AdamWOptions{.lr = 1e-2, .weight_decay = .1}, bounded),
      trainer<optim::AdamW>("AdamW, .9 .98",
                            optim::AdamWOptions{.lr = 1e-2, .betas = {.9, .98}, .eps = 1e-6, .weight_decay = .01},
                            bounded)};
  for (const Trainer& trainer : trainers) {
    const Tensor dense = trained(task, trainer, 2000, false);
    const Distance found = distance(trained(narrow, trainer, 2000, true), dense);
    BOOST_TEST_MESSAGE(trainer.name << ": float32 max " << found.max << ", mean " << found.mean);
    BOOST_TEST(found.max <= 2e-4, trainer.name << ": max " << found.max);
    BOOST_TEST(found.mean <= 1e-6, trainer.name << ": mean " << found.mean);
  }
}

// 3: one span, from and to anywhere, whatever v is beside eps. Along rows of zeros the move shows without rounding.
BOOST_AUTO_TEST_CASE(single_spans_of_adam) {
  using optim::AdamWOptions;
  for (const AdamWOptions& options :
       {AdamWOptions{.lr = 1e-3}, AdamWOptions{.lr = 1e-3, .betas = {.9, .98}, .eps = 1e-6, .weight_decay = .1},
        AdamWOptions{.lr = 1e-3, .betas = {.9, .95}, .weight_decay = 0}, AdamWOptions{.lr = 1e-3, .amsgrad = true},
        AdamWOptions{.lr = 1e-3, .betas = {.99, .999}}}) {
    for (const std::int64_t after : {1, 2, 5, 30, 1000}) {
      for (const std::int64_t count : {1, 2, 10, 300, 5000}) {
        const Tensor dense = moves(options, eg::DType::float64, after, count, false);
        const std::vector<double> expected = dense.to_vector<double>();
        for (const auto& [dtype, allowed] : {std::pair(eg::DType::float32, 2e-6), {eg::DType::float64, 2e-11}}) {
          const std::vector<double> got = moves(options, dtype, after, count, true).to_vector<double>();
          for (std::size_t i = 0; i < got.size(); ++i) {
            const double error = std::abs(got[i] - expected[i]);
            BOOST_TEST(error <= allowed * (after == 1 ? 5 : 1) * std::abs(expected[i]) + 1e-37,
                       "betas " << options.betas.beta1 << ' ' << options.betas.beta2 << ", " << eg::name_of(dtype)
                                << ", " << count << " steps after " << after << ", root " << roots[i / 2]
                                << ": relative error " << error / std::abs(expected[i]));
          }
        }
      }
    }
  }
}

// 4: bringing rows up to date more often changes rounding alone; looking them up changes nothing at all.
BOOST_AUTO_TEST_CASE(settling_is_a_matter_of_rounding_and_reading_of_nothing) {
  const Regression task({});
  for (const Trainer& trainer : one_of_each_kind()) {
    const Tensor straight = trained(task, trainer, 300, true);
    const Hook settle = [](optim::Optimizer& optimizer, std::int64_t step) {
      if (step % 7 == 3) optimizer.settle_all();
      if (step % 21 == 3) optimizer.settle_all();  // and again
    };
    BOOST_TEST(near(trainer.name, trained(task, trainer, 300, true, settle), straight, trainer.closeness));
    const Hook look = [](optim::Optimizer& optimizer, std::int64_t step) {
      const eg::NoGrad guard;
      const Tensor table = optimizer.parameters()[0];
      static_cast<void>(eg::embedding(eg::arange(step % 2 == 0 ? table.size(0) : 3), table));
      static_cast<void>(eg::gather_rows(table, eg::tensor({step % table.size(0)})));
    };
    BOOST_TEST(same_bits(trainer.name, trained(task, trainer, 300, true, look), straight));
  }
}

// What a recorded lookup made of its rows the step takes over: the same bits as if it had made them itself.
BOOST_AUTO_TEST_CASE(steps_after_lookups) {
  for (const Trainer& trainer : all_rules()) {
    const auto run = [&](bool looks_up) {
      Tensor table = task().table();
      const auto optimizer = trainer.make({table});
      for (std::int64_t step = 0; step < 80; ++step) {
        const Tensor ids = task().ids(step);
        const Tensor others = task().ids(step + 1);
        if (looks_up && step % 4 != 0) static_cast<void>(eg::embedding(ids, table));
        if (looks_up && step % 4 > 1) static_cast<void>(eg::embedding(others, table));  // the last one is remembered
        Draw draw(static_cast<std::uint64_t>(step));
        const Tensor values = draw.uniform({ids.size(0), table.size(1)}, eg::DType::float64);
        table.set_grad(eg::RowSparse::from_rows(ids, values, table.size(0)));
        optimizer->step();
      }
      return table.detach().clone();
    };
    BOOST_TEST(same_bits(trainer.name, run(true), run(false)));
  }
}

// 5: learning rates that start at 0, rest and move with the momentum.
BOOST_AUTO_TEST_CASE(schedules) {
  const Regression task({});
  is_a_speed_switch([&](const Trainer& trainer, bool sparse) {
    return trained(task, trainer, 600, sparse, [&](optim::Optimizer& optimizer, std::int64_t step) {
      if (step > 100 && step <= 500) optimizer.set_lr(0);
    });
  });
  is_a_speed_switch([&](const Trainer& trainer, bool sparse) {
    Tensor table = task.table();
    const auto optimizer = trainer.make({table});
    optim::OneCycleLR schedule(*optimizer, {.max_lr = 2 * optimizer->lr(), .total_steps = 400});
    for (std::int64_t step = 0; step < 400; ++step) {
      optimizer->zero_grad();
      task.backward(table, step, sparse);
      optimizer->step();
      schedule.step();
    }
    return table.detach().clone();
  });
}

// Options that change on the way, and what they were for each step of an idle row's time.
BOOST_AUTO_TEST_CASE(options_change_on_the_way) {
  const Regression task({});
  const auto with = [&](const Hook& hook) {
    return [&task, hook](const Trainer& trainer, bool sparse) { return trained(task, trainer, 500, sparse, hook); };
  };
  const auto sgd = [&](const char* name, const optim::SGDOptions& options, const auto& body) {
    const Hook hook = [&](optim::Optimizer& optimizer, std::int64_t step) {
      change<optim::SGD>(optimizer, [&](optim::SGDOptions& changed) { body(changed, step); });
    };
    is_a_speed_switch(with(hook), {trainer<optim::SGD>(name, options, closed)});
  };
  sgd("momentum", {.lr = .1}, [](optim::SGDOptions& options, std::int64_t step) {
    options.momentum = step >= 50 && step < 300 ? .9 : 0;
    options.dampening = .5;
  });
  sgd("decay and nesterov", {.lr = .1, .momentum = .9}, [](optim::SGDOptions& options, std::int64_t step) {
    options.weight_decay = step >= 50 && step < 300 ? .1 : 0;
    options.momentum = step % 100 < 60 ? .9 : .5;
    options.nesterov = step % 90 < 30;
    options.maximize = step % 70 > 65;
  });
  // lr · weight_decay over 1: w changes its sign.
  sgd("decay that turns signs", {.lr = .1, .momentum = .5},
      [](optim::SGDOptions& options, std::int64_t step) { options.weight_decay = step == 200 ? 25 : .01; });

  const auto adamw = [&](const char* name, const optim::AdamWOptions& options, const auto& body) {
    const Hook hook = [&](optim::Optimizer& optimizer, std::int64_t step) {
      change<optim::AdamW>(optimizer, [&](optim::AdamWOptions& changed) { body(changed, step); });
    };
    is_a_speed_switch(with(hook), {trainer<optim::AdamW>(name, options, bounded)});
  };
  adamw("betas and decay", {.lr = 1e-2}, [](optim::AdamWOptions& options, std::int64_t step) {
    options.weight_decay = step >= 50 && step < 300 ? .2 : 0;
    options.betas.beta1 = .85 + .0002 * static_cast<double>(step);
    options.betas.beta2 = step < 250 ? .999 : .99;
    options.maximize = step % 70 > 65;
  });
  adamw("eps and amsgrad", {.lr = 1e-2}, [](optim::AdamWOptions& options, std::int64_t step) {
    options.eps = step < 150 ? 1e-8 : step < 350 ? 1e-2 : 1e-5;
    options.amsgrad = step >= 250 || (step >= 60 && step < 120);
  });
  adamw("AdamW's decay that turns signs", {.lr = 1e-2},
        [](optim::AdamWOptions& options, std::int64_t step) { options.weight_decay = step % 100 == 50 ? 150 : 1e-2; });

  const Hook decay = [](optim::Optimizer& optimizer, std::int64_t step) {
    change<optim::Adam>(optimizer,
                        [&](optim::AdamOptions& options) { options.weight_decay = step % 200 < 100 ? 0 : .1; });
  };
  is_a_speed_switch(with(decay), {trainer<optim::Adam>("Adam", optim::AdamOptions{.lr = 1e-2, .eps = 1e-3}, bounded)});
  const Hook both = [](optim::Optimizer& optimizer, std::int64_t step) {
    change<optim::Adagrad>(optimizer, [&](optim::AdagradOptions& options) {
      options.weight_decay = step % 200 < 100 ? 0 : .1;
      options.lr_decay = step < 250 ? 0 : 1e-2;
    });
  };
  is_a_speed_switch(with(both), {trainer<optim::Adagrad>("Adagrad", optim::AdagradOptions{.lr = .1}, replayed)});
}

BOOST_AUTO_TEST_SUITE_END()

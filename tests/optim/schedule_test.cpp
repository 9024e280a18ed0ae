#include <embergrad/optim/schedule.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/safetensors.hpp>

#include "nn/says.hpp"
#include "optim/optim_support.hpp"
#include "support/compare.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::StateDict;
using eg::Tensor;
using eg::test::leaf;
using eg::test::says;
using optim::Adam;
using optim::CosineAnnealingLR;
using optim::ExponentialLR;
using optim::LambdaLR;
using optim::LinearLR;
using optim::LRScheduler;
using optim::MultiStepLR;
using optim::OneCycleLR;
using optim::ReduceLROnPlateau;
using optim::SequentialLR;
using optim::SGD;
using optim::StepLR;

namespace {

const double nan_metric = std::numeric_limits<double>::quiet_NaN();
const std::vector<double> metrics{1.0,     0.8,        0.80001, 0.9, 0.79, 0.85, 0.85, 0.85, 0.85, 0.2, 0.3, 0.3,
                                  0.19999, nan_metric, 0.4,     0.4, 0.4,  0.1,  0.1,  0.1,  0.1,  0.1, 0.1, 0.1};

Tensor one() { return leaf(eg::zeros({1})); }

// An optimizer of three groups and the schedulers that a case has.
struct Run {
  std::unique_ptr<SGD> sgd;
  std::unique_ptr<Adam> adam;
  std::deque<std::unique_ptr<LRScheduler>> all;
  std::vector<LRScheduler*> stepped;

  explicit Run(bool with_adam) {
    const std::vector<double> lrs{0.1, 0.01, 0.5};
    std::vector<SGD::Group> sgd_groups;
    std::vector<Adam::Group> adam_groups;
    for (const double lr : lrs) {
      sgd_groups.push_back({.params = {one()}, .options = {.lr = lr, .momentum = 0.9}});
      adam_groups.push_back({.params = {one()}, .options = {.lr = lr}});
    }
    if (with_adam) {
      adam = std::make_unique<Adam>(adam_groups);
    } else {
      sgd = std::make_unique<SGD>(sgd_groups);
    }
  }
  optim::Optimizer& optimizer() { return adam ? static_cast<optim::Optimizer&>(*adam) : *sgd; }
  double momentum(std::size_t group) const {
    return adam ? adam->options(group).betas.beta1 : sgd->options(group).momentum;
  }

  template <class Scheduler, class... Arguments>
  LRScheduler* make(Arguments&&... arguments) {
    all.push_back(std::make_unique<Scheduler>(optimizer(), std::forward<Arguments>(arguments)...));
    return all.back().get();
  }
  // A scheduler whose step is called.
  template <class Scheduler, class... Arguments>
  Run& with(Arguments&&... arguments) {
    stepped.push_back(make<Scheduler>(std::forward<Arguments>(arguments)...));
    return *this;
  }
  void step(std::size_t call) {
    for (LRScheduler* scheduler : stepped) {
      if (auto* plateau = dynamic_cast<ReduceLROnPlateau*>(scheduler)) {
        plateau->step(metrics.at(call));
      } else {
        scheduler->step();
      }
    }
  }
};

using Maker = std::function<void(Run&)>;

// Every case of tests/golden/schedules.py.
const std::map<std::string, Maker>& cases() {
  using optim::AnnealStrategy;
  using optim::PlateauMode;
  using optim::ThresholdMode;
  using LinearO = optim::LinearLROptions;
  using StepO = optim::StepLROptions;
  using MultiO = optim::MultiStepLROptions;
  using CosineO = optim::CosineAnnealingLROptions;
  using ExpO = optim::ExponentialLROptions;
  using CycleO = optim::OneCycleLROptions;
  using PlateauO = optim::ReduceLROnPlateauOptions;
  using Milestones = std::vector<std::int64_t>;
  using Schedulers = std::vector<LRScheduler*>;
  const auto powers_of = [](double base) {
    return optim::LRLambda([base](std::int64_t e) { return std::pow(base, static_cast<double>(e)); });
  };
  static const std::map<std::string, Maker> all{
      {"step", [](Run& r) { r.with<StepLR>(StepO{.step_size = 3, .gamma = 0.5}); }},
      {"step_defaults", [](Run& r) { r.with<StepLR>(StepO{.step_size = 4}); }},
      {"step_changed", [](Run& r) { r.with<StepLR>(StepO{.step_size = 3, .gamma = 0.7}); }},
      {"multi_step",
       [](Run& r) {
         r.with<MultiStepLR>(MultiO{.milestones = {5, 2, 9, 5}, .gamma = 0.3});
       }},
      {"multi_step_from_0",
       [](Run& r) {
         r.with<MultiStepLR>(MultiO{.milestones = {0, 3}});
       }},
      {"exponential", [](Run& r) { r.with<ExponentialLR>(ExpO{.gamma = 0.93}); }},
      {"linear", [](Run& r) { r.with<LinearLR>(); }},
      {"linear_to_0", [](Run& r) { r.with<LinearLR>(LinearO{.start_factor = 1, .end_factor = 0, .total_iters = 7}); }},
      {"linear_up",
       [](Run& r) { r.with<LinearLR>(LinearO{.start_factor = 0.25, .end_factor = 0.5, .total_iters = 4}); }},
      {"cosine", [](Run& r) { r.with<CosineAnnealingLR>(CosineO{.T_max = 7, .eta_min = 1e-3}); }},
      {"cosine_short", [](Run& r) { r.with<CosineAnnealingLR>(CosineO{.T_max = 1}); }},
      {"cosine_changed", [](Run& r) { r.with<CosineAnnealingLR>(CosineO{.T_max = 5}); }},
      {"one_cycle", [](Run& r) { r.with<OneCycleLR>(CycleO{.max_lr = 0.2, .total_steps = 20}); }},
      {"one_cycle_adam",
       [](Run& r) {
         r.with<OneCycleLR>(CycleO{.max_lr = {0.3, 0.03, 0.003},
                                   .epochs = 3,
                                   .steps_per_epoch = 5,
                                   .pct_start = 0.4,
                                   .base_momentum = {0.8, 0.7, 0.6},
                                   .max_momentum = {0.99, 0.9, 0.95},
                                   .div_factor = 10,
                                   .final_div_factor = 50});
       }},
      {"one_cycle_linear",
       [](Run& r) {
         r.with<OneCycleLR>(CycleO{.max_lr = 0.2, .total_steps = 17, .anneal_strategy = AnnealStrategy::linear});
       }},
      {"one_cycle_three",
       [](Run& r) {
         r.with<OneCycleLR>(CycleO{.max_lr = 0.2, .total_steps = 23, .pct_start = 0.25, .three_phase = true});
       }},
      {"one_cycle_three_linear",
       [](Run& r) {
         r.with<OneCycleLR>(CycleO{.max_lr = 0.2,
                                   .total_steps = 23,
                                   .anneal_strategy = AnnealStrategy::linear,
                                   .cycle_momentum = false,
                                   .three_phase = true});
       }},
      {"one_cycle_from_top",
       [](Run& r) { r.with<OneCycleLR>(CycleO{.max_lr = 0.2, .total_steps = 6, .pct_start = 0}); }},
      {"lambda", [=](Run& r) { r.with<LambdaLR>(powers_of(0.95)); }},
      {"lambda_list",
       [](Run& r) {
         r.with<LambdaLR>(std::vector<optim::LRLambda>{[](std::int64_t e) { return 1 / static_cast<double>(1 + e); },
                                                       [](std::int64_t e) { return static_cast<double>(e) * 0.5; },
                                                       [](std::int64_t) { return 1.0; }});
       }},
      {"plateau", [](Run& r) { r.with<ReduceLROnPlateau>(PlateauO{.patience = 2}); }},
      {"plateau_max",
       [](Run& r) {
         r.with<ReduceLROnPlateau>(PlateauO{.mode = PlateauMode::max, .factor = 0.5, .patience = 1, .threshold = 0.01});
       }},
      {"plateau_abs",
       [](Run& r) {
         r.with<ReduceLROnPlateau>(PlateauO{
             .factor = 0.3, .patience = 1, .threshold = 0.02, .threshold_mode = ThresholdMode::abs, .cooldown = 2});
       }},
      {"plateau_max_abs",
       [](Run& r) {
         r.with<ReduceLROnPlateau>(PlateauO{.mode = PlateauMode::max,
                                            .patience = 0,
                                            .threshold_mode = ThresholdMode::abs,
                                            .min_lr = {1e-3, 2e-3, 3e-3}});
       }},
      {"plateau_floor",
       [](Run& r) { r.with<ReduceLROnPlateau>(PlateauO{.factor = 0.9, .patience = 0, .min_lr = 0.005, .eps = 0.01}); }},
      {"chain_exponential_step",
       [](Run& r) { r.with<ExponentialLR>(ExpO{.gamma = 0.9}).with<StepLR>(StepO{.step_size = 2, .gamma = 0.5}); }},
      {"chain_linear_multi",
       [](Run& r) {
         r.with<LinearLR>(LinearO{.total_iters = 4}).with<MultiStepLR>(MultiO{.milestones = {3, 6}, .gamma = 0.2});
       }},
      {"chain_cosine_exponential",
       [](Run& r) { r.with<CosineAnnealingLR>(CosineO{.T_max = 6}).with<ExponentialLR>(ExpO{.gamma = 0.9}); }},
      {"chain_plateau",
       [](Run& r) { r.with<ExponentialLR>(ExpO{.gamma = 0.99}).with<ReduceLROnPlateau>(PlateauO{.patience = 1}); }},
      {"sequence_warmup",
       [](Run& r) {
         auto* warmup = r.make<LinearLR>(LinearO{.start_factor = 0.1, .total_iters = 4});
         auto* cosine = r.make<CosineAnnealingLR>(CosineO{.T_max = 9, .eta_min = 1e-4});
         r.with<SequentialLR>(Schedulers{warmup, cosine}, Milestones{4});
       }},
      {"sequence_many",
       [=](Run& r) {
         auto* first = r.make<ExponentialLR>(ExpO{.gamma = 0.8});
         auto* second = r.make<StepLR>(StepO{.step_size = 2, .gamma = 0.5});
         auto* third = r.make<LinearLR>(LinearO{.start_factor = 0.5});
         auto* fourth = r.make<MultiStepLR>(MultiO{.milestones = {0, 2}, .gamma = 0.5});
         auto* fifth = r.make<LambdaLR>(powers_of(0.7));
         r.with<SequentialLR>(Schedulers{first, second, third, fourth, fifth}, Milestones{3, 8, 10, 14});
       }},
      {"sequence_one_cycle",
       [](Run& r) {
         auto* warmup = r.make<LinearLR>(LinearO{.start_factor = 0.1, .total_iters = 3});
         auto* cycle = r.make<OneCycleLR>(CycleO{.max_lr = 0.4, .total_steps = 9});
         r.with<SequentialLR>(Schedulers{warmup, cycle}, Milestones{3});
       }},
      {"sequence_cosine_first",
       [](Run& r) {
         auto* cosine = r.make<CosineAnnealingLR>(CosineO{.T_max = 3});
         auto* exponential = r.make<ExponentialLR>(ExpO{.gamma = 0.5});
         r.with<SequentialLR>(Schedulers{cosine, exponential}, Milestones{5});
       }},
      {"sequence_from_0",
       [](Run& r) {
         auto* linear = r.make<LinearLR>();
         auto* exponential = r.make<ExponentialLR>(ExpO{.gamma = 0.5});
         r.with<SequentialLR>(Schedulers{linear, exponential}, Milestones{0});
       }},
      {"sequence_skips",
       [](Run& r) {
         auto* step = r.make<StepLR>(StepO{.step_size = 2});
         auto* linear = r.make<LinearLR>();
         auto* exponential = r.make<ExponentialLR>(ExpO{.gamma = 0.5});
         r.with<SequentialLR>(Schedulers{step, linear, exponential}, Milestones{3, 3});
       }},
      {"sequence_and_exponential",
       [](Run& r) {
         auto* linear = r.make<LinearLR>();
         auto* cosine = r.make<CosineAnnealingLR>(CosineO{.T_max = 4});
         r.with<SequentialLR>(Schedulers{linear, cosine}, Milestones{5});
         r.with<ExponentialLR>(ExpO{.gamma = 0.9});
       }},
  };
  return all;
}

const StateDict& golden() {
  static const StateDict numbers = eg::load(std::string(EMBERGRAD_TEST_GOLDEN) + "/schedules.safetensors").tensors;
  return numbers;
}

bool uses_adam(const std::string& name) { return name == "one_cycle_adam" || name == "one_cycle_three_linear"; }

// Somebody changes a learning rate between two steps.
void disturb(const std::string& name, std::size_t call, optim::Optimizer& optimizer) {
  const std::map<std::string, std::size_t> when{{"step_changed", 4}, {"linear_up", 1}, {"cosine_changed", 3}};
  if (const auto place = when.find(name); place != when.end() && place->second == call) optimizer.set_lr(0.3, 1);
}

// Cosines of another C library may differ in the last place, all else is arithmetic.
void check_rate(double got, double expected, bool exactly) {
  BOOST_TEST((exactly ? got == expected : std::abs(got - expected) <= 1e-14 * std::abs(expected) + 1e-18),
             got << " instead of " << expected);
}

void refused(const std::function<void()>& call, const std::vector<std::string>& parts) {
  BOOST_CHECK_EXCEPTION(call(), eg::ValueError, says(parts));
}

StateDict with(const StateDict& state, const std::string& name, const Tensor& tensor) {
  StateDict result;
  for (const auto& [key, value] : state) result.set(key, value);
  result.set(name, tensor);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedule)

// PyTorch 2.15.
BOOST_AUTO_TEST_CASE(numbers_of_pytorch) {
  BOOST_TEST(golden().size() == 2 * cases().size());
  for (const auto& [name, make] : cases()) {
    BOOST_TEST_CONTEXT(name) {
      const Tensor& lrs = golden().at(name + ".lr");
      const Tensor& momenta = golden().at(name + ".momentum");
      const bool exactly = name.find("cosine") == std::string::npos && name.find("cycle") == std::string::npos &&
                           name.find("warmup") == std::string::npos && name != "sequence_and_exponential";
      Run run(uses_adam(name));
      make(run);
      for (std::int64_t call = 0; call < lrs.size(0); ++call) {
        BOOST_TEST_CONTEXT("call " << call) {
          if (call > 0) {
            disturb(name, static_cast<std::size_t>(call - 1), run.optimizer());
            run.step(static_cast<std::size_t>(call - 1));
          }
          for (std::int64_t group = 0; group < 3; ++group) {
            const auto g = static_cast<std::size_t>(group);
            check_rate(run.optimizer().lr(g), lrs.at({call, group}), exactly);
            check_rate(run.momentum(g), momenta.at({call, group}), exactly);
            if (!run.stepped.empty()) BOOST_TEST(run.stepped.back()->get_last_lr()[g] == run.optimizer().lr(g));
          }
          for (const LRScheduler* scheduler : run.stepped) BOOST_TEST(scheduler->last_epoch() == call);
        }
      }
    }
  }
}

// Stopped after any number of calls, saved, and taken over by newly made schedulers.
BOOST_AUTO_TEST_CASE(saved_and_loaded_goes_on_as_if_never_stopped) {
  const eg::test::TemporaryDirectory directory;
  for (const auto& [name, make] : cases()) {
    const auto calls = static_cast<std::size_t>(golden().at(name + ".lr").size(0) - 1);
    for (std::size_t stop = 0; stop < calls; stop += 1 + calls / 5) {
      BOOST_TEST_CONTEXT(name << " stopped after " << stop) {
        Run straight(uses_adam(name));
        make(straight);
        Run stopped(uses_adam(name));
        make(stopped);
        for (std::size_t call = 0; call < stop; ++call) {
          straight.step(call);
          stopped.step(call);
        }
        Run resumed(uses_adam(name));
        make(resumed);
        eg::save(directory / "optimizer", stopped.optimizer().state_dict());
        resumed.optimizer().load_state_dict(eg::load(directory / "optimizer").tensors);
        for (std::size_t i = 0; i < stopped.stepped.size(); ++i) {
          eg::save(directory / "scheduler", stopped.stepped[i]->state_dict());
          resumed.stepped[i]->load_state_dict(eg::load(directory / "scheduler").tensors);
          BOOST_TEST(resumed.stepped[i]->get_last_lr() == stopped.stepped[i]->get_last_lr());
        }
        for (std::size_t call = stop; call < calls; ++call) {
          straight.step(call);
          resumed.step(call);
          for (std::size_t g = 0; g < 3; ++g) {
            BOOST_TEST(resumed.optimizer().lr(g) == straight.optimizer().lr(g));
            BOOST_TEST(resumed.momentum(g) == straight.momentum(g));
          }
        }
        for (std::size_t i = 0; i < straight.stepped.size(); ++i) {
          const StateDict a = straight.stepped[i]->state_dict();
          const StateDict b = resumed.stepped[i]->state_dict();
          BOOST_REQUIRE(a.size() == b.size());
          for (const auto& [key, value] : a) BOOST_TEST(eg::test::equal_to(key, b.at(key), value));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_learning_rate_acts_at_the_next_step) {
  Tensor w = leaf(eg::ones({1}, {eg::DType::float64, {}}));
  SGD optimizer({w}, {.lr = 1});
  ExponentialLR scheduler(optimizer, {.gamma = 0.5});
  w.set_grad(eg::ones({1}, {eg::DType::float64, {}}));
  for (const double expected : {0.0, -0.5, -0.75, -0.875}) {
    optimizer.step();
    scheduler.step();
    BOOST_TEST(w.item() == expected);
  }
  BOOST_TEST(optimizer.options().lr == scheduler.get_last_lr()[0]);
  BOOST_TEST(optimizer.initial_lr().value() == 1);
}

BOOST_AUTO_TEST_CASE(the_state_has_pytorchs_names) {
  SGD optimizer({one()}, {.lr = 0.5});
  BOOST_TEST(!optimizer.initial_lr().has_value());
  StepLR scheduler(optimizer, {.step_size = 7});
  scheduler.step();
  const StateDict state = scheduler.state_dict();
  BOOST_TEST(state.at("scheduler.StepLR").item() == 1);
  BOOST_TEST(state.at("step_size").item() == 7);
  BOOST_TEST(state.at("gamma").item() == 0.1);
  BOOST_TEST(state.at("last_epoch").item() == 1);
  BOOST_TEST(state.at("base_lrs").at({0}) == 0.5);
  BOOST_TEST(optimizer.state_dict().at("param_groups.0.initial_lr").item() == 0.5);
  // Options are part of the state, as in PyTorch.
  StepLR other(optimizer, {.step_size = 3, .gamma = 0.9});
  other.load_state_dict(state);
  BOOST_TEST(other.state_dict().at("step_size").item() == 7);
}

BOOST_AUTO_TEST_CASE(load_lists_what_does_not_fit_and_changes_nothing) {
  SGD optimizer({{.params = {one()}}, {.params = {one()}}});
  StepLR step(optimizer, {.step_size = 2});
  ExponentialLR exponential(optimizer, {.gamma = 0.5});
  SequentialLR sequence(optimizer, {&step, &exponential}, {3});
  sequence.step();
  const StateDict before = sequence.state_dict();
  const auto is_refused = [&](const StateDict& state, const std::vector<std::string>& parts) {
    refused([&] { sequence.load_state_dict(state); }, parts);
    for (const auto& [key, value] : sequence.state_dict()) BOOST_TEST(eg::test::equal_to(key, value, before.at(key)));
  };
  is_refused(step.state_dict(), {"SequentialLR: load_state_dict", "of StepLR, not of SequentialLR"});
  is_refused(StateDict(), {"of no scheduler"});
  is_refused(with(before, "scheduler.SequentialLR", eg::tensor(2)), {"scheduler.SequentialLR must be 1", "2"});
  is_refused(with(before, "more", eg::tensor(2)), {"more is unexpected"});
  is_refused(with(before, "last_epoch", eg::tensor(2.0)), {"last_epoch must be one int64", "float32"});
  is_refused(with(before, "base_lrs", eg::tensor({0.5}, {eg::DType::float64, {}})), {"base_lrs", "2 groups", "has 1"});
  is_refused(with(before, "schedulers.0.step_size", eg::tensor(0)), {"scheduler 0: step_size", "is 0"});
  is_refused(with(before, "schedulers.1.gamma", eg::tensor(-1.0, {eg::DType::float64, {}})), {"scheduler 1: gamma"});
  is_refused(with(before, "schedulers.1.last_epoch", eg::tensor(std::numeric_limits<std::int64_t>::max())),
             {"scheduler 1: last_epoch"});
  is_refused(with(before, "milestones", eg::tensor({3, 4})), {"one milestone less", "2 and 2"});
  StateDict fewer;
  for (const auto& [key, value] : before) {
    if (key != "schedulers.1.scheduler.ExponentialLR" && key != "schedulers.0.gamma") fewer.set(key, value);
  }
  is_refused(fewer, {"schedulers.1.scheduler.ExponentialLR is missing", "schedulers.0.gamma is missing"});
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  SGD o({{.params = {one()}, .options = {.lr = 0.5}}, {.params = {one()}, .options = {.lr = 0.25}}});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refused([&] { StepLR(o, {.step_size = 0}); }, {"StepLR", "step_size", "0"});
  refused([&] { StepLR(o, {.step_size = 1, .gamma = -1}); }, {"gamma", "-1"});
  refused([&] { MultiStepLR(o, {.milestones = {3, -2}}); }, {"MultiStepLR", "milestones", "-2"});
  refused([&] { MultiStepLR(o, {.milestones = {3}, .gamma = nan}); }, {"gamma", "nan"});
  refused([&] { ExponentialLR(o, {.gamma = nan}); }, {"ExponentialLR", "gamma", "nan"});
  refused([&] { LinearLR(o, {.start_factor = 0}); }, {"LinearLR", "start_factor", "(0, 1]"});
  refused([&] { LinearLR(o, {.start_factor = 1.5}); }, {"start_factor", "1.5"});
  refused([&] { LinearLR(o, {.end_factor = -0.5}); }, {"end_factor", "[0, 1]"});
  refused([&] { LinearLR(o, {.total_iters = 0}); }, {"total_iters", "0"});
  refused([&] { CosineAnnealingLR(o, {.T_max = 0}); }, {"CosineAnnealingLR", "T_max", "0"});
  refused([&] { CosineAnnealingLR(o, {.T_max = std::numeric_limits<std::int64_t>::max()}); }, {"T_max", "2^53"});
  refused([&] { CosineAnnealingLR(o, {.T_max = 1, .eta_min = -1}); }, {"eta_min"});
  refused([&] { OneCycleLR(o, {.max_lr = 0.1}); }, {"OneCycleLR", "total_steps", "epochs", "steps_per_epoch"});
  refused([&] { OneCycleLR(o, {.max_lr = 0.1, .epochs = 3}); }, {"steps_per_epoch"});
  refused([&] { OneCycleLR(o, {.max_lr = 0.1, .epochs = -3, .steps_per_epoch = -3}); }, {"epochs", "-3"});
  const std::int64_t large = std::int64_t{1} << 40;
  refused([&] { OneCycleLR(o, {.max_lr = 0.1, .epochs = large, .steps_per_epoch = large}); }, {"too large"});
  refused([&] { OneCycleLR(o, {.max_lr = 0.1, .total_steps = 0}); }, {"total_steps", "0"});
  refused([&] { OneCycleLR(o, {.max_lr = {0.1, 0.2, 0.3}, .total_steps = 5}); }, {"max_lr", "2 groups", "3"});
  refused([&] { OneCycleLR(o, {.max_lr = -0.1, .total_steps = 5}); }, {"max_lr", "-0.1"});
  refused([&] { OneCycleLR(o, {.max_lr = 0.1, .total_steps = 5, .pct_start = 1.5}); }, {"pct_start", "1.5"});
  refused([&] { OneCycleLR(o, {.max_lr = 0.1, .total_steps = 4, .pct_start = 0.25}); }, {"pct_start", "no length"});
  refused([&] { OneCycleLR(o, {.max_lr = 0.1, .total_steps = 5, .max_momentum = -1}); }, {"max_momentum", "-1"});
  refused([&] { OneCycleLR(o, {.max_lr = 0.1, .total_steps = 5, .div_factor = 0}); }, {"div_factor", "0"});
  refused([&] { OneCycleLR(o, {.max_lr = 0.1, .total_steps = 5, .final_div_factor = nan}); }, {"final_div_factor"});
  refused([&] { ReduceLROnPlateau(o, {.factor = 1}); }, {"ReduceLROnPlateau", "factor", "1"});
  refused([&] { ReduceLROnPlateau(o, {.patience = -1}); }, {"patience", "-1"});
  refused([&] { ReduceLROnPlateau(o, {.threshold = nan}); }, {"threshold"});
  refused([&] { ReduceLROnPlateau(o, {.cooldown = -1}); }, {"cooldown"});
  refused([&] { ReduceLROnPlateau(o, {.min_lr = {0.1, 0.1, 0.1}}); }, {"min_lr", "2 groups"});
  refused([&] { ReduceLROnPlateau(o, {.min_lr = -1}); }, {"min_lr", "-1"});
  refused([&] { ReduceLROnPlateau(o, {.eps = -1}); }, {"eps"});
  refused([&] { LambdaLR(o, optim::LRLambda()); }, {"LambdaLR", "empty"});
  refused([&] { LambdaLR(o, std::vector<optim::LRLambda>{[](std::int64_t) { return 1.0; }}); },
          {"lr_lambdas", "2 groups", "has 1"});
  // Nothing of that touched the optimizer.
  BOOST_TEST(!o.initial_lr(0).has_value());
  BOOST_TEST(o.lr(0) == 0.5);
  BOOST_TEST(o.options(0).momentum == 0);

  Adam adam({one()});
  refused([&] { OneCycleLR(adam, {.max_lr = 0.1, .total_steps = 5, .max_momentum = 1}); },
          {"max_momentum of group 0", "betas"});
  SGD nesterov({one()}, {.momentum = 0.9, .nesterov = true});
  refused([&] { OneCycleLR(nesterov, {.max_lr = 0.1, .total_steps = 5, .base_momentum = 0}); },
          {"base_momentum of group 0", "nesterov"});
}

BOOST_AUTO_TEST_CASE(sequences_are_validated) {
  SGD o({one()});
  SGD elsewhere({one()});
  StepLR a(o, {.step_size = 2});
  LinearLR b(o);
  LinearLR stranger(elsewhere);
  ReduceLROnPlateau plateau(o);
  SequentialLR inner(o, {&a}, {});
  const auto is_refused = [&](const std::vector<LRScheduler*>& schedulers, const std::vector<std::int64_t>& milestones,
                              const std::vector<std::string>& parts) {
    refused([&] { SequentialLR(o, schedulers, milestones); }, parts);
  };
  is_refused({}, {}, {"SequentialLR", "at least one"});
  is_refused({&a, nullptr}, {1}, {"scheduler 1 is null"});
  is_refused({&a, &a}, {1}, {"scheduler 1 comes twice"});
  is_refused({&a, &stranger}, {1}, {"scheduler 1 is of another optimizer"});
  is_refused({&plateau, &a}, {1}, {"scheduler 0 is a ReduceLROnPlateau"});
  is_refused({&b, &inner}, {1}, {"scheduler 1 is a SequentialLR"});
  is_refused({&a, &b}, {}, {"one milestone less", "0 and 2"});
  is_refused({&a, &b}, {-1}, {"milestones", "-1"});
  refused([&] { static_cast<LRScheduler&>(plateau).step(); }, {"ReduceLROnPlateau", "metric"});
}

BOOST_AUTO_TEST_CASE(lambdas_in_braces_are_one_for_each_group) {
  SGD o({one()}, {.lr = 2});
  const auto half = [](std::int64_t) { return 0.5; };
  const LambdaLR lambda(o, {half});
  BOOST_TEST(o.lr() == 1);
  const optim::LRLambda quarter = [](std::int64_t) { return 0.25; };
  const LambdaLR function(o, {quarter});
  BOOST_TEST(o.lr() == 0.5);
  refused([&] { LambdaLR(o, {half, quarter}); }, {"lr_lambdas", "1 groups", "has 2"});
}

BOOST_AUTO_TEST_CASE(a_step_that_is_refused_changes_nothing) {
  SGD o({{.params = {one()}, .options = {.lr = 0.5}}, {.params = {one()}, .options = {.lr = 0.25}}});
  LambdaLR lambda(
      o, {[](std::int64_t e) { return e == 1 ? 0.5 : 1.0; }, [](std::int64_t e) { return e == 1 ? -1 : 1.0; }});
  refused([&] { lambda.step(); }, {"LambdaLR", "group 1", "-0.25", "epoch 1"});
  BOOST_TEST(lambda.last_epoch() == 0);
  BOOST_TEST(o.lr(0) == 0.5);
  OneCycleLR cycle(o, {.max_lr = 0.1, .total_steps = 3});
  for (int i = 0; i < 3; ++i) cycle.step();
  const double lr = o.lr(0);
  refused([&] { cycle.step(); }, {"OneCycleLR", "step 4", "total_steps is 3"});
  BOOST_TEST(o.lr(0) == lr);
  BOOST_TEST(cycle.last_epoch() == 3);
}

// The usual loop calls step once more than the cycle has; PyTorch's learning rate becomes negative there.
BOOST_AUTO_TEST_CASE(a_linear_cycle_stays_at_its_end) {
  for (const double pct_start : {0.3, 1.0}) {
    Adam o({one()});
    OneCycleLR cycle(o, {.max_lr = 0.1,
                         .total_steps = 8,
                         .pct_start = pct_start,
                         .anneal_strategy = optim::AnnealStrategy::linear,
                         .max_momentum = 0.999});
    for (int i = 0; i < 8; ++i) cycle.step();
    BOOST_TEST(std::abs(o.lr() - 0.1 / 25 / 1e4) < 1e-16);
    BOOST_TEST(std::abs(o.options().betas.beta1 - 0.999) < 1e-15);
  }
}

BOOST_AUTO_TEST_SUITE_END()

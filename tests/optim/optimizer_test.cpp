#include <embergrad/optim/optimizer.hpp>

#include <boost/test/unit_test.hpp>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/warning.hpp>

#include "nn/says.hpp"
#include "optim/optim_support.hpp"
#include "support/compare.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Shape;
using eg::StateDict;
using eg::Tensor;
using eg::test::equal_to;
using eg::test::leaf;
using eg::test::Problem;
using eg::test::says;
using optim::Adam;
using optim::AdamW;
using optim::SGD;

namespace {

using Maker = std::function<std::unique_ptr<optim::Optimizer>(const std::vector<Tensor>&)>;

const std::vector<Maker>& makers() {
  static const std::vector<Maker> all{
      [](const auto& p) { return std::make_unique<SGD>(p, optim::SGDOptions{.lr = .1}); },
      [](const auto& p) {
        return std::make_unique<SGD>(p, optim::SGDOptions{.lr = .1, .momentum = .9, .dampening = .5});
      },
      [](const auto& p) { return std::make_unique<Adam>(p, optim::AdamOptions{.lr = .1, .weight_decay = .1}); },
      [](const auto& p) { return std::make_unique<AdamW>(p, optim::AdamWOptions{.lr = .1, .amsgrad = true}); }};
  return all;
}

std::string printed(const optim::Optimizer& optimizer) {
  std::ostringstream out;
  out << optimizer;
  return out.str();
}

StateDict without(const StateDict& state, const std::string& name) {
  StateDict result;
  for (const auto& [key, tensor] : state) {
    if (key != name) result.set(key, tensor);
  }
  return result;
}

// Copies of all tensors: what a file would hold.
StateDict copied(const StateDict& state) {
  StateDict result;
  for (const auto& [key, tensor] : state) result.set(key, tensor.detach().clone());
  return result;
}

void check_equal(const StateDict& a, const StateDict& b) {
  BOOST_REQUIRE_EQUAL(a.size(), b.size());
  for (const auto& [name, tensor] : a) BOOST_TEST(equal_to(name, tensor, b.at(name)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizer)

BOOST_AUTO_TEST_CASE(saved_and_loaded_goes_on_as_if_never_stopped) {
  const eg::test::TemporaryDirectory directory;
  for (const Maker& make : makers()) {
    for (const eg::DType dtype : {eg::DType::float32, eg::DType::float64}) {
      Problem whole(3, dtype);
      Problem first(3, dtype);
      const auto straight = make(whole.parameters);
      auto stopped = make(first.parameters);
      for (std::int64_t step = 0; step < 9; ++step) {
        if (step == 4) {
          StateDict parameters;
          for (std::size_t i = 0; i < 4; ++i) parameters.set(std::to_string(i), first.parameters[i]);
          eg::save(directory / "model", parameters);
          eg::save(directory / "optimizer", stopped->state_dict());
          for (std::size_t i = 0; i < 4; ++i) {
            first.parameters[i] = leaf(eg::load(directory / "model").tensors.at(std::to_string(i)));
          }
          stopped = make(first.parameters);
          stopped->load_state_dict(eg::load(directory / "optimizer").tensors);
        }
        whole.draw_gradients(step);
        first.draw_gradients(step);
        straight->step();
        stopped->step();
      }
      for (std::size_t i = 0; i < 4; ++i) {
        BOOST_TEST(equal_to("parameter", first.parameters[i].detach(), whole.parameters[i].detach()));
      }
      check_equal(straight->state_dict(), stopped->state_dict());
    }
  }
}

BOOST_AUTO_TEST_CASE(state_dict_has_pytorchs_names) {
  Problem problem(1);
  Adam optimizer(problem.parameters, {.amsgrad = true});
  problem.draw_gradients(0);  // none for the last one
  optimizer.step();
  const StateDict state = optimizer.state_dict();
  BOOST_TEST(state.at("optimizer.Adam").item() == 2);
  BOOST_TEST(equal_to("params", state.at("param_groups.0.params"), eg::arange(4)));
  BOOST_TEST(state.at("param_groups.0.lr").item() == 1e-3);
  BOOST_TEST(state.at("param_groups.0.betas").to_vector<double>()[1] == .999);
  BOOST_TEST(state.at("param_groups.0.amsgrad").item() == 1);
  for (const char* name : {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}) {
    BOOST_TEST(state.contains(std::string("state.0.") + name));
    BOOST_TEST(!state.contains(std::string("state.3.") + name));
  }
  SGD plain({leaf(eg::ones({1}))});
  BOOST_TEST(plain.state_dict().size() == 9U);
}

BOOST_AUTO_TEST_CASE(options_are_loaded_too_and_tensors_copied) {
  Tensor p = leaf(eg::ones({2}));
  SGD from({p}, {.lr = .25, .momentum = .5, .nesterov = true});
  p.set_grad(eg::ones({2}));
  from.step();
  SGD to({p});
  to.load_state_dict(from.state_dict());
  BOOST_TEST(to.options().lr == .25);
  BOOST_TEST(to.options().nesterov);
  BOOST_TEST(equal_to("buffer", to.state(0, "momentum_buffer"), from.state(0, "momentum_buffer")));
  BOOST_TEST(!to.state(0, "momentum_buffer").shares_storage_with(from.state(0, "momentum_buffer")));
}

BOOST_AUTO_TEST_CASE(load_lists_what_does_not_fit_and_changes_nothing) {
  Problem problem(2);
  Adam optimizer(problem.parameters);
  problem.draw_gradients(0);
  optimizer.step();
  const StateDict before = copied(optimizer.state_dict());
  const auto refused = [&](const StateDict& state, const std::vector<std::string>& parts) {
    BOOST_CHECK_EXCEPTION(optimizer.load_state_dict(state), eg::ValueError, says(parts));
    check_equal(optimizer.state_dict(), before);
  };
  // (row 46 of the list of PyTorch's surprises, and the type)
  refused(SGD(problem.parameters).state_dict(), {"Adam: load_state_dict", "of SGD, not of Adam"});
  refused(StateDict(), {"no optimizer"});
  StateDict bad = copied(before);
  bad.set("state.0.exp_avg", eg::ones({3}));
  bad.set("state.0.exp_avg_sq", eg::full({7, 5}, 1, {eg::DType::int64, {}}));
  bad.set("state.1.step", eg::tensor(1.5));
  bad.set("state.9.exp_avg", eg::ones({3}));
  bad.set("param_groups.0.lr", eg::tensor(-1.0));
  bad.set("param_groups.0.params", eg::arange(3));
  refused(bad, {"state.0.exp_avg must have shape [7, 5], but has [3]", "state.0.exp_avg_sq must be floating",
                "state.1.step", "unexpected: state.9.exp_avg", "group 0: lr", "4 parameters, but has 3"});
  refused(without(before, "state.0.step"), {"state.0.step", "together"});
  refused(without(before, "state.0.exp_avg"), {"exp_avg", "together"});
  refused(without(before, "param_groups.0.eps"), {"param_groups.0.eps is missing"});
  StateDict version = copied(before);
  version.set("optimizer.Adam", eg::tensor(3));
  refused(version, {"optimizer.Adam must be at most 2"});
  // Another meaning of sparse gradients is taken by name alone; files of before there was a choice have none.
  StateDict mode = copied(before);
  mode.set("param_groups.0.updates", eg::tensor(1.0));
  refused(mode, {"group 0: updates is touched_only there, but exact here", "set_updates"});
  mode.set("param_groups.0.updates", eg::tensor(3.0));
  refused(mode, {"param_groups.0.updates is 3"});
  StateDict old = without(before, "param_groups.0.updates");
  refused(old, {"param_groups.0.updates is missing"});
  old.set("optimizer.Adam", eg::tensor(1));
  optimizer.load_state_dict(old);
  const Adam two_groups({{.params = {problem.parameters[0]}}, {.params = {problem.parameters[1]}}});
  refused(two_groups.state_dict(), {"4 parameters, but has 1", "unexpected", "param_groups.1.lr"});
}

BOOST_AUTO_TEST_CASE(groups_have_their_own_options) {
  Tensor a = leaf(eg::ones({1}));
  Tensor b = leaf(eg::ones({2}));
  const optim::SGDOptions base{.lr = .5};
  optim::SGDOptions slow = base;
  slow.lr = .125;
  SGD optimizer({{.params = {a}, .options = base}, {.params = {b}, .options = slow}});
  BOOST_TEST(optimizer.group_count() == 2U);
  BOOST_TEST(optimizer.lr(1) == .125);
  BOOST_TEST(optimizer.parameters(1)[0].state() == b.state());
  a.set_grad(eg::ones({1}));
  b.set_grad(eg::ones({2}));
  optimizer.step();
  BOOST_TEST(a.item() == .5);
  BOOST_TEST(b.at({0}) == .875);
  optimizer.set_lr(0, 1);
  optimizer.set_lr(.25);
  optimizer.step();
  BOOST_TEST(a.item() == .25);
  BOOST_TEST(b.at({0}) == .875);
  optim::SGDOptions changed = optimizer.options(1);
  changed.lr = 1;
  changed.maximize = true;
  optimizer.set_options(1, changed);
  optimizer.step();
  BOOST_TEST(b.at({0}) == 1.875);
  BOOST_CHECK_EXCEPTION(optimizer.set_lr(-1), eg::ValueError, says({"SGD", "lr", "-1"}));
  BOOST_CHECK_EXCEPTION(optimizer.set_lr(std::numeric_limits<double>::quiet_NaN()), eg::ValueError, says({"lr"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(optimizer.lr(2)), eg::IndexError, says({"group is 2", "there are 2"}));
  BOOST_CHECK_THROW(static_cast<void>(optimizer.options(2)), eg::IndexError);
  BOOST_CHECK_THROW(optimizer.set_options(2, base), eg::IndexError);
  // (row 43)
  BOOST_CHECK_EXCEPTION(SGD({{.params = {a}}, {.params = {b}, .options = {.lr = -1}}}), eg::ValueError,
                        says({"group 1", "lr"}));
}

// (row 45) Everything is looked at before anything changes.
BOOST_AUTO_TEST_CASE(a_step_that_is_refused_changes_nothing) {
  Tensor a = leaf(eg::ones({2}));
  Tensor whole = eg::ones({5, 2});
  Tensor b = leaf(eg::narrow(whole, 0, 0, 4));                // no table that could be deferred
  for (const Maker& make : std::span(makers()).subspan(1)) {  // SGD without momentum defers nothing
    const auto optimizer = make({a, b});
    eg::no_grad([&] { a.fill(1); });
    a.set_grad(eg::ones({2}));
    b.set_grad(eg::RowSparse::from_rows(eg::tensor({1}), eg::ones({1, 2}), 4));
    const StateDict before = copied(optimizer->state_dict());
    const auto version = a.version();
    BOOST_CHECK_EXCEPTION(optimizer->step(), eg::ValueError,
                          says({optimizer->name(), "parameter 1", "sparse gradient"}));
    BOOST_TEST(equal_to("a", a.detach(), eg::ones({2})));
    BOOST_TEST(a.version() == version);
    check_equal(optimizer->state_dict(), before);
    // and afterwards it works
    b.set_grad(eg::ones({4, 2}));
    optimizer->step();
    BOOST_TEST(a.at({0}) < 1);
  }
  // The first momentum is the gradient itself, also after a step that was refused.
  SGD sgd({a, b}, {.lr = 1, .momentum = .9, .dampening = .5});
  b.set_grad(eg::RowSparse::from_rows(eg::tensor({1}), eg::ones({1, 2}), 4));
  BOOST_CHECK_THROW(sgd.step(), eg::ValueError);
  b.zero_grad();
  sgd.step();
  BOOST_TEST(equal_to("buffer", sgd.state(0, "momentum_buffer"), eg::ones({2})));
}

BOOST_AUTO_TEST_CASE(parameters_without_a_gradient_are_skipped) {
  for (const Maker& make : makers()) {
    Tensor a = leaf(eg::ones({2}));
    Tensor frozen = eg::ones({2});
    const auto optimizer = make({a, frozen});
    optimizer->step();
    BOOST_TEST(equal_to("a", a.detach(), eg::ones({2})));
    a.set_grad(eg::ones({2}));
    optimizer->step();
    BOOST_TEST(a.at({0}) < 1);
    const Tensor once = a.detach().clone();
    optimizer->zero_grad();
    BOOST_TEST(!a.grad().defined());
    optimizer->step();  // no momentum tail, no decay
    BOOST_TEST(equal_to("a", a.detach(), once));
    BOOST_TEST(equal_to("frozen", frozen, eg::ones({2})));
  }
}

BOOST_AUTO_TEST_CASE(a_step_is_a_change_in_place) {
  Tensor w = leaf(eg::ones({2}));
  SGD optimizer({w}, {.lr = .5});
  const Tensor y = eg::sum(w * w);
  w.set_grad(eg::ones({2}));
  optimizer.step();
  BOOST_CHECK_EXCEPTION(y.backward(), eg::ValueError, says({"changed in place"}));
  BOOST_TEST(w.is_leaf());
  BOOST_TEST(w.requires_grad());
}

BOOST_AUTO_TEST_CASE(parameters_are_checked) {
  Tensor p = leaf(eg::ones({1}));
  Tensor q = leaf(eg::ones({1}));
  BOOST_CHECK_EXCEPTION(SGD(std::vector<Tensor>{}), eg::ValueError, says({"SGD", "at least one parameter"}));
  BOOST_CHECK_EXCEPTION(SGD({p, q, p}), eg::ValueError, says({"given twice"}));  // (row 44)
  BOOST_CHECK_EXCEPTION(Adam({{.params = {p}}, {.params = {q, p}}}), eg::ValueError, says({"group 1", "given twice"}));
  BOOST_CHECK_EXCEPTION(SGD({p, p * 2}), eg::ValueError, says({"parameter 1 of group 0", "leaf"}));
  BOOST_CHECK_EXCEPTION(SGD({p, Tensor()}), eg::ValueError, says({"parameter 1", "undefined"}));
  BOOST_CHECK_EXCEPTION(SGD({eg::tensor({1})}), eg::DTypeError, says({"parameter 0", "int64"}));
}

BOOST_AUTO_TEST_CASE(amsgrad_and_momentum_can_be_switched_on_later) {
  Tensor p = leaf(eg::ones({1}));
  Adam adam({p});
  p.set_grad(eg::ones({1}));
  adam.step();
  adam.set_options(0, {.amsgrad = true});
  adam.step();
  BOOST_TEST(adam.state(0, "max_exp_avg_sq").item() == adam.state(0, "exp_avg_sq").item());
  SGD sgd({p}, {.lr = 1});
  sgd.step();
  sgd.set_options(0, {.lr = 1, .momentum = .5, .dampening = .5});
  sgd.step();
  BOOST_TEST(sgd.state(0, "momentum_buffer").item() == 1);
}

BOOST_AUTO_TEST_CASE(optimizers_move) {
  Tensor p = leaf(eg::ones({1}));
  std::vector<SGD> several;
  several.emplace_back(std::vector<Tensor>{p}, optim::SGDOptions{.lr = .5});
  several.emplace_back(std::vector<Tensor>{leaf(eg::ones({1}))});
  p.set_grad(eg::ones({1}));
  several[0].step();
  BOOST_TEST(p.item() == .5);
}

BOOST_AUTO_TEST_CASE(printing) {
  Tensor p = leaf(eg::ones({2, 3}));
  Tensor q = leaf(eg::ones({4}));
  BOOST_TEST(printed(Adam({{.params = {p}, .options = {.betas = {.5, .75}}}, {.params = {q}, .options = {.lr = 1}}})) ==
             "Adam\n"
             "  group 0: 1 parameters, 6 elements, lr=0.001, betas=(0.5, 0.75), eps=1e-08, weight_decay=0, "
             "amsgrad=False, maximize=False, updates=exact\n"
             "  group 1: 1 parameters, 4 elements, lr=1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0, "
             "amsgrad=False, maximize=False, updates=exact");
  // Where a sparse gradient costs what a dense one does.
  const auto last = [](const optim::Optimizer& optimizer) {
    const std::string text = printed(optimizer);
    return text.substr(text.rfind("updates="));
  };
  BOOST_TEST(last(Adam({p}, {.weight_decay = .1})) == "updates=exact (idle rows replayed)");
  BOOST_TEST(last(Adam({p}, {.betas = {.9, .9}})) == "updates=exact (idle rows replayed)");
  BOOST_TEST(last(Adam({q}, {.weight_decay = .1})) == "updates=exact");
  BOOST_TEST(last(Adam({p}, {.weight_decay = .1, .updates = optim::Updates::dense})) == "updates=dense");
}

BOOST_AUTO_TEST_CASE(steps_that_replay_warn_once) {
  static std::vector<std::string> heard;
  const eg::WarningHandler handler = eg::set_warning_handler([](const char* text) { heard.emplace_back(text); });
  Tensor p = leaf(eg::ones({3, 2}));
  const auto steps = [&](auto optimizer) {
    for (int step = 0; step < 3; ++step) {
      p.set_grad(eg::RowSparse::from_rows(eg::tensor({step}), eg::ones({1, 2}), 3));
      optimizer.step();
    }
  };
  steps(optim::AdamW({p}));
  BOOST_TEST(heard.empty());
  steps(Adam({p}, {.weight_decay = .1}));
  BOOST_TEST(heard ==
                 std::vector<std::string>{
                     "Adam: under these options idle rows live through their steps one by one: updates = exact "
                     "costs as much as dense training of the table of shape [3, 2]; AdamW's decay costs only the "
                     "rows of a batch"},
             boost::test_tools::per_element());
  eg::set_warning_handler(handler);
}

BOOST_AUTO_TEST_SUITE_END()

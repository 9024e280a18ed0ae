#include <embergrad/optim/sgd.hpp>

#include <type_traits>

#include "options.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"momentum_buffer"};

// SGD and SGDW have the same options.
struct AnySgdOptions {
  template <class Options, class Body>
  static void each(Options& options, const Body& body) {
    body("lr", options.lr);
    body("momentum", options.momentum);
    body("dampening", options.dampening);
    body("weight_decay", options.weight_decay);
    body("nesterov", options.nesterov);
    body("maximize", options.maximize);
    body("updates", options.updates);
  }
  template <class Options>
  static std::vector<std::string> problems(const Options& options) {
    std::vector<std::string> found;
    check_not_negative(found, "lr", options.lr);
    check_not_negative(found, "momentum", options.momentum);
    if (!std::isfinite(options.dampening)) {
      found.push_back(fmt::format("dampening must be finite, but is {}", options.dampening));
    }
    check_not_negative(found, "weight_decay", options.weight_decay);
    if (options.nesterov && !(options.momentum > 0 && options.dampening == 0)) {
      found.push_back(fmt::format("nesterov needs momentum > 0 and dampening = 0, but they are {} and {}",
                                  options.momentum, options.dampening));
    }
    return found;
  }
};

}  // namespace

template <>
struct detail::OptionsOf<SGDOptions> : AnySgdOptions {};
template <>
struct detail::OptionsOf<SGDWOptions> : AnySgdOptions {};

template class OptimizerOf<SGDOptions>;
template class OptimizerOf<SGDWOptions>;

namespace detail {

template <rules::Decay decay>
using PlainSgd = rules::Sgd<false, false, decay>;
template <rules::Decay decay>
using MomentumSgd = rules::Sgd<true, false, decay>;
template <rules::Decay decay>
using NesterovSgd = rules::Sgd<true, true, decay>;

template <class Options>
SgdFamily<Options>::SgdFamily(const char* name, const std::vector<typename OptimizerOf<Options>::Group>& groups)
    : OptimizerOf<Options>({.name = name, .slots = slots, .counts_steps = false}, groups) {}

template <class Options>
bool SgdFamily<Options>::needs_slot(std::size_t group, std::size_t) const {
  return this->options(group).momentum != 0;
}

template <class Options>
StepPlan SgdFamily<Options>::plan(const Optimizer::Entry& entry, std::int64_t /*step*/, bool first) const {
  const Options& o = this->options(entry.group);
  constexpr bool decoupled = std::is_same_v<Options, SGDWOptions>;
  const rules::Decay decay = decay_of(o.weight_decay, decoupled);
  const double fresh = first ? 1 : 1 - o.dampening;
  const double keep = decoupled ? 1 - o.lr * o.weight_decay : 1;
  StepPlan plan{
      .rule = o.momentum == 0 ? rule_of<PlainSgd>(decay)
              : o.nesterov    ? rule_of<NesterovSgd>(decay)
                              : rule_of<MomentumSgd>(decay),
      .numbers = rules::SgdCoefficients<double>{.lr = o.lr,
                                                .momentum = o.momentum,
                                                .fresh = fresh,
                                                .weight_decay = o.weight_decay,
                                                .keep = keep,
                                                .sign = o.maximize ? -1.0 : 1.0},
      .time = NoTime{},
  };
  // The step with g = 0, of w and b. A buffer that is not used stays as it is.
  const double coupled = decoupled ? 0 : o.weight_decay;
  if (o.momentum == 0) {
    const bool moves = o.weight_decay != 0 || entry.slots[0].defined();
    if (moves) plan.time = LinearTime{{keep - o.lr * coupled, 0, 0, 1}};
  } else {
    const double b_from_w = fresh * coupled;
    const double g = o.nesterov ? coupled + o.momentum * b_from_w : b_from_w;
    const double g_from_b = o.nesterov ? o.momentum * o.momentum : o.momentum;
    plan.time = LinearTime{{keep - o.lr * g, -o.lr * g_from_b, b_from_w, o.momentum}};
  }
  return plan;
}

template class SgdFamily<SGDOptions>;
template class SgdFamily<SGDWOptions>;

}  // namespace detail

SGD::SGD(const std::vector<Tensor>& params, const SGDOptions& options)
    : SGD(std::vector<Group>{{.params = params, .options = options}}) {}
SGD::SGD(const std::vector<Group>& groups) : SgdFamily("SGD", groups) {}

SGDW::SGDW(const std::vector<Tensor>& params, const SGDWOptions& options)
    : SGDW(std::vector<Group>{{.params = params, .options = options}}) {}
SGDW::SGDW(const std::vector<Group>& groups) : SgdFamily("SGDW", groups) {}

}  // namespace embergrad::optim

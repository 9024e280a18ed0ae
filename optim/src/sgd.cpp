#include <embergrad/optim/sgd.hpp>

#include "optimizer_of.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"momentum_buffer"};

}  // namespace

template <>
struct OptionsOf<SGDOptions> {
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
  static std::vector<std::string> problems(const SGDOptions& options) {
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

template class OptimizerOf<SGDOptions>;

SGD::SGD(const std::vector<Tensor>& params, const SGDOptions& options)
    : SGD(std::vector<Group>{{.params = params, .options = options}}) {}

SGD::SGD(const std::vector<Group>& groups)
    : OptimizerOf({.name = "SGD", .slots = slots, .counts_steps = false}, groups) {}

bool SGD::needs_slot(std::size_t group, std::size_t) const { return options(group).momentum != 0; }

namespace {

template <bool has_momentum, bool nesterov>
StepRule rule_of(double weight_decay) {
  // Without decay nothing is added: 0·inf would be NaN.
  return weight_decay == 0 ? step_rule<rules::Sgd<has_momentum, nesterov, rules::Decay::none>>
                           : step_rule<rules::Sgd<has_momentum, nesterov, rules::Decay::coupled>>;
}

}  // namespace

detail::StepPlan SGD::plan(const Entry& entry, std::int64_t /*step*/, bool first) const {
  const SGDOptions& o = options(entry.group);
  const double fresh = first ? 1 : 1 - o.dampening;
  detail::StepPlan plan{
      .rule = o.momentum == 0 ? rule_of<false, false>(o.weight_decay)
              : o.nesterov    ? rule_of<true, true>(o.weight_decay)
                              : rule_of<true, false>(o.weight_decay),
      .numbers = rules::SgdCoefficients<double>{.lr = o.lr,
                                                .momentum = o.momentum,
                                                .fresh = fresh,
                                                .weight_decay = o.weight_decay,
                                                .keep = 1,
                                                .sign = o.maximize ? -1.0 : 1.0},
      .time = detail::NoTime{},
  };
  // The step with g = 0, of w and b. A buffer that is not used stays as it is.
  if (o.momentum == 0) {
    const bool moves = o.weight_decay != 0 || entry.slots[0].defined();
    if (moves) plan.time = detail::LinearTime{{1 - o.lr * o.weight_decay, 0, 0, 1}};
  } else {
    const double b_from_w = fresh * o.weight_decay;
    const double g = o.nesterov ? o.weight_decay + o.momentum * b_from_w : b_from_w;
    const double g_from_b = o.nesterov ? o.momentum * o.momentum : o.momentum;
    plan.time = detail::LinearTime{{1 - o.lr * g, -o.lr * g_from_b, b_from_w, o.momentum}};
  }
  return plan;
}

}  // namespace embergrad::optim

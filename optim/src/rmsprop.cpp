#include <embergrad/optim/rmsprop.hpp>

#include "options.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"square_avg", "momentum_buffer", "grad_avg"};

template <bool has_momentum, bool centered>
StepRule rule_of(double weight_decay) {
  // Without decay nothing is added: 0·inf would be NaN.
  return weight_decay == 0 ? step_rule<rules::Rmsprop<has_momentum, centered, false>>
                           : step_rule<rules::Rmsprop<has_momentum, centered, true>>;
}

}  // namespace

template <>
struct detail::OptionsOf<RMSpropOptions> {
  template <class Options, class Body>
  static void each(Options& options, const Body& body) {
    body("lr", options.lr);
    body("alpha", options.alpha);
    body("eps", options.eps);
    body("weight_decay", options.weight_decay);
    body("momentum", options.momentum);
    body("centered", options.centered);
    body("maximize", options.maximize);
    body("updates", options.updates);
  }
  static std::vector<std::string> problems(const RMSpropOptions& options) {
    std::vector<std::string> found;
    check_not_negative(found, "lr", options.lr);
    if (!(options.alpha >= 0 && options.alpha <= 1)) {
      found.push_back(fmt::format("alpha must be in [0, 1], but is {}", options.alpha));
    }
    check_not_negative(found, "eps", options.eps);
    check_not_negative(found, "weight_decay", options.weight_decay);
    check_not_negative(found, "momentum", options.momentum);
    return found;
  }
};

template class OptimizerOf<RMSpropOptions>;

RMSprop::RMSprop(const std::vector<Tensor>& params, const RMSpropOptions& options)
    : RMSprop(std::vector<Group>{{.params = params, .options = options}}) {}

RMSprop::RMSprop(const std::vector<Group>& groups)
    : OptimizerOf({.name = "RMSprop", .slots = slots, .counts_steps = true, .always = 1}, groups) {}

bool RMSprop::needs_slot(std::size_t group, std::size_t slot) const {
  return slot == 0 || (slot == 1 ? options(group).momentum != 0 : options(group).centered);
}

detail::StepPlan RMSprop::plan(const Entry& entry, std::int64_t /*step*/, bool /*first*/) const {
  const RMSpropOptions& o = options(entry.group);
  detail::StepPlan plan{
      .rule = o.momentum == 0 ? (o.centered ? rule_of<false, true> : rule_of<false, false>)(o.weight_decay)
                              : (o.centered ? rule_of<true, true> : rule_of<true, false>)(o.weight_decay),
      .numbers = rules::RmspropCoefficients<double>{.lr = o.lr,
                                                    .alpha = o.alpha,
                                                    .fresh = 1 - o.alpha,
                                                    .eps = o.eps,
                                                    .weight_decay = o.weight_decay,
                                                    .momentum = o.momentum,
                                                    .sign = o.maximize ? -1.0 : 1.0},
      .time = detail::ReplayTime{},
  };
  if (o.weight_decay != 0) return plan;
  // A buffer that is not used stays as it is.
  const double b_factor = o.momentum == 0 ? 1 : o.momentum;
  plan.time = detail::RmspropTime{
      .step = {1, -o.lr * o.momentum, 0, b_factor}, .alpha = o.alpha, .eps = o.eps, .centered = o.centered};
  return plan;
}

}  // namespace embergrad::optim

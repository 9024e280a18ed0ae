#include <embergrad/optim/lion.hpp>

#include "options.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"exp_avg"};

}  // namespace

template <>
struct detail::OptionsOf<LionOptions> {
  template <class Options, class Body>
  static void each(Options& options, const Body& body) {
    body("lr", options.lr);
    body("betas", options.betas);
    body("weight_decay", options.weight_decay);
    body("maximize", options.maximize);
    body("updates", options.updates);
  }
  static std::vector<std::string> problems(const LionOptions& options) {
    std::vector<std::string> found;
    check_not_negative(found, "lr", options.lr);
    check_betas(found, options.betas);
    check_not_negative(found, "weight_decay", options.weight_decay);
    return found;
  }
};

template class OptimizerOf<LionOptions>;

Lion::Lion(const std::vector<Tensor>& params, const LionOptions& options)
    : Lion(std::vector<Group>{{.params = params, .options = options}}) {}

Lion::Lion(const std::vector<Group>& groups)
    : OptimizerOf({.name = "Lion", .slots = slots, .counts_steps = false}, groups) {}

detail::StepPlan Lion::plan(const Entry& entry, std::int64_t /*step*/, bool /*first*/) const {
  const LionOptions& o = options(entry.group);
  const double keep = 1 - o.lr * o.weight_decay;
  detail::StepPlan plan{
      .rule = step_rule<rules::Lion>,
      .numbers = rules::LionCoefficients<double>{.lr = o.lr,
                                                 .beta1 = o.betas.beta1,
                                                 .fresh1 = 1 - o.betas.beta1,
                                                 .beta2 = o.betas.beta2,
                                                 .fresh2 = 1 - o.betas.beta2,
                                                 .keep = keep,
                                                 .sign = o.maximize ? -1.0 : 1.0},
      .time = detail::WholeTable{},
  };
  // A beta of 0 would stop a row.
  if (keep > 0 && o.betas.beta1 > 0 && o.betas.beta2 > 0) {
    plan.time = detail::LionTime{.lr = o.lr, .beta2 = o.betas.beta2, .weight_decay = o.weight_decay};
  }
  return plan;
}

}  // namespace embergrad::optim

#include <embergrad/optim/adagrad.hpp>

#include "options.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"sum"};

}  // namespace

template <>
struct detail::OptionsOf<AdagradOptions> {
  template <class Options, class Body>
  static void each(Options& options, const Body& body) {
    body("lr", options.lr);
    body("lr_decay", options.lr_decay);
    body("weight_decay", options.weight_decay);
    body("initial_accumulator_value", options.initial_accumulator_value);
    body("eps", options.eps);
    body("maximize", options.maximize);
    body("updates", options.updates);
  }
  static std::vector<std::string> problems(const AdagradOptions& options) {
    std::vector<std::string> found;
    check_not_negative(found, "lr", options.lr);
    check_not_negative(found, "lr_decay", options.lr_decay);
    check_not_negative(found, "weight_decay", options.weight_decay);
    check_not_negative(found, "initial_accumulator_value", options.initial_accumulator_value);
    check_not_negative(found, "eps", options.eps);
    return found;
  }
};

template class OptimizerOf<AdagradOptions>;

Adagrad::Adagrad(const std::vector<Tensor>& params, const AdagradOptions& options)
    : Adagrad(std::vector<Group>{{.params = params, .options = options}}) {}

Adagrad::Adagrad(const std::vector<Group>& groups)
    : OptimizerOf({.name = "Adagrad", .slots = slots, .counts_steps = true, .always = 1}, groups) {}

bool Adagrad::needs_slot(std::size_t, std::size_t) const { return true; }

double Adagrad::slot_start(std::size_t group, std::size_t) const { return options(group).initial_accumulator_value; }

detail::StepPlan Adagrad::plan(const Entry& entry, std::int64_t step, bool /*first*/) const {
  const AdagradOptions& o = options(entry.group);
  detail::StepPlan plan{
      .rule = o.weight_decay == 0 ? step_rule<rules::Adagrad<false>> : step_rule<rules::Adagrad<true>>,
      .numbers = rules::AdagradCoefficients<double>{.rate = o.lr / (1 + static_cast<double>(step - 1) * o.lr_decay),
                                                    .weight_decay = o.weight_decay,
                                                    .eps = o.eps,
                                                    .sign = o.maximize ? -1.0 : 1.0},
      .time = detail::NoTime{},
  };
  if (o.weight_decay != 0) plan.time = detail::ReplayTime{};
  return plan;
}

}  // namespace embergrad::optim

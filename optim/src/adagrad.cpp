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

namespace detail {

AdagradFamily::AdagradFamily(const char* name, bool by_row, const std::vector<Group>& groups)
    : OptimizerOf({.name = name, .slots = slots, .counts_steps = true, .always = 1, .one_per_row = by_row}, groups),
      by_row_(by_row) {}

double AdagradFamily::slot_start(std::size_t group, std::size_t) const {
  return options(group).initial_accumulator_value;
}

// Without decay nothing is added: 0·inf would be NaN.
template <template <bool> class Rule>
static StepRule rule_of(double weight_decay) {
  return weight_decay == 0 ? step_rule<Rule<false>> : step_rule<Rule<true>>;
}

StepPlan AdagradFamily::plan(const Entry& entry, std::int64_t step, bool /*first*/) const {
  const AdagradOptions& o = options(entry.group);
  StepPlan plan{
      .rule = by_row_ ? rule_of<rules::RowwiseAdagrad>(o.weight_decay) : rule_of<rules::Adagrad>(o.weight_decay),
      .numbers = rules::AdagradCoefficients<double>{.rate = o.lr / (1 + static_cast<double>(step - 1) * o.lr_decay),
                                                    .weight_decay = o.weight_decay,
                                                    .eps = o.eps,
                                                    .sign = o.maximize ? -1.0 : 1.0},
      .time = NoTime{},
  };
  if (o.weight_decay != 0) plan.time = ReplayTime{};
  return plan;
}

}  // namespace detail

Adagrad::Adagrad(const std::vector<Tensor>& params, const AdagradOptions& options)
    : Adagrad(std::vector<Group>{{.params = params, .options = options}}) {}
Adagrad::Adagrad(const std::vector<Group>& groups) : AdagradFamily("Adagrad", false, groups) {}

RowwiseAdagrad::RowwiseAdagrad(const std::vector<Tensor>& params, const RowwiseAdagradOptions& options)
    : RowwiseAdagrad(std::vector<Group>{{.params = params, .options = options}}) {}
RowwiseAdagrad::RowwiseAdagrad(const std::vector<Group>& groups) : AdagradFamily("RowwiseAdagrad", true, groups) {}

}  // namespace embergrad::optim

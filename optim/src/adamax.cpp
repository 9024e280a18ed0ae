#include <embergrad/optim/adamax.hpp>

#include <cmath>

#include "options.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"exp_avg", "exp_inf"};

}  // namespace

template <>
struct detail::OptionsOf<AdamaxOptions> : AdamKinOptions {};

template class OptimizerOf<AdamaxOptions>;

Adamax::Adamax(const std::vector<Tensor>& params, const AdamaxOptions& options)
    : Adamax(std::vector<Group>{{.params = params, .options = options}}) {}

Adamax::Adamax(const std::vector<Group>& groups)
    : OptimizerOf({.name = "Adamax", .slots = slots, .counts_steps = true, .always = 2}, groups) {}

detail::StepPlan Adamax::plan(const Entry& entry, std::int64_t step, bool /*first*/) const {
  const AdamaxOptions& o = options(entry.group);
  const auto t = static_cast<double>(step);
  return {
      // Without decay nothing is added: 0·inf would be NaN.
      .rule = o.weight_decay == 0 ? step_rule<rules::Adamax<false>> : step_rule<rules::Adamax<true>>,
      .numbers = rules::AdamaxCoefficients<double>{.step_size = o.lr / (1 - std::pow(o.betas.beta1, t)),
                                                   .fresh1 = 1 - o.betas.beta1,
                                                   .beta2 = o.betas.beta2,
                                                   .eps = o.eps,
                                                   .weight_decay = o.weight_decay,
                                                   .sign = o.maximize ? -1.0 : 1.0},
      .time = detail::ReplayTime{},
  };
}

}  // namespace embergrad::optim

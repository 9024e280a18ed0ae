#include <embergrad/optim/nadam.hpp>

#include <cmath>

#include "options.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"exp_avg", "exp_avg_sq"};

}  // namespace

template <>
struct detail::OptionsOf<NAdamOptions> : AdamKinOptions {};

template class OptimizerOf<NAdamOptions>;

NAdam::NAdam(const std::vector<Tensor>& params, const NAdamOptions& options)
    : NAdam(std::vector<Group>{{.params = params, .options = options}}) {}

NAdam::NAdam(const std::vector<Group>& groups)
    : OptimizerOf({.name = "NAdam", .slots = slots, .counts_steps = true, .always = 2, .number = "mu_product"},
                  groups) {}

detail::StepPlan NAdam::plan(const Entry& entry, std::int64_t step, bool /*first*/) const {
  const NAdamOptions& o = options(entry.group);
  const auto t = static_cast<double>(step);
  const rules::Decay decay = decay_of(o.weight_decay, o.decoupled_weight_decay);
  const double keep = decay == rules::Decay::decoupled ? 1 - o.lr * o.weight_decay : 1;
  const auto mu = [&](double i) { return o.betas.beta1 * (1 - 0.5 * std::pow(0.96, i * o.momentum_decay)); };
  const float product = entry.number * static_cast<float>(mu(t));
  const double rate = o.lr * mu(t + 1) / (1 - product * mu(t + 1));
  const double correction2 = 1 - std::pow(o.betas.beta2, t);
  return {
      .rule = detail::rule_of<rules::Nadam>(decay),
      .numbers = rules::NadamCoefficients<double>{.g_rate = o.lr * (1 - mu(t)) / (1 - double{product}),
                                                  .m_rate = rate,
                                                  .fresh1 = 1 - o.betas.beta1,
                                                  .beta2 = o.betas.beta2,
                                                  .fresh2 = 1 - o.betas.beta2,
                                                  .root_correction2 = std::sqrt(correction2),
                                                  .eps = o.eps,
                                                  .weight_decay = o.weight_decay,
                                                  .keep = keep,
                                                  .sign = o.maximize ? -1.0 : 1.0},
      .time = detail::time_of_moments(
          decay,
          {.step =
               {.rate = rate, .beta1 = o.betas.beta1, .beta2 = o.betas.beta2, .correction2 = correction2, .keep = keep},
           .eps = o.eps}),
      .number = product,
  };
}

}  // namespace embergrad::optim

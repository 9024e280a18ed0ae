#include <embergrad/optim/radam.hpp>

#include <cmath>

#include "options.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"exp_avg", "exp_avg_sq"};

}  // namespace

template <>
struct detail::OptionsOf<RAdamOptions> : AdamKinOptions {};

template class OptimizerOf<RAdamOptions>;

RAdam::RAdam(const std::vector<Tensor>& params, const RAdamOptions& options)
    : RAdam(std::vector<Group>{{.params = params, .options = options}}) {}

RAdam::RAdam(const std::vector<Group>& groups)
    : OptimizerOf({.name = "RAdam", .slots = slots, .counts_steps = true, .always = 2}, groups) {}

detail::StepPlan RAdam::plan(const Entry& entry, std::int64_t step, bool /*first*/) const {
  const RAdamOptions& o = options(entry.group);
  const auto t = static_cast<double>(step);
  const rules::Decay decay = decay_of(o.weight_decay, o.decoupled_weight_decay);
  const double keep = decay == rules::Decay::decoupled ? 1 - o.lr * o.weight_decay : 1;
  const double fade2 = std::pow(o.betas.beta2, t);
  const double longest = 2 / (1 - o.betas.beta2) - 1;
  const double length = longest - 2 * t * fade2 / (1 - fade2);
  const bool plain = !(length > 5);
  double rate = o.lr / (1 - std::pow(o.betas.beta1, t));
  if (!plain) {
    rate *= std::sqrt(1 - fade2) *
            std::sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length));
  }
  return {
      .rule = detail::rule_of<rules::RawAdam>(decay),
      .numbers = rules::RawAdamCoefficients<double>{.rate = rate,
                                                    .fresh1 = 1 - o.betas.beta1,
                                                    .beta2 = o.betas.beta2,
                                                    .fresh2 = 1 - o.betas.beta2,
                                                    .eps = o.eps,
                                                    .weight_decay = o.weight_decay,
                                                    .keep = keep,
                                                    .sign = o.maximize ? -1.0 : 1.0,
                                                    .plain = plain ? 1.0 : 0.0},
      .time = detail::time_of_moments(decay, {.step = {.rate = rate,
                                                       .beta1 = o.betas.beta1,
                                                       .beta2 = o.betas.beta2,
                                                       .correction2 = 1,
                                                       .keep = keep,
                                                       .plain = plain},
                                              .eps = o.eps,
                                              .corrected = false}),
  };
}

}  // namespace embergrad::optim

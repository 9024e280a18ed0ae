#include <embergrad/optim/adam.hpp>

#include <cmath>
#include <type_traits>

#include "options.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};

}  // namespace

template <>
struct detail::OptionsOf<AdamOptions> : AdamKinOptions {};
template <>
struct detail::OptionsOf<AdamWOptions> : AdamKinOptions {};

template class OptimizerOf<AdamOptions>;
template class OptimizerOf<AdamWOptions>;

namespace detail {

template <rules::Decay decay>
using PlainAdam = rules::Adam<decay, false>;
template <rules::Decay decay>
using AmsGrad = rules::Adam<decay, true>;

template <class Options>
AdamFamily<Options>::AdamFamily(const char* name, const std::vector<typename OptimizerOf<Options>::Group>& groups)
    : OptimizerOf<Options>({.name = name, .slots = slots, .counts_steps = true, .always = 2}, groups) {}

template <class Options>
bool AdamFamily<Options>::needs_slot(std::size_t group, std::size_t slot) const {
  return slot < 2 || this->options(group).amsgrad;
}

template <class Options>
StepPlan AdamFamily<Options>::plan(const Optimizer::Entry& entry, std::int64_t step, bool /*first*/) const {
  const Options& o = this->options(entry.group);
  const auto t = static_cast<double>(step);
  constexpr bool decoupled = std::is_same_v<Options, AdamWOptions>;
  const rules::Decay decay = decay_of(o.weight_decay, decoupled);
  const double keep = decoupled ? 1 - o.lr * o.weight_decay : 1;
  const double rate = o.lr / (1 - std::pow(o.betas.beta1, t));
  const double correction2 = 1 - std::pow(o.betas.beta2, t);
  // The largest v of every row begins with the first step that asks for it, and after a time that did not.
  const bool begins = o.amsgrad && step > 1 && !entry.in_use[2];
  return {
      .rule = o.amsgrad ? rule_of<AmsGrad>(decay) : rule_of<PlainAdam>(decay),
      .numbers = rules::AdamCoefficients<double>{.step_size = rate,
                                                 .fresh1 = 1 - o.betas.beta1,
                                                 .beta2 = o.betas.beta2,
                                                 .fresh2 = 1 - o.betas.beta2,
                                                 .root_correction2 = std::sqrt(correction2),
                                                 .eps = o.eps,
                                                 .weight_decay = o.weight_decay,
                                                 .keep = keep,
                                                 .sign = o.maximize ? -1.0 : 1.0},
      .time = begins ? Time(WholeTable{})
                     : time_of_moments(decay, {.step = {.rate = rate,
                                                        .beta1 = o.betas.beta1,
                                                        .beta2 = o.betas.beta2,
                                                        .correction2 = correction2,
                                                        .keep = keep},
                                               .eps = o.eps,
                                               .amsgrad = o.amsgrad}),
  };
}

template class AdamFamily<AdamOptions>;
template class AdamFamily<AdamWOptions>;

}  // namespace detail

Adam::Adam(const std::vector<Tensor>& params, const AdamOptions& options)
    : Adam(std::vector<Group>{{.params = params, .options = options}}) {}
Adam::Adam(const std::vector<Group>& groups) : AdamFamily("Adam", groups) {}

AdamW::AdamW(const std::vector<Tensor>& params, const AdamWOptions& options)
    : AdamW(std::vector<Group>{{.params = params, .options = options}}) {}
AdamW::AdamW(const std::vector<Group>& groups) : AdamFamily("AdamW", groups) {}

}  // namespace embergrad::optim

#include <embergrad/optim/sparse_adam.hpp>

#include <cmath>

#include "options.hpp"
#include "step_plan.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"exp_avg", "exp_avg_sq"};

}  // namespace

template <>
struct detail::OptionsOf<SparseAdamOptions> {
  template <class Options, class Body>
  static void each(Options& options, const Body& body) {
    body("lr", options.lr);
    body("betas", options.betas);
    body("eps", options.eps);
    body("maximize", options.maximize);
  }
  static std::vector<std::string> problems(const SparseAdamOptions& options) {
    std::vector<std::string> found;
    check_not_negative(found, "lr", options.lr);
    check_betas(found, options.betas);
    if (!(std::isfinite(options.eps) && options.eps > 0)) {
      found.push_back(fmt::format("eps must be finite and above 0, but is {}", options.eps));
    }
    return found;
  }
};

template class OptimizerOf<SparseAdamOptions>;

SparseAdam::SparseAdam(const std::vector<Tensor>& params, const SparseAdamOptions& options)
    : SparseAdam(std::vector<Group>{{.params = params, .options = options}}) {}

SparseAdam::SparseAdam(const std::vector<Group>& groups)
    : OptimizerOf({.name = "SparseAdam", .slots = slots, .counts_steps = true, .always = 2, .sparse_alone = true},
                  groups) {}

detail::StepPlan SparseAdam::plan(const Entry& entry, std::int64_t step, bool /*first*/) const {
  const SparseAdamOptions& o = options(entry.group);
  const auto t = static_cast<double>(step);
  return {
      .rule = step_rule<rules::RawAdam<rules::Decay::none>>,
      .numbers = rules::RawAdamCoefficients<double>{.rate = o.lr * std::sqrt(1 - std::pow(o.betas.beta2, t)) /
                                                            (1 - std::pow(o.betas.beta1, t)),
                                                    .fresh1 = 1 - o.betas.beta1,
                                                    .beta2 = o.betas.beta2,
                                                    .fresh2 = 1 - o.betas.beta2,
                                                    .eps = o.eps,
                                                    .weight_decay = 0,
                                                    .keep = 1,
                                                    .sign = o.maximize ? -1.0 : 1.0,
                                                    .plain = 0},
      .time = detail::NoTime{},
  };
}

}  // namespace embergrad::optim

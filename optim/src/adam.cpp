#include <embergrad/optim/adam.hpp>

#include <cmath>
#include <type_traits>

#include "optimizer_of.hpp"
#include "views.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};

// Adam and AdamW have the same options.
struct AnyAdamOptions {
  template <class Options, class Body>
  static void each(Options& options, const Body& body) {
    body("lr", options.lr);
    body("betas", options.betas);
    body("eps", options.eps);
    body("weight_decay", options.weight_decay);
    body("amsgrad", options.amsgrad);
    body("maximize", options.maximize);
  }
  template <class Options>
  static std::vector<std::string> problems(const Options& options) {
    std::vector<std::string> found;
    check_not_negative(found, "lr", options.lr);
    for (const double beta : {options.betas.beta1, options.betas.beta2}) {
      if (!(beta >= 0 && beta < 1)) found.push_back(fmt::format("betas must be in [0, 1), but one is {}", beta));
    }
    check_not_negative(found, "eps", options.eps);
    check_not_negative(found, "weight_decay", options.weight_decay);
    return found;
  }
};

}  // namespace

template <>
struct OptionsOf<AdamOptions> : AnyAdamOptions {};
template <>
struct OptionsOf<AdamWOptions> : AnyAdamOptions {};

static std::vector<double> numbers_of(const Betas& betas) { return {betas.beta1, betas.beta2}; }
static const double* number_in(const Betas& betas) { return &betas.beta1; }
static void set_field(Betas& betas, const std::vector<double>& numbers) { betas = {numbers[0], numbers[1]}; }

template class OptimizerOf<AdamOptions>;
template class OptimizerOf<AdamWOptions>;

namespace detail {

template <class Options>
AdamFamily<Options>::AdamFamily(const char* name, const std::vector<typename OptimizerOf<Options>::Group>& groups)
    : OptimizerOf<Options>({.name = name, .slots = slots, .counts_steps = true, .always = 2}, groups) {}

template <class Options>
bool AdamFamily<Options>::needs_slot(std::size_t group, std::size_t slot) const {
  return slot < 2 || this->options(group).amsgrad;
}

template <class Options>
const char* AdamFamily<Options>::refuses_sparse(std::size_t) const {
  return "the moments";
}

template <class Options>
void AdamFamily<Options>::update(const Optimizer::Update& work) {
  const Options& o = this->options(work.entry.group);
  const auto t = static_cast<double>(work.entry.steps);
  constexpr bool decoupled = std::is_same_v<Options, AdamWOptions>;
  const auto slot = [&](std::size_t s) { return elements(work, work.entry.slots[s]); };
  // Without decay nothing is added: 0·inf would be NaN.
  const rules::Decay decay = o.weight_decay == 0 ? rules::Decay::none
                             : decoupled         ? rules::Decay::decoupled
                                                 : rules::Decay::coupled;
  launch(work.entry.parameter.device(),
         AdamStep{.coefficients = {.step_size = o.lr / (1 - std::pow(o.betas.beta1, t)),
                                   .fresh1 = 1 - o.betas.beta1,
                                   .beta2 = o.betas.beta2,
                                   .fresh2 = 1 - o.betas.beta2,
                                   .root_correction2 = std::sqrt(1 - std::pow(o.betas.beta2, t)),
                                   .eps = o.eps,
                                   .weight_decay = o.weight_decay,
                                   .keep = 1 - o.lr * o.weight_decay,
                                   .sign = o.maximize ? -1.0 : 1.0},
                  .decay = decay,
                  .param = elements(work, work.entry.parameter),
                  .grad = gradient_of(work),
                  .m = slot(0),
                  .v = slot(1),
                  .v_max = o.amsgrad ? slot(2) : View{},
                  .rows = rows_of(work)});
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

// What the options of several optimizers have in common.
#pragma once

#include <embergrad/optim/optimizer_of.hpp>

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/rules/sgd.hpp"

namespace embergrad::optim {

// Lists a field that must be finite and not negative.
inline void check_not_negative(std::vector<std::string>& problems, const char* name, double value) {
  if (!(std::isfinite(value) && value >= 0)) {
    problems.push_back(fmt::format("{} must be finite and not negative, but is {}", name, value));
  }
}

inline void check_betas(std::vector<std::string>& problems, const Betas& betas) {
  for (const double beta : {betas.beta1, betas.beta2}) {
    if (!(beta >= 0 && beta < 1)) problems.push_back(fmt::format("betas must be in [0, 1), but one is {}", beta));
  }
}

// The options of Adam and its kin, as far as each has them.
struct AdamKinOptions {
  template <class Options, class Body>
  static void each(Options& options, const Body& body) {
    body("lr", options.lr);
    body("betas", options.betas);
    body("eps", options.eps);
    body("weight_decay", options.weight_decay);
    if constexpr (requires { options.momentum_decay; }) body("momentum_decay", options.momentum_decay);
    if constexpr (requires { options.decoupled_weight_decay; }) {
      body("decoupled_weight_decay", options.decoupled_weight_decay);
    }
    if constexpr (requires { options.amsgrad; }) body("amsgrad", options.amsgrad);
    body("maximize", options.maximize);
    body("updates", options.updates);
  }
  template <class Options>
  static std::vector<std::string> problems(const Options& options) {
    std::vector<std::string> found;
    check_not_negative(found, "lr", options.lr);
    check_betas(found, options.betas);
    check_not_negative(found, "eps", options.eps);
    check_not_negative(found, "weight_decay", options.weight_decay);
    if constexpr (requires { options.momentum_decay; }) {
      check_not_negative(found, "momentum_decay", options.momentum_decay);
    }
    return found;
  }
};

// Without decay nothing is added to a gradient: 0·inf would be NaN.
inline rules::Decay decay_of(double weight_decay, bool decoupled) {
  if (weight_decay == 0) return rules::Decay::none;
  return decoupled ? rules::Decay::decoupled : rules::Decay::coupled;
}

}  // namespace embergrad::optim

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

// Without decay nothing is added to a gradient: 0·inf would be NaN.
inline rules::Decay decay_of(double weight_decay, bool decoupled) {
  if (weight_decay == 0) return rules::Decay::none;
  return decoupled ? rules::Decay::decoupled : rules::Decay::coupled;
}

}  // namespace embergrad::optim

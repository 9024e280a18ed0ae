// One number under Adagrad (Duchi, Hazan and Singer 2011).
#pragma once

#include "kernels/host_device.hpp"
#include "kernels/rules/adam.hpp"

namespace embergrad::rules {

// What step t of Adagrad multiplies by.
template <class T>
struct AdagradCoefficients {
  T rate;  // lr / (1 + (t - 1)·lr_decay)
  T weight_decay;
  T eps;
  T sign;  // -1 to maximize
};

//   g = ±g + weight_decay·w;  sum += g²;  w -= rate · g / (sqrt(sum) + eps)
// Without decay nothing moves where there is no gradient.
template <bool decays>
struct Adagrad {
  static constexpr unsigned slots = 0b001;
  template <class T>
  using Coefficients = AdagradCoefficients<T>;

  template <class T>
  EMBERGRAD_HD static void step(const AdagradCoefficients<T>& c, T& w, T g, T& sum, T& /*s1*/, T& /*s2*/) {
    g = c.sign * g;
    if constexpr (decays) g = g + c.weight_decay * w;
    sum = sum + g * g;
    w = w - c.rate * (g / (root(sum) + c.eps));
  }
};

}  // namespace embergrad::rules

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
template <class T, bool decays>
struct Adagrad {
  AdagradCoefficients<T> c;

  EMBERGRAD_HD void step(T& w, T g, T& sum) const {
    g = c.sign * g;
    if constexpr (decays) g = g + c.weight_decay * w;
    sum = sum + g * g;
    w = w - c.rate * (g / (root(sum) + c.eps));
  }

  // One step of time without a gradient: what step does with g = 0, to the bit, but for eps = 0, where 0/0 is no step.
  EMBERGRAD_HD void idle(T& w, T& sum) const {
    if constexpr (decays) step(w, T(0), sum);
  }
};

}  // namespace embergrad::rules

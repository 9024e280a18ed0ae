// One number under stochastic gradient descent. Nothing here but plain arithmetic, for host and device alike.
#pragma once

#include "kernels/host_device.hpp"

namespace embergrad::rules {

// Moments this small are zero: denormal numbers are slow, and no step of 1e-30 is seen in float32. Not in float64.
EMBERGRAD_HD float without_dust(float x) { return x < 1e-30f && x > -1e-30f ? 0.0f : x; }
EMBERGRAD_HD double without_dust(double x) { return x; }

// What one step of SGD multiplies by.
template <class T>
struct SgdCoefficients {
  T lr;
  T momentum;
  T fresh;  // 1 - dampening, but 1 at a parameter's first step
  T weight_decay;
  T sign;  // -1 to maximize
};

//   g = ±g + weight_decay·w;  b = momentum·b + fresh·g;  w -= lr·(nesterov ? g + momentum·b : b)
// Without momentum: w -= lr·g. A buffer starts at zero.
template <class T, bool has_momentum, bool nesterov, bool decays>
struct Sgd {
  SgdCoefficients<T> c;

  EMBERGRAD_HD void step(T& w, T g, T& b) const {
    g = c.sign * g;
    if constexpr (decays) g = g + c.weight_decay * w;
    if constexpr (has_momentum) {
      b = without_dust(c.momentum * b + c.fresh * g);
      if constexpr (nesterov) {
        g = g + c.momentum * b;
      } else {
        g = b;
      }
    }
    w = w - c.lr * g;
  }

  // One step of time without a gradient: what step does with g = 0, to the bit.
  EMBERGRAD_HD void idle(T& w, T& b) const { step(w, T(0), b); }
};

}  // namespace embergrad::rules

// One number under Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019).
#pragma once

#include <math.h>  // NOLINT(modernize-deprecated-headers): the C functions alone, no templates

#include "kernels/host_device.hpp"
#include "kernels/rules/sgd.hpp"

namespace embergrad::rules {

EMBERGRAD_HD float root(float x) { return ::sqrtf(x); }
EMBERGRAD_HD double root(double x) { return ::sqrt(x); }
// The larger one; a NaN on either side stays.
EMBERGRAD_HD float larger(float a, float b) { return ((b > a) | (b != b)) ? b : a; }
EMBERGRAD_HD double larger(double a, double b) { return ((b > a) | (b != b)) ? b : a; }

// What step t of Adam multiplies by.
template <class T>
struct AdamCoefficients {
  T step_size;  // lr / (1 - beta1^t)
  T fresh1;     // 1 - beta1
  T beta2;
  T fresh2;            // 1 - beta2
  T root_correction2;  // sqrt(1 - beta2^t)
  T eps;
  T weight_decay;  // coupled: added to the gradient
  T keep;          // decoupled: 1 - lr·weight_decay
  T sign;          // -1 to maximize
};

// How weight decay acts: not at all, through the gradient (Adam), or on the weight itself (AdamW).
enum class Decay : unsigned char { none, coupled, decoupled };

//   coupled: g += weight_decay·w;  decoupled: w *= 1 - lr·weight_decay
//   m += (g - m)(1 - beta1);  v = beta2·v + (1 - beta2)·g²;  v^ = amsgrad ? (max = max(max, v)) : v
//   w -= lr/(1 - beta1^t) · m / (sqrt(v^)/sqrt(1 - beta2^t) + eps)
template <class T, Decay decay, bool amsgrad>
struct Adam {
  AdamCoefficients<T> c;

  EMBERGRAD_HD void step(T& w, T g, T& m, T& v, T& v_max) const {
    g = c.sign * g;
    if constexpr (decay == Decay::coupled) g = g + c.weight_decay * w;
    if constexpr (decay == Decay::decoupled) w = w * c.keep;
    m = without_dust(m + (g - m) * c.fresh1);
    v = without_dust(v * c.beta2 + c.fresh2 * g * g);
    T v_hat = v;
    if constexpr (amsgrad) v_hat = v_max = larger(v_max, v);
    w = w - c.step_size * m / (root(v_hat) / c.root_correction2 + c.eps);
  }

  // One step of time without a gradient: what step does with g = 0, to the bit.
  EMBERGRAD_HD void idle(T& w, T& m, T& v, T& v_max) const { step(w, T(0), m, v, v_max); }
};

}  // namespace embergrad::rules

// One number under RMSprop (Tieleman and Hinton 2012), centered as in Graves 2013.
#pragma once

#include "kernels/host_device.hpp"
#include "kernels/rules/adam.hpp"

namespace embergrad::rules {

// What one step of RMSprop multiplies by.
template <class T>
struct RmspropCoefficients {
  T lr;
  T alpha;
  T fresh;  // 1 - alpha
  T eps;
  T weight_decay;
  T momentum;
  T sign;  // -1 to maximize
};

//   g = ±g + weight_decay·w;  v = alpha·v + (1 - alpha)·g²
//   centered: a += (g - a)(1 - alpha);  u = g / (sqrt(centered ? v - a² : v) + eps)
//   w -= lr · (has_momentum ? (b = momentum·b + u) : u)
template <bool has_momentum, bool centered, bool decays>
struct Rmsprop {
  static constexpr unsigned slots = 0b001 | (has_momentum ? 0b010 : 0) | (centered ? 0b100 : 0);
  template <class T>
  using Coefficients = RmspropCoefficients<T>;

  template <class T>
  EMBERGRAD_HD static void step(const RmspropCoefficients<T>& c, T& w, T g, T& v, T& b, T& a) {
    g = c.sign * g;
    if constexpr (decays) g = g + c.weight_decay * w;
    v = without_dust(v * c.alpha + c.fresh * g * g);
    T variance = v;
    if constexpr (centered) {
      a = without_dust(a + (g - a) * c.fresh);
      variance = v - a * a;
    }
    g = g / (root(variance) + c.eps);
    if constexpr (has_momentum) g = b = without_dust(c.momentum * b + g);
    w = w - c.lr * g;
  }
};

// Steps without a gradient and without decay: the averages fade, and w follows the momentum.
template <class T>
struct RmspropSpan {
  T w_from_b;
  T b_factor;
  T v_factor;
  T a_factor;
};

struct RmspropIdle {
  template <class T>
  using Span = RmspropSpan<T>;

  template <int lanes, class T>
  EMBERGRAD_HD static void drift(const RmspropSpan<T>& span, const T* /*tail*/, const T* w, const T* /*v*/, const T* b,
                                 const T* /*a*/, T* out) {
    for (int i = 0; i < lanes; ++i) out[i] = w[i] + span.w_from_b * b[i];
  }
  template <int lanes, class T>
  EMBERGRAD_HD static void age(const RmspropSpan<T>& span, const T* /*w*/, T* v, T* b, T* a) {
    for (int i = 0; i < lanes; ++i) v[i] = without_dust(span.v_factor * v[i]);
    for (int i = 0; i < lanes; ++i) b[i] = without_dust(span.b_factor * b[i]);
    for (int i = 0; i < lanes; ++i) a[i] = without_dust(span.a_factor * a[i]);
  }
};

}  // namespace embergrad::rules

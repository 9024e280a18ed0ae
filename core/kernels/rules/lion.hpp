// One number under Lion (Chen et al. 2023).
#pragma once

#include "kernels/host_device.hpp"

namespace embergrad::rules {

// Far above the denormal numbers, which are slow.
EMBERGRAD_HD float least_moment(float /*type*/) { return 1e-30F; }
EMBERGRAD_HD double least_moment(double /*type*/) { return 1e-300; }

// m · factor, but never so small that its sign is lost: rows without a gradient move by the sign alone, for ever.
template <class T>
EMBERGRAD_HD T fade(T m, T factor) {
  const T least = least_moment(T());
  const T faded = m * factor;
  const bool is_lost = (faded < least) & (faded > -least) & (m != T(0)) & (factor != T(0));
  const T kept = m < T(0) ? -least : least;
  return is_lost ? kept : faded;
}

// 1, 0 or -1; a NaN stays.
template <class T>
EMBERGRAD_HD T sign_of(T x) {
  const T positive = x > T(0) ? T(1) : x;
  return x < T(0) ? T(-1) : positive;
}

// What one step of Lion multiplies by.
template <class T>
struct LionCoefficients {
  T lr;
  T beta1;
  T fresh1;  // 1 - beta1
  T beta2;
  T fresh2;  // 1 - beta2
  T keep;    // 1 - lr·weight_decay
  T sign;    // -1 to maximize
};

//   w = (1 - lr·weight_decay)·w - lr·sign(beta1·m + (1 - beta1)·g);  m = beta2·m + (1 - beta2)·g
struct Lion {
  static constexpr unsigned slots = 0b001;
  template <class T>
  using Coefficients = LionCoefficients<T>;

  template <class T>
  EMBERGRAD_HD static void step(const LionCoefficients<T>& c, T& w, T g, T& m, T& /*s1*/, T& /*s2*/) {
    g = c.sign * g;
    w = c.keep * w - c.lr * sign_of(fade(m, c.beta1) + c.fresh1 * g);
    m = fade(m, c.beta2) + c.fresh2 * g;
  }
};

// Steps without a gradient: the sign of m stays.
template <class T>
struct LionSpan {
  T near;  // 1 or 0, as in LinearSpan
  T rest;  // of what w keeps: less `near`
  T travel;
  T m_factor;  // above 0
};

struct LionIdle {
  template <class T>
  using Span = LionSpan<T>;

  template <int lanes, class T>
  EMBERGRAD_HD static void drift(const LionSpan<T>& span, const T* /*tail*/, const T* w, const T* m, const T* /*s1*/,
                                 const T* /*s2*/, T* out) {
    for (int i = 0; i < lanes; ++i) out[i] = span.near * w[i] + (span.rest * w[i] - span.travel * sign_of(m[i]));
  }
  template <int lanes, class T>
  EMBERGRAD_HD static void age(const LionSpan<T>& span, const T* /*w*/, T* m, T* /*s1*/, T* /*s2*/) {
    for (int i = 0; i < lanes; ++i) m[i] = fade(m[i], span.m_factor);
  }
};

}  // namespace embergrad::rules

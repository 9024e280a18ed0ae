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

// What Adam and its kin begin with.
//   coupled: g += weight_decay·w;  decoupled: w *= 1 - lr·weight_decay
//   m += (g - m)(1 - beta1);  v = beta2·v + (1 - beta2)·g²
template <Decay decay, class Coefficients, class T>
EMBERGRAD_HD void move_moments(const Coefficients& c, T& w, T& g, T& m, T& v) {
  g = c.sign * g;
  if constexpr (decay == Decay::coupled) g = g + c.weight_decay * w;
  if constexpr (decay == Decay::decoupled) w = w * c.keep;
  m = without_dust(m + (g - m) * c.fresh1);
  v = without_dust(v * c.beta2 + c.fresh2 * g * g);
}

//   v^ = amsgrad ? (max = max(max, v)) : v;  w -= lr/(1 - beta1^t) · m / (sqrt(v^)/sqrt(1 - beta2^t) + eps)
template <Decay decay, bool amsgrad>
struct Adam {
  static constexpr unsigned slots = amsgrad ? 0b111 : 0b011;
  template <class T>
  using Coefficients = AdamCoefficients<T>;

  template <class T>
  EMBERGRAD_HD static void step(const AdamCoefficients<T>& c, T& w, T g, T& m, T& v, T& v_max) {
    move_moments<decay>(c, w, g, m, v);
    T v_hat = v;
    if constexpr (amsgrad) v_hat = v_max = larger(v_max, v);
    w = w - c.step_size * m / (root(v_hat) / c.root_correction2 + c.eps);
  }
};

// Steps without a gradient and without coupled decay: m and v fade, and w moves by m times a sum over the steps, which
// is a polynomial of y = q/(q + eps), q = root_scale·sqrt(v), times 1/(q + eps). Its Chebyshev coefficients, in
// t = 2y - 1, are the span's tail. The relative error of the sum has a proven bound.
template <class T>
struct AdamSpan {
  T near;  // 1 or 0, as in LinearSpan
  T rest;  // of what w keeps: less `near`
  T m_factor;
  T v_factor;
  T root_scale;
  T plain;  // what w loses of m without a denominator
  T eps;
  T degree;  // of the polynomial, even: the tail has degree + 1 numbers
};

template <bool amsgrad>
struct AdamIdle {
  template <class T>
  using Span = AdamSpan<T>;

  template <int lanes, class T>
  EMBERGRAD_HD static void drift(const AdamSpan<T>& span, const T* tail, const T* w, const T* m, const T* v,
                                 const T* v_max, T* out) {
    if (!any_of<lanes>(m)) {  // never touched, or so long ago that only decay is left
      for (int i = 0; i < lanes; ++i) out[i] = span.near * w[i] + span.rest * w[i];
      return;
    }
    T z[lanes], t2[lanes], p[lanes], p1[lanes];
    for (int i = 0; i < lanes; ++i) z[i] = T(1) / (span.root_scale * root(amsgrad ? v_max[i] : v[i]) + span.eps);
    for (int i = 0; i < lanes; ++i) t2[i] = T(2) - T(4) * span.eps * z[i];
    // Clenshaw 1955, two terms at a time; t2 = 2t.
    for (int i = 0; i < lanes; ++i) p[i] = T(0);
    for (int i = 0; i < lanes; ++i) p1[i] = T(0);
    for (int j = static_cast<int>(span.degree); j > 0; j -= 2) {
      const T a = tail[j];
      const T b = tail[j - 1];
      for (int i = 0; i < lanes; ++i) p1[i] = a + t2[i] * p[i] - p1[i];
      for (int i = 0; i < lanes; ++i) p[i] = b + t2[i] * p1[i] - p[i];
    }
    for (int i = 0; i < lanes; ++i) {
      const T sum = z[i] * (tail[0] + T(0.5) * t2[i] * p[i] - p1[i]) + span.plain;
      out[i] = span.near * w[i] + (span.rest * w[i] - m[i] * sum);
    }
  }
  template <int lanes, class T>
  EMBERGRAD_HD static void age(const AdamSpan<T>& span, const T* /*w*/, T* m, T* v, T* /*v_max*/) {
    fade<lanes>(m, span.m_factor);
    fade<lanes>(v, span.v_factor);
  }

 private:
  // Is one not zero?
  template <int lanes, class T>
  EMBERGRAD_HD static bool any_of(const T* x) {
    int is[lanes];
    for (int i = 0; i < lanes; ++i) is[i] = x[i] != T(0) ? 1 : 0;
    int any = 0;
    for (int i = 0; i < lanes; ++i) any |= is[i];
    return any != 0;
  }
  // Moments of rows that were never touched are not written.
  template <int lanes, class T>
  EMBERGRAD_HD static void fade(T* x, T factor) {
    if (!any_of<lanes>(x)) return;
    for (int i = 0; i < lanes; ++i) x[i] = without_dust(x[i] * factor);
  }
};

}  // namespace embergrad::rules

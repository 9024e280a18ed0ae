// One number under stochastic gradient descent. Nothing here but plain arithmetic, for host and device alike.
//
// A rule says what a gradient does to a number w and to what is kept beside it; kernels/rules/update.hpp lists all:
//   static constexpr unsigned slots;      which numbers are kept beside w: bit i stands for slot i
//   template <class T> Coefficients;      what a step multiplies by: numbers of type T and nothing else
//   step(coefficients, w, g, s0, s1, s2)  one step; slots that are not kept are not looked at
// A rule with `by_row` is one of whole rows, and its slots hold one number for a row:
//   gradient(coefficients, w, g)          of one element
//   rate(coefficients, mean_square, s0)   from the mean of the gradients' squares; then w -= rate·gradient
// What time does to w where there is no gradient is an idle rule, which takes `lanes` numbers of a row at once:
//   template <class T> Span;              what happened since the row was settled: numbers of type T and nothing else
//   drift<lanes>(span, tail, w, s0, s1, s2, out)  what w is then; `out` may be `w`
//   age<lanes>(span, w, s0, s1, s2)               what is left of the slots; w is the one before
#pragma once

#include "kernels/host_device.hpp"

namespace embergrad::rules {

// Moments this small are zero: denormal numbers are slow, and no step of 1e-30 is seen in float32. Not in float64.
EMBERGRAD_HD float without_dust(float x) { return x < 1e-30f && x > -1e-30f ? 0.0f : x; }
EMBERGRAD_HD double without_dust(double x) { return x; }

// How weight decay acts: not at all, through the gradient (SGD, Adam), or on the weight itself (SGDW, AdamW).
enum class Decay : unsigned char { none, coupled, decoupled };

// What one step of SGD multiplies by.
template <class T>
struct SgdCoefficients {
  T lr;
  T momentum;
  T fresh;         // 1 - dampening, but 1 at a parameter's first step
  T weight_decay;  // coupled: added to the gradient
  T keep;          // decoupled: 1 - lr·weight_decay
  T sign;          // -1 to maximize
};

//   coupled: g = ±g + weight_decay·w;  decoupled: w *= 1 - lr·weight_decay
//   b = momentum·b + fresh·g;  w -= lr·(nesterov ? g + momentum·b : b)
// Without momentum: w -= lr·g. A buffer starts at zero.
template <bool has_momentum, bool nesterov, Decay decay>
struct Sgd {
  static constexpr unsigned slots = has_momentum ? 0b001 : 0;
  template <class T>
  using Coefficients = SgdCoefficients<T>;

  template <class T>
  EMBERGRAD_HD static void step(const SgdCoefficients<T>& c, T& w, T g, T& b, T& /*s1*/, T& /*s2*/) {
    g = c.sign * g;
    if constexpr (decay == Decay::coupled) g = g + c.weight_decay * w;
    if constexpr (decay == Decay::decoupled) w = w * c.keep;
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
};

// Steps without a gradient, as far as they are linear in w and in a buffer b: a product of 2×2 matrices.
template <class T>
struct LinearSpan {
  T near;  // 1 or 0: w' = near·w + (rest·w + w_from_b·b), so that neither a small decay nor a small w is lost
  T rest;  // of what w keeps: less `near`
  T w_from_b;
  T b_from_w;
  T b_from_b;
};

struct LinearIdle {
  template <class T>
  using Span = LinearSpan<T>;

  template <int lanes, class T>
  EMBERGRAD_HD static void drift(const LinearSpan<T>& span, const T* /*tail*/, const T* w, const T* b, const T* /*s1*/,
                                 const T* /*s2*/, T* out) {
    for (int i = 0; i < lanes; ++i) out[i] = span.near * w[i] + (span.rest * w[i] + span.w_from_b * b[i]);
  }
  template <int lanes, class T>
  EMBERGRAD_HD static void age(const LinearSpan<T>& span, const T* w, T* b, T* /*s1*/, T* /*s2*/) {
    for (int i = 0; i < lanes; ++i) b[i] = without_dust(span.b_from_w * w[i] + span.b_from_b * b[i]);
  }
};

}  // namespace embergrad::rules

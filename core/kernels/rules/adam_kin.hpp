// One number under what was made of Adam: NAdam (Dozat 2016), RAdam (Liu et al. 2020), SparseAdam, Adamax (Kingma and
// Ba 2015).
#pragma once

#include "kernels/host_device.hpp"
#include "kernels/rules/adam.hpp"

namespace embergrad::rules {

// What step t of NAdam multiplies by; mu_i = beta1·(1 - 0.96^(i·momentum_decay)/2).
template <class T>
struct NadamCoefficients {
  T g_rate;  // lr·(1 - mu_t) / (1 - mu_1·…·mu_t)
  T m_rate;  // lr·mu_t+1 / (1 - mu_1·…·mu_t+1)
  T fresh1;  // 1 - beta1
  T beta2;
  T fresh2;            // 1 - beta2
  T root_correction2;  // sqrt(1 - beta2^t)
  T eps;
  T weight_decay;  // coupled: added to the gradient
  T keep;          // decoupled: 1 - lr·weight_decay
  T sign;          // -1 to maximize
};

//   w -= (g_rate·g + m_rate·m) / (sqrt(v)/sqrt(1 - beta2^t) + eps)
template <Decay decay>
struct Nadam {
  static constexpr unsigned slots = 0b011;
  template <class T>
  using Coefficients = NadamCoefficients<T>;

  template <class T>
  EMBERGRAD_HD static void step(const NadamCoefficients<T>& c, T& w, T g, T& m, T& v, T& /*s2*/) {
    move_moments<decay>(c, w, g, m, v);
    const T size = root(v) / c.root_correction2 + c.eps;
    w = w - c.g_rate * g / size;
    w = w - c.m_rate * m / size;
  }
};

// What one step multiplies by where eps is added to the root of v as it is.
template <class T>
struct RawAdamCoefficients {
  T rate;    // all that m / (sqrt(v) + eps) is multiplied by; plain: m itself
  T fresh1;  // 1 - beta1
  T beta2;
  T fresh2;  // 1 - beta2
  T eps;
  T weight_decay;  // coupled: added to the gradient
  T keep;          // decoupled: 1 - lr·weight_decay
  T sign;          // -1 to maximize
  T plain;         // 1: there is no division
};

//   w -= rate · m / (sqrt(v) + eps),   plain: w -= rate · m
template <Decay decay>
struct RawAdam {
  static constexpr unsigned slots = 0b011;
  template <class T>
  using Coefficients = RawAdamCoefficients<T>;

  template <class T>
  EMBERGRAD_HD static void step(const RawAdamCoefficients<T>& c, T& w, T g, T& m, T& v, T& /*s2*/) {
    move_moments<decay>(c, w, g, m, v);
    const T size = c.plain != T(0) ? T(1) : root(v) + c.eps;
    w = w - c.rate * (m / size);
  }
};

// What step t of Adamax multiplies by.
template <class T>
struct AdamaxCoefficients {
  T step_size;  // lr / (1 - beta1^t)
  T fresh1;     // 1 - beta1
  T beta2;
  T eps;
  T weight_decay;
  T sign;  // -1 to maximize
};

//   g = ±g + weight_decay·w;  m += (g - m)(1 - beta1);  u = max(beta2·u, |g| + eps);  w -= lr/(1 - beta1^t) · m/u
template <bool decays>
struct Adamax {
  static constexpr unsigned slots = 0b011;
  template <class T>
  using Coefficients = AdamaxCoefficients<T>;

  template <class T>
  EMBERGRAD_HD static void step(const AdamaxCoefficients<T>& c, T& w, T g, T& m, T& u, T& /*s2*/) {
    g = c.sign * g;
    if constexpr (decays) g = g + c.weight_decay * w;
    m = without_dust(m + (g - m) * c.fresh1);
    u = larger(u * c.beta2, (g < T(0) ? -g : g) + c.eps);
    w = w - c.step_size * m / u;
  }
};

}  // namespace embergrad::rules

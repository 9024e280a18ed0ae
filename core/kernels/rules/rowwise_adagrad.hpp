// A row under row-wise Adagrad: one sum for the row (FBGEMM's EXACT_ROWWISE_ADAGRAD).
#pragma once

#include "kernels/host_device.hpp"
#include "kernels/rules/adagrad.hpp"

namespace embergrad::rules {

//   g = ±g + weight_decay·w;  sum += mean of g² over the row;  w -= rate / (sqrt(sum) + eps) · g
// Without decay nothing moves where there is no gradient.
template <bool decays>
struct RowwiseAdagrad {
  static constexpr unsigned slots = 0b001;
  static constexpr bool by_row = true;
  template <class T>
  using Coefficients = AdagradCoefficients<T>;

  template <class T>
  EMBERGRAD_HD static T gradient(const AdagradCoefficients<T>& c, T w, T g) {
    g = c.sign * g;
    if constexpr (decays) g = g + c.weight_decay * w;
    return g;
  }
  // What the row's gradients are multiplied by.
  template <class T>
  EMBERGRAD_HD static T rate(const AdagradCoefficients<T>& c, T mean_square, T& sum) {
    sum = sum + mean_square;
    return c.rate / (root(sum) + c.eps);
  }
};

}  // namespace embergrad::rules

// Contracts: one step of an optimizer, and what clipping needs. float32 or float64; all views of one request have the
// same type, but for a parameter of 16 bits, which is computed in float32. Element by element, so a request may be cut
// anywhere.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/rules/adagrad.hpp"
#include "kernels/rules/adam.hpp"
#include "kernels/rules/sgd.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// Which elements a step is about. Without `rows` all of the views, which have one size; with them, the rows of `dim`
// elements that they name of parameter and state, for which the gradient holds `count` rows.
struct RowList {
  const std::int64_t* rows = nullptr;
  std::int64_t count = 0;
  std::int64_t dim = 0;
};

// rules::Sgd on every element. Without `momentum` the rule has none.
struct SgdStep {
  rules::SgdCoefficients<double> coefficients;  // rounded to the views' type
  bool nesterov;
  View param, grad, momentum;
  RowList rows = {};
};

// rules::Adam on every element; amsgrad where `v_max` is given.
struct AdamStep {
  rules::AdamCoefficients<double> coefficients;  // rounded to the views' type
  rules::Decay decay;
  View param, grad, m, v, v_max;
  RowList rows = {};
};

// rules::Adagrad on every element.
struct AdagradStep {
  rules::AdagradCoefficients<double> coefficients;  // rounded to the views' type
  View param, grad, sum;
  RowList rows = {};
};

// result[0] = Σ |x|^p, or max |x| for p = ∞. Summed in float64, in fixed chunks of 16384 whose sums are added in order.
struct NormTerms {
  View in;
  double p;        // > 0
  double* result;  // on the host
};

// x *= factor
struct ScaleInPlace {
  View inout;
  double factor;  // rounded to the view's type
};

// x = min(max(x, -limit), limit); a NaN stays.
struct ClampInPlace {
  View inout;
  double limit;  // rounded to the view's type
};

void run(OnCpu, const SgdStep&);
void run(OnCpu, const AdamStep&);
void run(OnCpu, const AdagradStep&);
void run(OnCpu, const NormTerms&);
void run(OnCpu, const ScaleInPlace&);
void run(OnCpu, const ClampInPlace&);

}  // namespace embergrad

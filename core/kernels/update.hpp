// Contracts: one step of an optimizer, and what clipping needs. float32 or float64; all views of one request have the
// same type, and the same size where they are given. Element by element, so a request may be cut anywhere.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/rules/adam.hpp"
#include "kernels/rules/sgd.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// rules::Sgd on every element. Without `momentum` the rule has none.
struct DenseSgd {
  rules::SgdCoefficients<double> coefficients;  // rounded to the views' type
  bool nesterov;
  View param, grad, momentum;
};

// rules::Adam on every element; amsgrad where `v_max` is given.
struct DenseAdam {
  rules::AdamCoefficients<double> coefficients;  // rounded to the views' type
  rules::Decay decay;
  View param, grad, m, v, v_max;
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

void run(OnCpu, const DenseSgd&);
void run(OnCpu, const DenseAdam&);
void run(OnCpu, const NormTerms&);
void run(OnCpu, const ScaleInPlace&);
void run(OnCpu, const ClampInPlace&);

}  // namespace embergrad

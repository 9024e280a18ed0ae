// The loops of update.cpp that are compiled once per instruction set: cpu/simd/update.hpp has them, SimdTable a pointer
// to each. The same bits for every set.
#pragma once

#include <cstdint>

#include "kernels/rules/adagrad.hpp"
#include "kernels/rules/adam.hpp"
#include "kernels/rules/sgd.hpp"

namespace embergrad::cpu {

// Loops over n numbers of type T.
template <class T>
struct UpdateLoopsOf {
  // One step of SGD; momentum is null without momentum.
  void (*sgd)(const rules::SgdCoefficients<T>& coefficients, bool nesterov, T* param, const T* grad, T* momentum,
              std::int64_t n);
  // One step of Adam; v_max is null without amsgrad.
  void (*adam)(const rules::AdamCoefficients<T>& coefficients, rules::Decay decay, T* param, const T* grad, T* m, T* v,
               T* v_max, std::int64_t n);
  // One step of Adagrad.
  void (*adagrad)(const rules::AdagradCoefficients<T>& coefficients, T* param, const T* grad, T* sum, std::int64_t n);
  // Σ x², in 16 lanes of float64.
  double (*sum_squares)(const T* x, std::int64_t n);
  // x *= factor
  void (*scale)(T* x, T factor, std::int64_t n);
  // x = min(max(x, -limit), limit); a NaN stays.
  void (*clamp)(T* x, T limit, std::int64_t n);
};

struct UpdateLoops {
  UpdateLoopsOf<float> f32;
  UpdateLoopsOf<double> f64;
};

}  // namespace embergrad::cpu

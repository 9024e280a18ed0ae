// The loops of update.cpp that are compiled once per instruction set: cpu/simd/update.hpp has them, SimdTable a pointer
// to each. The same bits for every set.
#pragma once

#include <cstdint>

#include "kernels/rules/update.hpp"

namespace embergrad::cpu {

// Loops over n numbers of type T.
template <class T>
struct UpdateLoopsOf {
  // One step of a rule; coefficients as its struct has them; no gradient is one of zeros. Of a rule of whole rows: one
  // row, whose slots are one number.
  void (*step[rules::StepRules::count])(const T* coefficients, T* param, const T* grad, T* s0, T* s1, T* s2,
                                        std::int64_t n);
  // What time did to a row; span as the rule's struct has it, and its tail.
  void (*idle[rules::IdleRules::count])(const T* span, T* param, T* s0, T* s1, T* s2, std::int64_t n);
  // Its two parts: the parameter alone, to `out`, and the slots alone, beside the parameter as it was before.
  void (*drift[rules::IdleRules::count])(const T* span, T* param, T* s0, T* s1, T* s2, T* out, std::int64_t n);
  void (*age[rules::IdleRules::count])(const T* span, T* param, T* s0, T* s1, T* s2, std::int64_t n);
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

// The hot loops of the CPU, chosen for this processor at start: baseline, AVX2 or AVX-512. The same source for all sets
// and no contraction, so all give the same bits.
#pragma once

#include <cstdint>

#include "kernels/elementwise.hpp"
#include "kernels/update_loops.hpp"

namespace embergrad::cpu {

// Some rows of a table whose elements are of type Row, to be computed with in T.
template <class Row, class T>
struct RowsOf {
  const Row* table;
  const std::int64_t* rows;  // which
  std::int64_t count;
  std::int64_t readable;  // how many of `rows` may be looked at, to fetch them early; at least `count`
  std::int64_t width;
  const T* factors = nullptr;             // of each row; null: all 1
  const std::int32_t* slots = nullptr;    // the number that stands for a row where winners are told; null: its place
  const std::int32_t* winners = nullptr;  // see the loops
  T scale = T(1);                         // of a sum, once it is there
};

// Loops over rows of a table.
template <class Row, class T>
struct TableLoops {
  // out (+)= scale * the sum of the rows times their factors, in order by blocks of 64. With winners (as many rows as
  // the table, which holds gradients then), a column counts only where its winner is the slot.
  void (*sum)(const RowsOf<Row, T>& rows, T* out, bool accumulate);
  // out = the largest of factor * row in each column, the first of equals, NaN before all; winners = its slot. Leaves
  // both alone where there are no rows.
  void (*max)(const RowsOf<Row, T>& rows, T* out, std::int32_t* winners);
  // out[k] = row k (without its factor) · grad; with winners (one row), over the columns whose winner is its slot.
  void (*dots)(const RowsOf<Row, T>& rows, const T* grad, T* out);
};

// Loops for one element type. Integers have elementwise rules that take them and the extremes; the rest is null.
template <class T>
struct Loops {
  void (*unary[rules::UnaryRules::count])(const T* in, T* out, std::int64_t n);
  void (*unary_grad[rules::UnaryRules::count])(const T* saved, const T* grad, T* out, std::int64_t n);
  void (*binary[rules::BinaryRules::count])(const T* a, const T* b, T* out, std::int64_t n);
  void (*binary_scalar[rules::BinaryRules::count])(const T* a, T b, T* out, std::int64_t n);
  void (*scalar_binary[rules::BinaryRules::count])(T a, const T* b, T* out, std::int64_t n);
  void (*clamp)(const T* in, T low, T high, T* out, std::int64_t n);
  void (*clamp_grad)(const T* in, const T* grad, T low, T high, T* out, std::int64_t n);
  // The largest (smallest) of n >= 1 numbers; NaN goes before all.
  T (*extreme)(const T* in, std::int64_t n, bool smallest);
  // The first position of a value that is there; of any NaN if it is one.
  std::int64_t (*find)(const T* in, std::int64_t n, T value);
  // values[j] = the extreme of in[k * width + j] over k, indices[j] (unless null) = the first k that has it.
  void (*extreme_rows)(const T* in, std::int64_t count, std::int64_t width, T* values, std::int64_t* indices,
                       bool smallest);
  // 16 lanes, each in blocks of 64 of blocks of 64, added pairwise.
  T (*sum)(const T* in, std::int64_t n);
  // out[j] = sum of in[k * stride + j] over k, in order by blocks of 64.
  void (*sum_rows)(const T* in, std::int64_t count, std::int64_t stride, std::int64_t width, T* out);
  void (*softmax_row)(const T* in, T* out, std::int64_t n, bool log);
  void (*softmax_row_grad)(const T* out, const T* grad, T* grad_in, std::int64_t n, bool log);
  // rules::BinaryCrossEntropy times weight, and times scale; a step is 1, or 0 for a number that repeats.
  void (*bce)(const T* x, const T* t, const T* weight, std::int64_t weight_step, const T* pos_weight,
              std::int64_t pos_step, T* out, std::int64_t n);
  void (*bce_grad)(const T* x, const T* t, const T* weight, std::int64_t weight_step, const T* pos_weight,
                   std::int64_t pos_step, const T* scale, std::int64_t scale_step, T* out, std::int64_t n);
  // C = alpha op(A) op(B) + beta C by plain loops; sums over k in order (b transposed: 16 partial sums).
  void (*gemm)(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda, bool transpose_a,
               const T* b, std::int64_t ldb, bool transpose_b, T alpha, T beta, T* c, std::int64_t ldc);
  // One sequence's step. gates: z before, activations after; bias may be null.
  void (*lstm_cell)(T* gates, const T* bias, const T* c_before, T* c, T* c_tanh, T* h, std::int64_t hidden);
  // gates: activations before, gradients of z after; grad_c: of c' before, of c after.
  void (*lstm_cell_grad)(T* gates, const T* c_before, const T* c_tanh, const T* grad_h, T* grad_c, std::int64_t hidden);
};

struct SimdTable {
  const char* name;
  Loops<float> f32;
  Loops<double> f64;
  Loops<std::int32_t> i32;
  Loops<std::int64_t> i64;
  UpdateLoops update;
  TableLoops<float, float> table_f32;
  TableLoops<double, double> table_f64;
  TableLoops<Float16, float> table_f16;
  TableLoops<BFloat16, float> table_bf16;

  template <class T>
  const Loops<T>& loops() const;
  template <class Row>
  const auto& table() const {
    if constexpr (rules::is_same<Row, float>) {
      return table_f32;
    } else if constexpr (rules::is_same<Row, double>) {
      return table_f64;
    } else if constexpr (rules::is_same<Row, Float16>) {
      return table_f16;
    } else {
      return table_bf16;
    }
  }
};
template <>
inline const Loops<float>& SimdTable::loops<float>() const {
  return f32;
}
template <>
inline const Loops<double>& SimdTable::loops<double>() const {
  return f64;
}
template <>
inline const Loops<std::int32_t>& SimdTable::loops<std::int32_t>() const {
  return i32;
}
template <>
inline const Loops<std::int64_t>& SimdTable::loops<std::int64_t>() const {
  return i64;
}

// Where a rule stands in the tables.
template <class Rule>
inline constexpr int unary_place = static_cast<int>(unary_op<Rule>);
template <class Rule>
inline constexpr int binary_place = static_cast<int>(binary_op<Rule>);

// The table for this processor. EMBERGRAD_SIMD=baseline|avx2|avx512 in the environment asks for a lower set.
const SimdTable& simd();

}  // namespace embergrad::cpu

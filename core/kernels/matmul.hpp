// Contract: matrix products.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// C = alpha op(A) op(B) + beta C, row-major; op(A) is (m, k), op(B) is (k, n), C is (m, n). A transposed operand is
// stored transposed: A as (k, m), B as (n, k). Leading dimensions in elements. float32 or float64. C is not read where
// beta is 0. k = 0 gives beta C.
struct Gemm {
  DType dtype;
  std::int64_t m, n, k;
  const void* a;
  std::int64_t lda;
  bool transpose_a;
  const void* b;
  std::int64_t ldb;
  bool transpose_b;
  void* c;
  std::int64_t ldc;
  double alpha = 1;  // both rounded to the matrices' type
  double beta = 0;
};

void run(OnCpu, const Gemm&);
void run(OnCuda, const Gemm&);

}  // namespace embergrad

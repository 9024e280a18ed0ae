// Row-major products in the terms of a column-major BLAS.
#pragma once

#include "kernels/matmul.hpp"

namespace embergrad::cuda {

// The arguments of a column-major gemm: C (m, n) = alpha op(A) op(B) + beta C, element (i, j) of a matrix at [i + j *
// ld].
struct ColumnMajorGemm {
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;
  const void* a;
  std::int64_t lda;
  const void* b;
  std::int64_t ldb;
  double alpha;
  double beta;
  void* c;
  std::int64_t ldc;
};

// A row-major matrix is its transpose in column-major order, and C^T = op(B)^T op(A)^T. A BLAS refuses a leading
// dimension of 0, which matrices without columns have here.
constexpr ColumnMajorGemm column_major(const Gemm& gemm) {
  return {.transpose_a = gemm.transpose_b,
          .transpose_b = gemm.transpose_a,
          .m = gemm.n,
          .n = gemm.m,
          .k = gemm.k,
          .a = gemm.b,
          .lda = gemm.ldb > 0 ? gemm.ldb : 1,
          .b = gemm.a,
          .ldb = gemm.lda > 0 ? gemm.lda : 1,
          .alpha = gemm.alpha,
          .beta = gemm.beta,
          .c = gemm.c,
          .ldc = gemm.ldc};
}

}  // namespace embergrad::cuda

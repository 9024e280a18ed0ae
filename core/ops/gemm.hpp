// Products of contiguous matrices, as ops use them.
#pragma once

#include <embergrad/tensor.hpp>

#include "kernels/matmul.hpp"
#include "kernels/memory.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

struct GemmSizes {
  std::int64_t m, n, k;
};

struct GemmFactors {
  double alpha = 1, beta = 0;
};

// out (m, n) = alpha op(a) op(b) + beta out; a transposed operand is stored transposed.
inline void gemm(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, Tensor& out, GemmSizes sizes,
                 GemmFactors factors = {}) {
  launch(out.device(), Gemm{.dtype = out.dtype(),
                            .m = sizes.m,
                            .n = sizes.n,
                            .k = sizes.k,
                            .a = detail::data_of(a),
                            .lda = transpose_a ? sizes.m : sizes.k,
                            .transpose_a = transpose_a,
                            .b = detail::data_of(b),
                            .ldb = transpose_b ? sizes.k : sizes.n,
                            .transpose_b = transpose_b,
                            .c = detail::data_of(out),
                            .ldc = sizes.n,
                            .alpha = factors.alpha,
                            .beta = factors.beta});
}

// out[r, :] = row for all rows.
inline void copy_rows(const Tensor& row, Tensor& out, std::int64_t rows) {
  const std::int64_t width = row.numel();
  const StridedView from{detail::data_of(row), row.dtype(), 2, {rows, width}, {0, 1}};
  const StridedView to{detail::data_of(out), out.dtype(), 2, {rows, width}, {width, 1}};
  launch(out.device(), CopyStrided{.in = from, .out = to});
}

}  // namespace embergrad

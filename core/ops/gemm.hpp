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

// out (m, n) = alpha op(a) op(b) + beta out; a transposed operand is stored transposed.
inline void gemm(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, Tensor& out, GemmSizes sizes,
                 double alpha = 1, double beta = 0) {
  launch(out.device(), Gemm{.dtype = out.dtype(),
                            .m = sizes.m,
                            .n = sizes.n,
                            .k = sizes.k,
                            .a = a.state()->data,
                            .lda = transpose_a ? sizes.m : sizes.k,
                            .transpose_a = transpose_a,
                            .b = b.state()->data,
                            .ldb = transpose_b ? sizes.k : sizes.n,
                            .transpose_b = transpose_b,
                            .c = out.state()->data,
                            .ldc = sizes.n,
                            .alpha = alpha,
                            .beta = beta});
}

// out[r, :] = row for all rows.
inline void copy_rows(const Tensor& row, Tensor& out, std::int64_t rows) {
  const std::int64_t width = row.numel();
  const StridedView from{row.state()->data, row.dtype(), 2, {rows, width}, {0, 1}};
  const StridedView to{out.state()->data, out.dtype(), 2, {rows, width}, {width, 1}};
  launch(out.device(), CopyStrided{.in = from, .out = to});
}

}  // namespace embergrad

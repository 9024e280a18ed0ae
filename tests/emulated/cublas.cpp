// A libcublas for emulated GPUs: the functions that the CUDA room asks for, as plain loops.
#include <cublas_v2.h>

#include <cmath>
#include <cstdint>

#include "emulated/runtime.hpp"

struct cublasContext {
  cudaStream_t stream;
};

namespace {

template <class T>
cublasStatus_t multiply(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, std::int64_t m,
                        std::int64_t n, std::int64_t k, const T* alpha, const T* a, std::int64_t lda, const T* b,
                        std::int64_t ldb, const T* beta, T* c, std::int64_t ldc) {
  const bool a_is_turned = op_a != CUBLAS_OP_N;
  const bool b_is_turned = op_b != CUBLAS_OP_N;
  if (m < 0 || n < 0 || k < 0 || lda < (a_is_turned ? k : m) || lda < 1 || ldb < (b_is_turned ? n : k) || ldb < 1 ||
      ldc < m || ldc < 1) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  handle->stream->enqueue(handle->stream, [=, alpha = *alpha, beta = *beta] {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t i = 0; i < m; ++i) {
        double sum = 0;  // a real one adds in tiles, nearer to this than to floats added one by one
        for (std::int64_t p = 0; p < k; ++p) {
          const T left = a_is_turned ? a[p + i * lda] : a[i + p * lda];
          const T right = b_is_turned ? b[j + p * ldb] : b[p + j * ldb];
          sum = std::fma(static_cast<double>(left), static_cast<double>(right), sum);
        }
        T& out = c[i + j * ldc];
        const T product = alpha * static_cast<T>(sum);
        out = beta == T(0) ? product : product + beta * out;
      }
    }
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = new cublasContext{nullptr};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSgemm_v2_64(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, std::int64_t m,
                                 std::int64_t n, std::int64_t k, const float* alpha, const float* a, std::int64_t lda,
                                 const float* b, std::int64_t ldb, const float* beta, float* c, std::int64_t ldc) {
  return multiply(handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
cublasStatus_t cublasDgemm_v2_64(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, std::int64_t m,
                                 std::int64_t n, std::int64_t k, const double* alpha, const double* a, std::int64_t lda,
                                 const double* b, std::int64_t ldb, const double* beta, double* c, std::int64_t ldc) {
  return multiply(handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
const char* cublasGetStatusName(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_INVALID_VALUE";
}
}

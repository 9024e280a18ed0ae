// Included by table.cpp inside a namespace. Products too small to be worth a library call, one-row products, and
// float64.

// c[j] += alpha * a * b[j] for four rows of b at a time: one pass over c for four of b. The sum over k stays in order.
template <class T>
EMBERGRAD_HD void add_scaled_rows(const T* a, std::int64_t a_stride, T alpha, const T* b, std::int64_t ldb,
                                  std::int64_t k, std::int64_t n, T* c) {
  std::int64_t p = 0;
  for (; p + 4 <= k; p += 4) {
    const T a0 = alpha * a[p * a_stride], a1 = alpha * a[(p + 1) * a_stride], a2 = alpha * a[(p + 2) * a_stride],
            a3 = alpha * a[(p + 3) * a_stride];
    const T *b0 = b + p * ldb, *b1 = b0 + ldb, *b2 = b1 + ldb, *b3 = b2 + ldb;
    for (std::int64_t j = 0; j < n; ++j) c[j] = (((c[j] + a0 * b0[j]) + a1 * b1[j]) + a2 * b2[j]) + a3 * b3[j];
  }
  for (; p < k; ++p) {
    const T ap = alpha * a[p * a_stride];
    const T* bp = b + p * ldb;
    for (std::int64_t j = 0; j < n; ++j) c[j] += ap * bp[j];
  }
}

template <class T>
EMBERGRAD_HD T dot(const T* a, std::int64_t a_stride, const T* b, std::int64_t n) {
  if (n < 16 || a_stride != 1) {
    T total = T(0);
    for (std::int64_t i = 0; i < n; ++i) total += a[i * a_stride] * b[i];
    return total;
  }
  T lanes[16] = {};
  const std::int64_t whole = n / 16 * 16;
  for (std::int64_t i = 0; i < whole; i += 16) {
    for (int k = 0; k < 16; ++k) lanes[k] += a[i + k] * b[i + k];
  }
  for (std::int64_t i = whole; i < n; ++i) lanes[i - whole] += a[i] * b[i];
  return add_lanes(lanes);
}

template <class T>
static void gemm_loop(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda, bool transpose_a,
                      const T* b, std::int64_t ldb, bool transpose_b, T alpha, T beta, T* c, std::int64_t ldc) {
  const std::int64_t a_row = transpose_a ? 1 : lda;
  const std::int64_t a_stride = transpose_a ? lda : 1;
  for (std::int64_t i = 0; i < m; ++i) {
    T* row = c + i * ldc;
    const T* a_i = a + i * a_row;
    if (transpose_b) {
      for (std::int64_t j = 0; j < n; ++j) {
        const T product = alpha * dot(a_i, a_stride, b + j * ldb, k);
        row[j] = beta != T(0) ? beta * row[j] + product : product;
      }
    } else {
      if (beta == T(0)) {
        for (std::int64_t j = 0; j < n; ++j) row[j] = T(0);
      } else if (beta != T(1)) {
        for (std::int64_t j = 0; j < n; ++j) row[j] *= beta;
      }
      add_scaled_rows(a_i, a_stride, alpha, b, ldb, k, n, row);
    }
  }
}

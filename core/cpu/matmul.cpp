// The one place that names a matrix library.
#include "kernels/matmul.hpp"

#include <algorithm>

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/transpose.hpp"
#include "cpu/visit.hpp"
#include "src/memory_pool.hpp"

#ifdef EMBERGRAD_GEMM_ONEDNN
#include <csignal>

#include <oneapi/dnnl/dnnl.h>
#endif
#ifdef EMBERGRAD_GEMM_OPENBLAS
#include <cblas.h>
#endif

namespace embergrad {
namespace {

template <class T>
void plain(const Gemm& g) {
  cpu::simd().loops<T>().gemm(g.m, g.n, g.k, static_cast<const T*>(g.a), g.lda, g.transpose_a,
                              static_cast<const T*>(g.b), g.ldb, g.transpose_b, static_cast<T>(g.alpha),
                              static_cast<T>(g.beta), static_cast<T*>(g.c), g.ldc);
}

#ifdef EMBERGRAD_GEMM_ONEDNN
// oneDNN's generated code (seen in 2.6, inner extents from about 128) keeps data so far below the stack pointer that
// the frame of a signal handler overwrites it: wrong products, then a damaged heap. While one of these lives, this
// thread takes no signals but those of its own faults; the others wait. Two system calls, about 0.2 microseconds.
class SignalsWait {
 public:
  SignalsWait() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&all, fault);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsWait() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;
  SignalsWait(SignalsWait&&) = delete;
  SignalsWait& operator=(SignalsWait&&) = delete;

 private:
  sigset_t before_;
};
#endif

// float32 by the library, on this thread alone: a product must not depend on the number of threads.
void by_library(const Gemm& g) {
#if defined(EMBERGRAD_GEMM_ONEDNN)
#ifdef _OPENMP
  const int before = omp_get_max_threads();
  if (before != 1) omp_set_num_threads(1);
#endif
  const SignalsWait guard;
  dnnl_sgemm(g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', g.m, g.n, g.k, static_cast<float>(g.alpha),
             static_cast<const float*>(g.a), g.lda, static_cast<const float*>(g.b), g.ldb, static_cast<float>(g.beta),
             static_cast<float*>(g.c), g.ldc);
#ifdef _OPENMP
  if (before != 1) omp_set_num_threads(before);
#endif
#elif defined(EMBERGRAD_GEMM_OPENBLAS)
#ifdef OPENBLAS_VERSION
  static const bool on_one_thread = (openblas_set_num_threads(1), true);
  static_cast<void>(on_one_thread);
#endif
  cblas_sgemm(CblasRowMajor, g.transpose_a ? CblasTrans : CblasNoTrans, g.transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<int>(g.m), static_cast<int>(g.n), static_cast<int>(g.k), static_cast<float>(g.alpha),
              static_cast<const float*>(g.a), static_cast<int>(g.lda), static_cast<const float*>(g.b),
              static_cast<int>(g.ldb), static_cast<float>(g.beta), static_cast<float*>(g.c), static_cast<int>(g.ldc));
#else
  plain<float>(g);
#endif
}

void one_product(const Gemm& g) {
  // One row, or too little work to pay for a library call (measured: 1 to 2 microseconds).
  const bool small = g.m * g.n * g.k <= 16384;
  if (g.dtype == DType::float64) return plain<double>(g);
  if (small || (g.m == 1 && !g.transpose_b)) return plain<float>(g);
  by_library(g);
}

Gemm rows_of(const Gemm& g, std::int64_t begin, std::int64_t end) {
  Gemm part = g;
  const auto item = static_cast<std::int64_t>(item_size(g.dtype));
  part.m = end - begin;
  part.a = static_cast<const char*>(g.a) + begin * (g.transpose_a ? 1 : g.lda) * item;
  part.c = static_cast<char*>(g.c) + begin * g.ldc * item;
  return part;
}

Gemm columns_of(const Gemm& g, std::int64_t begin, std::int64_t end) {
  Gemm part = g;
  const auto item = static_cast<std::int64_t>(item_size(g.dtype));
  part.n = end - begin;
  part.b = static_cast<const char*>(g.b) + begin * (g.transpose_b ? g.ldb : 1) * item;
  part.c = static_cast<char*>(g.c) + begin * item;
  return part;
}

// Large products are cut along their longer side into pieces that depend on the sizes alone. The library arranges the
// other side anew for each piece, so pieces are long where there is enough to share out.
constexpr std::int64_t large = std::int64_t{1} << 22;

void cut(const Gemm& g) {
  const std::int64_t longer = std::max(g.m, g.n);
  const std::int64_t pieces = 2 * ((longer + 2047) / 2048);
  const std::int64_t piece = longer < 2048 ? 192 : (longer + pieces - 1) / pieces;
  if (g.m * g.n * g.k < large || longer <= piece) return one_product(g);
  if (g.m >= g.n) {
    cpu::parallel_chunks(g.m, piece,
                         [&](std::int64_t begin, std::int64_t end) { one_product(rows_of(g, begin, end)); });
  } else {
    cpu::parallel_chunks(g.n, piece,
                         [&](std::int64_t begin, std::int64_t end) { one_product(columns_of(g, begin, end)); });
  }
}

// Rows that lie a multiple of 4 KiB apart fall on the same few lines of the cache, and a library that gathers the
// columns of such a matrix runs at half its speed. The product of the transposes reads it by rows.
bool worth_turning(const Gemm& g) {
  const auto page_apart = [](std::int64_t stride) { return stride % 1024 == 0; };
  return g.dtype == DType::float32 && g.transpose_a && page_apart(g.lda) && !page_apart(g.ldb) &&
         g.m * g.n * g.k >= large && g.k >= 64;
}

// C^T = op(B)^T op(A)^T, then turned.
void turned(const Gemm& g) {
  const detail::Scratch<float> product(g.n * g.m);
  cut({.dtype = g.dtype,
       .m = g.n,
       .n = g.m,
       .k = g.k,
       .a = g.b,
       .lda = g.ldb,
       .transpose_a = !g.transpose_b,
       .b = g.a,
       .ldb = g.lda,
       .transpose_b = !g.transpose_a,
       .c = product.get(),
       .ldc = g.m,
       .alpha = g.alpha});
  auto* c = static_cast<float*>(g.c);
  const auto beta = static_cast<float>(g.beta);
  cpu::parallel_chunks(g.m, 256, [&](std::int64_t begin, std::int64_t end) {
    if (g.beta == 0) {
      cpu::transpose(product.get() + begin, g.n, end - begin, g.m, c + begin * g.ldc, g.ldc);
      return;
    }
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t j = 0; j < g.n; ++j) c[i * g.ldc + j] = beta * c[i * g.ldc + j] + product[j * g.m + i];
    }
  });
}

}  // namespace

void run(OnCpu, const Gemm& g) {
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) {
    if (g.beta == 1) return;
    cpu::visit_floating(g.dtype, [&](auto type) {
      using T = decltype(type);
      for (std::int64_t i = 0; i < g.m; ++i) {
        T* row = static_cast<T*>(g.c) + i * g.ldc;
        for (std::int64_t j = 0; j < g.n; ++j) row[j] = g.beta == 0 ? T(0) : static_cast<T>(g.beta) * row[j];
      }
    });
    return;
  }
  if (worth_turning(g)) return turned(g);
  cut(g);
}

}  // namespace embergrad

// The arguments that cuBLAS gets, given to a plain column-major product.
#include "cuda/matmul.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <vector>

#include "support/random.hpp"

namespace eg = embergrad;
using eg::test::Draw;

namespace {

// C = alpha op(A) op(B) + beta C as the BLAS standard has it.
void blas(const eg::cuda::ColumnMajorGemm& g) {
  const auto* a = static_cast<const double*>(g.a);
  const auto* b = static_cast<const double*>(g.b);
  auto* c = static_cast<double*>(g.c);
  BOOST_REQUIRE(g.lda >= (g.transpose_a ? g.k : g.m));
  BOOST_REQUIRE(g.ldb >= (g.transpose_b ? g.n : g.k));
  BOOST_REQUIRE(g.ldc >= g.m);
  for (std::int64_t j = 0; j < g.n; ++j) {
    for (std::int64_t i = 0; i < g.m; ++i) {
      double sum = 0;
      for (std::int64_t p = 0; p < g.k; ++p) {
        sum += (g.transpose_a ? a[p + i * g.lda] : a[i + p * g.lda]) *
               (g.transpose_b ? b[j + p * g.ldb] : b[p + j * g.ldb]);
      }
      c[i + j * g.ldc] = g.alpha * sum + (g.beta == 0 ? 0 : g.beta * c[i + j * g.ldc]);
    }
  }
}

std::vector<double> whole_numbers(Draw& draw, std::int64_t count) {
  std::vector<double> numbers(static_cast<std::size_t>(count));
  for (double& number : numbers) number = static_cast<double>(draw.integer(-9, 9));
  return numbers;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(matmul)

BOOST_AUTO_TEST_CASE(rows_and_columns) {
  Draw draw(1);
  struct Sizes {
    std::int64_t m, n, k;
  };
  for (const Sizes s : {Sizes{1, 1, 1}, {2, 3, 4}, {5, 1, 7}, {1, 6, 2}, {8, 8, 8}, {13, 4, 1}}) {
    for (unsigned bits = 0; bits < 24; ++bits) {
      const bool ta = (bits & 1U) != 0, tb = (bits & 2U) != 0;
      const double beta = std::array{0.0, 1.0, -3.0, 0.0, 1.0, -3.0}[bits / 4];
      const std::int64_t lda = (ta ? s.m : s.k) + 2, ldb = (tb ? s.k : s.n) + 1, ldc = s.n + 3;
      const auto a = whole_numbers(draw, (ta ? s.k : s.m) * lda);
      const auto b = whole_numbers(draw, (tb ? s.n : s.k) * ldb);
      const auto before = whole_numbers(draw, s.m * ldc);
      auto by_cpu = before, by_blas = before;
      eg::Gemm gemm{.dtype = eg::DType::float64,
                    .m = s.m,
                    .n = s.n,
                    .k = s.k,
                    .a = a.data(),
                    .lda = lda,
                    .transpose_a = ta,
                    .b = b.data(),
                    .ldb = ldb,
                    .transpose_b = tb,
                    .c = by_cpu.data(),
                    .ldc = ldc,
                    .alpha = bits < 12 ? 1.0 : 2.0,
                    .beta = beta};
      run(eg::OnCpu{}, gemm);
      gemm.c = by_blas.data();
      blas(eg::cuda::column_major(gemm));
      BOOST_TEST(by_blas == by_cpu, boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

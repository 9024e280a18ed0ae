#include "kernels/softmax.hpp"

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {
namespace {

std::int64_t rows_per_chunk(std::int64_t row) {
  return std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, row));
}

// Rows along a middle dimension are copied together first.
template <class T>
void copy_column(const T* from, std::int64_t from_step, T* to, std::int64_t to_step, std::int64_t count) {
  for (std::int64_t k = 0; k < count; ++k) to[k * to_step] = from[k * from_step];
}

}  // namespace

void run(OnCpu, const Softmax& request) {
  cpu::visit_floating(request.in.dtype, [&](auto type) {
    using T = decltype(type);
    const auto& loops = cpu::simd().loops<T>();
    const T* in = request.in.as<const T>();
    T* out = request.out.as<T>();
    const std::int64_t n = request.count;
    const std::int64_t inner = request.inner;
    if (inner == 1) {
      cpu::parallel_chunks(request.outer, rows_per_chunk(n), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) loops.softmax_row(in + o * n, out + o * n, n, request.log);
      });
      return;
    }
    const detail::Scratch<T> row(2 * n);
    for (std::int64_t o = 0; o < request.outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t at = o * n * inner + i;
        copy_column(in + at, inner, row.get(), std::int64_t{1}, n);
        loops.softmax_row(row.get(), row.get() + n, n, request.log);
        copy_column<T>(row.get() + n, 1, out + at, inner, n);
      }
    }
  });
}

void run(OnCpu, const SoftmaxGrad& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const auto& loops = cpu::simd().loops<T>();
    const T* out = request.out.as<const T>();
    const T* grad = request.grad_out.as<const T>();
    T* grad_in = request.grad_in.as<T>();
    const std::int64_t n = request.count;
    const std::int64_t inner = request.inner;
    if (inner == 1) {
      cpu::parallel_chunks(request.outer, rows_per_chunk(n), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) {
          loops.softmax_row_grad(out + o * n, grad + o * n, grad_in + o * n, n, request.log);
        }
      });
      return;
    }
    const detail::Scratch<T> row(3 * n);
    for (std::int64_t o = 0; o < request.outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t at = o * n * inner + i;
        copy_column(out + at, inner, row.get(), std::int64_t{1}, n);
        copy_column(grad + at, inner, row.get() + n, std::int64_t{1}, n);
        loops.softmax_row_grad(row.get(), row.get() + n, row.get() + 2 * n, n, request.log);
        copy_column<T>(row.get() + 2 * n, 1, grad_in + at, inner, n);
      }
    }
  });
}

}  // namespace embergrad

#include "kernels/reduce.hpp"

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"

namespace embergrad {
namespace {

// How many outer slices make a chunk of about 32,768 elements.
std::int64_t slices_per_chunk(std::int64_t slice) {
  return std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, slice));
}

template <class T>
void sum_floating(const SumMiddle& request) {
  const auto& loops = cpu::simd().loops<T>();
  const T* in = request.in.as<const T>();
  T* out = request.out.as<T>();
  const std::int64_t slice = request.count * request.inner;
  cpu::parallel_chunks(request.outer, slices_per_chunk(slice), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      if (request.inner == 1) {
        out[o] = loops.sum(in + o * slice, request.count);
      } else {
        loops.sum_rows(in + o * slice, request.count, request.inner, request.inner, out + o * request.inner);
      }
    }
  });
}

void sum_integers(const SumMiddle& request) {
  const auto* in = request.in.as<const std::int64_t>();
  auto* out = request.out.as<std::int64_t>();
  for (std::int64_t o = 0; o < request.outer; ++o) {
    for (std::int64_t i = 0; i < request.inner; ++i) {
      std::uint64_t total = 0;
      for (std::int64_t k = 0; k < request.count; ++k) {
        total += static_cast<std::uint64_t>(in[(o * request.count + k) * request.inner + i]);
      }
      out[o * request.inner + i] = static_cast<std::int64_t>(total);
    }
  }
}

}  // namespace

void run(OnCpu, const SumMiddle& request) {
  if (request.in.dtype == DType::int64) return sum_integers(request);
  cpu::visit_floating(request.in.dtype, [&](auto type) { sum_floating<decltype(type)>(request); });
}

void run(OnCpu, const ArgmaxMiddle& request) {
  cpu::visit_numbers(request.in.dtype, [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    auto* out = request.out.as<std::int64_t>();
    const std::int64_t slice = request.count * request.inner;
    cpu::parallel_chunks(request.outer, slices_per_chunk(slice), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) {
        for (std::int64_t i = 0; i < request.inner; ++i) {
          const T* column = in + o * slice + i;
          std::int64_t best = 0;
          for (std::int64_t k = 1; k < request.count; ++k) {
            const T best_value = column[best * request.inner];
            if (best_value != best_value) break;
            const T value = column[k * request.inner];
            if (value > best_value || value != value) best = k;
          }
          out[o * request.inner + i] = best;
        }
      }
    });
  });
}

}  // namespace embergrad

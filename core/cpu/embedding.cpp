#include "kernels/embedding.hpp"

#include <bit>
#include <cstring>
#include <utility>

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {

void run(OnCpu, const GatherRows& request) {
  cpu::visit(request.table.dtype, [&](auto type) {
    using T = decltype(type);
    const T fill = request.fill.as<T>();
    const T* table = request.table.as<const T>();
    T* out = request.out.as<T>();
    const std::int64_t dim = request.dim;
    cpu::visit_index(request.index.dtype, [&](auto index_type) {
      const auto* index = request.index.as<const decltype(index_type)>();
      const std::int64_t rows = std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, dim));
      cpu::parallel_chunks(request.index.size, rows, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const auto row = static_cast<std::int64_t>(index[i]);
          T* to = out + i * dim;
          if (row >= 0) {
            std::memcpy(static_cast<void*>(to), table + row * dim, static_cast<std::size_t>(dim) * sizeof(T));
          } else {
            for (std::int64_t j = 0; j < dim; ++j) to[j] = fill;
          }
        }
      });
    });
  });
}

namespace {

struct Lookup {
  std::int64_t row, place;
};

// Least significant digit first, 11 bits at a time: stable, and only as many passes as the rows have digits.
const Lookup* sort_by_row(Lookup* lookups, Lookup* spare, std::int64_t count, std::int64_t table_rows) {
  constexpr int digit_bits = 11;
  constexpr std::int64_t digits = std::int64_t{1} << digit_bits;
  const int bits = std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(1, table_rows - 1)));
  for (int shift = 0; shift < bits; shift += digit_bits) {
    std::int64_t starts[digits] = {};
    for (std::int64_t i = 0; i < count; ++i) ++starts[(lookups[i].row >> shift) & (digits - 1)];
    std::int64_t total = 0;
    for (std::int64_t d = 0; d < digits; ++d) total += std::exchange(starts[d], total);
    for (std::int64_t i = 0; i < count; ++i) spare[starts[(lookups[i].row >> shift) & (digits - 1)]++] = lookups[i];
    std::swap(lookups, spare);
  }
  return lookups;
}

}  // namespace

void run(OnCpu, const PlanRows& request) {
  const std::int64_t n = request.index.size;
  const detail::Scratch<Lookup> lookups(2 * n);
  std::int64_t count = 0;
  cpu::visit_index(request.index.dtype, [&](auto index_type) {
    const auto* index = request.index.as<const decltype(index_type)>();
    for (std::int64_t i = 0; i < n; ++i) {
      if (index[i] != request.skip) lookups[count++] = {static_cast<std::int64_t>(index[i]), i};
    }
  });
  const Lookup* sorted = sort_by_row(lookups.get(), lookups.get() + n, count, request.table_rows);
  std::int64_t segments = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (i == 0 || sorted[i].row != sorted[i - 1].row) {
      request.starts[segments] = i;
      request.rows[segments++] = sorted[i].row;
    }
    request.places[i] = sorted[i].place;
  }
  request.starts[segments] = count;
  *request.segments = segments;
}

void run(OnCpu, const SumSegments& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const auto& loops = cpu::simd().loops<T>();
    const T* grad = request.grad.as<const T>();
    T* out = request.out.as<T>();
    const std::int64_t rows = std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, request.dim));
    cpu::parallel_chunks(request.segments, rows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t s = begin; s < end; ++s) {
        const std::int64_t row = request.rows == nullptr ? s : request.rows[s];
        loops.sum_gathered_rows(grad, request.places + request.starts[s], request.starts[s + 1] - request.starts[s],
                                request.dim, out + row * request.dim, request.accumulate);
      }
    });
  });
}

}  // namespace embergrad

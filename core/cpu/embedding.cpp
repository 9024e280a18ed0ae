#include "kernels/embedding.hpp"

#include <bit>
#include <cstring>
#include <utility>

#include "cpu/parallel.hpp"
#include "cpu/rows.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"
#include "kernels/rules/convert.hpp"
#include "kernels/rules/norm.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {

using cpu::rows_in;
using cpu::visit_table;

void run(OnCpu, const GatherRows& request) {
  if (request.dim == 0) return;
  cpu::visit(request.table.dtype, [&](auto type) {
    using T = decltype(type);
    const T fill = request.fill.as<T>();
    const T* table = request.table.as<const T>();
    T* out = request.out.as<T>();
    const std::int64_t dim = request.dim;
    cpu::visit_index(request.index.dtype, [&](auto index_type) {
      const auto* index = request.index.as<const decltype(index_type)>();
      cpu::parallel_chunks(request.index.size, rows_in(65536, dim), [&](std::int64_t begin, std::int64_t end) {
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

// Row and place of a lookup: in one word where both have 32 bits at most, for half the memory moves.
struct WideLookup {
  std::int64_t row_, place_;
  WideLookup() = default;
  WideLookup(std::int64_t row, std::int64_t place) : row_(row), place_(place) {}
  [[nodiscard]] std::int64_t row() const { return row_; }
  [[nodiscard]] std::int64_t place() const { return place_; }
};
struct NarrowLookup {
  std::uint64_t both;
  NarrowLookup() = default;
  NarrowLookup(std::int64_t row, std::int64_t place)
      : both(static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint64_t>(place)) {}
  [[nodiscard]] std::int64_t row() const { return static_cast<std::int64_t>(both >> 32); }
  [[nodiscard]] std::int64_t place() const { return static_cast<std::int64_t>(both & 0xFFFFFFFFU); }
};

// Least significant digit first, 11 bits at a time: stable, and only as many passes as the rows have digits.
template <class Lookup>
const Lookup* sort_by_row(Lookup* lookups, Lookup* spare, std::int64_t count, std::int64_t table_rows) {
  constexpr int digit_bits = 11;
  constexpr std::int64_t digits = std::int64_t{1} << digit_bits;
  const int bits = std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(1, table_rows - 1)));
  for (int shift = 0; shift < bits; shift += digit_bits) {
    std::int64_t starts[digits] = {};
    for (std::int64_t i = 0; i < count; ++i) ++starts[(lookups[i].row() >> shift) & (digits - 1)];
    std::int64_t total = 0;
    for (std::int64_t d = 0; d < digits; ++d) total += std::exchange(starts[d], total);
    for (std::int64_t i = 0; i < count; ++i) spare[starts[(lookups[i].row() >> shift) & (digits - 1)]++] = lookups[i];
    std::swap(lookups, spare);
  }
  return lookups;
}

template <class Lookup>
void plan_rows(const PlanRows& request) {
  const std::int64_t n = request.index.size;
  const detail::Scratch<Lookup> lookups(2 * n);
  std::int64_t count = 0;
  cpu::visit_index(request.index.dtype, [&](auto index_type) {
    const auto* index = request.index.as<const decltype(index_type)>();
    for (std::int64_t i = 0; i < n; ++i) {
      if (index[i] != request.skip) lookups[count++] = Lookup(static_cast<std::int64_t>(index[i]), i);
    }
  });
  const Lookup* sorted = sort_by_row(lookups.get(), lookups.get() + n, count, request.table_rows);
  std::int64_t segments = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (i == 0 || sorted[i].row() != sorted[i - 1].row()) {
      request.starts[segments] = i;
      request.rows[segments++] = sorted[i].row();
    }
    request.places[i] = sorted[i].place();
  }
  request.starts[segments] = count;
  *request.segments = segments;
}

}  // namespace

void run(OnCpu, const CheckIndices& request) {
  cpu::visit_index(request.index.dtype, [&](auto type) {
    using Index = decltype(type);
    const auto* index = request.index.as<const Index>();
    auto* out = request.out.as<Index>();
    for (std::int64_t i = 0; i < request.index.size; ++i) {
      const auto value = static_cast<std::int64_t>(index[i]);
      const bool outside = (value < 0 || value >= request.range) && !(request.or_also && value == request.also);
      if (out != nullptr) out[i] = outside ? Index(0) : index[i];
      if (!outside || request.found[0] != 0) continue;
      request.found[0] = request.ticket;
      request.found[1] = i;
      request.found[2] = value;
    }
  });
}

void run(OnCpu, const PlanRows& request) {
  constexpr std::int64_t narrow = std::int64_t{1} << 32;
  if (request.table_rows <= narrow && request.index.size <= narrow) {
    plan_rows<NarrowLookup>(request);
  } else {
    plan_rows<WideLookup>(request);
  }
}

void run(OnCpu, const RenormRows& request) {
  const auto scale_long_rows = [&]<class Row, class T, class Norm>(Row, T, const Norm& norm) {
    Row* table = request.table.as<Row>();
    const std::int64_t dim = request.dim;
    cpu::parallel_chunks(request.count, rows_in(4096, dim), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        Row* row = table + request.rows[i] * dim;
        const double exact = norm([&](std::int64_t j) { return rules::Converter<double, Row>::f(row[j]); }, dim);
        const auto size = static_cast<double>(static_cast<T>(exact));
        if (!(size > request.max_norm)) continue;
        const auto factor = static_cast<T>(request.max_norm / (size + 1e-7));
        for (std::int64_t j = 0; j < dim; ++j) {
          row[j] = rules::Converter<Row, T>::f(rules::Converter<T, Row>::f(row[j]) * factor);
        }
      }
    });
  };
  visit_table(request.table.dtype, [&](auto row, auto number) {
    rules::visit_row_norm(request.p, [&](const auto& norm) { scale_long_rows(row, number, norm); });
  });
}

namespace {

template <class T>
void plan_bags(const PlanBags& request) {
  const std::int64_t count = request.starts[request.segments];
  const std::int64_t all = request.bag_starts == nullptr ? 0 : request.bag_starts[request.bags];
  const detail::Scratch<std::int64_t> bag_of(all);
  for (std::int64_t b = 0; b < request.bags; ++b) {
    for (std::int64_t p = request.bag_starts[b]; p < request.bag_starts[b + 1]; ++p) bag_of[p] = b;
  }
  T* factors = request.factors.as<T>();
  if (factors != nullptr) {
    const T* weights = request.weights.as<const T>();
    const T* divisors = request.divisors.as<const T>();
    for (std::int64_t s = 0; s < request.segments; ++s) {
      const std::int64_t places = request.starts[s + 1] - request.starts[s];
      const T frequency = request.by_frequency ? T(1) / static_cast<T>(places) : T(1);
      for (std::int64_t i = request.starts[s]; i < request.starts[s + 1]; ++i) {
        const std::int64_t place = request.places[i];
        T factor = weights == nullptr ? T(1) : weights[place];
        if (divisors != nullptr) {
          const T divisor = divisors[bag_of[place]];
          factor = divisor == T(0) ? T(0) : factor / divisor;
        }
        factors[i] = factor * frequency;
      }
    }
  }
  if (request.bag_starts == nullptr) return;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t place = request.places[i];
    const std::int64_t bag = bag_of[place];
    request.places[i] = bag;
    if (request.slots != nullptr) request.slots[i] = static_cast<std::int32_t>(place - request.bag_starts[bag]);
  }
}

}  // namespace

void run(OnCpu, const PlanBags& request) {
  cpu::visit_floating(request.factors.dtype, [&](auto type) { plan_bags<decltype(type)>(request); });
}

void run(OnCpu, const SumSegments& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const auto sum = cpu::simd().table<T>().sum;
    const T* grad = request.grad.as<const T>();
    const T* factors = static_cast<const T*>(request.factors);
    T* out = request.out.as<T>();
    const auto scale = static_cast<T>(request.scale);
    const std::int64_t places = request.segments == 0 ? 0 : request.starts[request.segments];
    cpu::parallel_chunks(request.segments, rows_in(16384, request.dim), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t s = begin; s < end; ++s) {
        const std::int64_t first = request.starts[s];
        const std::int64_t row = request.rows == nullptr ? s : request.rows[s];
        sum({.table = grad,
             .rows = request.places + first,
             .count = request.starts[s + 1] - first,
             .readable = places - first,
             .width = request.dim,
             .factors = factors == nullptr ? nullptr : factors + first,
             .slots = request.slots == nullptr ? nullptr : request.slots + first,
             .winners = request.winners,
             .scale = scale},
            out + row * request.dim, request.accumulate);
      }
    });
  });
}

}  // namespace embergrad

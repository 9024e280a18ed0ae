#include "kernels/update.hpp"

#include <embergrad/row_rule.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "cpu/parallel.hpp"
#include "cpu/rows.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"
#include "kernels/rules/convert.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {
namespace {

constexpr std::int64_t chunk = 16384;

template <class T>
const cpu::UpdateLoopsOf<T>& loops() {
  if constexpr (sizeof(T) == 4) {
    return cpu::simd().update.f32;
  } else {
    return cpu::simd().update.f64;
  }
}

// Calls body(T{}) for the view's type.
template <class Body>
void by_type(const View& view, const Body& body) {
  if (view.dtype == DType::float64) return body(double{});
  body(float{});
}

template <class T>
T* at(const View& view, std::int64_t begin) {
  return view.data == nullptr ? nullptr : view.as<T>() + begin;
}

// A step's numbers in the type that is computed in.
template <class T>
struct Rounded {
  explicit Rounded(const StepNumbers& numbers) {
    for (int i = 0; i < StepNumbers::max_count; ++i) values[i] = static_cast<T>(numbers.values[i]);
  }
  T values[StepNumbers::max_count];
};

// Fetches the first lines of a row early: rows of a large table lie anywhere.
template <class T>
void fetch(const T* row, std::int64_t dim) {
  if (row == nullptr) return;
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t j = 0; j < dim && j < 8 * line; j += line) __builtin_prefetch(row + j, 1);
}

// What time did to one row since it was settled.
template <class T>
void live_through(const IdleTime& idle, std::int64_t i, T* param, T* const (&slots)[max_slots], std::int64_t dim) {
  const std::int64_t gap = idle.gaps[i];
  if (gap == 0) return;
  if (idle.own_end != nullptr) {
    const OwnSteps* steps = idle.own_end - 1;
    const std::int64_t begin = steps->to - gap;
    while (steps->from > begin) --steps;
    const detail::RuledRow<T> row{param, nullptr, slots, dim};
    for (; steps != idle.own_end; ++steps) steps->rule->idle(row, std::max(begin, steps->from), steps->to);
    return;
  }
  if (idle.replay_end == nullptr) {
    const T* span = static_cast<const T*>(idle.spans) + i * idle.span_size;
    loops<T>().idle[static_cast<int>(idle.rule)](span, param, slots[0], slots[1], slots[2], dim);
    return;
  }
  for (const ReplayStep* step = idle.replay_end - gap; step != idle.replay_end; ++step) {
    T numbers[StepNumbers::max_count];
    std::memcpy(numbers, step->numbers.values, sizeof(numbers));
    loops<T>().step[static_cast<int>(step->rule)](numbers, param, nullptr, slots[0], slots[1], slots[2], dim);
  }
}

// What a slot has for a row.
std::int64_t width_of(const View& slot, const View& param, std::int64_t dim) {
  return slot.size == param.size ? dim : 1;
}

// Calls body(i, row's parameter, row's slots) for the rows of a list.
template <class Row, class T, class Body>
void for_each_row(const View& param, const View (&slots)[max_slots], const RowList& rows, const Body& body) {
  constexpr std::int64_t ahead = 4;
  const std::int64_t dim = rows.dim;
  std::int64_t widths[max_slots];
  for (int s = 0; s < max_slots; ++s) widths[s] = width_of(slots[s], param, dim);
  cpu::parallel_chunks(rows.count, cpu::rows_in(chunk, dim), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (rows.rows != nullptr && i + ahead < end) {
        const std::int64_t next = rows.rows[i + ahead];
        fetch(at<Row>(param, next * dim), dim);
        for (int s = 0; s < max_slots; ++s) fetch(at<T>(slots[s], next * widths[s]), widths[s]);
      }
      const std::int64_t row = rows.rows == nullptr ? i : rows.rows[i];
      T* const state[max_slots] = {at<T>(slots[0], row * widths[0]), at<T>(slots[1], row * widths[1]),
                                   at<T>(slots[2], row * widths[2])};
      body(i, at<Row>(param, row * dim), state);
    }
  });
}

// Calls body(numbers) with the elements of a parameter as they are computed with: those of 16 bits are brought to
// float32 and back.
template <class Row, class T, class Body>
void in_computing_type(Row* param, std::int64_t n, const Body& body) {
  if constexpr (std::is_same_v<Row, T>) {
    body(param);
  } else {
    const detail::Scratch<T> wide(n);
    for (std::int64_t i = 0; i < n; ++i) wide[i] = rules::Converter<T, Row>::f(param[i]);
    body(wide.get());
    for (std::int64_t i = 0; i < n; ++i) param[i] = rules::Converter<Row, T>::f(wide[i]);
  }
}

// The terms of a chunk for any p; the common p = 2 has a loop of its own.
template <class T>
double chunk_terms(const T* x, std::int64_t n, double p) {
  double terms = 0;
  if (std::isinf(p)) {
    for (std::int64_t i = 0; i < n; ++i) {
      const double size = std::fabs(static_cast<double>(x[i]));
      if (size > terms || std::isnan(size)) terms = size;
      if (std::isnan(terms)) break;
    }
  } else if (p == 1) {
    for (std::int64_t i = 0; i < n; ++i) terms += std::fabs(static_cast<double>(x[i]));
  } else {
    for (std::int64_t i = 0; i < n; ++i) terms += std::pow(std::fabs(static_cast<double>(x[i])), p);
  }
  return terms;
}

}  // namespace

void run(OnCpu, const OptimizerStep& request) {
  cpu::visit_table(request.param.dtype, [&]<class Row, class T>(Row, T) {
    const Rounded<T> numbers(request.numbers);
    const auto step = [&](T* param, const T* grad, T* const(&slots)[max_slots], std::int64_t n) {
      if (request.own.rule != nullptr) {
        request.own.rule->step(detail::RuledRow<T>{param, grad, slots, n}, request.own.to);
      } else {
        loops<T>().step[static_cast<int>(request.rule)](numbers.values, param, grad, slots[0], slots[1], slots[2], n);
      }
    };
    if (request.rows.rows == nullptr && request.own.rule == nullptr && !is_by_row(request.rule)) {
      cpu::parallel_chunks(request.param.size, chunk, [&](std::int64_t begin, std::int64_t end) {
        T* const slots[max_slots] = {at<T>(request.slots[0], begin), at<T>(request.slots[1], begin),
                                     at<T>(request.slots[2], begin)};
        in_computing_type<Row, T>(at<Row>(request.param, begin), end - begin,
                                  [&](T* param) { step(param, at<T>(request.grad, begin), slots, end - begin); });
      });
      return;
    }
    const std::int64_t dim = request.rows.dim;
    for_each_row<Row, T>(request.param, request.slots, request.rows,
                         [&](std::int64_t i, Row* row, T* const(&slots)[max_slots]) {
                           in_computing_type<Row, T>(row, dim, [&](T* param) {
                             if (request.idle.gaps != nullptr) live_through(request.idle, i, param, slots, dim);
                             step(param, at<T>(request.grad, i * dim), slots, dim);
                           });
                         });
  });
}

void run(OnCpu, const SettleRows& request) {
  const std::int64_t dim = request.rows.dim;
  cpu::visit_floating(request.param.dtype, [&](auto type) {
    using T = decltype(type);
    if (request.out.data == nullptr) {
      for_each_row<T, T>(request.param, request.slots, request.rows,
                         [&](std::int64_t i, T* param, T* const(&slots)[max_slots]) {
                           live_through(request.idle, i, param, slots, dim);
                         });
      return;
    }
    for_each_row<T, T>(request.param, request.slots, request.rows,
                       [&](std::int64_t i, const T* param, T* const(&slots)[max_slots]) {
                         const auto bytes = static_cast<std::size_t>(dim) * sizeof(T);
                         T* out = at<T>(request.out, i * dim);
                         std::memcpy(out, param, bytes);
                         if (request.idle.gaps[i] == 0) return;
                         const detail::Scratch<T> copies(max_slots * dim);
                         T* scratch[max_slots] = {};
                         for (int s = 0; s < max_slots; ++s) {
                           if (slots[s] == nullptr) continue;
                           scratch[s] = copies.get() + s * dim;
                           const std::int64_t width = width_of(request.slots[s], request.param, dim);
                           std::memcpy(scratch[s], slots[s], static_cast<std::size_t>(width) * sizeof(T));
                         }
                         T* const state[max_slots] = {scratch[0], scratch[1], scratch[2]};
                         live_through(request.idle, i, out, state, dim);
                       });
  });
}

void run(OnCpu, const NormTerms& request) {
  const std::int64_t size = request.in.size;
  const auto terms_of = [&](std::int64_t begin, std::int64_t end) {
    double terms = 0;
    by_type(request.in, [&]<class T>(T) {
      const T* x = at<T>(request.in, begin);
      terms = request.p == 2 ? loops<T>().sum_squares(x, end - begin) : chunk_terms(x, end - begin, request.p);
    });
    return terms;
  };
  if (size <= chunk) {
    *request.result = terms_of(0, size);
    return;
  }
  const std::int64_t chunks = (size + chunk - 1) / chunk;
  const detail::Scratch<double> partial(chunks);
  cpu::parallel_chunks(size, chunk,
                       [&](std::int64_t begin, std::int64_t end) { partial[begin / chunk] = terms_of(begin, end); });
  double total = 0;
  for (std::int64_t i = 0; i < chunks; ++i) {
    const double terms = partial[i];
    if (!std::isinf(request.p)) {
      total += terms;
    } else if (terms > total || std::isnan(terms)) {
      total = terms;
    }
    if (std::isnan(total)) break;
  }
  *request.result = total;
}

void run(OnCpu, const ScaleInPlace& request) {
  by_type(request.inout, [&]<class T>(T) {
    cpu::parallel_chunks(request.inout.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loops<T>().scale(at<T>(request.inout, begin), static_cast<T>(request.factor), end - begin);
    });
  });
}

void run(OnCpu, const ClampInPlace& request) {
  by_type(request.inout, [&]<class T>(T) {
    cpu::parallel_chunks(request.inout.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loops<T>().clamp(at<T>(request.inout, begin), static_cast<T>(request.limit), end - begin);
    });
  });
}

}  // namespace embergrad

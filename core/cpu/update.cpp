#include "kernels/update.hpp"

#include <embergrad/row_rule.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <type_traits>

#include "cpu/parallel.hpp"
#include "cpu/rows.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"
#include "kernels/rules/convert.hpp"
#include "kernels/rules/norm.hpp"
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

// A row of a parameter, and what is kept beside it.
template <class Row, class T>
struct RowParts {
  Row* param;
  T* slots[max_slots];
};

// Where the rows of a parameter and of its slots lie, or copies of them.
template <class Row, class T>
class RowTable {
 public:
  RowTable(const View& param, const View (&slots)[max_slots], std::int64_t dim) : dim_(dim), param_(at<Row>(param, 0)) {
    for (int s = 0; s < max_slots; ++s) {
      slots_[s] = at<T>(slots[s], 0);
      widths_[s] = slots_[s] == nullptr ? 0 : slots[s].size == param.size ? dim : 1;
    }
  }
  [[nodiscard]] RowParts<Row, T> row(std::int64_t r) const {
    RowParts<Row, T> parts{param_ + r * dim_, {}};
    for (int s = 0; s < max_slots; ++s) parts.slots[s] = slots_[s] == nullptr ? nullptr : slots_[s] + r * widths_[s];
    return parts;
  }
  // Fetches the first lines of a row early: rows of a large table lie anywhere. Compilers take a function of prefetches
  // alone for one without effect, and leave out its calls; so it is always inlined.
  [[gnu::always_inline]] void fetch(std::int64_t r) const {
    fetch(param_ + r * dim_, dim_);
    for (int s = 0; s < max_slots; ++s) fetch(slots_[s] + r * widths_[s], widths_[s]);
  }
  // Where both have a slot.
  void copy(const RowParts<Row, T>& from, const RowParts<Row, T>& to) const {
    std::memcpy(to.param, from.param, static_cast<std::size_t>(dim_) * sizeof(Row));
    for (int s = 0; s < max_slots; ++s) {
      if (from.slots[s] == nullptr || to.slots[s] == nullptr) continue;
      std::memcpy(to.slots[s], from.slots[s], static_cast<std::size_t>(widths_[s]) * sizeof(T));
    }
  }

 private:
  template <class X>
  [[gnu::always_inline]] static void fetch(const X* row, std::int64_t width) {
    constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(X));
    for (std::int64_t j = 0; j < width && j < 8 * line; j += line) __builtin_prefetch(row + j, 1);
  }

  std::int64_t dim_;
  Row* param_;
  T* slots_[max_slots];
  std::int64_t widths_[max_slots];
};

bool has_span(const IdleTime& idle, std::int64_t i) { return idle.spans != nullptr && idle.gaps[i] != 0; }

// Calls the loop of the rule of row i's span.
template <class Loop, int count, class T, class... Rest>
void by_span(Loop* const (&loops)[count], const IdleTime& idle, std::int64_t i, const RowParts<T, T>& row,
             Rest... rest) {
  const std::int64_t place = idle.span_of == nullptr ? i : idle.span_of[i];
  const T* span = static_cast<const T*>(idle.spans) + place * idle.span_size;
  loops[static_cast<int>(idle.rule)](span, row.param, row.slots[0], row.slots[1], row.slots[2], rest...);
}

// What time did to row i since it was settled.
template <class T>
void live_through(const IdleTime& idle, std::int64_t i, const RowParts<T, T>& row, std::int64_t dim) {
  const std::int64_t gap = idle.gaps[i];
  if (gap == 0) return;
  if (idle.own_end != nullptr) {
    const OwnSteps* steps = idle.own_end - 1;
    const std::int64_t begin = steps->to - gap;
    while (steps->from > begin) --steps;
    const detail::RuledRow<T> own{row.param, nullptr, row.slots, dim};
    for (; steps != idle.own_end; ++steps) steps->rule->idle(own, std::max(begin, steps->from), steps->to);
    return;
  }
  if (idle.replay_end == nullptr) return by_span(loops<T>().idle, idle, i, row, dim);
  for (const ReplayStep* step = idle.replay_end - gap; step != idle.replay_end; ++step) {
    T numbers[StepNumbers::max_count];
    std::memcpy(numbers, step->numbers.values, sizeof(numbers));
    loops<T>().step[static_cast<int>(step->rule)](numbers, row.param, nullptr, row.slots[0], row.slots[1], row.slots[2],
                                                  dim);
  }
}

// Calls body(i, row) for the rows of a list.
template <class Row, class T, class Body>
void for_each_row(const RowTable<Row, T>& table, const RowList& rows, const Body& body) {
  constexpr std::int64_t ahead = 4;
  cpu::parallel_chunks(rows.count, cpu::rows_in(chunk, rows.dim), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (rows.rows != nullptr && i + ahead < end) table.fetch(rows.rows[i + ahead]);
      body(i, table.row(rows.rows == nullptr ? i : rows.rows[i]));
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

// The terms of a chunk; those of the common p = 2 have a loop of their own.
template <class T, class Term>
double chunk_terms(const T* x, std::int64_t n, const Term& term) {
  double terms = 0;
  for (std::int64_t i = 0; i < n && !std::isnan(terms); ++i) Term::join(terms, term(static_cast<double>(x[i])));
  return terms;
}
template <class T>
double chunk_terms(const T* x, std::int64_t n, const rules::SquareTerm& /*term*/) {
  return loops<T>().sum_squares(x, n);
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
    const RowTable<Row, T> table(request.param, request.slots, dim);
    const RowTable<T, T> copies(request.copies.param, request.copies.slots, dim);
    for_each_row(table, request.rows, [&](std::int64_t i, const RowParts<Row, T>& row) {
      if (request.rows.rows != nullptr && cpu::is_frozen(request.rows.frozen, request.rows.rows[i])) return;
      in_computing_type<Row, T>(row.param, dim, [&](T* param) {
        if (request.settled != nullptr && request.settled[i] >= 0) {
          const RowParts<T, T> to{param, {row.slots[0], row.slots[1], row.slots[2]}};
          if (has_span(request.idle, i)) by_span(loops<T>().age, request.idle, i, to, dim);
          copies.copy(copies.row(request.settled[i]), to);
        } else if (request.idle.gaps != nullptr) {
          live_through(request.idle, i, RowParts<T, T>{param, {row.slots[0], row.slots[1], row.slots[2]}}, dim);
        }
        step(param, at<T>(request.grad, i * dim), row.slots, dim);
      });
    });
  });
}

void run(OnCpu, const SettleRows& request) {
  const std::int64_t dim = request.rows.dim;
  cpu::visit_floating(request.param.dtype, [&](auto type) {
    using T = decltype(type);
    const RowTable<T, T> table(request.param, request.slots, dim);
    if (request.out.param.data == nullptr) {
      for_each_row(table, request.rows,
                   [&](std::int64_t i, const RowParts<T, T>& row) { live_through(request.idle, i, row, dim); });
      return;
    }
    const RowTable<T, T> out(request.out.param, request.out.slots, dim);
    for_each_row(table, request.rows, [&](std::int64_t i, const RowParts<T, T>& row) {
      RowParts<T, T> to = out.row(i);
      if (has_span(request.idle, i)) return by_span(loops<T>().drift, request.idle, i, row, to.param, dim);
      // Where time has no span, it goes through slots even if nobody asks for them.
      std::optional<detail::Scratch<T>> unasked;
      if (request.idle.gaps[i] != 0 && request.out.slots[0].data == nullptr) {
        unasked.emplace(max_slots * dim);
        for (int s = 0; s < max_slots; ++s) to.slots[s] = row.slots[s] == nullptr ? nullptr : unasked->get() + s * dim;
      }
      table.copy(row, to);
      live_through(request.idle, i, to, dim);
    });
  });
}

void run(OnCpu, const NormTerms& request) {
  const std::int64_t size = request.in.size;
  rules::visit_norm(request.p, [&]<class Term>(const Term& term) {
    const auto terms_of = [&](std::int64_t begin, std::int64_t end) {
      double terms = 0;
      by_type(request.in, [&]<class T>(T) { terms = chunk_terms(at<T>(request.in, begin), end - begin, term); });
      return terms;
    };
    if (size <= norm_chunk) {
      *request.result = terms_of(0, size);
      return;
    }
    const std::int64_t chunks = (size + norm_chunk - 1) / norm_chunk;
    const detail::Scratch<double> partial(chunks);
    cpu::parallel_chunks(size, norm_chunk, [&](std::int64_t begin, std::int64_t end) {
      partial[begin / norm_chunk] = terms_of(begin, end);
    });
    double total = 0;
    for (std::int64_t i = 0; i < chunks && !std::isnan(total); ++i) Term::join(total, partial[i]);
    *request.result = total;
  });
}

void run(OnCpu, const ScaleInPlace& request) {
  by_type(request.inout, [&]<class T>(T) {
    cpu::parallel_chunks(request.inout.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loops<T>().scale(at<T>(request.inout, begin), *request.factor.as<const T>(), end - begin);
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

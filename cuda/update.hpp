// Bodies of the contracts that update parameters and clip gradients.
#pragma once

#include "cuda/block.hpp"
#include "cuda/columns.hpp"
#include "cuda/ordered_sum.hpp"
#include "cuda/search.hpp"
#include "kernels/rules/convert.hpp"
#include "kernels/rules/norm.hpp"
#include "kernels/rules/update.hpp"
#include "kernels/update.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// Calls body(Rule{}) for rule number `op` of a list: a switch. All threads of a block come with one number.
template <class... Rules, class Body>
EMBERGRAD_HD void on_rule(rules::RuleList<Rules...> /*list*/, int op, const Body& body) {
  int number = 0;
  static_cast<void>(((number++ == op && (body(Rules{}), true)) || ...));
}

// A step of a rule: its number, and its coefficients as its struct has them.
template <class T>
struct NumberedStep {
  int rule;
  T numbers[StepNumbers::max_count];

  NumberedStep() = default;
  NumberedStep(StepRule step_rule, const StepNumbers& step_numbers) : rule(static_cast<int>(step_rule)) {
    for (int i = 0; i < StepNumbers::max_count; ++i) numbers[i] = static_cast<T>(step_numbers.values[i]);
  }
  // One of a replay, whose numbers are rounded already.
  template <Block B>
  EMBERGRAD_HD static NumberedStep read(B& block, const ReplayStep* from) {
    NumberedStep step;
    step.rule = static_cast<int>(block.load(&from->rule));
    const T* rounded = reinterpret_cast<const T*>(from->numbers.values);
    for (int i = 0; i < StepNumbers::max_count; ++i) step.numbers[i] = block.load(rounded + i);
    return step;
  }
  template <class Rule>
  EMBERGRAD_HD auto coefficients(Rule /*rule*/) const {
    typename Rule::template Coefficients<T> result;
    static_assert(sizeof(result) <= sizeof(numbers));
    __builtin_memcpy(&result, numbers, sizeof(result));
    return result;
  }
};

// Some numbers of a parameter, and what is kept beside them: zeros where nothing is.
template <class T>
struct Kept {
  static constexpr int width = Columns<T>::width;
  T param[width];
  T slots[max_slots][width];
};

// --- a rule of elements on all of a parameter

template <class Row, class T>
struct StepAll {
  NumberedStep<T> step;
  Row* param;
  const T* grad;  // null: zeros
  T* slots[max_slots];
  std::int64_t size;
  bool packs;

  // With one rule: numbers that it does not keep are not looked at.
  template <Block B>
  struct UnderRule {
    const StepAll& all;
    B& block;

    template <class Rule>
    EMBERGRAD_HD void operator()(Rule rule) const {
      if constexpr (!rules::is_by_row<Rule>) {
        const auto c = all.step.coefficients(rule);
        Columns<T> at(first_item(block), item_step(block), all.size, all.packs);
        for (; at.some(); at.advance()) {
          Kept<T> kept = {};
          T grad[Columns<T>::width] = {};
          at.load(block, all.param, kept.param);
          if (all.grad != nullptr) at.load(block, all.grad, grad);
          for (int s = 0; s < max_slots; ++s) {
            if ((Rule::slots >> s & 1U) != 0) at.load(block, all.slots[s], kept.slots[s]);
          }
          for (int k = 0; k < Columns<T>::width; ++k) {
            Rule::step(c, kept.param[k], grad[k], kept.slots[0][k], kept.slots[1][k], kept.slots[2][k]);
          }
          at.store(block, all.param, kept.param);
          for (int s = 0; s < max_slots; ++s) {
            if ((Rule::slots >> s & 1U) != 0) at.store(block, all.slots[s], kept.slots[s]);
          }
        }
      }
    }
  };

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    on_rule(rules::StepRules{}, step.rule, UnderRule<B>{*this, block});
  }
};

// --- rows

// Where rows of a parameter and of its slots lie. A rule of whole rows keeps one number beside a row.
template <class Row, class T>
struct RowTable {
  Row* param = nullptr;
  T* slots[max_slots] = {};
  std::int64_t widths[max_slots] = {};

  RowTable() = default;
  RowTable(const View& param_view, const View (&slot_views)[max_slots], std::int64_t dim)
      : param(param_view.as<Row>()) {
    for (int s = 0; s < max_slots; ++s) {
      slots[s] = slot_views[s].as<T>();
      widths[s] = slots[s] == nullptr ? 0 : slot_views[s].size == param_view.size ? dim : 1;
    }
  }
  [[nodiscard]] bool on_packs() const { return all_on_packs(param, slots[0], slots[1], slots[2]); }
  EMBERGRAD_HD T* slot(int s, std::int64_t row) const { return slots[s] + row * widths[s]; }
};

// What both kinds of rules do to rows: first what time did, or what came out of it before, then a step. Without a step,
// rows may have another place to go to.
template <class Row, class T>
struct RowsOf {
  RowTable<Row, T> table;
  RowTable<Row, T> out;      // no parameter: rows stay in place
  RowTable<T, T> copies;     // of rows that are settled
  const std::int64_t* rows;  // null: 0, 1, 2, …
  std::int64_t count;
  FrozenRows frozen;  // of `rows`
  IdleTime idle;
  const std::int64_t* settled;  // null: none
  bool steps;
  NumberedStep<T> step;
  const T* grad;
  RowShape shape;

  template <Block B>
  EMBERGRAD_HD std::int64_t row(B& block, std::int64_t i) const {
    return rows == nullptr ? i : block.load(rows + i);
  }
  template <Block B>
  EMBERGRAD_HD std::int64_t gap(B& block, std::int64_t i) const {
    return idle.gaps == nullptr ? 0 : block.load(idle.gaps + i);
  }
  // The place of a row's copy, or -1.
  template <Block B>
  EMBERGRAD_HD std::int64_t copy_of(B& block, std::int64_t i) const {
    return settled == nullptr ? -1 : block.load(settled + i);
  }
  template <Block B>
  EMBERGRAD_HD bool leaves_out(B& block, std::int64_t row) const {
    return rows != nullptr && is_frozen(block, frozen, row);
  }
};

// A row of one number under a rule of whole rows is an element like others.
template <class T>
struct StepOfElements {
  const NumberedStep<T>& step;
  Kept<T>& kept;
  const T* grad;

  template <class Rule>
  EMBERGRAD_HD void operator()(Rule rule) const {
    const auto c = step.coefficients(rule);
    for (int k = 0; k < Kept<T>::width; ++k) {
      if constexpr (rules::is_by_row<Rule>) {
        const T g = Rule::gradient(c, kept.param[k], grad[k]);
        const T rate = Rule::rate(c, g * g, kept.slots[0][k]);
        kept.param[k] = kept.param[k] - rate * g;
      } else {
        Rule::step(c, kept.param[k], grad[k], kept.slots[0][k], kept.slots[1][k], kept.slots[2][k]);
      }
    }
  }
};

template <class T, Block B>
struct SpanOfElements {
  B& block;
  const T* span;
  Kept<T>& kept;
  bool drifts, ages;

  // `moved` may be what is kept: slots age beside the parameter as it was before.
  template <class Rule>
  EMBERGRAD_HD void operator()(Rule /*rule*/) const {
    using Span = typename Rule::template Span<T>;
    constexpr int count = static_cast<int>(sizeof(Span) / sizeof(T));
    constexpr int width = Kept<T>::width;
    T values[count];
    for (int i = 0; i < count; ++i) values[i] = block.load(span + i);
    Span c;
    __builtin_memcpy(&c, values, sizeof(c));
    T moved[width] = {};
    if (drifts) {
      Rule::template drift<width>(c, span + count, kept.param, kept.slots[0], kept.slots[1], kept.slots[2], moved);
    }
    if (ages) Rule::template age<width>(c, kept.param, kept.slots[0], kept.slots[1], kept.slots[2]);
    if (!drifts) return;
    for (int k = 0; k < width; ++k) kept.param[k] = moved[k];
  }
};

// A rule of elements: some threads for each row.
template <class Row, class T>
struct UpdateRows : RowsOf<Row, T> {
  using Base = RowsOf<Row, T>;
  using Base::copies, Base::count, Base::grad, Base::idle, Base::out, Base::shape, Base::steps, Base::table;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = shape.first_row(block); i < count; i += shape.row_step(block)) {
      const std::int64_t row = Base::row(block, i);
      if (Base::leaves_out(block, row)) continue;
      const std::int64_t gap = Base::gap(block, i);
      const std::int64_t copy = Base::copy_of(block, i);
      if (gap == 0 && copy < 0 && !steps && out.param == nullptr) continue;
      Columns<T> at(shape.lane(block), shape.lanes(), shape.width, shape.packs);
      for (; at.some(); at.advance()) {
        Kept<T> kept = {};
        at.load(block, table.param + row * shape.width, kept.param);
        for (int s = 0; s < max_slots; ++s) {
          if (table.slots[s] != nullptr) at.load(block, table.slot(s, row), kept.slots[s]);
        }
        live(block, at, i, gap, copy, kept);
        write(block, at, i, row, gap, kept);
      }
    }
  }

 private:
  template <Block B>
  EMBERGRAD_HD bool has_span(std::int64_t gap) const {
    return idle.spans != nullptr && gap != 0;
  }

  template <Block B>
  EMBERGRAD_HD void live(B& block, const Columns<T>& at, std::int64_t i, std::int64_t gap, std::int64_t copy,
                         Kept<T>& kept) const {
    if (has_span<B>(gap)) {
      const std::int64_t place = idle.span_of == nullptr ? i : block.load(idle.span_of + i);
      const T* span = static_cast<const T*>(idle.spans) + place * idle.span_size;
      on_rule(rules::IdleRules{}, static_cast<int>(idle.rule),
              SpanOfElements<T, B>{block, span, kept, copy < 0, copy >= 0 || out.param == nullptr});
    }
    if (copy >= 0) {
      at.load(block, copies.param + copy * shape.width, kept.param);
      for (int s = 0; s < max_slots; ++s) {
        if (copies.slots[s] != nullptr && table.slots[s] != nullptr) {
          at.load(block, copies.slot(s, copy), kept.slots[s]);
        }
      }
    }
    // Steps without a gradient, then the one with it.
    const std::int64_t replayed = copy >= 0 || idle.replay_end == nullptr ? 0 : gap;
    for (std::int64_t left = replayed; left > 0 || (left == 0 && steps); --left) {
      T g[Kept<T>::width] = {};
      NumberedStep<T> now = this->step;
      if (left > 0) {
        now = NumberedStep<T>::read(block, idle.replay_end - left);
      } else if (grad != nullptr) {
        at.load(block, grad + i * shape.width, g);
      }
      on_rule(rules::StepRules{}, now.rule, StepOfElements<T>{now, kept, g});
    }
  }

  template <Block B>
  EMBERGRAD_HD void write(B& block, const Columns<T>& at, std::int64_t i, std::int64_t row, std::int64_t gap,
                          const Kept<T>& kept) const {
    const bool moves = out.param != nullptr;
    const RowTable<Row, T>& to = moves ? out : table;
    const std::int64_t to_row = moves ? i : row;
    at.store(block, to.param + to_row * shape.width, kept.param);
    if (moves && has_span<B>(gap)) return;  // the parameter alone
    for (int s = 0; s < max_slots; ++s) {
      if (to.slots[s] != nullptr && table.slots[s] != nullptr) at.store(block, to.slot(s, to_row), kept.slots[s]);
    }
  }
};

// A rule of whole rows: 16 threads for each, which are the lanes of the sum of squares. A thread's elements are its
// own, so they may stay in the table from step to step.
template <class Row, class T>
struct UpdateWholeRows : RowsOf<Row, T> {
  static constexpr int lanes = 16;
  static constexpr int rows_at_once = default_threads / lanes;
  struct Sums {
    T of[2][rows_at_once][lanes];
  };
  using Base = RowsOf<Row, T>;
  using Base::copies, Base::count, Base::grad, Base::idle, Base::out, Base::shape, Base::steps, Base::table;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const int lane = block.thread() % lanes;
    const int place = block.thread() / lanes;
    const std::int64_t dim = shape.width;
    int turn = 0;
    for (std::int64_t base = block.block() * rows_at_once; base < count; base += block.blocks() * rows_at_once) {
      const std::int64_t i = base + place;
      const bool is_here = i < count && !Base::leaves_out(block, Base::row(block, i));
      Row* param = nullptr;
      T* slot = nullptr;
      T sum = T(0);
      std::int64_t gap = 0;
      if (is_here) {
        const std::int64_t row = Base::row(block, i);
        const std::int64_t copy = Base::copy_of(block, i);
        gap = copy < 0 ? Base::gap(block, i) : 0;
        param = table.param + row * dim;
        slot = table.slots[0] + row * table.widths[0];
        sum = block.load(slot);
        if (copy >= 0) {
          for (std::int64_t j = lane; j < dim; j += lanes) {
            block.store(param + j, rules::Converter<Row, T>::f(block.load(copies.param + copy * dim + j)));
          }
          if (copies.slots[0] != nullptr) sum = block.load(copies.slot(0, copy));
        }
        if (out.param != nullptr) {
          for (std::int64_t j = lane; j < dim; j += lanes) block.store(out.param + i * dim + j, block.load(param + j));
          param = out.param + i * dim;
          slot = out.slots[0] == nullptr ? nullptr : out.slot(0, i);
        }
      }
      for (std::int64_t left = most_steps(block, base); left > 0 || (left == 0 && steps); --left) {
        const NumberedStep<T> now = left > 0 ? NumberedStep<T>::read(block, idle.replay_end - left) : this->step;
        const T* g = left > 0 || grad == nullptr ? nullptr : grad + i * dim;
        T(&sums)[rows_at_once][lanes] = block.template shared<Sums>().of[turn];
        on_rule(rules::StepRules{}, now.rule,
                UnderRule<B>{block, now, is_here && left <= gap ? param : nullptr, g, sum, dim, sums[place], lane});
        turn = 1 - turn;
      }
      if (slot != nullptr && lane == 0) block.store(slot, sum);
    }
  }

 private:
  // Of the rows that this block has at once: a barrier is for all threads.
  template <Block B>
  EMBERGRAD_HD std::int64_t most_steps(B& block, std::int64_t base) const {
    std::int64_t most = 0;
    if (idle.gaps == nullptr || idle.replay_end == nullptr) return most;
    for (std::int64_t i = base; i < base + rows_at_once && i < count; ++i) {
      if (Base::copy_of(block, i) >= 0) continue;
      const std::int64_t gap = Base::gap(block, i);
      if (gap > most) most = gap;
    }
    return most;
  }

  template <Block B>
  struct UnderRule {
    B& block;
    const NumberedStep<T>& step;
    Row* param;  // null: these threads have no row, or it does not take this step
    const T* grad;
    T& sum;
    std::int64_t dim;
    T* sums;
    int lane;

    template <class Rule>
    EMBERGRAD_HD void operator()(Rule rule) const {
      if constexpr (rules::is_by_row<Rule>) {
        const auto c = step.coefficients(rule);
        const auto number = [&](std::int64_t j) { return rules::Converter<T, Row>::f(block.load(param + j)); };
        const auto gradient = [&](T w, std::int64_t j) {
          return Rule::gradient(c, w, grad == nullptr ? T(0) : block.load(grad + j));
        };
        if (param != nullptr) {
          T squares = T(0);
          for (std::int64_t j = lane; j < dim; j += lanes) {
            const T g = gradient(number(j), j);
            squares += g * g;
          }
          sums[lane] = squares;
        }
        block.sync();
        if (param == nullptr) return;
        const T rate = Rule::rate(c, add_lanes(sums) / static_cast<T>(dim), sum);
        for (std::int64_t j = lane; j < dim; j += lanes) {
          const T w = number(j);
          block.store(param + j, rules::Converter<Row, T>::f(w - rate * gradient(w, j)));
        }
      }
    }
  };
};

// --- clipping

template <class T>
struct ScaleNumbers {
  T* inout;
  const T* factor;
  std::int64_t size;
  bool packs;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const T by = block.load(factor);
    for (Columns<T> at(first_item(block), item_step(block), size, packs); at.some(); at.advance()) {
      T x[Columns<T>::width];
      at.load(block, inout, x);
      for (T& number : x) number *= by;
      at.store(block, inout, x);
    }
  }
};

// x = min(max(x, -limit), limit)
template <class T>
struct ClampNumbers {
  T* inout;
  T limit;
  std::int64_t size;
  bool packs;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (Columns<T> at(first_item(block), item_step(block), size, packs); at.some(); at.advance()) {
      T x[Columns<T>::width];
      at.load(block, inout, x);
      for (T& number : x) {
        const T low = number < -limit ? -limit : number;
        number = low > limit ? limit : low;
      }
      at.store(block, inout, x);
    }
  }
};

// The sum of each chunk's terms, |x|^p: a block for a chunk. All threads make terms; those that add them, in
// order, are the lanes of the sum.
template <class T, class Term>
struct SumTerms {
  static constexpr int tile = 2048;
  struct Memory {
    double terms[tile];
  };

  Term term;
  const T* in;
  double* partial;
  std::int64_t size;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    double* terms = block.template shared<Memory>().terms;
    const std::int64_t chunk = norm_chunk;
    const int thread = block.thread();
    for (std::int64_t c = block.block(); c * chunk < size; c += block.blocks()) {
      const std::int64_t end = (c + 1) * chunk < size ? (c + 1) * chunk : size;
      double sum = 0;
      for (std::int64_t first = c * chunk; first < end; first += tile) {
        const int count = static_cast<int>(end - first < tile ? end - first : tile);
        for (int i = thread; i < count; i += block.threads())
          terms[i] = term(static_cast<double>(block.load(in + first + i)));
        block.sync();
        if (thread < Term::lanes) {
          for (int i = thread; i < count; i += Term::lanes) Term::join(sum, terms[i]);
        }
        block.sync();  // before terms are written again
      }
      if (Term::lanes > 1) {
        if (thread < Term::lanes) terms[thread] = sum;
        block.sync();
        for (int half = Term::lanes / 2; half > 0; half /= 2) {
          if (thread < half) Term::join(terms[thread], terms[thread + half]);
          block.sync();
        }
        if (thread == 0) sum = terms[0];  // which it alone writes again
      }
      if (thread == 0) block.store(partial + c, sum);
    }
  }
};

// The chunks' sums, in order; one block.
template <class Term>
struct SumChunks {
  static constexpr int tile = 1024;
  struct Memory {
    double sums[tile];
  };

  const double* partial;
  double* result;
  std::int64_t chunks;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    double* sums = block.template shared<Memory>().sums;
    double total = 0;
    for (std::int64_t first = 0; first < chunks; first += tile) {
      const int count = static_cast<int>(chunks - first < tile ? chunks - first : tile);
      for (int i = block.thread(); i < count; i += block.threads()) sums[i] = block.load(partial + first + i);
      block.sync();
      if (block.thread() == 0) {
        for (int i = 0; i < count; ++i) Term::join(total, sums[i]);
      }
      block.sync();  // before the sums are written again
    }
    if (block.thread() == 0) block.store(result, total);
  }
};

// --- from a request to a body

template <class Row, class T, class Start>
void step_all(const Start& start, const OptimizerStep& request, Row /*row*/, T /*number*/) {
  StepAll<Row, T> body{{request.rule, request.numbers},
                       request.param.as<Row>(),
                       request.grad.as<const T>(),
                       {},
                       request.param.size,
                       false};
  for (int s = 0; s < max_slots; ++s) body.slots[s] = request.slots[s].as<T>();
  body.packs = all_on_packs(body.param, body.grad, body.slots[0], body.slots[1], body.slots[2]);
  start(body, grid_for(divide_up(body.size, Columns<T>::width)));
}

// `slot_size` tells rules of whole rows, which keep one number for each.
template <class Row, class T, class Start>
void update_rows(const Start& start, const RowsOf<Row, T>& rows, std::int64_t dim, bool by_row) {
  if (rows.count == 0 || dim == 0) return;
  RowsOf<Row, T> shaped = rows;
  const bool on_packs =
      rows.table.on_packs() && rows.out.on_packs() && rows.copies.on_packs() && all_on_packs(rows.grad);
  shaped.shape = RowShape::of<T>(dim, on_packs, 8);
  if (!by_row) return start(UpdateRows<Row, T>{shaped}, shaped.shape.grid(rows.count));
  const std::int64_t blocks = divide_up(rows.count, UpdateWholeRows<Row, T>::rows_at_once);
  start(UpdateWholeRows<Row, T>{shaped}, Grid{blocks < most_blocks ? blocks : most_blocks, default_threads});
}

template <class Row, class T, class Start>
void step_rows(const Start& start, const OptimizerStep& request, Row /*row*/, T /*number*/) {
  const std::int64_t dim = request.rows.dim;
  const RowsOf<Row, T> rows{.table = {request.param, request.slots, dim},
                            .out = {},
                            .copies = {request.copies.param, request.copies.slots, dim},
                            .rows = request.rows.rows,
                            .count = request.rows.count,
                            .frozen = request.rows.frozen,
                            .idle = request.idle,
                            .settled = request.settled,
                            .steps = true,
                            .step = {request.rule, request.numbers},
                            .grad = request.grad.as<const T>(),
                            .shape = {}};
  update_rows(start, rows, dim, is_by_row(request.rule));
}

template <class Start>
void run_with(const Start& start, const OptimizerStep& request) {
  visit_table(request.param.dtype, [&](auto row, auto number) {
    if (request.rows.rows == nullptr && !is_by_row(request.rule)) return step_all(start, request, row, number);
    step_rows(start, request, row, number);
  });
}

template <class Start>
void run_with(const Start& start, const SettleRows& request) {
  const std::int64_t dim = request.rows.dim;
  visit_floating(request.param.dtype, [&](auto type) {
    using T = decltype(type);
    RowsOf<T, T> rows{.table = {request.param, request.slots, dim},
                      .out = {request.out.param, request.out.slots, dim},
                      .copies = {},
                      .rows = request.rows.rows,
                      .count = request.rows.count,
                      .frozen = {},
                      .idle = request.idle,
                      .settled = nullptr,
                      .steps = false,
                      .step = {},
                      .grad = nullptr,
                      .shape = {}};
    // A request names no rule; one of whole rows keeps a number for each.
    const bool by_row = rows.table.slots[0] != nullptr && rows.table.widths[0] != dim;
    update_rows(start, rows, dim, by_row);
  });
}

// `partial` has room for the sums of all chunks.
inline std::int64_t norm_chunks(const NormTerms& request) { return divide_up(request.in.size, norm_chunk); }

template <class T, class Term, class Start>
void sum_terms(const Start& start, const NormTerms& request, double* partial, T /*type*/, const Term& term) {
  const std::int64_t chunks = norm_chunks(request);
  start(SumTerms<T, Term>{term, request.in.as<const T>(), partial, request.in.size},
        Grid{chunks < most_blocks ? chunks : most_blocks, default_threads});
  start(SumChunks<Term>{partial, request.result, chunks}, Grid{1, default_threads});
}

template <class Start>
void run_with(const Start& start, const NormTerms& request, double* partial) {
  visit_floating(request.in.dtype, [&](auto type) {
    rules::visit_norm(request.p, [&](const auto& term) { sum_terms(start, request, partial, type, term); });
  });
}

template <class Start>
void run_with(const Start& start, const ScaleInPlace& request) {
  visit_floating(request.inout.dtype, [&](auto type) {
    using T = decltype(type);
    T* inout = request.inout.as<T>();
    start(ScaleNumbers<T>{inout, request.factor.as<const T>(), request.inout.size, all_on_packs(inout)},
          grid_for(divide_up(request.inout.size, Columns<T>::width)));
  });
}

template <class Start>
void run_with(const Start& start, const ClampInPlace& request) {
  visit_floating(request.inout.dtype, [&](auto type) {
    using T = decltype(type);
    T* inout = request.inout.as<T>();
    start(ClampNumbers<T>{inout, static_cast<T>(request.limit), request.inout.size, all_on_packs(inout)},
          grid_for(divide_up(request.inout.size, Columns<T>::width)));
  });
}

}  // namespace embergrad::cuda

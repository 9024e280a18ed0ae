// Optimizers, idle time and clipping: bits of the CPU's kernels.
#include "cuda/update.hpp"

#include <cmath>
#include <functional>
#include <tuple>
#include <type_traits>

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

// The type that a parameter's elements are computed in.
template <class Row>
using Computed = std::conditional_t<std::is_same_v<Row, double>, double, float>;

// Numbers of ordinary size; of 16 bits, too.
template <class T>
Numbers<T> ordinary(Draw& draw, std::int64_t count, std::int64_t shift, double low, double high) {
  Numbers<T> numbers(count, shift);
  for (std::int64_t i = 0; i < count; ++i) {
    numbers.data()[i] = eg::rules::Converter<T, double>::f(draw.uniform(low, high));
  }
  return numbers;
}

// A parameter with its slots: a second moment is never negative.
template <class Row>
struct Parameter {
  using T = Computed<Row>;
  Numbers<Row> param;
  Numbers<T> slots[eg::max_slots];

  Parameter(Draw& draw, std::int64_t count, std::int64_t slot_count, std::int64_t shift)
      : param(ordinary<Row>(draw, count, shift, -2, 2)),
        slots{ordinary<T>(draw, slot_count, shift, 0, 1), ordinary<T>(draw, slot_count, shift, 0.5, 1),
              ordinary<T>(draw, slot_count, shift, 1, 2)} {}

  // The rules' own slots; others are not there.
  template <class Request>
  void show(Request& request, unsigned kept) {
    request.param = param.view();
    for (int s = 0; s < eg::max_slots; ++s) {
      if ((kept >> s & 1U) != 0) request.slots[s] = slots[s].view();
    }
  }
};

template <class T>
bool same_bits(Numbers<T>& a, Numbers<T>& b) {
  for (std::int64_t i = 0; i < a.count(); ++i) {
    const T x = a.data()[i];
    const T y = b.data()[i];
    if (std::memcmp(&x, &y, sizeof(T)) != 0 && !(is_nan(x) && is_nan(y))) return false;
  }
  return true;
}

template <class Row>
bool same_bits(Parameter<Row>& a, Parameter<Row>& b) {
  return same_bits(a.param, b.param) && same_bits(a.slots[0], b.slots[0]) && same_bits(a.slots[1], b.slots[1]) &&
         same_bits(a.slots[2], b.slots[2]);
}

// Runs a request on the CPU and by the bodies, on copies of a parameter.
template <class Row, class Request, class Show>
void expect_same(const std::string& what, const Parameter<Row>& before, Request request, const Show& show, int seed) {
  Parameter<Row> by_cpu = before;
  Parameter<Row> by_body = before;
  show(request, by_cpu);
  run(eg::OnCpu{}, request);
  show(request, by_body);
  try {
    eg::cuda::run_with(AnyGrid{static_cast<std::uint64_t>(seed)}, request);
  } catch (const EmulationError& error) {
    BOOST_ERROR(fmt::format("{}: {}", what, error.what()));
    return;
  }
  BOOST_CHECK_MESSAGE(same_bits(by_cpu, by_body), fmt::format("{}, {}: other bits", what, name_of(eg::dtype_of<Row>)));
}

// Coefficients of any rule: none of them makes a number infinite.
eg::StepNumbers some_numbers(Draw& draw) {
  eg::StepNumbers numbers;
  for (double& value : numbers.values) value = draw.uniform(0.05, 0.9);
  return numbers;
}

// Calls body(rule, slots, is_by_row) for all rules of steps.
template <class... Rules, class Body>
void for_step_rules(eg::rules::RuleList<Rules...> /*list*/, const Body& body) {
  (body(eg::step_rule<Rules>, Rules::slots, eg::rules::is_by_row<Rules>), ...);
}
template <class Body>
void for_step_rules(const Body& body) {
  for_step_rules(eg::rules::StepRules{}, body);
}

template <class Row>
void check_dense(std::int64_t size, std::int64_t shift) {
  int seed = 0;
  for_step_rules([&](eg::StepRule rule, unsigned kept, bool by_row) {
    if (by_row) return;
    Draw draw(static_cast<std::uint64_t>(seed));
    const Parameter<Row> before(draw, size, size, shift);
    auto grad = ordinary<Computed<Row>>(draw, size, shift, -1, 1);
    eg::OptimizerStep step{.rule = rule, .numbers = some_numbers(draw), .param = {}, .grad = grad.view(), .slots = {}};
    if (seed % 5 == 4) step.grad.data = nullptr;
    expect_same<Row>(
        fmt::format("step of rule {}, {} elements", static_cast<int>(rule), size), before, step,
        [kept](auto& request, Parameter<Row>& here) { here.show(request, kept); }, seed % seeds);
    ++seed;
  });
}

// --- rows

// Some rows of a table, each once.
Numbers<std::int64_t> some_rows(Draw& draw, std::int64_t count, std::int64_t table_rows) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(table_rows));
  for (std::int64_t i = 0; i < table_rows; ++i) all[static_cast<std::size_t>(i)] = i;
  Numbers<std::int64_t> rows(count, 1);  // of none, too, an address
  for (std::int64_t i = 0; i < count; ++i) {
    std::swap(all[static_cast<std::size_t>(i)], all[static_cast<std::size_t>(draw.integer(i, table_rows - 1))]);
    rows.data()[i] = all[static_cast<std::size_t>(i)];
  }
  return rows;
}

// Every third row of a table, as rows of a larger one know them.
struct Frozen {
  static constexpr std::int64_t offset = 5;
  Numbers<std::int64_t> rows;

  explicit Frozen(std::int64_t table_rows) : rows((table_rows + 2) / 3, 0) {
    for (std::int64_t i = 0; i < rows.count(); ++i) rows.data()[i] = 3 * i + offset;
  }
  eg::FrozenRows list() { return {.rows = rows.data(), .count = rows.count(), .offset = offset}; }
};

template <class Row>
void check_rows(std::int64_t count, std::int64_t dim, std::int64_t shift, int orders) {
  int number = 0;
  for_step_rules([&](eg::StepRule rule, unsigned kept, bool by_row) {
    Draw draw(static_cast<std::uint64_t>(++number));
    const std::int64_t table_rows = count + 3;
    const Parameter<Row> before(draw, table_rows * dim, by_row ? table_rows : table_rows * dim, shift);
    auto rows = some_rows(draw, count, table_rows);
    auto grad = ordinary<Computed<Row>>(draw, count * dim, shift, -1, 1);
    Frozen frozen(table_rows);
    eg::OptimizerStep step{.rule = rule,
                           .numbers = some_numbers(draw),
                           .param = {},
                           .grad = grad.view(),
                           .slots = {},
                           .rows = {rows.data(), count, dim}};
    if (number % 2 == 0) step.rows.frozen = frozen.list();
    for (int seed = 0; seed < orders; ++seed) {
      expect_same<Row>(
          fmt::format("step of rule {} on {} rows of {}", static_cast<int>(rule), count, dim), before, step,
          [kept](auto& request, Parameter<Row>& here) { here.show(request, kept); }, seed);
    }
  });
}

// Idle time of rows: spans of a rule, or steps to repeat.
template <class T>
struct Time {
  Numbers<std::int64_t> gaps, span_of;
  Numbers<T> spans;
  std::vector<eg::ReplayStep> steps;
  eg::IdleTime idle;

  Time(Draw& draw, std::int64_t count) : gaps(count, 0), span_of(count, 0), spans(0, 0) {
    for (std::int64_t i = 0; i < count; ++i) {
      gaps.data()[i] = draw.integer(0, 3) == 0 ? 0 : draw.integer(1, 5);
      span_of.data()[i] = gaps.data()[i] == 0 ? -9 : draw.integer(0, count - 1);
    }
    idle.gaps = gaps.data();
  }
  void take_spans(Draw& draw, eg::IdleRule rule, std::int64_t span_size) {
    spans = ordinary<T>(draw, gaps.count() * span_size, 0, 0.1, 0.9);
    idle.rule = rule;
    idle.span_size = span_size;
    idle.spans = spans.data();
    if (rule != eg::idle_rule<eg::rules::AdamIdle<false>> && rule != eg::idle_rule<eg::rules::AdamIdle<true>>) return;
    constexpr auto fixed = static_cast<std::int64_t>(sizeof(eg::rules::AdamSpan<T>) / sizeof(T));
    for (std::int64_t i = 0; i < gaps.count(); ++i) {
      spans.data()[i * span_size + fixed - 1] = static_cast<T>(span_size - fixed - 1);
    }
  }
  void take_steps(Draw& draw, eg::StepRule rule) {
    for (int i = 0; i < 5; ++i) {
      eg::StepNumbers rounded;
      const eg::StepNumbers numbers = some_numbers(draw);
      T values[eg::StepNumbers::max_count];
      for (int k = 0; k < eg::StepNumbers::max_count; ++k) values[k] = static_cast<T>(numbers.values[k]);
      std::memcpy(rounded.values, values, sizeof(values));
      steps.push_back({rule, rounded});
    }
    idle.replay_end = steps.data() + steps.size();
  }
};

// A table whose rows are behind: steps with what time did first, some rows as copies of what came out, settling in
// place, and elsewhere with and without slots.
template <class T>
void check_idle(const std::string& what, std::int64_t dim, std::int64_t count, unsigned kept, bool by_row,
                eg::StepRule rule, const std::function<void(Time<T>&, Draw&)>& fill, int seed) {
  Draw draw(static_cast<std::uint64_t>(seed));
  const std::int64_t table_rows = count + 2;
  const std::int64_t slot_width = by_row ? 1 : dim;
  const std::int64_t shift = seed % 2;
  const Parameter<T> before(draw, table_rows * dim, table_rows * slot_width, shift);
  auto rows = some_rows(draw, count, table_rows);
  auto grad = ordinary<T>(draw, count * dim, shift, -1, 1);
  Time<T> time(draw, count);
  fill(time, draw);
  eg::RowList list{rows.data(), count, dim};
  Frozen frozen(table_rows);
  if (seed % 4 == 3) list.frozen = frozen.list();
  if (seed % 4 >= 2 && time.idle.spans != nullptr) time.idle.span_of = time.span_of.data();
  const auto show = [kept](auto& request, Parameter<T>& here) { here.show(request, kept); };
  const std::string where = fmt::format("{}, {} rows of {}", what, count, dim);

  eg::OptimizerStep step{.rule = rule,
                         .numbers = some_numbers(draw),
                         .param = {},
                         .grad = grad.view(),
                         .slots = {},
                         .rows = list,
                         .idle = time.idle};
  expect_same<T>(where + ": step", before, step, show, seed % seeds);
  Parameter<T> copies(draw, count * dim, count * slot_width, 0);
  Numbers<std::int64_t> settled(count, 0);
  for (std::int64_t i = 0; i < count; ++i)
    settled.data()[i] = draw.integer(0, 1) == 0 ? -1 : draw.integer(0, count - 1);
  step.settled = settled.data();
  step.copies.param = copies.param.view();
  for (int s = 0; s < eg::max_slots; ++s) {
    if (time.idle.spans == nullptr && (kept >> s & 1U) != 0) step.copies.slots[s] = copies.slots[s].view();
  }
  expect_same<T>(where + ": step after copies", before, step, show, seed % seeds);

  eg::SettleRows settle{.param = {}, .slots = {}, .rows = list, .idle = time.idle, .out = {}};
  expect_same<T>(where + ": settling", before, settle, show, seed % seeds);
  for (const bool slots_too : {false, true}) {
    Parameter<T> source = before;
    const auto show_out = [&](eg::SettleRows& request, Parameter<T>& here) {
      source.show(request, kept);
      request.out.param = here.param.view();
      for (int s = 0; s < eg::max_slots; ++s) {
        if (slots_too && (kept >> s & 1U) != 0) request.out.slots[s] = here.slots[s].view();
      }
    };
    expect_same<T>(where + ": settling elsewhere", copies, settle, show_out, seed % seeds);
    Parameter<T> untouched = before;
    BOOST_TEST(same_bits(source, untouched));
  }
}

template <class T, class... Rules>
void check_spans(eg::rules::RuleList<Rules...> /*list*/, std::int64_t dim, std::int64_t count, int seed) {
  const auto check = [&]<class Rule>(Rule) {
    constexpr bool is_adam =
        std::is_same_v<Rule, eg::rules::AdamIdle<false>> || std::is_same_v<Rule, eg::rules::AdamIdle<true>>;
    const std::int64_t tail = is_adam ? 3 + 2 * (seed % 2) : 0;
    constexpr auto fixed = static_cast<std::int64_t>(sizeof(typename Rule::template Span<T>) / sizeof(T));
    const auto fill = [&](Time<T>& time, Draw& draw) { time.take_spans(draw, eg::idle_rule<Rule>, fixed + tail); };
    const std::string what = fmt::format("idle rule {}", static_cast<int>(eg::idle_rule<Rule>));
    // Any step will do after it.
    check_idle<T>(what, dim, count, 0b111, false, eg::step_rule<eg::rules::Adam<eg::rules::Decay::none, true>>, fill,
                  seed);
  };
  (check(Rules{}), ...);
}

// --- clipping

template <class T>
void check_norm(std::int64_t size, double p, bool special, int seed) {
  Draw draw(static_cast<std::uint64_t>(size) + 1);
  auto in = special ? Numbers<T>::drawn(draw, size, 1) : ordinary<T>(draw, size, 1, -4, 4);
  double by_cpu = -1;
  double by_body = -2;
  eg::NormTerms request{in.view(), p, &by_cpu};
  run(eg::OnCpu{}, request);
  request.result = &by_body;
  std::vector<double> partial(static_cast<std::size_t>(eg::cuda::norm_chunks(request)));
  eg::cuda::run_with(AnyGrid{static_cast<std::uint64_t>(seed)}, request, partial.data());
  BOOST_CHECK_MESSAGE(
      by_cpu == by_body || (std::isnan(by_cpu) && std::isnan(by_body)),
      fmt::format("NormTerms of {} elements, p {}: {} by the body, {} by the CPU", size, p, by_body, by_cpu));
}

template <class T>
void check_clip(std::int64_t size, std::int64_t shift) {
  Draw draw(static_cast<std::uint64_t>(size));
  auto x = Numbers<T>::drawn(draw, size, shift);
  const auto expect = [&](const char* what, auto request) {
    auto by_cpu = x;
    auto by_body = x;
    request.inout = by_cpu.view();
    run(eg::OnCpu{}, request);
    request.inout = by_body.view();
    eg::cuda::run_with(AnyGrid{1}, request);
    BOOST_CHECK_MESSAGE(same_bits(by_cpu, by_body), fmt::format("{} of {} elements", what, size));
  };
  T factor = T(0.3);
  expect("ScaleInPlace", eg::ScaleInPlace{{}, {&factor, x.view().dtype, 1}});
  expect("ClampInPlace", eg::ClampInPlace{{}, 1.5});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(update)

BOOST_AUTO_TEST_CASE(steps_of_all) {
  for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 1025, 4097}) {
    for (const std::int64_t shift : {0, 1}) {
      if (size > 300 && shift == 1) continue;
      check_dense<float>(size, shift);
      if (size > 1100) continue;
      check_dense<double>(size, shift);
      check_dense<eg::Float16>(size, shift);
      check_dense<eg::BFloat16>(size, shift);
    }
  }
}

BOOST_AUTO_TEST_CASE(steps_of_rows) {
  for (const std::int64_t dim : widths({1, 3, 4, 30, 33, 64, 128})) {
    for (const std::int64_t count : {0, 1, 17, 70}) {
      if (dim > 40 && count > 17) continue;
      check_rows<float>(count, dim, 0, 2);
      check_rows<double>(count, dim, 1, 1);
      check_rows<eg::Float16>(count, dim, 0, 1);
      check_rows<eg::BFloat16>(count, dim, 1, 1);
    }
  }
}

// Rules of whole rows on a gradient that holds them all.
BOOST_AUTO_TEST_CASE(steps_of_all_whole_rows) {
  for_step_rules([](eg::StepRule rule, unsigned kept, bool by_row) {
    if (!by_row) return;
    for (const std::int64_t dim : widths({1, 15, 16, 17, 64, 300})) {
      Draw draw(static_cast<std::uint64_t>(dim));
      const std::int64_t count = 35;
      const Parameter<float> before(draw, count * dim, count, 0);
      auto grad = ordinary<float>(draw, count * dim, 0, -1, 1);
      const eg::OptimizerStep step{.rule = rule,
                                   .numbers = some_numbers(draw),
                                   .param = {},
                                   .grad = grad.view(),
                                   .slots = {},
                                   .rows = {nullptr, count, dim}};
      for (int seed = 0; seed < seeds; ++seed) {
        expect_same<float>(
            fmt::format("step on all rows of {}", dim), before, step,
            [kept](auto& request, Parameter<float>& here) { here.show(request, kept); }, seed);
      }
    }
  });
}

// More rows than blocks: each block has several.
BOOST_AUTO_TEST_CASE(steps_of_many_rows) {
  const std::int64_t dim = 520;
  const std::int64_t count = 2 * eg::cuda::most_blocks + 3;
  Draw draw(1);
  const Parameter<float> before(draw, count * dim, count * dim, 0);
  auto rows = some_rows(draw, count, count);
  auto grad = ordinary<float>(draw, count * dim, 0, -1, 1);
  const eg::OptimizerStep step{.rule = eg::step_rule<eg::rules::Adagrad<true>>,
                               .numbers = some_numbers(draw),
                               .param = {},
                               .grad = grad.view(),
                               .slots = {},
                               .rows = {rows.data(), count, dim}};
  const auto show = [](auto& request, Parameter<float>& here) { here.show(request, 0b001); };
  expect_same<float>("step on many rows", before, step, show, 0);
}

BOOST_AUTO_TEST_CASE(spans) {
  int seed = 0;
  for (const std::int64_t dim : widths({1, 3, 4, 30, 64, 100})) {
    for (const std::int64_t count : {1, 9, 40}) {
      check_spans<float>(eg::rules::IdleRules{}, dim, count, seed);
      check_spans<double>(eg::rules::IdleRules{}, dim, count, seed++);
    }
  }
}

BOOST_AUTO_TEST_CASE(replays) {
  for_step_rules([](eg::StepRule rule, unsigned kept, bool by_row) {
    int seed = 0;
    for (const std::int64_t dim : {1, 4, 18, 33}) {
      const auto fill = [rule](auto& time, Draw& draw) { time.take_steps(draw, rule); };
      const std::string what = fmt::format("replay of rule {}", static_cast<int>(rule));
      check_idle<float>(what, dim, 19, kept, by_row, rule, fill, seed);
      check_idle<double>(what, dim, 35, kept, by_row, rule, fill, seed++);
    }
  });
}

BOOST_AUTO_TEST_CASE(norms) {
  const std::int64_t chunk = eg::norm_chunk;
  for (const std::int64_t size : {std::int64_t{0}, std::int64_t{1}, std::int64_t{17}, std::int64_t{2047},
                                  std::int64_t{2049}, chunk, chunk + 1, 3 * chunk + 5}) {
    for (const double p : {1.0, 2.0, 2.5, HUGE_VAL}) {
      check_norm<float>(size, p, false, 3);
      check_norm<double>(size, p, false, 4);
    }
  }
  // Not a number anywhere makes the result one.
  for (const std::int64_t size : {std::int64_t{1}, std::int64_t{40}, chunk + 40}) {
    for (const double p : {1.0, 2.0, HUGE_VAL}) check_norm<float>(size, p, true, 5);
  }
  for (int seed = 0; seed < seeds; ++seed) check_norm<float>(2500, 2, false, seed);
}

// More chunks than a block takes at once.
BOOST_AUTO_TEST_CASE(sums_of_chunks) {
  using Sum = eg::cuda::SumChunks<eg::rules::SquareTerm>;
  for (const std::int64_t count : {0, 1, Sum::tile, Sum::tile + 1, 3 * Sum::tile + 5}) {
    Draw draw(static_cast<std::uint64_t>(count));
    std::vector<double> chunks(static_cast<std::size_t>(count));
    for (double& chunk : chunks) chunk = draw.uniform(0, 1e3);
    double in_order = 0;
    for (const double chunk : chunks) in_order += chunk;
    for (int seed = 0; seed < seeds; ++seed) {
      double by_body = -1;
      AnyGrid{static_cast<std::uint64_t>(seed)}(Sum{chunks.data(), &by_body, count},
                                                eg::cuda::Grid{1, eg::cuda::default_threads});
      BOOST_TEST(by_body == in_order, count << " chunks, seed " << seed);
    }
  }
}

BOOST_AUTO_TEST_CASE(clipping) {
  for (const std::int64_t size : map_sizes) {
    for (const std::int64_t shift : {0, 1}) {
      check_clip<float>(size, shift);
      check_clip<double>(size, shift);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

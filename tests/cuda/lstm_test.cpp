// Layers of LSTMs: one step's bodies between products. Products are the CPU's here, so what differs is the order in
// which they add up; where each of their sums has one term, all but the gradients of weights have the CPU's bits.
#include "cuda/lstm.hpp"

#include <numeric>
#include <string>
#include <vector>

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

struct Problem {
  std::vector<std::int64_t> batch_sizes;
  std::int64_t batch, input, hidden;
  std::int64_t projection = 0;
  bool bias = true;
  bool first_is_reverse = false;  // the second direction goes the other way
  int directions = 1;
  bool one_term_sums = false;
  bool grad_output = true;
  unsigned wants = 31;   // grad_input, then those of the weights
  std::int64_t gap = 0;  // behind each row of the outputs
  eg::LstmFactors factors = {};

  [[nodiscard]] std::int64_t rows() const {
    return std::accumulate(batch_sizes.begin(), batch_sizes.end(), std::int64_t{0});
  }
  [[nodiscard]] std::int64_t output() const { return projection > 0 ? projection : hidden; }
  [[nodiscard]] std::int64_t stride() const { return directions * output() + gap; }
  [[nodiscard]] std::string text() const {
    return fmt::format(
        "lstm: rows {} of {} steps, batch {}, I {}, H {}, P {}, bias {}, reverse {}, directions {}, wants {}", rows(),
        batch_sizes.size(), batch, input, hidden, projection, bias, first_is_reverse, directions, wants);
  }
};

template <class T>
Numbers<T> uniform(Draw& draw, std::int64_t count) {
  Numbers<T> numbers(count, 0);
  for (std::int64_t i = 0; i < count; ++i) numbers.data()[i] = static_cast<T>(draw.uniform(-1, 1));
  return numbers;
}

// A matrix with a power of two in some places, no two of them in one row or column; or any numbers.
template <class T>
Numbers<T> weight(Draw& draw, std::int64_t rows, std::int64_t columns, bool one_term_sums) {
  if (!one_term_sums) return uniform<T>(draw, rows * columns);
  Numbers<T> numbers(rows * columns, 0);
  std::vector<std::int64_t> free_rows(static_cast<std::size_t>(rows));
  std::iota(free_rows.begin(), free_rows.end(), std::int64_t{0});
  for (std::int64_t column = 0; column < columns && !free_rows.empty(); ++column) {
    const auto pick = static_cast<std::size_t>(draw.integer(0, static_cast<std::int64_t>(free_rows.size()) - 1));
    const T values[] = {T(1), T(-1), T(2), T(-0.5)};
    numbers.data()[free_rows[pick] * columns + column] = values[draw.integer(0, 3)];
    free_rows[pick] = free_rows.back();
    free_rows.pop_back();
  }
  return numbers;
}

template <class T>
struct Direction {
  Numbers<T> weight_ih, weight_hh, bias_ih, bias_hh, weight_hr, h_0, c_0, h, c;
  Numbers<T> gates, cells, cells_tanh, before_projection;
  Numbers<T> grad_h, grad_c, grad_input, grad_weight_ih, grad_weight_hh, grad_bias, grad_weight_hr;

  // What is written holds anything before.
  Direction(const Problem& p, Draw& draw)
      : weight_ih(weight<T>(draw, 4 * p.hidden, p.input, p.one_term_sums)),
        weight_hh(weight<T>(draw, 4 * p.hidden, p.output(), p.one_term_sums)),
        bias_ih(uniform<T>(draw, 4 * p.hidden)),
        bias_hh(uniform<T>(draw, 4 * p.hidden)),
        weight_hr(weight<T>(draw, p.output(), p.hidden, p.one_term_sums)),
        h_0(uniform<T>(draw, p.batch * p.output())),
        c_0(uniform<T>(draw, p.batch * p.hidden)),
        h(h_0),
        c(c_0),
        gates(Numbers<T>::drawn(draw, p.rows() * 4 * p.hidden, 0)),
        cells(Numbers<T>::drawn(draw, p.rows() * p.hidden, 0)),
        cells_tanh(Numbers<T>::drawn(draw, p.rows() * p.hidden, 0)),
        before_projection(Numbers<T>::drawn(draw, p.rows() * p.hidden, 0)),
        grad_h(uniform<T>(draw, p.batch * p.output())),
        grad_c(uniform<T>(draw, p.batch * p.hidden)),
        grad_input(Numbers<T>::drawn(draw, p.rows() * p.input, 0)),
        grad_weight_ih(Numbers<T>::drawn(draw, 4 * p.hidden * p.input, 0)),
        grad_weight_hh(Numbers<T>::drawn(draw, 4 * p.hidden * p.output(), 0)),
        grad_bias(Numbers<T>::drawn(draw, 4 * p.hidden, 0)),
        grad_weight_hr(Numbers<T>::drawn(draw, p.output() * p.hidden, 0)) {}
};

template <class T>
struct Layer {
  Problem problem;
  Numbers<T> input, output, grad_output;
  std::vector<Direction<T>> directions;

  Layer(const Problem& p, Draw& draw)
      : problem(p),
        input(uniform<T>(draw, p.rows() * p.input)),
        output(Numbers<T>::drawn(draw, p.rows() * p.stride(), 0)),
        grad_output(uniform<T>(draw, p.rows() * p.stride())) {
    for (int d = 0; d < p.directions; ++d) directions.emplace_back(p, draw);
  }

  eg::LstmSizes sizes(int d) const {
    return {eg::dtype_of<T>,
            static_cast<std::int64_t>(problem.batch_sizes.size()),
            problem.rows(),
            problem.batch,
            problem.input,
            problem.hidden,
            problem.output(),
            problem.batch_sizes.data(),
            problem.first_is_reverse != (d == 1)};
  }
  eg::LstmWeights weights(int d) {
    Direction<T>& at = directions[static_cast<std::size_t>(d)];
    return {at.weight_ih.data(), at.weight_hh.data(), problem.bias ? at.bias_ih.data() : nullptr,
            problem.bias ? at.bias_hh.data() : nullptr, problem.projection > 0 ? at.weight_hr.data() : nullptr};
  }

  eg::LstmLayer<eg::LstmForward> forward() {
    eg::LstmLayer<eg::LstmForward> layer{{}, problem.directions};
    for (int d = 0; d < problem.directions; ++d) {
      Direction<T>& at = directions[static_cast<std::size_t>(d)];
      layer.direction[d] = {
          .sizes = sizes(d),
          .weights = weights(d),
          .factors = problem.factors,
          .input = input.data(),
          .output = output.data() + d * problem.output(),
          .output_stride = problem.stride(),
          .h = at.h.data(),
          .c = at.c.data(),
          .gates = at.gates.data(),
          .cells = at.cells.data(),
          .cells_tanh = at.cells_tanh.data(),
          .before_projection = problem.projection > 0 ? at.before_projection.data() : nullptr,
      };
    }
    return layer;
  }

  eg::LstmLayer<eg::LstmBackward> backward() {
    eg::LstmLayer<eg::LstmBackward> layer{{}, problem.directions};
    for (int d = 0; d < problem.directions; ++d) {
      Direction<T>& at = directions[static_cast<std::size_t>(d)];
      const auto wanted = [&](unsigned bit, Numbers<T>& grad) -> void* {
        return (problem.wants >> bit) % 2 == 1 ? grad.data() : nullptr;
      };
      layer.direction[d] = {
          .sizes = sizes(d),
          .weights = weights(d),
          .factors = problem.factors,
          .input = input.data(),
          .output = output.data() + d * problem.output(),
          .output_stride = problem.stride(),
          .h_0 = at.h_0.data(),
          .c_0 = at.c_0.data(),
          .gates = at.gates.data(),
          .cells = at.cells.data(),
          .cells_tanh = at.cells_tanh.data(),
          .before_projection = problem.projection > 0 ? at.before_projection.data() : nullptr,
          .grad_output = problem.grad_output ? grad_output.data() + d * problem.output() : nullptr,
          .grad_output_stride = problem.stride(),
          .grad_h = at.grad_h.data(),
          .grad_c = at.grad_c.data(),
          .grad_input = wanted(0, at.grad_input),
          .grad_weight_ih = wanted(1, at.grad_weight_ih),
          .grad_weight_hh = wanted(2, at.grad_weight_hh),
          .grad_bias = wanted(3, at.grad_bias),
          .grad_weight_hr = problem.projection > 0 ? wanted(4, at.grad_weight_hr) : nullptr,
      };
    }
    return layer;
  }
};

template <class T, class Request>
void run_bodies(const eg::LstmLayer<Request>& layer, std::uint64_t seed) {
  Numbers<T> memory(eg::cuda::LstmRoom::numbers_for(layer), 0);
  std::fill_n(memory.data(), memory.count(), std::numeric_limits<T>::quiet_NaN());
  eg::cuda::run_with(
      AnyGrid{seed}, layer, [](const eg::Gemm& gemm) { run(eg::OnCpu{}, gemm); }, memory.data());
}

template <class T>
void check(const Problem& problem, std::uint64_t seed) {
  Draw draw(seed);
  const Tolerance sums =
      eg::dtype_of<T> == eg::DType::float64 ? Tolerance{1e-12, 1e-12} : tolerance(eg::DType::float32);
  const Tolerance steps = problem.one_term_sums ? exact : sums;
  Layer<T> by_cpu(problem, draw);
  Layer<T> by_body = by_cpu;
  const auto same = [&](const std::string& name, Numbers<T>& body, Numbers<T>& cpu, Tolerance close) {
    expect_same(problem.text() + ": " + name, seed, body, cpu, close);
  };
  const auto each_direction = [&](const auto& compare) {
    for (std::size_t d = 0; d < by_cpu.directions.size(); ++d) compare(by_body.directions[d], by_cpu.directions[d]);
  };

  run(eg::OnCpu{}, by_cpu.forward());
  run_bodies<T>(by_body.forward(), seed);
  same("output", by_body.output, by_cpu.output, steps);
  each_direction([&](Direction<T>& body, Direction<T>& cpu) {
    same("h_n", body.h, cpu.h, steps);
    same("c_n", body.c, cpu.c, steps);
    same("gates", body.gates, cpu.gates, steps);
    same("cells", body.cells, cpu.cells, steps);
    same("cells_tanh", body.cells_tanh, cpu.cells_tanh, steps);
    same("before_projection", body.before_projection, cpu.before_projection, steps);
  });

  by_body = by_cpu;
  run(eg::OnCpu{}, by_cpu.backward());
  run_bodies<T>(by_body.backward(), seed);
  each_direction([&](Direction<T>& body, Direction<T>& cpu) {
    same("gradients of z", body.gates, cpu.gates, steps);
    same("grad_h", body.grad_h, cpu.grad_h, steps);
    same("grad_c", body.grad_c, cpu.grad_c, steps);
    same("grad_input", body.grad_input, cpu.grad_input, steps);
    same("grad_bias", body.grad_bias, cpu.grad_bias, steps);
    same("grad_weight_ih", body.grad_weight_ih, cpu.grad_weight_ih, sums);
    same("grad_weight_hh", body.grad_weight_hh, cpu.grad_weight_hh, sums);
    same("grad_weight_hr", body.grad_weight_hr, cpu.grad_weight_hr, sums);
  });
}

// All of them away from 1; powers of two where products are to be exact.
constexpr eg::LstmFactors factors{.input = 0.5,
                                  .recurrent = 2,
                                  .forget_offset = 0.7,
                                  .projection = 0.25,
                                  .out = 1.3,
                                  .grad_input = 4,
                                  .grad_weight_ih = 0.6,
                                  .grad_weight_hh = 1.7,
                                  .grad_bias = 0.9,
                                  .grad_weight_hr = 1.1};

void check_both(const Problem& problem, std::uint64_t seed) {
  for (const bool one_term_sums : {true, false}) {
    Problem now = problem;
    now.one_term_sums = one_term_sums;
    check<float>(now, seed);
    check<double>(now, seed + 1);
  }
}

// Half of it.
void check_some(Problem problem, std::uint64_t seed) {
  problem.one_term_sums = seed % 2 == 0;
  check<float>(problem, seed);
  problem.one_term_sums = !problem.one_term_sums;
  check<double>(problem, seed);
}

// Going back these grow.
const std::vector<std::int64_t> shrinking{5, 4, 4, 1};

}  // namespace

BOOST_AUTO_TEST_SUITE(lstm)

BOOST_AUTO_TEST_CASE(sizes) {
  std::uint64_t seed = 0;
  for (const bool reverse : {false, true}) {
    for (const std::int64_t hidden : {1, 3, 8, 33}) {
      check_both({.batch_sizes = shrinking, .batch = 6, .input = 3, .hidden = hidden, .first_is_reverse = reverse},
                 seed += 2);
      check_both({.batch_sizes = {1, 1, 1}, .batch = 1, .input = 1, .hidden = hidden, .first_is_reverse = reverse},
                 seed += 2);
    }
    check_both({.batch_sizes = {2, 1}, .batch = 2, .input = 5, .hidden = 257, .first_is_reverse = reverse}, seed += 2);
    check_both({.batch_sizes = {40, 33}, .batch = 40, .input = 7, .hidden = 20, .first_is_reverse = reverse},
               seed += 3);
    check_both({.batch_sizes = {}, .batch = 2, .input = 4, .hidden = 3, .first_is_reverse = reverse}, seed += 2);
    check_both({.batch_sizes = {}, .batch = 0, .input = 4, .hidden = 3, .first_is_reverse = reverse}, seed += 2);
    check_both({.batch_sizes = {3, 2}, .batch = 3, .input = 0, .hidden = 2, .first_is_reverse = reverse}, seed += 2);
  }
}

// With and without: biases, a projection to fewer and to more numbers, a second direction, gaps, a gradient of the
// output; each factor away from 1.
BOOST_AUTO_TEST_CASE(variants) {
  std::uint64_t seed = 100;
  for (const bool scaled : {false, true}) {
    for (const std::int64_t projection : {0, 2, 7}) {
      for (const bool bias : {false, true}) {
        for (const int directions : {1, 2}) {
          check_some({.batch_sizes = shrinking,
                      .batch = 5,
                      .input = 4,
                      .hidden = 5,
                      .projection = projection,
                      .bias = bias,
                      .first_is_reverse = bias != scaled,
                      .directions = directions,
                      .grad_output = !scaled || bias,
                      .gap = scaled ? 3 : 0,
                      .factors = scaled ? factors : eg::LstmFactors{}},
                     ++seed);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(wanted_gradients) {
  for (unsigned wants = 0; wants < 32; ++wants) {
    check<float>({.batch_sizes = {3, 2},
                  .batch = 3,
                  .input = 3,
                  .hidden = 4,
                  .projection = wants % 3,
                  .wants = wants,
                  .factors = factors},
                 wants);
  }
}

// One block, full blocks, a rest, more than 64 blocks.
BOOST_AUTO_TEST_CASE(many_rows) {
  for (const std::int64_t steps : {8, 16, 17}) {
    check_some({.batch_sizes = std::vector<std::int64_t>(static_cast<std::size_t>(steps), 8),
                .batch = 8,
                .input = 1,
                .hidden = 1},
               static_cast<std::uint64_t>(steps));
  }
  std::vector<std::int64_t> batch_sizes(26, 160);
  batch_sizes.push_back(3);
  check_some({.batch_sizes = batch_sizes, .batch = 160, .input = 1, .hidden = 1, .factors = factors}, 1);
}

BOOST_AUTO_TEST_SUITE_END()

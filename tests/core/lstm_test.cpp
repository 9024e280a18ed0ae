#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::LstmOptions;
using eg::LstmResult;
using eg::LstmState;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr eg::TensorOptions f64{DType::float64, {}};
using Lengths = std::vector<std::int64_t>;

// One network and one batch for it.
struct Problem {
  LstmOptions options;
  std::int64_t steps = 4, batch = 3, input = 2, hidden = 3, projection = 0;
  bool with_state = false;
  Lengths lengths = {};

  [[nodiscard]] std::int64_t directions() const { return options.bidirectional ? 2 : 1; }
  [[nodiscard]] std::int64_t states() const { return options.num_layers * directions(); }
  [[nodiscard]] std::int64_t output() const { return projection > 0 ? projection : hidden; }
  [[nodiscard]] std::string text() const {
    return fmt::format("layers {}, directions {}, projection {}, bias {}, batch_first {}, state {}, {} lengths",
                       options.num_layers, directions(), projection, options.bias, options.batch_first, with_state,
                       lengths.size());
  }
};

struct Arguments {
  Tensor input;
  LstmState state;
  std::vector<Tensor> parameters;

  // Everything that wants a gradient.
  [[nodiscard]] Inputs leaves() const {
    Inputs all = parameters;
    all.push_back(input);
    if (state.h.defined()) all.push_back(state.h);
    if (state.c.defined()) all.push_back(state.c);
    return all;
  }
};

Arguments draw_arguments(const Problem& problem, Draw& draw, DType dtype = DType::float64) {
  Arguments made;
  const std::int64_t gates = 4 * problem.hidden;
  for (std::int64_t layer = 0; layer < problem.options.num_layers; ++layer) {
    for (std::int64_t d = 0; d < problem.directions(); ++d) {
      const std::int64_t width = layer == 0 ? problem.input : problem.directions() * problem.output();
      made.parameters.push_back(leaf(draw, {gates, width}, dtype));
      made.parameters.push_back(leaf(draw, {gates, problem.output()}, dtype));
      if (problem.options.bias) {
        made.parameters.push_back(leaf(draw, {gates}, dtype));
        made.parameters.push_back(leaf(draw, {gates}, dtype));
      }
      if (problem.projection > 0) made.parameters.push_back(leaf(draw, {problem.projection, problem.hidden}, dtype));
    }
  }
  const Shape shape = problem.options.batch_first ? Shape{problem.batch, problem.steps, problem.input}
                                                  : Shape{problem.steps, problem.batch, problem.input};
  made.input = leaf(draw, shape, dtype);
  if (problem.with_state) {
    made.state.h = leaf(draw, {problem.states(), problem.batch, problem.output()}, dtype);
    made.state.c = leaf(draw, {problem.states(), problem.batch, problem.hidden}, dtype);
  }
  return made;
}

// Row `b` of step or state `at` of a rank-3 tensor, as (1, width).
Tensor row_of(const Tensor& tensor, std::int64_t at, std::int64_t b) {
  return eg::narrow(eg::narrow(tensor, 0, at, 1), 1, b, 1).reshape({1, tensor.size(2)});
}

// The definition: each sequence by itself, step by step, in simple ops.
LstmResult plain_lstm(const Problem& problem, const Arguments& arguments) {
  const eg::TensorOptions like = arguments.input.options();
  const bool batch_first = problem.options.batch_first;
  const Tensor input = batch_first ? arguments.input.transpose(0, 1) : arguments.input;
  const std::int64_t directions = problem.directions();
  std::vector<Tensor> rows(static_cast<std::size_t>(problem.steps * problem.batch));
  std::vector<Tensor> h_n(static_cast<std::size_t>(problem.states() * problem.batch));
  std::vector<Tensor> c_n = h_n;
  for (std::int64_t b = 0; b < problem.batch; ++b) {
    const std::int64_t length = problem.lengths.empty() ? problem.steps : problem.lengths[static_cast<std::size_t>(b)];
    std::vector<Tensor> sequence;
    for (std::int64_t t = 0; t < length; ++t) sequence.push_back(row_of(input, t, b));
    auto parameter = arguments.parameters.begin();
    for (std::int64_t layer = 0; layer < problem.options.num_layers; ++layer) {
      std::vector<std::vector<Tensor>> of_step(sequence.size());
      for (std::int64_t d = 0; d < directions; ++d) {
        const Tensor w_ih = eg::transpose(*parameter++, 0, 1);
        const Tensor w_hh = eg::transpose(*parameter++, 0, 1);
        Tensor bias;
        if (problem.options.bias) {
          bias = *parameter++;
          bias = bias + *parameter++;
        }
        const Tensor w_hr = problem.projection > 0 ? eg::transpose(*parameter++, 0, 1) : Tensor();
        const std::int64_t place = layer * directions + d;
        Tensor h = problem.with_state ? row_of(arguments.state.h, place, b) : eg::zeros({1, problem.output()}, like);
        Tensor c = problem.with_state ? row_of(arguments.state.c, place, b) : eg::zeros({1, problem.hidden}, like);
        for (std::int64_t k = 0; k < length; ++k) {
          const auto t = static_cast<std::size_t>(d == 1 ? length - 1 - k : k);
          Tensor z = eg::matmul(sequence[t], w_ih) + eg::matmul(h, w_hh);
          if (bias.defined()) z = z + bias;
          const auto gate = [&](int i) { return eg::narrow(z, 1, i * problem.hidden, problem.hidden); };
          c = eg::sigmoid(gate(1)) * c + eg::sigmoid(gate(0)) * eg::tanh(gate(2));
          h = eg::sigmoid(gate(3)) * eg::tanh(c);
          if (w_hr.defined()) h = eg::matmul(h, w_hr);
          of_step[t].push_back(h);
        }
        // of the reverse direction the rows come second, for it runs second
        h_n[static_cast<std::size_t>(place * problem.batch + b)] = h;
        c_n[static_cast<std::size_t>(place * problem.batch + b)] = c;
      }
      for (std::size_t t = 0; t < sequence.size(); ++t) {
        sequence[t] = eg::cat(std::span<const Tensor>(of_step[t]), 1);
      }
    }
    for (std::int64_t t = 0; t < problem.steps; ++t) {
      rows[static_cast<std::size_t>(t * problem.batch + b)] =
          t < length ? sequence[static_cast<std::size_t>(t)] : eg::zeros({1, directions * problem.output()}, like);
    }
  }
  const auto joined = [](const std::vector<Tensor>& all, const Shape& shape) {
    return eg::cat(std::span<const Tensor>(all)).reshape(shape);
  };
  const Tensor output = joined(rows, {problem.steps, problem.batch, directions * problem.output()});
  return {batch_first ? eg::transpose(output, 0, 1) : output,
          joined(h_n, {problem.states(), problem.batch, problem.output()}),
          joined(c_n, {problem.states(), problem.batch, problem.hidden})};
}

LstmResult fused_lstm(const Problem& problem, const Arguments& arguments) {
  return eg::lstm(arguments.input, arguments.state, arguments.parameters, problem.options, problem.lengths);
}

// The gradients of Σ weight · output over the chosen outputs (bit k: output k).
std::vector<Tensor> gradients(const LstmResult& result, const Inputs& leaves, std::uint64_t seed, unsigned chosen = 7) {
  Draw draw(seed);
  Tensor loss = eg::zeros({}, result.output.options());
  unsigned bit = 1;
  for (const Tensor& output : {result.output, result.h_n, result.c_n}) {
    const Tensor weight = draw.uniform(output.shape(), output.dtype());
    if ((chosen & bit) != 0) loss = loss + eg::sum(output * weight);
    bit *= 2;
  }
  for (Tensor each : leaves) each.zero_grad();
  loss.backward();
  std::vector<Tensor> all;
  for (const Tensor& each : leaves) all.push_back(grad_of(each));
  return all;
}

void compare_results(const LstmResult& got, const LstmResult& expected) {
  BOOST_TEST(close_to("output", got.output, expected.output));
  BOOST_TEST(close_to("h_n", got.h_n, expected.h_n));
  BOOST_TEST(close_to("c_n", got.c_n, expected.c_n));
}

// A gradient that did not arrive counts as zero.
void compare_gradients(const std::vector<Tensor>& got, const std::vector<Tensor>& expected, const Inputs& leaves) {
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const auto or_zeros = [&](const Tensor& grad) {
      return grad.defined() ? grad : eg::zeros(leaves[i].shape(), leaves[i].options());
    };
    BOOST_TEST(close_to(fmt::format("gradient {}", i), or_zeros(got[i]), or_zeros(expected[i])));
  }
}

template <class Body>
void for_all_problems(const Body& body) {
  for (unsigned bits = 0; bits < 128; ++bits) {
    const auto bit = [&](unsigned i) { return (bits >> i & 1U) != 0; };
    Problem problem;
    problem.options.num_layers = bit(0) ? 2 : 1;
    problem.options.bidirectional = bit(1);
    problem.options.bias = bit(2);
    problem.options.batch_first = bit(3);
    problem.projection = bit(4) ? 2 : 0;
    problem.with_state = bit(5);
    if (bit(6)) problem.lengths = {2, 0, 4};
    BOOST_TEST_CONTEXT(problem.text()) { body(problem, bits); }
  }
}

// Of a padded batch, sequence b alone.
Tensor sequence_of(const Tensor& input, std::int64_t b, std::int64_t length) {
  return eg::narrow(eg::narrow(input, 1, b, 1), 0, 0, length);
}

std::vector<std::int64_t> numbers(const Tensor& tensor) { return tensor.to_vector<std::int64_t>(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(lstm)

// --- values and gradients

BOOST_AUTO_TEST_CASE(is_its_definition) {
  for_all_problems([](const Problem& problem, unsigned seed) {
    Draw draw(1000 + seed);
    const Arguments arguments = draw_arguments(problem, draw);
    const LstmResult fused = fused_lstm(problem, arguments);
    const LstmResult plain = plain_lstm(problem, arguments);
    compare_results(fused, plain);
    const Inputs leaves = arguments.leaves();
    const auto expected = gradients(plain, leaves, seed);
    compare_gradients(gradients(fused, leaves, seed), expected, leaves);
  });
}

BOOST_AUTO_TEST_CASE(widths_that_fill_registers) {
  for_computing_types([](DType dtype) {
    for (const std::int64_t hidden : {1, 16, 33}) {
      Problem problem;
      problem.steps = 6;
      problem.batch = 5;
      problem.input = hidden == 16 ? 1 : 17;
      problem.hidden = hidden;
      problem.options.bidirectional = true;
      problem.lengths = {6, 1, 3, 5, 3};
      BOOST_TEST_CONTEXT("hidden " << hidden) {
        Draw draw(11);
        Arguments arguments = draw_arguments(problem, draw, dtype);
        const LstmResult fused = fused_lstm(problem, arguments);
        const LstmResult plain = plain_lstm(problem, arguments);
        compare_results(fused, plain);
        const Inputs leaves = arguments.leaves();
        const auto expected = gradients(plain, leaves, 5);
        const auto got = gradients(fused, leaves, 5);
        const Tolerance allowed = dtype == DType::float32 ? Tolerance{1e-4, 1e-4} : tolerance(dtype);
        for (std::size_t i = 0; i < leaves.size(); ++i) {
          BOOST_TEST(close_to(fmt::format("gradient {}", i), got[i], expected[i], allowed));
        }
      }
    }
  });
}

// Batches that several threads share: their parts start amid a step's rows.
BOOST_AUTO_TEST_CASE(batches_in_shares) {
  for (const bool projected : {false, true}) {
    for (const std::int64_t batch : {24, 37, 50}) {
      Problem problem;
      problem.steps = 3;
      problem.batch = batch;
      problem.hidden = 3;
      problem.projection = projected ? 2 : 0;
      problem.with_state = true;
      Draw draw(12);
      for (std::int64_t b = 0; b < batch; ++b) problem.lengths.push_back(draw.integer(0, 3));
      BOOST_TEST_CONTEXT("batch " << batch << ", projected " << projected) {
        const Arguments arguments = draw_arguments(problem, draw);
        const LstmResult fused = fused_lstm(problem, arguments);
        const LstmResult plain = plain_lstm(problem, arguments);
        compare_results(fused, plain);
        const Inputs leaves = arguments.leaves();
        const auto expected = gradients(plain, leaves, 5);
        compare_gradients(gradients(fused, leaves, 5), expected, leaves);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(packed_is_padded_in_another_order) {
  for (const bool projected : {false, true}) {
    for (const Lengths& lengths : {Lengths{4, 4, 1}, Lengths{3, 2, 0}, Lengths{0, 0, 0}}) {
      Problem problem;
      problem.options.num_layers = 2;
      problem.options.bidirectional = true;
      problem.projection = projected ? 2 : 0;
      problem.with_state = true;
      problem.lengths = lengths;
      Draw draw(21);
      const Arguments arguments = draw_arguments(problem, draw);
      const eg::PackingPlan plan = eg::plan_packing("test", lengths, 4, 3, false, true);
      const Tensor data = eg::gather_rows(arguments.input.reshape({12, 2}), plan.pack);
      const LstmResult packed =
          eg::lstm_packed(data, plan.batch_sizes, 3, arguments.state, arguments.parameters, problem.options);
      const LstmResult plain = plain_lstm(problem, arguments);
      const Shape wide{12, plain.output.size(2)};
      BOOST_TEST(close_to("output", packed.output, eg::gather_rows(plain.output.reshape(wide), plan.pack)));
      BOOST_TEST(close_to("h_n", packed.h_n, plain.h_n));
      BOOST_TEST(close_to("c_n", packed.c_n, plain.c_n));
      const Inputs leaves = arguments.leaves();
      const LstmResult again{eg::gather_rows_or(packed.output, plan.unpack, 0).reshape(plain.output.shape()),
                             packed.h_n, packed.c_n};
      const auto expected = gradients(plain, leaves, 3);
      compare_gradients(gradients(again, leaves, 3), expected, leaves);
    }
  }
}

BOOST_AUTO_TEST_CASE(finite_differences) {
  Problem small;
  small.steps = 3;
  small.batch = 2;
  small.hidden = 2;
  small.with_state = true;
  Problem large = small;
  large.options.num_layers = 2;
  large.options.bidirectional = true;
  large.projection = 1;
  large.lengths = {1, 3};
  for (const Problem& problem : {small, large}) {
    BOOST_TEST_CONTEXT(problem.text()) {
      Draw draw(31);
      const Arguments arguments = draw_arguments(problem, draw);
      const Inputs leaves = arguments.leaves();
      const std::size_t count = arguments.parameters.size();
      eg::GradcheckOptions options;
      options.throw_on_failure = false;
      const eg::GradcheckResult result = eg::gradcheck(
          [&](const Inputs& given) -> std::vector<Tensor> {
            const LstmResult made =
                eg::lstm(given[count], {given[count + 1], given[count + 2]},
                         std::span<const Tensor>(given).subspan(0, count), problem.options, problem.lengths);
            return {made.output, made.h_n, made.c_n};
          },
          leaves, options);
      BOOST_TEST(result.ok, result.message);
    }
  }
}

BOOST_AUTO_TEST_CASE(gradient_from_some_outputs_only) {
  for (const bool with_lengths : {false, true}) {
    for (unsigned chosen = 1; chosen < 8; ++chosen) {
      Problem problem;
      problem.options.num_layers = 2;
      problem.options.bidirectional = true;
      problem.projection = 2;
      problem.with_state = true;
      if (with_lengths) problem.lengths = {3, 0, 4};
      BOOST_TEST_CONTEXT("outputs " << chosen << ", lengths " << with_lengths) {
        Draw draw(41);
        const Arguments arguments = draw_arguments(problem, draw);
        const Inputs leaves = arguments.leaves();
        const auto expected = gradients(plain_lstm(problem, arguments), leaves, 7, chosen);
        compare_gradients(gradients(fused_lstm(problem, arguments), leaves, 7, chosen), expected, leaves);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(only_what_is_wanted_gets_a_gradient) {
  Problem problem;
  problem.options.bidirectional = true;
  problem.projection = 2;
  problem.with_state = true;
  Draw draw(51);
  const Arguments arguments = draw_arguments(problem, draw);
  Inputs leaves = arguments.leaves();
  const auto all = gradients(fused_lstm(problem, arguments), leaves, 9);
  for (std::size_t wanted = 0; wanted < leaves.size(); ++wanted) {
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      leaves[i].zero_grad();
      leaves[i].set_requires_grad(i == wanted);
    }
    const auto got = gradients(fused_lstm(problem, arguments), {leaves[wanted]}, 9);
    BOOST_TEST(close_to(fmt::format("gradient {}", wanted), got[0], all[wanted]));
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      if (i != wanted) BOOST_TEST(!leaves[i].grad().defined(), "nobody wanted gradient " << i);
    }
  }
  for (Tensor& each : leaves) each.set_requires_grad(false);
  const LstmResult frozen = fused_lstm(problem, arguments);
  BOOST_TEST(!frozen.output.requires_grad());
  BOOST_TEST(!frozen.h_n.requires_grad());
  BOOST_TEST(!frozen.c_n.requires_grad());
}

BOOST_AUTO_TEST_CASE(both_biases_have_gradients_of_their_own) {
  Draw draw(61);
  Problem problem;
  const Arguments arguments = draw_arguments(problem, draw);
  eg::sum(fused_lstm(problem, arguments).output).backward();
  const Tensor first = arguments.parameters[2].grad().dense();
  Tensor second = arguments.parameters[3].grad().dense();
  BOOST_TEST(equal_to("bias gradients", first, second));
  BOOST_TEST(!first.shares_storage_with(second));
}

BOOST_AUTO_TEST_CASE(gradients_add_up_over_calls) {
  Draw draw(71);
  Problem problem;
  problem.lengths = {4, 1, 2};
  const Arguments arguments = draw_arguments(problem, draw);
  const Inputs leaves = arguments.leaves();
  const auto once = gradients(fused_lstm(problem, arguments), leaves, 3);
  for (Tensor each : leaves) each.zero_grad();
  for (int i = 0; i < 2; ++i) {
    Draw weights(3);
    const LstmResult made = fused_lstm(problem, arguments);
    Tensor loss = eg::zeros({}, f64);
    for (const Tensor& output : {made.output, made.h_n, made.c_n}) {
      loss = loss + eg::sum(output * weights.uniform(output.shape(), DType::float64));
    }
    loss.backward();
  }
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    BOOST_TEST(close_to(fmt::format("gradient {}", i), grad_of(leaves[i]), once[i] * 2));
  }
}

// --- laws

BOOST_AUTO_TEST_CASE(a_batch_is_its_sequences) {
  for_computing_types([](DType dtype) {
    for (const bool bidirectional : {false, true}) {
      Problem problem;
      problem.steps = 7;
      problem.batch = 4;
      problem.options.num_layers = 2;
      problem.options.bidirectional = bidirectional;
      problem.lengths = {3, 7, 0, 5};
      Draw draw(81);
      const Arguments arguments = draw_arguments(problem, draw, dtype);
      const LstmResult whole = eg::no_grad([&] { return fused_lstm(problem, arguments); });
      for (std::int64_t b = 0; b < problem.batch; ++b) {
        const eg::NoGrad guard;
        const std::int64_t length = problem.lengths[static_cast<std::size_t>(b)];
        const Tensor one = sequence_of(arguments.input, b, length);
        const LstmResult alone = eg::lstm(one, {}, arguments.parameters, problem.options);
        BOOST_TEST_CONTEXT("sequence " << b) {
          BOOST_TEST(close_to("output", sequence_of(whole.output, b, length), alone.output));
          BOOST_TEST(close_to("h_n", eg::narrow(whole.h_n, 1, b, 1), alone.h_n));
          BOOST_TEST(close_to("c_n", eg::narrow(whole.c_n, 1, b, 1), alone.c_n));
          const Tensor past = eg::narrow(eg::narrow(whole.output, 1, b, 1), 0, length, problem.steps - length);
          BOOST_TEST(same_bits("past the end", past, eg::zeros(past.shape(), past.options())));
        }
      }
    }
  });
}

// What stands past a sequence's end is never read.
BOOST_AUTO_TEST_CASE(padding_may_hold_anything) {
  Problem problem;
  problem.lengths = {2, 4, 1};
  problem.options.bidirectional = true;
  Draw draw(91);
  const Arguments arguments = draw_arguments(problem, draw);
  const LstmResult before = fused_lstm(problem, arguments);
  eg::no_grad([&] {
    Tensor input = arguments.input;
    for (std::int64_t t = 2; t < 4; ++t) input.set({t, 0, 1}, std::numeric_limits<double>::quiet_NaN());
    for (std::int64_t t = 1; t < 4; ++t) input.set({t, 2, 0}, std::numeric_limits<double>::infinity());
  });
  const LstmResult after = fused_lstm(problem, arguments);
  BOOST_TEST(same_bits("output", after.output, before.output));
  BOOST_TEST(same_bits("h_n", after.h_n, before.h_n));
  const auto grads = gradients(after, {arguments.input}, 3);
  for (std::int64_t t = 2; t < 4; ++t) BOOST_TEST(grads[0].at({t, 0, 1}) == 0.0);
  BOOST_TEST(grads[0].at({0, 0, 1}) != 0.0);
}

BOOST_AUTO_TEST_CASE(one_sequence_without_a_batch_dimension) {
  for (const bool batch_first : {false, true}) {
    for (const bool with_state : {false, true}) {
      Problem problem;
      problem.batch = 1;
      problem.options.num_layers = 2;
      problem.options.bidirectional = true;
      problem.projection = 2;
      problem.with_state = with_state;
      Draw draw(101);
      const Arguments arguments = draw_arguments(problem, draw);
      const LstmResult batched = fused_lstm(problem, arguments);
      LstmOptions options = problem.options;
      options.batch_first = batch_first;  // says nothing about an input without a batch
      LstmState state;
      if (with_state) state = {arguments.state.h.reshape({4, 2}), arguments.state.c.reshape({4, 3})};
      const LstmResult single = eg::lstm(arguments.input.reshape({4, 2}), state, arguments.parameters, options);
      BOOST_TEST(same_bits("output", single.output.detach(), batched.output.reshape({4, 4}).detach()));
      BOOST_TEST(same_bits("h_n", single.h_n.detach(), batched.h_n.reshape({4, 2}).detach()));
      BOOST_TEST(same_bits("c_n", single.c_n.detach(), batched.c_n.reshape({4, 3}).detach()));
      const Inputs leaves = arguments.leaves();
      const auto expected = gradients({batched.output.reshape({4, 4}), batched.h_n, batched.c_n}, leaves, 3);
      compare_gradients(gradients(single, leaves, 3), expected, leaves);
      const Lengths three{3};
      const LstmResult shorter = eg::lstm(arguments.input.reshape({4, 2}), state, arguments.parameters, options, three);
      problem.lengths = three;
      BOOST_TEST(close_to("shorter", shorter.output, plain_lstm(problem, arguments).output.reshape({4, 4})));
    }
  }
}

BOOST_AUTO_TEST_CASE(dropout_between_layers) {
  Problem problem;
  problem.options.num_layers = 2;
  problem.options.dropout = 0.5;
  Draw draw(111);
  const Arguments arguments = draw_arguments(problem, draw);
  const std::span<const Tensor> parameters(arguments.parameters);
  const auto layer = [&](const Tensor& input, std::size_t at) {
    return eg::lstm(input, {}, parameters.subspan(4 * at, 4), {}).output;
  };

  // in evaluation: nothing is drawn
  eg::Generator unused(5);
  problem.options.generator = &unused;
  BOOST_TEST(close_to("evaluation", fused_lstm(problem, arguments).output, layer(layer(arguments.input, 0), 1)));
  BOOST_TEST(unused.tick() == 0U);

  eg::Generator generator(5);
  problem.options.generator = &generator;
  problem.options.training = true;
  const Tensor trained = fused_lstm(problem, arguments).output;
  BOOST_TEST(generator.tick() == 1U);
  eg::Generator again(5);
  const Tensor first = layer(arguments.input, 0);
  const Tensor dropped = eg::dropout(first.reshape({12, 3}), {.p = 0.5, .generator = &again}).reshape(first.shape());
  BOOST_TEST(close_to("training", trained, layer(dropped, 1)));
  BOOST_TEST(!difference("", trained.detach(), layer(first, 1).detach(), exact).empty());

  // nothing to drop after the last layer
  problem.options.num_layers = 1;
  static_cast<void>(eg::lstm(arguments.input, {}, parameters.subspan(0, 4), problem.options));
  BOOST_TEST(generator.tick() == 1U);
}

// --- edges

BOOST_AUTO_TEST_CASE(no_steps) {
  for (const bool batch_first : {false, true}) {
    Problem problem;
    problem.steps = 0;
    problem.with_state = true;
    problem.options.num_layers = 2;
    problem.options.bidirectional = true;
    problem.options.batch_first = batch_first;
    Draw draw(121);
    const Arguments arguments = draw_arguments(problem, draw);
    const LstmResult result = fused_lstm(problem, arguments);
    BOOST_TEST((result.output.shape() == (batch_first ? Shape{3, 0, 6} : Shape{0, 3, 6})));
    BOOST_TEST(equal_to("h_n", result.h_n, arguments.state.h));
    BOOST_TEST(equal_to("c_n", result.c_n, arguments.state.c));
    eg::sum(result.h_n * 2.0).backward();
    BOOST_TEST(equal_to("gradient of h_0", grad_of(arguments.state.h), eg::full({4, 3, 3}, 2, f64)));
    for (const Tensor& parameter : arguments.parameters) {
      if (!parameter.grad().defined()) continue;
      BOOST_TEST(equal_to("a parameter's gradient", grad_of(parameter), eg::zeros(parameter.shape(), f64)));
    }
  }
  Draw draw(122);
  Problem problem;
  problem.steps = 0;
  const Arguments arguments = draw_arguments(problem, draw);
  BOOST_TEST((eg::lstm(arguments.input.reshape({0, 2}), {}, arguments.parameters).output.shape() == Shape{0, 3}));
}

BOOST_AUTO_TEST_CASE(no_sequences) {
  for (const bool batch_first : {false, true}) {
    Problem problem;
    problem.batch = 0;
    problem.with_state = true;
    problem.options.num_layers = 2;
    problem.options.batch_first = batch_first;
    Draw draw(131);
    const Arguments arguments = draw_arguments(problem, draw);
    const LstmResult result = fused_lstm(problem, arguments);
    BOOST_TEST((result.output.shape() == (batch_first ? Shape{0, 4, 3} : Shape{4, 0, 3})));
    BOOST_TEST((result.h_n.shape() == Shape{2, 0, 3}));
    BOOST_TEST((result.c_n.shape() == Shape{2, 0, 3}));
    (eg::sum(result.output) + eg::sum(result.c_n)).backward();
    for (const Tensor& parameter : arguments.parameters) {
      if (!parameter.grad().defined()) continue;
      BOOST_TEST(equal_to("a parameter's gradient", grad_of(parameter), eg::zeros(parameter.shape(), f64)));
    }
  }
}

BOOST_AUTO_TEST_CASE(all_lengths_zero) {
  Problem problem;
  problem.with_state = true;
  problem.options.bidirectional = true;
  problem.lengths = {0, 0, 0};
  Draw draw(141);
  const Arguments arguments = draw_arguments(problem, draw);
  const LstmResult result = fused_lstm(problem, arguments);
  BOOST_TEST(equal_to("output", result.output, eg::zeros({4, 3, 6}, f64)));
  BOOST_TEST(equal_to("h_n", result.h_n, arguments.state.h));
  BOOST_TEST(equal_to("c_n", result.c_n, arguments.state.c));
}

BOOST_AUTO_TEST_CASE(plan_of_packing) {
  const Lengths lengths{2, 0, 3};
  const eg::PackingPlan by_step = eg::plan_packing("test", lengths, 4, 3, false, false);
  BOOST_TEST(by_step.order == (Lengths{2, 0, 1}), boost::test_tools::per_element());
  BOOST_TEST(by_step.batch_sizes == (Lengths{2, 2, 1}), boost::test_tools::per_element());
  BOOST_TEST(numbers(by_step.pack) == (Lengths{2, 0, 5, 3, 8}), boost::test_tools::per_element());
  BOOST_TEST(numbers(by_step.unpack) == (Lengths{1, -1, 0, 3, -1, 2, -1, -1, 4, -1, -1, -1}),
             boost::test_tools::per_element());
  const eg::PackingPlan by_sequence = eg::plan_packing("test", lengths, 4, 3, true, false);
  BOOST_TEST(numbers(by_sequence.pack) == (Lengths{8, 0, 9, 1, 10}), boost::test_tools::per_element());
  BOOST_TEST(numbers(by_sequence.unpack) == (Lengths{1, 3, -1, -1, -1, -1, -1, -1, 0, 2, 4, -1}),
             boost::test_tools::per_element());
  // ties keep their order
  const Lengths ties{1, 2, 1, 2, 1};
  BOOST_TEST(eg::plan_packing("test", ties, 2, 5, false, false).order == (Lengths{1, 3, 0, 2, 4}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(same_bits_every_time) {
  Problem problem;
  problem.options.bidirectional = true;
  problem.lengths = {4, 2, 3};
  Draw draw(151);
  const Arguments arguments = draw_arguments(problem, draw, DType::float32);
  const Inputs leaves = arguments.leaves();
  const LstmResult first = fused_lstm(problem, arguments);
  const LstmResult second = fused_lstm(problem, arguments);
  BOOST_TEST(same_bits("output", second.output, first.output));
  const auto expected = gradients(first, leaves, 3);
  const auto got = gradients(second, leaves, 3);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    BOOST_TEST(same_bits(fmt::format("gradient {}", i), got[i], expected[i]));
  }
}

// --- errors

BOOST_AUTO_TEST_CASE(wrong_parameters_are_refused) {
  Draw draw(161);
  Problem problem;
  const Arguments good = draw_arguments(problem, draw);
  const auto run = [&](std::size_t at, const Tensor& parameter, const LstmOptions& options = {}) {
    return [&, at, parameter, options] {
      std::vector<Tensor> parameters = good.parameters;
      parameters[at] = parameter;
      return eg::lstm(good.input, {}, parameters, options);
    };
  };
  const auto zeros = [](const Shape& shape) { return eg::zeros(shape, f64); };
  BOOST_TEST(
      refuses<eg::ShapeError>(run(0, zeros({12, 5})), {"lstm: weight_ih_l0 must have shape [12, 2], but has [12, 5]"}));
  BOOST_TEST(
      refuses<eg::ShapeError>(run(1, zeros({12, 4})), {"lstm: weight_hh_l0 must have shape [12, 3], but has [12, 4]"}));
  BOOST_TEST(refuses<eg::ShapeError>(run(1, zeros({12})), {"lstm: weight_hh_l0", "[4 hidden, output]", "[12]"}));
  BOOST_TEST(refuses<eg::ShapeError>(run(1, zeros({11, 3})), {"lstm: weight_hh_l0", "[11, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>(run(2, zeros({3})), {"lstm: bias_ih_l0 must have shape [12], but has [3]"}));
  BOOST_TEST(
      refuses<eg::ShapeError>(run(3, zeros({12, 1})), {"lstm: bias_hh_l0 must have shape [12], but has [12, 1]"}));
  BOOST_TEST(refuses<eg::ValueError>(run(3, Tensor()), {"lstm: a parameter is undefined"}));
  BOOST_TEST(refuses<eg::DTypeError>(run(3, eg::zeros({12})), {"lstm: input is float64, but a parameter is float32"}));
  BOOST_TEST(
      refuses<eg::ValueError>(run(0, good.parameters[0], {.bias = false}),
                              {"lstm: 1 layers of 1 directions", "without bias", "2 parameters", "4 were given"}));
  BOOST_TEST(refuses<eg::ValueError>(run(0, good.parameters[0], {.num_layers = 2}),
                                     {"lstm: 2 layers", "8 parameters (or 10 with projection)", "4 were given"}));
  BOOST_TEST(refuses<eg::ValueError>(run(0, good.parameters[0], {.num_layers = 0}),
                                     {"lstm: num_layers must be at least 1, but is 0"}));
  BOOST_TEST(refuses<eg::ValueError>(run(0, good.parameters[0], {.dropout = 1.5}),
                                     {"lstm: dropout must be in [0, 1], but is 1.5"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::lstm(good.input, {}, {}); }, {"lstm:", "0 were given"}));

  problem.options.num_layers = 2;
  problem.options.bidirectional = true;
  problem.projection = 2;
  Arguments large = draw_arguments(problem, draw);
  large.parameters[15] = zeros({12, 5});  // layer 1, reverse
  BOOST_TEST(refuses<eg::ShapeError>([&] { return fused_lstm(problem, large); },
                                     {"lstm: weight_ih_l1_reverse must have shape [12, 4], but has [12, 5]"}));
  large = draw_arguments(problem, draw);
  large.parameters[4] = zeros({3, 3});
  BOOST_TEST(refuses<eg::ShapeError>([&] { return fused_lstm(problem, large); },
                                     {"lstm: weight_hr_l0 must have shape [2, 3], but has [3, 3]"}));
}

BOOST_AUTO_TEST_CASE(wrong_inputs_and_states_are_refused) {
  Draw draw(171);
  const Problem problem;
  const Arguments good = draw_arguments(problem, draw);
  const auto zeros = [](const Shape& shape) { return eg::zeros(shape, f64); };
  const auto run = [&](const Tensor& input, const LstmState& state = {}) {
    return [&, input, state] { return eg::lstm(input, state, good.parameters); };
  };
  BOOST_TEST(refuses<eg::ShapeError>(run(zeros({2})), {"lstm: input must have 2 or 3 dimensions, but has shape [2]"}));
  BOOST_TEST(refuses<eg::ShapeError>(run(zeros({1, 4, 3, 2})), {"lstm: input", "[1, 4, 3, 2]"}));
  BOOST_TEST(refuses<eg::ShapeError>(run(zeros({4, 3, 7})), {"lstm: weight_ih_l0 must have shape [12, 7]"}));
  BOOST_TEST(refuses<eg::ValueError>(run(Tensor()), {"lstm: input is undefined"}));
  BOOST_TEST(refuses<eg::DTypeError>(run(eg::zeros({4, 3, 2}, {DType::int64, {}})), {"lstm: input", "int64"}));
  BOOST_TEST(refuses<eg::DTypeError>(run(eg::zeros({4, 3, 2}, {DType::float16, {}})), {"lstm: input", "float16"}));
  // a batch of one is not broadcast
  BOOST_TEST(refuses<eg::ShapeError>(run(good.input, {zeros({1, 1, 3}), {}}),
                                     {"lstm: h_0 must have shape [1, 3, 3], but has [1, 1, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>(run(good.input, {{}, zeros({2, 3, 3})}),
                                     {"lstm: c_0 must have shape [1, 3, 3], but has [2, 3, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>(run(zeros({4, 2}), {zeros({1, 1, 3}), {}}),
                                     {"lstm: h_0 must have shape [1, 3], but has [1, 1, 3]"}));
  BOOST_TEST(refuses<eg::DTypeError>(run(good.input, {eg::zeros({1, 3, 3}), {}}),
                                     {"lstm: h_0 is float32, but input is float64"}));
}

BOOST_AUTO_TEST_CASE(wrong_lengths_are_refused) {
  Draw draw(181);
  Problem problem;
  const Arguments good = draw_arguments(problem, draw);
  const auto run = [&](const Lengths& lengths, bool enforce_sorted = false) {
    return [&, lengths, enforce_sorted] {
      return eg::lstm(good.input, {}, good.parameters, {.enforce_sorted = enforce_sorted}, lengths);
    };
  };
  BOOST_TEST(refuses<eg::ValueError>(run({1, 5, 2}), {"lstm: lengths[1] is 5, but must be from 0 to 4"}));
  BOOST_TEST(refuses<eg::ValueError>(run({1, 2, -1}), {"lstm: lengths[2] is -1"}));
  BOOST_TEST(refuses<eg::ValueError>(run({1, 2}), {"lstm: 2 lengths were given for 3 sequences"}));
  BOOST_TEST(refuses<eg::ValueError>(run({1, 2, 3, 4}), {"lstm: 4 lengths were given for 3 sequences"}));
  BOOST_TEST(refuses<eg::ValueError>(run({2, 1, 3}, true), {"lstm: lengths[2] is 3 after 1", "enforce_sorted"}));
  BOOST_CHECK_NO_THROW(static_cast<void>(run({3, 3, 1}, true)()));
  const Lengths two{1, 2};
  BOOST_TEST(refuses<eg::ValueError>(
      [&] {
        return eg::lstm(eg::zeros({4, 2}, f64), {}, good.parameters, {}, two);
      },
      {"lstm: 2 lengths were given for 1 sequences"}));

  const auto packed = [&](const Lengths& batch_sizes, std::int64_t rows, std::int64_t batch) {
    return [&, batch_sizes, rows, batch] {
      return eg::lstm_packed(eg::zeros({rows, 2}, f64), batch_sizes, batch, {}, good.parameters);
    };
  };
  BOOST_TEST(refuses<eg::ValueError>(packed({2, 3}, 5, 3), {"lstm: batch_sizes[1] is 3, but must be from 1 to 2"}));
  BOOST_TEST(refuses<eg::ValueError>(packed({2, 0}, 2, 3), {"lstm: batch_sizes[1] is 0"}));
  BOOST_TEST(refuses<eg::ValueError>(packed({4}, 4, 3), {"lstm: batch_sizes[0] is 4, but must be from 1 to 3"}));
  BOOST_TEST(refuses<eg::ShapeError>(packed({3, 2}, 6, 3), {"lstm: data has 6 rows, but batch_sizes add up to 5"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::lstm_packed(good.input, {}, 3, {}, good.parameters); },
                                     {"lstm: data must have 2 dimensions"}));
}

BOOST_AUTO_TEST_CASE(a_change_after_the_call_is_noticed) {
  Draw draw(191);
  const Problem problem;
  const Arguments arguments = draw_arguments(problem, draw);
  const LstmResult result = fused_lstm(problem, arguments);
  eg::no_grad([&] {
    Tensor weight = arguments.parameters[1];
    weight.fill(0);
  });
  BOOST_TEST(refuses<eg::ValueError>(
      [&] {
        eg::sum(result.output).backward();
        return 0;
      },
      {"lstm", "[12, 3]", "changed in place"}));
}

BOOST_AUTO_TEST_SUITE_END()

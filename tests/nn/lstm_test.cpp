#include <embergrad/nn/lstm.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn.hpp>
#include <embergrad/ops.hpp>

#include "nn/says.hpp"
#include "support/compare.hpp"
#include "support/random.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using eg::test::close_to;
using eg::test::Draw;
using eg::test::equal_to;
using eg::test::says;

namespace {

constexpr eg::TensorOptions f64{DType::float64, {}};

// The fill rule of the stored numbers: value k, running over all tensors, is ((37k) mod 101 - 50) / 100.
void fill_by_rule(Tensor tensor, std::int64_t& k) {
  std::vector<double> values(static_cast<std::size_t>(tensor.numel()));
  for (double& value : values) value = static_cast<double>((37 * k++) % 101 - 50) / 100;
  eg::no_grad([&] { tensor.copy_from(eg::tensor(values, tensor.shape())); });
}

Tensor numbers(const std::vector<double>& values) { return eg::tensor(values); }

constexpr eg::test::Tolerance stored{0, 6e-10};  // numbers given to nine places

}  // namespace

BOOST_AUTO_TEST_SUITE(lstm)

// "rnn = nn.LSTM(10, 20, 2); input = torch.randn(5, 3, 10); …; output, (hn, cn) = rnn(input, (h0, c0))"
BOOST_AUTO_TEST_CASE(documents_example) {
  const nn::LSTM rnn(10, 20, 2);
  const Tensor input = eg::randn({5, 3, 10});
  const Tensor h0 = eg::randn({2, 3, 20});
  const Tensor c0 = eg::randn({2, 3, 20});
  const auto [output, h_n, c_n] = rnn(input, {h0, c0});
  BOOST_TEST((output.shape() == Shape{5, 3, 20}));
  BOOST_TEST((h_n.shape() == Shape{2, 3, 20}));
  BOOST_TEST((c_n.shape() == Shape{2, 3, 20}));
  BOOST_TEST(equal_to("h_n of the last layer", h_n[1].detach(), output[4].detach()));
}

// "the directions can be separated using output.view(seq_len, batch, num_directions, hidden_size); the layers can be
// separated using h_n.view(num_layers, num_directions, batch, hidden_size) and similarly for c_n"
BOOST_AUTO_TEST_CASE(directions_and_layers_are_separated_by_view) {
  const nn::LSTM rnn({.input_size = 10, .hidden_size = 20, .num_layers = 2, .bidirectional = true});
  const auto [output, h_n, c_n] = rnn(eg::randn({5, 3, 10}));
  const Tensor by_direction = output.view({5, 3, 2, 20}).detach();
  const Tensor by_layer = h_n.view({2, 2, 3, 20}).detach();
  for (const int b : {0, 1, 2}) {
    // forward ends at the last step, reverse at the first
    BOOST_TEST(equal_to("forward", by_direction[4][b][0], by_layer[1][0][b]));
    BOOST_TEST(equal_to("reverse", by_direction[0][b][1], by_layer[1][1][b]));
  }
  BOOST_TEST((c_n.view({2, 2, 3, 20}).shape() == Shape{2, 2, 3, 20}));
}

// The documents' LSTMModel: a batch of one, by view(len(sentence), 1, -1).
BOOST_AUTO_TEST_CASE(documents_tagger) {
  struct LSTMModel : nn::Module {
    std::int64_t hidden_dim;
    nn::Embedding word_embeddings;
    nn::LSTM lstm;
    nn::Linear linear;
    LSTMModel(std::int64_t embedding_dim, std::int64_t hidden, std::int64_t vocab_size, std::int64_t tagset_size)
        : hidden_dim(hidden),
          word_embeddings(vocab_size, embedding_dim),
          lstm(embedding_dim, hidden),
          linear(hidden, tagset_size) {}
    void members(nn::Visitor& visit) override {
      visit("word_embeddings", word_embeddings);
      visit("lstm", lstm);
      visit("linear", linear);
    }
    Tensor forward(const Tensor& sentence) {
      const Tensor embeds = word_embeddings(sentence);
      const auto [lstm_out, state, cell] = lstm(embeds.view({sentence.size(0), 1, -1}));
      return linear(lstm_out.view({sentence.size(0), -1}));
    }
  };
  LSTMModel model(6, 5, 9, 3);
  const Tensor scores = model.forward(eg::tensor({0, 4, 8, 4}));
  BOOST_TEST((scores.shape() == Shape{4, 3}));
  eg::cross_entropy(scores, eg::tensor({0, 1, 2, 1})).backward();
  for (const auto& [name, parameter] : model.named_parameters()) {
    BOOST_TEST(parameter.grad().defined(), name);
  }
}

BOOST_AUTO_TEST_CASE(names_shapes_and_draws_are_pytorchs) {
  eg::Generator generator(4);
  nn::LSTM rnn({.input_size = 5, .hidden_size = 4, .num_layers = 2, .bidirectional = true, .proj_size = 3}, generator);
  const std::vector<std::pair<std::string, Shape>> expected{{"weight_ih_l0", {16, 5}},
                                                            {"weight_hh_l0", {16, 3}},
                                                            {"bias_ih_l0", {16}},
                                                            {"bias_hh_l0", {16}},
                                                            {"weight_hr_l0", {3, 4}},
                                                            {"weight_ih_l0_reverse", {16, 5}},
                                                            {"weight_hh_l0_reverse", {16, 3}},
                                                            {"bias_ih_l0_reverse", {16}},
                                                            {"bias_hh_l0_reverse", {16}},
                                                            {"weight_hr_l0_reverse", {3, 4}},
                                                            {"weight_ih_l1", {16, 6}},
                                                            {"weight_hh_l1", {16, 3}},
                                                            {"bias_ih_l1", {16}},
                                                            {"bias_hh_l1", {16}},
                                                            {"weight_hr_l1", {3, 4}},
                                                            {"weight_ih_l1_reverse", {16, 6}},
                                                            {"weight_hh_l1_reverse", {16, 3}},
                                                            {"bias_ih_l1_reverse", {16}},
                                                            {"bias_hh_l1_reverse", {16}},
                                                            {"weight_hr_l1_reverse", {3, 4}}};
  eg::Generator again(4);
  const auto named = rnn.named_parameters();
  BOOST_REQUIRE_EQUAL(named.size(), expected.size());
  for (std::size_t i = 0; i < named.size(); ++i) {
    BOOST_TEST(named[i].first == expected[i].first);
    BOOST_TEST(
        equal_to(named[i].first, named[i].second.detach(), eg::rand(expected[i].second, {}, again) * 1.0 + -0.5));
    BOOST_TEST(named[i].second.requires_grad());
  }
  BOOST_TEST(nn::LSTM({.input_size = 2, .hidden_size = 3, .bias = false}).parameters().size() == 2U);
  BOOST_TEST(rnn.parameter("bias_hh_l1").state() == named[13].second.state());
  BOOST_CHECK_EXCEPTION(static_cast<void>(rnn.parameter("bias_hh_l2")), eg::ValueError, says({"bias_hh_l2"}));
}

// PyTorch 2.15, float64.
BOOST_AUTO_TEST_CASE(numbers_of_pytorch) {
  nn::LSTM rnn({.input_size = 2, .hidden_size = 3, .dtype = DType::float64});
  std::int64_t k = 0;
  for (const Tensor& parameter : rnn.parameters()) fill_by_rule(parameter, k);
  Tensor x = eg::empty({4, 1, 2}, f64);
  fill_by_rule(x, k);
  x.set_requires_grad();
  const auto [output, h_n, c_n] = rnn(x);
  BOOST_TEST(close_to("h_n", h_n.view({3}), numbers({-0.093308347, 0.172832403, 0.082716794}), stored));
  BOOST_TEST(close_to("c_n", c_n.view({3}), numbers({-0.206572260, 0.497522976, 0.283334890}), stored));
  BOOST_TEST(std::abs(eg::sum(output).item() - 0.490840601) < 6e-10);
  (eg::sum(output) + eg::sum(h_n) * 2 + eg::sum(c_n) * 3).backward();
  BOOST_TEST(close_to("dx", x.grad().dense()[0][0], numbers({-0.304593026, 0.031433525}), stored));
  const auto grad_sum = [&](const char* name) { return eg::sum(rnn.parameter(name).grad().dense()).item(); };
  BOOST_TEST(std::abs(grad_sum("weight_ih_l0") - 2.353187363) < 6e-10);
  BOOST_TEST(std::abs(grad_sum("weight_hh_l0") - 1.672450074) < 6e-10);
  BOOST_TEST(std::abs(grad_sum("bias_ih_l0") - 15.582070227) < 6e-10);
  BOOST_TEST(std::abs(grad_sum("bias_hh_l0") - 15.582070227) < 6e-10);
}

BOOST_AUTO_TEST_CASE(numbers_of_pytorch_with_layers_directions_and_projection) {
  nn::LSTM rnn({.input_size = 2,
                .hidden_size = 3,
                .num_layers = 2,
                .bidirectional = true,
                .proj_size = 2,
                .dtype = DType::float64});
  std::int64_t k = 0;
  for (const Tensor& parameter : rnn.parameters()) fill_by_rule(parameter, k);
  Tensor x = eg::empty({4, 1, 2}, f64);
  fill_by_rule(x, k);
  x.set_requires_grad();
  const auto [output, h_n, c_n] = rnn(x);
  BOOST_TEST(close_to("output", output[3][0].detach(),
                      numbers({-0.091800365, -0.104659965, -0.059708459, -0.058467975}), stored));
  BOOST_TEST(close_to("h_n", h_n.view({8}),
                      numbers({-0.083432920, -0.074402391, 0.014974809, -0.094509731, -0.091800365, -0.104659965,
                               -0.122459023, -0.123345369}),
                      stored));
  (eg::sum(output) + eg::sum(h_n) * 2 + eg::sum(c_n) * 3).backward();
  BOOST_TEST(close_to("dx", x.grad().dense()[0][0], numbers({1.047601604, -0.345544945}), stored));
  BOOST_TEST(std::abs(eg::sum(rnn.parameter("weight_hr_l0").grad().dense()).item() - 0.445692081) < 6e-10);
}

// Lengths, a packed sequence, and each sequence alone say the same, states in the user's order.
BOOST_AUTO_TEST_CASE(packed_padded_and_alone_agree) {
  Draw draw(7);
  const std::vector<std::vector<std::int64_t>> cases{{2, 4, 1}, {0, 3, 0, 4, 3}, {4, 4}, {0, 0}, {4}};
  for (const std::int64_t proj : {0, 2}) {
    for (const bool bidirectional : {false, true}) {
      nn::LSTM rnn({.input_size = 3,
                    .hidden_size = 4,
                    .num_layers = 2,
                    .bidirectional = bidirectional,
                    .proj_size = proj,
                    .dtype = DType::float64});
      const std::int64_t sets = bidirectional ? 4 : 2;
      const std::int64_t width = proj > 0 ? proj : 4;
      for (const auto& lengths : cases) {
        const auto batch = static_cast<std::int64_t>(lengths.size());
        const Tensor input = draw.uniform({4, batch, 3}, DType::float64);
        const eg::LstmState state{draw.uniform({sets, batch, width}, DType::float64),
                                  draw.uniform({sets, batch, 4}, DType::float64)};
        const auto [output, h_n, c_n] = rnn(input, lengths, state);
        const auto packed_input = nn::pack_padded_sequence(input, lengths, {.enforce_sorted = false});
        const auto [packed, packed_h, packed_c] = rnn(packed_input, state);
        BOOST_TEST(same_order(packed, packed_input));
        const Tensor unpacked = nn::pad_packed_sequence(packed, {.total_length = 4}).padded;
        BOOST_TEST(close_to("output", unpacked.detach(), output.detach()));
        BOOST_TEST(close_to("h_n", packed_h.detach(), h_n.detach()));
        BOOST_TEST(close_to("c_n", packed_c.detach(), c_n.detach()));
        for (std::int64_t b = 0; b < batch; ++b) {
          const std::int64_t length = lengths[static_cast<std::size_t>(b)];
          const auto column = [&](const Tensor& tensor) { return eg::narrow(tensor, 1, b, 1).detach(); };
          const auto [alone, alone_h, alone_c] =
              rnn(eg::narrow(column(input), 0, 0, length), {column(state.h), column(state.c)});
          BOOST_TEST(close_to("h_n alone", column(h_n), alone_h.detach()));
          BOOST_TEST(close_to("c_n alone", column(c_n), alone_c.detach()));
          BOOST_TEST(close_to("output alone", eg::narrow(column(output), 0, 0, length).detach(), alone.detach()));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(packed_and_padded_have_the_same_gradients) {
  Draw draw(8);
  nn::LSTM rnn({.input_size = 3, .hidden_size = 2, .num_layers = 2, .bidirectional = true, .dtype = DType::float64});
  const std::vector<std::int64_t> lengths{1, 3, 0, 2};
  Tensor input = draw.uniform({4, 3, 3}, DType::float64).set_requires_grad();
  Tensor h0 = draw.uniform({4, 4, 2}, DType::float64).set_requires_grad();
  const Tensor weights = draw.uniform({4, 3, 4}, DType::float64);
  const Tensor state_weights = draw.uniform({4, 4, 2}, DType::float64);
  const auto run = [&](bool packed) {
    rnn.zero_grad();
    input.zero_grad();
    h0.zero_grad();
    nn::LSTM first = rnn;
    Tensor loss;
    if (packed) {
      const auto result = first(
          nn::pack_padded_sequence(input, lengths, {.batch_first = true, .enforce_sorted = false}), {h0, Tensor()});
      loss = eg::sum(nn::pad_packed_sequence(result.output, {.batch_first = true}).padded * weights) +
             eg::sum(result.h_n * state_weights);
    } else {
      const auto result = first(eg::transpose(input, 0, 1), lengths, {h0, Tensor()});
      loss = eg::sum(eg::transpose(result.output, 0, 1) * weights) + eg::sum(result.h_n * state_weights);
    }
    loss.backward();
    std::vector<Tensor> gradients{input.grad().dense().clone(), h0.grad().dense().clone()};
    for (const Tensor& parameter : rnn.parameters()) gradients.push_back(parameter.grad().dense().clone());
    return gradients;
  };
  const auto a = run(true);
  const auto b = run(false);
  for (std::size_t i = 0; i < a.size(); ++i) BOOST_TEST(close_to("gradient " + std::to_string(i), a[i], b[i]));
}

BOOST_AUTO_TEST_CASE(batch_first_unbatched_and_empty) {
  nn::LSTM rnn({.input_size = 3, .hidden_size = 2, .batch_first = true});
  const Tensor input = eg::randn({2, 4, 3});
  const auto result = rnn(input);
  BOOST_TEST((result.output.shape() == Shape{2, 4, 2}));
  BOOST_TEST((result.h_n.shape() == Shape{1, 2, 2}));
  const auto one = rnn(input[0]);
  BOOST_TEST((one.output.shape() == Shape{4, 2}));
  BOOST_TEST((one.h_n.shape() == Shape{1, 2}));
  BOOST_TEST(close_to("unbatched", one.output.detach(), result.output[0].detach()));
  const nn::LSTM plain(3, 2);
  BOOST_TEST((plain(eg::ones({4, 0, 3})).output.shape() == Shape{4, 0, 2}));
  const Tensor h0 = eg::randn({1, 2, 2});
  const auto none = plain(eg::ones({0, 2, 3}), {h0, Tensor()});
  BOOST_TEST((none.output.shape() == Shape{0, 2, 2}));
  BOOST_TEST(equal_to("h_n", none.h_n.detach(), h0));
}

BOOST_AUTO_TEST_CASE(dropout_acts_between_layers_in_training) {
  eg::manual_seed(3);
  nn::LSTM rnn({.input_size = 3, .hidden_size = 8, .num_layers = 2, .dropout = 0.5});
  const Tensor input = eg::randn({4, 2, 3});
  BOOST_TEST(!equal_to("training", rnn(input).output.detach(), rnn(input).output.detach()));
  rnn.eval();
  BOOST_TEST(equal_to("eval", rnn(input).output.detach(), rnn(input).output.detach()));
}

BOOST_AUTO_TEST_CASE(weights_can_be_tied_by_name) {
  nn::LSTM a(3, 2);
  nn::LSTM b(3, 2);
  b.parameter("weight_hh_l0") = a.parameter("weight_hh_l0");
  const Tensor input = eg::randn({2, 1, 3});
  (eg::sum(a(input).output) + eg::sum(b(input).output)).backward();
  BOOST_TEST(b.parameters()[1].state() == a.parameters()[1].state());
}

BOOST_AUTO_TEST_CASE(refusals) {
  const auto refused = [](const nn::LSTMOptions& options, const std::vector<std::string>& parts) {
    BOOST_CHECK_EXCEPTION(nn::LSTM{options}, eg::ValueError, says(parts));
  };
  refused({.input_size = 0, .hidden_size = 2}, {"LSTM", "input_size", "0"});
  refused({.input_size = 1, .hidden_size = -2}, {"hidden_size", "-2"});
  refused({.input_size = 1, .hidden_size = 2, .num_layers = 0}, {"num_layers", "0"});
  refused({.input_size = 1, .hidden_size = 2, .proj_size = 2}, {"proj_size", "2"});
  refused({.input_size = 1, .hidden_size = 2, .proj_size = -1}, {"proj_size", "-1"});
  refused({.input_size = 1, .hidden_size = 2, .num_layers = 2, .dropout = 1.5}, {"dropout", "1.5"});
  refused({.input_size = 1, .hidden_size = 2, .dropout = .5}, {"dropout", "num_layers = 1", "0.5"});
  BOOST_CHECK_THROW(nn::LSTM({.input_size = 1, .hidden_size = 2, .dtype = DType::int64}), eg::DTypeError);

  const nn::LSTM rnn(3, 2);
  const Tensor input = eg::ones({4, 2, 3});
  BOOST_CHECK_THROW(static_cast<void>(rnn(eg::ones({4, 2, 5}))), eg::ShapeError);
  BOOST_CHECK_THROW(static_cast<void>(rnn(eg::ones({3}))), eg::ShapeError);
  BOOST_CHECK_THROW(static_cast<void>(rnn(eg::ones({4, 2, 3}, f64))), eg::DTypeError);
  BOOST_CHECK_EXCEPTION(static_cast<void>(rnn(input, {eg::ones({1, 1, 2}), Tensor()})), eg::ShapeError,
                        says({"[1, 2, 2]", "[1, 1, 2]"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(rnn(input, {4, 5})), eg::ValueError, says({"lengths[1] is 5"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(rnn(input, {4})), eg::ValueError, says({"1 lengths", "2 sequences"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(rnn(input, std::vector<std::int64_t>{})), eg::ValueError, says({"lengths"}));
  const auto packed = nn::pack_padded_sequence(input, {1, 4}, {.enforce_sorted = false});
  BOOST_CHECK_EXCEPTION(static_cast<void>(rnn(packed, {eg::ones({1, 3, 2}), Tensor()})), eg::ShapeError,
                        says({"lstm", "h_0", "[1, 2, 2]", "[1, 3, 2]"}));
}

BOOST_AUTO_TEST_SUITE_END()

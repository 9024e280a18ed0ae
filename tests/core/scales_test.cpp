// Factors that ops fold in: as if the factors were ops of their own on the edges.
#include <embergrad/ops.hpp>

#include <limits>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::CrossEntropyScales;
using eg::DType;
using eg::LstmScales;
using eg::Scales;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

// forward · x with gradient backward · grad.
Tensor edge(const Tensor& x, double forward, double backward) {
  if (!x.defined()) return x;
  return eg::record("edge", eg::no_grad([&] { return x * forward; }), {x},
                    [backward](const Tensor& grad) { return eg::Gradient(grad * backward); });
}

// Gradients of leaves, which are dropped.
std::vector<Tensor> take_gradients(const Inputs& leaves) {
  std::vector<Tensor> gradients;
  for (Tensor leaf : leaves) {
    gradients.push_back(grad_of(leaf));
    leaf.zero_grad();
  }
  return gradients;
}

void check_same(const std::vector<Tensor>& got, const std::vector<Tensor>& expected, bool same) {
  BOOST_TEST_REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::string name = "tensor " + std::to_string(i);
    if (same) {
      BOOST_TEST(same_bits(name, got[i], expected[i]));
    } else {
      BOOST_TEST(close_to(name, got[i], expected[i]));
    }
  }
}

// The results of both, then the gradients of the leaves.
template <class Function>
std::vector<Tensor> results(const Function& function, const Inputs& leaves, const Tensor& weight = {}) {
  const Tensor out = function();
  weight.defined() ? out.backward(weight) : out.backward();
  std::vector<Tensor> all{out.detach()};
  for (Tensor& gradient : take_gradients(leaves)) all.push_back(std::move(gradient));
  return all;
}

// Powers of two commute with rounding, so bits agree; others agree to rounding.
const std::vector<std::pair<Scales, bool>>& factors() {
  static const std::vector<std::pair<Scales, bool>> all = {{{}, true},
                                                           {{.out = 0.25, .grad_in = 4, .grad_weight = 2}, true},
                                                           {{.out = 0.3, .grad_in = 1.7, .grad_weight = 5}, false}};
  return all;
}

const double infinity = std::numeric_limits<double>::infinity();

}  // namespace

BOOST_AUTO_TEST_SUITE(scales)

BOOST_AUTO_TEST_CASE(linear) {
  struct Case {
    Shape input, weight;
  };
  const std::vector<Case> cases = {{{3}, {2, 3}},
                                   {{4, 3}, {2, 3}},
                                   {{2, 4, 3}, {5, 3}},
                                   {{300, 128}, {130, 128}},
                                   {{100, 128}, {400, 128}},
                                   {{128, 1024}, {96, 1024}},
                                   {{5, 3}, {3}},
                                   {{0, 3}, {2, 3}},
                                   {{4, 0}, {2, 0}}};
  for_computing_types([&](DType dtype) {
    Draw draw(31);
    for (const auto& [in, out] : cases) {
      for (const bool with_bias : {false, true}) {
        for (const auto& [s, exact_factors] : factors()) {
          BOOST_TEST_CONTEXT(in.to_string()
                             << " by " << out.to_string() << ", bias " << with_bias << ", out " << s.out) {
            const Tensor x = leaf(draw, in, dtype), w = leaf(draw, out, dtype);
            const Tensor b = with_bias ? leaf(draw, {out.rank() == 1 ? 1 : out[0]}, dtype) : Tensor();
            const auto all = with_bias ? Inputs{x, w, b} : Inputs{x, w};
            const Tensor up = draw.uniform(eg::linear(x, w).shape(), dtype);
            const Scales scales = s;  // clang 14 takes no structured binding into a lambda
            const auto got = results([&] { return eg::linear(x, w, b, scales); }, all, up);
            const auto expected = results(
                [&] {
                  return edge(eg::linear(edge(x, 1, scales.grad_in), edge(w, 1, scales.grad_weight),
                                         edge(b, 1, scales.grad_weight)),
                              scales.out, 1);
                },
                all, up);
            // The gradient of a one-row weight is summed in another order than that of a product.
            check_same(got, expected, exact_factors && (out.rank() == 2 || scales.out == 1));
          }
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(linear_refusals) {
  const Tensor x = eg::ones({4, 3}), w = eg::ones({2, 3});
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::linear(x, w, eg::ones({4, 2}), {.out = 2});
      },
      {"linear: with scales, bias must have shape [2], but has [4, 2]"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::linear(x, w, {}, {.out = infinity}); },
                                     {"linear: scales must be finite, but are inf, 1 and 1"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::linear(x, w, {}, {.grad_in = -infinity}); }, {"1, -inf and 1"}));
  BOOST_TEST(
      refuses<eg::ValueError>([&] { return eg::linear(x, w, {}, {.grad_weight = infinity}); }, {"1, 1 and inf"}));
}

// With one factor for all, the gradient is the derivative.
BOOST_AUTO_TEST_CASE(one_factor_is_differentiated) {
  Draw draw(32);
  const Scales same{.out = 0.6, .grad_in = 0.6, .grad_weight = 0.6};
  BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::linear(in[0], in[1], in[2], same); },
                             {leaf(draw, {4, 3}), leaf(draw, {2, 3}), leaf(draw, {2})}));
  for (const bool training : {true, false}) {
    BOOST_TEST(gradients_agree(
        [&](const Inputs& in) {
          eg::Generator generator(5);
          return eg::dropout(in[0], {.p = 0.4, .training = training, .generator = &generator}, same);
        },
        {leaf(draw, {4, 9})}));
  }
  const Tensor target = eg::tensor({1, 0, 2, 1});
  for (const auto reduction : {eg::Reduction::none, eg::Reduction::mean, eg::Reduction::sum}) {
    // d(out · CE(logits · x)) = out · logits · dCE
    BOOST_TEST(gradients_agree(
        [&](const Inputs& in) {
          return eg::cross_entropy(in[0], target, {.reduction = reduction},
                                   {.logits = 1.5, .out = 0.6, .grad_in = 0.9});
        },
        {leaf(draw, {4, 3})}));
  }
  const LstmScales inside{.weight_ih = 0.5, .weight_hh = 1.5, .forget_offset = 1, .weight_hr = 0.7, .out = 1};
  const auto scaled_lstm = [&](const Inputs& in) {
    return eg::lstm(in[0], {}, std::vector<Tensor>(in.begin() + 1, in.end()), {}, {}, {&inside, 1}).output;
  };
  const Tensor x = leaf(draw, {5, 2, 3}), biases = leaf(draw, {8});
  BOOST_TEST(gradients_agree(scaled_lstm, {x, leaf(draw, {8, 3}), leaf(draw, {8, 2}), biases, leaf(draw, {8})}));
  BOOST_TEST(gradients_agree(scaled_lstm,
                             {x, leaf(draw, {8, 3}), leaf(draw, {8, 1}), biases, leaf(draw, {8}), leaf(draw, {1, 2})}));
}

BOOST_AUTO_TEST_CASE(dropout) {
  for_computing_types([](DType dtype) {
    Draw draw(33);
    for (const bool training : {true, false}) {
      for (const double p : {0.0, 0.5, 1.0}) {
        for (const auto& [s, exact_factors] : factors()) {
          const Scales scales = s;
          const Tensor x = leaf(draw, {3, 101}, dtype);
          const Tensor up = draw.uniform({3, 101}, dtype);
          eg::Generator one(4), two(4);
          const auto got = results(
              [&] { return eg::dropout(x, {.p = p, .training = training, .generator = &one}, scales) * 1; }, {x}, up);
          const auto expected = results(
              [&] {
                return edge(eg::dropout(edge(x, 1, scales.grad_in), {.p = p, .training = training, .generator = &two}),
                            scales.out, 1);
              },
              {x}, up);
          check_same(got, expected, exact_factors);
          BOOST_TEST(one.tick() == two.tick());
        }
      }
    }
    const Tensor x = draw.uniform({4}, dtype);
    BOOST_TEST(eg::dropout(x, {.training = false}, {}).state() == x.state());
    BOOST_TEST(refuses<eg::ValueError>([&] { return eg::dropout(x, {}, {.out = infinity}); },
                                       {"dropout: scales must be finite"}));
  });
}

BOOST_AUTO_TEST_CASE(cross_entropy) {
  for_computing_types([](DType dtype) {
    Draw draw(34);
    for (const Shape& shape : {Shape{5}, Shape{7, 5}, Shape{3, 5, 4}}) {
      Shape places;
      for (int d = 0; d < shape.rank(); ++d) {
        if (d != (shape.rank() == 1 ? 0 : 1)) places.push_back(shape[d]);
      }
      for (const auto reduction : {eg::Reduction::none, eg::Reduction::mean, eg::Reduction::sum}) {
        for (const double smoothing : {0.0, 0.1}) {
          for (const CrossEntropyScales& scales :
               {CrossEntropyScales{}, CrossEntropyScales{.logits = 2, .out = 0.25, .grad_in = -4},
                CrossEntropyScales{.logits = 0.7, .out = 3, .grad_in = 1.3, .mean_divides_grad = false}}) {
            const Tensor x = leaf(draw, shape, dtype);
            const Tensor target = draw.integers(places, 0, 4);
            const eg::CrossEntropyOptions options{.weight = draw.uniform({5}, dtype, 0.5, 1),
                                                  .ignore_index = shape.rank() == 1 ? -100 : 3,
                                                  .reduction = reduction,
                                                  .label_smoothing = smoothing};
            const Tensor plain = eg::cross_entropy(x.detach(), target, options);
            const Tensor up = draw.uniform(plain.shape(), dtype);
            double divisor = 1;
            if (!scales.mean_divides_grad && reduction == eg::Reduction::mean) {
              eg::CrossEntropyOptions all = options;
              all.reduction = eg::Reduction::sum;
              divisor = eg::cross_entropy(x.detach(), target, all).item() / plain.item();
            }
            BOOST_TEST_CONTEXT(shape.to_string() << ", reduction " << static_cast<int>(reduction) << ", smoothing "
                                                 << smoothing << ", out " << scales.out) {
              const auto got = results([&] { return eg::cross_entropy(x, target, options, scales); }, {x}, up);
              const auto expected = results(
                  [&] {
                    return edge(eg::cross_entropy(edge(x, scales.logits, scales.grad_in * divisor), target, options),
                                scales.out, 1);
                  },
                  {x}, up);
              check_same(got, expected, scales.out == 1);
            }
          }
        }
      }
    }
  });
  const Tensor x = eg::ones({2, 3}), y = eg::tensor({0, 1});
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::cross_entropy(x, y, {}, {.logits = infinity}); },
                                     {"cross_entropy: scales.logits must be finite"}));
}

BOOST_AUTO_TEST_CASE(lstm) {
  const std::vector<LstmScales> two = {{.weight_ih = 0.5,
                                        .weight_hh = 0.25,
                                        .forget_offset = 1,
                                        .weight_hr = 1.5,
                                        .out = 4,
                                        .grad_in = 3,
                                        .grad_weight_ih = 5,
                                        .grad_weight_hh = 6,
                                        .grad_bias = 7,
                                        .grad_weight_hr = 8},
                                       {.weight_ih = 0.3,
                                        .weight_hh = 0.6,
                                        .forget_offset = -0.5,
                                        .weight_hr = 0.8,
                                        .out = 1.3,
                                        .grad_in = 1.7,
                                        .grad_weight_ih = 0.2,
                                        .grad_weight_hh = 2.2,
                                        .grad_bias = 0.4,
                                        .grad_weight_hr = 0.9,
                                        .dropout = 0.7}};
  const std::vector<std::int64_t> lengths = {5, 2, 0, 4};
  for_computing_types([&](DType dtype) {
    Draw draw(35);
    for (const bool bidirectional : {false, true}) {
      for (const bool bias : {false, true}) {
        for (const std::int64_t projected : {0, 2}) {
          BOOST_TEST_CONTEXT("bidirectional " << bidirectional << ", bias " << bias << ", projection " << projected) {
            const std::int64_t directions = bidirectional ? 2 : 1, hidden = 3, in = 4;
            const std::int64_t state = projected == 0 ? hidden : projected;
            const Tensor x = leaf(draw, {5, 4, in}, dtype);
            Inputs parameters;
            for (int layer = 0; layer < 2; ++layer) {
              for (int d = 0; d < directions; ++d) {
                parameters.push_back(leaf(draw, {4 * hidden, layer == 0 ? in : directions * state}, dtype));
                parameters.push_back(leaf(draw, {4 * hidden, state}, dtype));
                if (bias) parameters.push_back(leaf(draw, {4 * hidden}, dtype));
                if (bias) parameters.push_back(leaf(draw, {4 * hidden}, dtype));
                if (projected != 0) parameters.push_back(leaf(draw, {projected, hidden}, dtype));
              }
            }
            const Tensor h_0 = leaf(draw, {2 * directions, 4, state}, dtype);
            const Tensor c_0 = leaf(draw, {2 * directions, 4, hidden}, dtype);
            Inputs leaves = parameters;
            leaves.insert(leaves.end(), {x, h_0, c_0});
            const Tensor up = draw.uniform({5, 4, directions * state}, dtype);
            const Tensor up_h = draw.uniform(h_0.shape(), dtype), up_c = draw.uniform(c_0.shape(), dtype);
            const auto total = [&](const eg::LstmResult& r) {
              return (r.output * up).sum() + (r.h_n * up_h).sum() + (r.c_n * up_c).sum();
            };
            eg::Generator one(8), other(8);
            const eg::LstmOptions options{
                .num_layers = 2, .bias = bias, .dropout = 0.5, .bidirectional = bidirectional, .training = true};

            eg::LstmOptions scaled_options = options;
            scaled_options.generator = &one;
            const eg::LstmResult got = eg::lstm(x, {h_0, c_0}, parameters, scaled_options, lengths, two);
            total(got).backward();
            const std::vector<Tensor> got_gradients = take_gradients(leaves);

            // Layer by layer, the factors on the edges. Without biases, one that holds the offset.
            Tensor data = x;
            std::vector<Tensor> h_n, c_n;
            const std::size_t per_layer = parameters.size() / 2,
                              plain = per_layer / static_cast<std::size_t>(directions);
            for (std::size_t layer = 0; layer < 2; ++layer) {
              const LstmScales& s = two[layer];
              if (layer == 1) {
                // The mask is drawn for packed rows.
                const Tensor rows = eg::gather_rows(data.reshape({20, data.size(2)}),
                                                    eg::plan_packing("lstm", lengths, 5, 4, false, false).pack);
                const Tensor dropped = eg::dropout(rows, {.p = 0.5, .generator = &other}, {.out = 0.7, .grad_in = 0.7});
                data = eg::gather_rows_or(dropped, eg::plan_packing("lstm", lengths, 5, 4, false, false).unpack, 0)
                           .reshape(data.shape());
              }
              Tensor offset = eg::zeros({4 * hidden}, {dtype, {}});
              for (std::int64_t j = hidden; j < 2 * hidden; ++j) offset.set({j}, s.forget_offset);
              std::vector<Tensor> own;
              for (std::size_t i = 0; i < per_layer; ++i) {
                const Tensor& p = parameters[layer * per_layer + i];
                const std::size_t place = i % plain;
                if (place == 0) own.push_back(edge(p, s.weight_ih, s.weight_ih * s.grad_weight_ih));
                if (place == 1) own.push_back(edge(p, s.weight_hh, s.weight_hh * s.grad_weight_hh));
                if (place == 1 && !bias) own.insert(own.end(), {offset, eg::zeros({4 * hidden}, {dtype, {}})});
                if (place == 2 && bias) own.push_back(edge(p, 1, s.grad_bias) + offset);
                if (place == 3 && bias) own.push_back(edge(p, 1, s.grad_bias));
                if (place >= (bias ? 4U : 2U)) own.push_back(edge(p, s.weight_hr, s.weight_hr * s.grad_weight_hr));
              }
              const std::int64_t first = static_cast<std::int64_t>(layer) * directions;
              const eg::LstmResult r =
                  eg::lstm(edge(data, 1, s.grad_in),
                           {eg::narrow(h_0, 0, first, directions), eg::narrow(c_0, 0, first, directions)}, own,
                           {.bidirectional = bidirectional}, lengths);
              data = edge(r.output, s.out, 1);
              h_n.push_back(r.h_n);
              c_n.push_back(r.c_n);
            }
            const eg::LstmResult expected{data, eg::cat(std::span<const Tensor>(h_n)),
                                          eg::cat(std::span<const Tensor>(c_n))};
            total(expected).backward();
            BOOST_TEST(close_to("output", got.output, expected.output));
            BOOST_TEST(close_to("h_n", got.h_n, expected.h_n));
            BOOST_TEST(close_to("c_n", got.c_n, expected.c_n));
            check_same(got_gradients, take_gradients(leaves), false);
          }
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(lstm_refusals) {
  const Tensor x = eg::ones({3, 2, 4});
  const std::vector<Tensor> parameters = {eg::ones({8, 4}), eg::ones({8, 2})};
  const auto with = [&](const std::vector<LstmScales>& scales) {
    return eg::lstm(x, {}, parameters, {.bias = false}, {}, scales).output;
  };
  BOOST_TEST(same_bits("factors of 1", with({{}}), with({})));
  BOOST_TEST(refuses<eg::ValueError>(
      [&] {
        return with({{}, {}});
      },
      {"lstm: scales must hold one for each of 1 layers, but holds 2"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return with({{.grad_bias = infinity}}); },
                                     {"lstm: each of scales must be finite"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return with({{.out = 0}}); }, {"lstm: the out of scales must not be 0"}));
  BOOST_TEST(refuses<eg::ValueError>(
      [&] {
        const LstmScales bad{.out = 0};
        return eg::lstm_packed(eg::ones({2, 4}), std::vector<std::int64_t>{2}, 2, {}, parameters, {.bias = false},
                               {&bad, 1})
            .output;
      },
      {"out of scales"}));
}

BOOST_AUTO_TEST_SUITE_END()

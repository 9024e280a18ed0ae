#include <embergrad/nn/unit_scaling.hpp>

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/optim/adam.hpp>
#include <embergrad/optim/mup.hpp>

#include "nn/says.hpp"
#include "support/check.hpp"
#include "support/random.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
namespace us = eg::nn::unit_scaling;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using eg::test::close_to;
using eg::test::Draw;
using eg::test::equal_to;
using eg::test::grad_of;
using eg::test::leaf;
using eg::test::says;
using us::Constraint;

namespace {

constexpr eg::TensorOptions f64{DType::float64, {}};

double rms(const Tensor& tensor) {
  double sum = 0;
  for (const double x : tensor.to_vector<double>()) sum += x * x;
  return std::sqrt(sum / static_cast<double>(tensor.numel()));
}

Tensor take_gradient(const Tensor& of) {
  Tensor handle = of;
  Tensor gradient = grad_of(of);
  handle.zero_grad();
  return gradient;
}

// The gradient that flows into this place.
struct Probes {
  std::vector<std::pair<std::string, std::pair<double, double>>> activations;  // forward, backward
  Tensor operator()(const std::string& name, const Tensor& x) {
    const std::size_t place = activations.size();
    activations.emplace_back(name, std::pair(rms(x), 0.0));
    return eg::record("probe", eg::no_grad([&] { return x.clone(); }), {x}, [this, place](const Tensor& grad) {
      activations[place].second.second = rms(grad);
      return eg::Gradient(grad);
    });
  }
};

double normal_rms_at_rate(std::int64_t fan) { return 1 / std::sqrt(static_cast<double>(fan)); }

}  // namespace

BOOST_AUTO_TEST_SUITE(unit_scaling)

// --- constraints

BOOST_AUTO_TEST_CASE(constraints) {
  const std::vector<double> two = {2, 8}, three = {2, 4, 32};
  const auto after = [](Constraint constraint, const std::vector<double>& scales) {
    return us::apply_constraint(constraint, scales);
  };
  const auto close = boost::test_tools::tolerance(1e-14);
  BOOST_TEST(after(Constraint::none, three) == three, boost::test_tools::per_element());
  for (const auto& [constraint, shared] : std::map<Constraint, double>{{Constraint::gmean, 4},
                                                                       {Constraint::hmean, 3.2},
                                                                       {Constraint::amean, 5},
                                                                       {Constraint::to_output_scale, 2},
                                                                       {Constraint::to_grad_input_scale, 8}}) {
    for (const double scale : after(constraint, two)) BOOST_TEST(scale == shared, close);
    BOOST_TEST(after(constraint, two).size() == 2U);
  }
  BOOST_TEST(after(Constraint::gmean, three)[2] == std::cbrt(256.0), close);
  BOOST_TEST(after(Constraint::to_left_grad_scale, three)[0] == 4);
  BOOST_TEST(after(Constraint::to_right_grad_scale, three)[1] == 32);
  BOOST_CHECK_EXCEPTION(after(Constraint::to_grad_input_scale, three), eg::ValueError,
                        says({"to_grad_input_scale is for ops with 1 input, but this one has 2"}));
  BOOST_CHECK_EXCEPTION(after(Constraint::to_left_grad_scale, two), eg::ValueError,
                        says({"to_left_grad_scale is for ops with 2 inputs, but this one has 1"}));
  BOOST_CHECK_THROW(after(Constraint::to_right_grad_scale, two), eg::ValueError);
  BOOST_CHECK_EXCEPTION(after(Constraint::amean, {}), eg::ValueError, says({"at least one factor"}));
}

BOOST_AUTO_TEST_CASE(constraint_names) {
  for (const char* name : {"gmean", "hmean", "amean", "to_output_scale", "to_grad_input_scale", "to_left_grad_scale",
                           "to_right_grad_scale", "none"}) {
    BOOST_TEST(us::name_of(us::constraint_from_name(name)) == std::string(name));
  }
  BOOST_TEST((us::constraint_from_name("") == Constraint::none));
  BOOST_TEST((us::constraint_from_name("None") == Constraint::none));
  BOOST_CHECK_EXCEPTION(static_cast<void>(us::constraint_from_name("median")), eg::ValueError,
                        says({"constraint must be one of none, gmean", "\"median\""}));
}

// --- embedding

// "a batch of 2 samples of 4 indices each"; "example with padding_idx"
BOOST_AUTO_TEST_CASE(documents_examples) {
  Draw draw(1);
  const Tensor input = eg::tensor({{1, 2, 4, 5}, {4, 3, 2, 9}});
  const Tensor embedding_matrix = draw.uniform({10, 3}, DType::float32, 0, 1);
  const Tensor output = us::embedding(input, embedding_matrix);
  BOOST_TEST((output.shape() == Shape{2, 4, 3}));
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 4; ++j) {
      BOOST_TEST(equal_to("row", output[i][j], embedding_matrix[input.at<std::int64_t>({i, j})]));
    }
  }

  Tensor weights = draw.uniform({10, 3}, DType::float32, 0, 1);
  weights[0].fill(0);
  const Tensor padded = us::embedding(eg::tensor({{0, 2, 0, 5}}), weights, {.padding_idx = 0});
  BOOST_TEST(equal_to("padding", padded[0][0], eg::zeros({3})));
  BOOST_TEST(equal_to("row", padded[0][1], weights[2]));
  BOOST_TEST(equal_to("padding", padded[0][2], eg::zeros({3})));
  BOOST_TEST(equal_to("row", padded[0][3], weights[5]));
}

// PyTorch's gradient times √(V / N), bit for bit.
BOOST_AUTO_TEST_CASE(dense_gradient_of_a_table) {
  Draw draw(2);
  const Tensor weight = leaf(draw, {37, 5});
  const Tensor input = draw.integers({4, 6}, 0, 36);
  const Tensor up = draw.uniform({4, 6, 5}, DType::float64);
  const Tensor plain_output = eg::embedding(input, weight);
  plain_output.backward(up);
  const Tensor plain = take_gradient(weight);
  const Tensor output = us::embedding(input, weight);
  BOOST_TEST(equal_to("output", output.detach(), plain_output.detach()));
  output.backward(up);
  const Tensor expected = plain * std::sqrt(37.0 / 24.0);
  BOOST_TEST(eg::test::same_bits("gradient", take_gradient(weight), expected));

  // sparse is dense, at the rows that were looked up
  us::embedding(input, weight, {.sparse = true}).backward(up);
  BOOST_TEST_REQUIRE(weight.grad().is_sparse());
  BOOST_TEST(equal_to("sparse", take_gradient(weight), expected));
}

BOOST_AUTO_TEST_CASE(gradient_of_a_table_by_what_is_counted) {
  Draw draw(3);
  const Tensor weight = leaf(draw, {8, 3});
  const Tensor input = eg::tensor({{1, 1, 1, 2}, {2, 0, 0, 7}});  // counts: 0: 2, 1: 3, 2: 2, 7: 1
  const Tensor up = draw.uniform({2, 4, 3}, DType::float64);
  const auto factor = [&](const eg::EmbeddingOptions& options, const us::TableScaling& scaling = {}) {
    eg::embedding(input, weight, options).backward(up);
    const Tensor plain = take_gradient(weight);
    us::embedding(input, weight, options, scaling).backward(up);
    const Tensor scaled = take_gradient(weight);
    const double found = scaled.at({1, 0}) / plain.at({1, 0});
    BOOST_TEST(close_to("gradient", scaled, plain * found));
    return found;
  };
  const auto close = boost::test_tools::tolerance(1e-12);
  BOOST_TEST(factor({}) == std::sqrt(8.0 / 8), close);
  BOOST_TEST(factor({.padding_idx = 0}) == std::sqrt(8.0 / 6), close);
  BOOST_TEST(factor({.padding_idx = -8}) == std::sqrt(8.0 / 6), close);
  const double inverse_counts = 1.0 / 2 + 1.0 / 3 + 1.0 / 2 + 1;
  BOOST_TEST(factor({.scale_grad_by_freq = true}) == std::sqrt(8 / inverse_counts), close);
  BOOST_TEST(factor({.scale_grad_by_freq = true, .sparse = true}) == std::sqrt(8 / inverse_counts), close);
  BOOST_TEST(factor({.padding_idx = 0, .scale_grad_by_freq = true}) == std::sqrt(8 / (inverse_counts - 0.5)), close);
  BOOST_TEST(factor({}, {.touched = true}) == std::sqrt(4.0 / 8), close);
  BOOST_TEST(factor({.padding_idx = 0, .sparse = true}, {.touched = true}) == std::sqrt(3.0 / 6), close);

  // nothing to count: no error, a gradient of zero
  const Tensor none = us::embedding(eg::zeros({0}, {DType::int64, {}}), weight);
  BOOST_TEST((none.shape() == Shape{0, 3}));
  none.sum().backward();
  BOOST_TEST(equal_to("gradient", take_gradient(weight), eg::zeros({8, 3}, f64)));
  us::embedding(eg::tensor({2, 2}), weight, {.padding_idx = 2}).sum().backward();
  BOOST_TEST(equal_to("gradient", take_gradient(weight), eg::zeros({8, 3}, f64)));
}

BOOST_AUTO_TEST_CASE(max_norm_changes_the_table) {
  Tensor weight = eg::tensor({{3.0, 4.0}, {0.3, 0.4}}, f64).set_requires_grad();
  const Tensor output = us::embedding(eg::tensor({0}), weight, {.max_norm = 1.0});
  BOOST_TEST(close_to("output", output.detach(), eg::tensor({{0.6, 0.8}}, f64), {1e-6, 1e-6}));
  BOOST_TEST(close_to("table", weight.detach(), eg::tensor({{0.6, 0.8}, {0.3, 0.4}}, f64), {1e-6, 1e-6}));
}

BOOST_AUTO_TEST_CASE(errors_of_the_lookup_are_its_own) {
  const Tensor weight = eg::ones({4, 3});
  BOOST_CHECK_EXCEPTION(static_cast<void>(us::embedding(eg::tensor({9}), weight)), eg::IndexError,
                        says({"embedding", "9", "4 rows"}));
  BOOST_CHECK_THROW(static_cast<void>(us::embedding(eg::tensor({9}), weight, {.scale_grad_by_freq = true})),
                    eg::IndexError);
  BOOST_CHECK_THROW(static_cast<void>(us::embedding(eg::tensor({1}), weight, {.padding_idx = 4})), eg::IndexError);
  BOOST_CHECK_THROW(static_cast<void>(us::embedding(Tensor(), weight)), eg::ValueError);
  BOOST_CHECK_THROW(static_cast<void>(us::embedding(eg::tensor({1.0}), weight)), eg::DTypeError);
  BOOST_CHECK_THROW(static_cast<void>(us::embedding(eg::tensor({1}), eg::ones({4}))), eg::ShapeError);
}

// --- bags

// What the factors are for: results and gradients of RMS 1, for equal and other lengths.
BOOST_AUTO_TEST_CASE(bags_of_unit_rows) {
  constexpr std::int64_t rows = 4096, dim = 32, bags = 256;
  Draw draw(4);
  eg::Generator generator(4);
  const Tensor weight = eg::randn({rows, dim}, {}, generator).set_requires_grad();
  const Tensor up = eg::randn({bags, dim}, {}, generator);
  for (const bool equal : {true, false}) {
    std::vector<std::int64_t> offsets, index;
    for (std::int64_t b = 0; b < bags; ++b) {
      offsets.push_back(static_cast<std::int64_t>(index.size()));
      const std::int64_t length = equal ? 8 : draw.integer(0, 15);
      // with padding, which counts for nothing
      for (std::int64_t i = 0; i < length; ++i)
        index.push_back(draw.integer(0, 9) == 0 ? 0 : draw.integer(1, rows - 1));
    }
    for (const auto mode : {eg::BagMode::sum, eg::BagMode::mean, eg::BagMode::max}) {
      for (const bool weighted : {false, true}) {
        for (const bool by_frequency : {false, true}) {
          Tensor factors;
          if (weighted) {
            factors =
                draw.uniform({static_cast<std::int64_t>(index.size())}, DType::float32, 0.2, 2).set_requires_grad();
          }
          const Tensor out = us::embedding_bag(eg::tensor(index), weight, eg::tensor(offsets),
                                               {.scale_grad_by_freq = by_frequency,
                                                .mode = mode,
                                                .sparse = true,
                                                .per_sample_weights = factors,
                                                .padding_idx = 0});
          out.backward(up);
          double filled = 0;  // bags without indices give zeros
          for (std::int64_t b = 0; b < bags; ++b) filled += rms(out[b]) > 0 ? 1 : 0;
          const double forward = rms(out) / std::sqrt(filled / bags);
          const double table = rms(take_gradient(weight));
          const double of_factors = weighted ? rms(take_gradient(factors)) : 1;
          BOOST_TEST_CONTEXT("equal lengths " << equal << ", mode " << static_cast<int>(mode) << ", weighted "
                                              << weighted << ", by frequency " << by_frequency) {
            const auto is_unit = [](double x) { return x > 0.8 && x < 1.25; };
            BOOST_TEST(is_unit(forward), "result " << forward);
            BOOST_TEST(is_unit(table), "table " << table);
            // sums alone are exact here: a mean's take its own result off, a maximum's are picked
            BOOST_TEST((of_factors > 0.5 && of_factors < 2), "per_sample_weights " << of_factors);
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(factors_of_bags) {
  Draw draw(5);
  const Tensor weight = leaf(draw, {9, 4});
  const Tensor input = eg::tensor({1, 2, 3, 1, 5, 5}), offsets = eg::tensor({0, 3, 3, 5});
  const Tensor up = draw.uniform({4, 4}, DType::float64);
  const auto close = boost::test_tools::tolerance(1e-9);
  struct Found {
    double out, table;
  };
  const auto factors = [&](const eg::EmbeddingBagOptions& options, const us::TableScaling& scaling = {}) {
    const Tensor plain = eg::embedding_bag(input, weight, offsets, options);
    plain.backward(up);
    const Tensor plain_gradient = take_gradient(weight);
    const Tensor scaled = us::embedding_bag(input, weight, offsets, options, scaling);
    scaled.backward(up);
    const Tensor gradient = take_gradient(weight);
    const Found found{scaled.at({0, 0}) / plain.at({0, 0}), rms(gradient) / rms(plain_gradient)};
    BOOST_TEST(close_to("result", scaled.detach(), plain.detach() * found.out));
    BOOST_TEST(close_to("gradient", gradient, plain_gradient * found.table));
    return found;
  };
  // lengths 3, 0, 2, 1
  const Found sum = factors({.mode = eg::BagMode::sum});
  BOOST_TEST(sum.out == std::sqrt(3.0 / 6), close);
  BOOST_TEST(sum.table == std::sqrt(9.0 / 6), close);
  const double inverse_lengths = 1.0 / 3 + 1.0 / 2 + 1;
  const Found mean = factors({.mode = eg::BagMode::mean});
  BOOST_TEST(mean.out == std::sqrt(3 / inverse_lengths), close);
  BOOST_TEST(mean.table == std::sqrt(9 / inverse_lengths), close);
  const Found padded = factors({.mode = eg::BagMode::mean, .padding_idx = 5});  // lengths 3, 0, 1, 0
  BOOST_TEST(padded.out == std::sqrt(2 / (1.0 / 3 + 1)), close);
  BOOST_TEST(padded.table == std::sqrt(9 / (1.0 / 3 + 1)), close);
  const Found touched = factors({.mode = eg::BagMode::sum}, {.touched = true});
  BOOST_TEST(touched.table == std::sqrt(4.0 / 6), close);
  const Found by_frequency = factors({.scale_grad_by_freq = true, .mode = eg::BagMode::sum});  // counts 2, 1, 1, 2
  BOOST_TEST(by_frequency.table == std::sqrt(9 / (0.5 + 1 + 1 + 0.5)), close);
  // E[max²] is 1 for one and for two numbers, 1 + √3 / (2π) for three
  const Found max = factors({.mode = eg::BagMode::max});
  BOOST_TEST(max.out == std::sqrt(3 / (2 + 1 + std::sqrt(3) / (2 * 3.14159265358979))), close);
  BOOST_TEST(max.table == std::sqrt(9.0 / 3), close);

  const Tensor s = eg::tensor({1.0, 2.0, 3.0, 4.0, 5.0, 6.0}, f64).set_requires_grad();
  const Found weighted = factors({.mode = eg::BagMode::sum, .per_sample_weights = s.detach()});
  BOOST_TEST(weighted.out == std::sqrt(3.0 / 91), close);
  BOOST_TEST(weighted.table == std::sqrt(9.0 / 91), close);
  eg::embedding_bag(input, weight, offsets, {.mode = eg::BagMode::sum, .per_sample_weights = s}).backward(up);
  const Tensor plain = take_gradient(s);
  us::embedding_bag(input, weight, offsets, {.mode = eg::BagMode::sum, .per_sample_weights = s}).backward(up);
  BOOST_TEST(close_to("per_sample_weights", take_gradient(s), plain * 0.5));

  // RMS of the largest of 4, 8, 64 numbers, from the reference's table
  for (const auto& [length, factor] : {std::pair(4, .803), std::pair(8, .646), std::pair(64, .419)}) {
    const Tensor ids = draw.integers({2, length}, 0, 8);
    const double found = us::embedding_bag(ids, weight, {}, {.mode = eg::BagMode::max}).at({0, 0}) /
                         eg::embedding_bag(ids, weight, {}, {.mode = eg::BagMode::max}).at({0, 0});
    BOOST_TEST(found == factor, boost::test_tools::tolerance(2e-3));
  }
}

BOOST_AUTO_TEST_CASE(bags_of_nothing_and_wrong_bags) {
  const Tensor weight = eg::ones({3, 2}).set_requires_grad();
  const Tensor none = us::embedding_bag(eg::zeros({0}, {DType::int64, {}}), weight, eg::tensor({0, 0}));
  BOOST_TEST(equal_to("result", none.detach(), eg::zeros({2, 2})));
  none.sum().backward();
  BOOST_TEST(rms(take_gradient(weight)) == 0);
  BOOST_CHECK_THROW(static_cast<void>(us::embedding_bag(eg::tensor({0, 1}), weight, eg::tensor({0, 5}))),
                    eg::ValueError);
  BOOST_CHECK_THROW(static_cast<void>(us::embedding_bag(eg::tensor({0, 1}), weight, eg::tensor({1, 2}))),
                    eg::ValueError);
  BOOST_CHECK_THROW(static_cast<void>(us::embedding_bag(eg::tensor({0, 1}), weight)), eg::Error);
  BOOST_CHECK_THROW(static_cast<void>(us::embedding_bag(eg::tensor({0, 3}), weight, eg::tensor({0}))), eg::IndexError);
  BOOST_CHECK_THROW(static_cast<void>(us::embedding_bag(eg::tensor({0, 1}), weight, eg::tensor({0}),
                                                        {.per_sample_weights = eg::ones({3})})),
                    eg::Error);
}

// --- linear

BOOST_AUTO_TEST_CASE(linear) {
  Draw draw(6);
  const Tensor x = leaf(draw, {2, 5, 3}), w = leaf(draw, {4, 3}), b = leaf(draw, {4});
  const Tensor up = draw.uniform({2, 5, 4}, DType::float64);
  const auto results = [&](const Tensor& out) {
    out.backward(up);
    return std::vector<Tensor>{out.detach(), take_gradient(x), take_gradient(w), take_gradient(b)};
  };
  const auto plain = results(eg::linear(x, w, b));
  const auto check = [&](const char* name, const Tensor& out, double forward, double input, double parameters) {
    const auto got = results(out);
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(close_to("output", got[0], plain[0] * forward));
      BOOST_TEST(close_to("input", got[1], plain[1] * input));
      BOOST_TEST(close_to("weight", got[2], plain[2] * parameters));
      BOOST_TEST(close_to("bias", got[3], plain[3] * parameters));
    }
  };
  const double in = 1 / std::sqrt(3.0), out = 0.5, rows = 1 / std::sqrt(10.0);
  check("default", us::linear(x, w, b), in, in, rows);
  check("none", us::linear(x, w, b, {.constraint = Constraint::none}), in, out, rows);
  check("gmean", us::linear(x, w, b, {.constraint = Constraint::gmean}), std::sqrt(in * out), std::sqrt(in * out),
        rows);
  check("hmean", us::linear(x, w, b, {.constraint = Constraint::hmean}), 2 / (1 / in + 1 / out), 2 / (1 / in + 1 / out),
        rows);
  check("amean", us::linear(x, w, b, {.constraint = Constraint::amean}), (in + out) / 2, (in + out) / 2, rows);
  check("to_grad_input_scale", us::linear(x, w, b, {.constraint = Constraint::to_grad_input_scale}), out, out, rows);
  check("scale_power", us::linear(x, w, b, {.constraint = Constraint::none, .scale_power = {1, 0, 0.25}}), 1.0 / 3, 1,
        std::pow(10, -0.25));
  check("readout", us::linear_readout(x, w, b), 1.0 / 3, out, rows);
  check("readout, constraint", us::linear_readout(x, w, b, Constraint::to_output_scale), 1.0 / 3, 1.0 / 3, rows);
  BOOST_CHECK_THROW(static_cast<void>(us::linear(x, w, b, {.constraint = Constraint::to_left_grad_scale})),
                    eg::ValueError);
  BOOST_CHECK_THROW(static_cast<void>(us::linear(eg::ones({2, 4}, f64), w)), eg::ShapeError);
  BOOST_CHECK_THROW(static_cast<void>(us::linear(Tensor(), w)), eg::ValueError);
  BOOST_TEST((us::linear(eg::ones({0, 3}, f64), w).shape() == Shape{0, 4}));
}

// --- cross_entropy

BOOST_AUTO_TEST_CASE(cross_entropy) {
  Draw draw(7);
  const Tensor x = leaf(draw, {6, 11});
  const Tensor target = eg::tensor({0, 10, 3, 3, 7, 1});
  const auto gradient = [&](const Tensor& loss) {
    loss.backward();
    return take_gradient(x);
  };
  const Tensor of_sum = gradient(eg::cross_entropy(x, target, {.reduction = eg::Reduction::sum}));
  const double factor = 11 / std::sqrt(10.0);
  BOOST_TEST(factor == 3.4785, boost::test_tools::tolerance(1e-5));
  BOOST_TEST(close_to("mean", gradient(us::cross_entropy(x, target)), of_sum * factor));
  BOOST_TEST(
      close_to("sum", gradient(us::cross_entropy(x, target, {.reduction = eg::Reduction::sum})), of_sum * factor));
  BOOST_TEST(us::cross_entropy(x, target).item() == eg::cross_entropy(x, target).item(),
             boost::test_tools::tolerance(1e-14));
  BOOST_TEST(us::cross_entropy(x, target, {.mult = 2}).item() == eg::cross_entropy(x * 2, target).item(),
             boost::test_tools::tolerance(1e-12));

  // An ignored target: what the mean divides by.
  const us::CrossEntropyOptions ignore{.ignore_index = 3};
  us::CrossEntropyOptions over_all = ignore;
  over_all.mean_over_all = true;
  const double kept = eg::cross_entropy(x, target, {.ignore_index = 3}).item();
  BOOST_TEST(us::cross_entropy(x, target, ignore).item() == kept, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(us::cross_entropy(x, target, over_all).item() == kept * 4 / 6, boost::test_tools::tolerance(1e-14));
  const Tensor of_kept =
      gradient(eg::cross_entropy(x, target, {.ignore_index = 3, .reduction = eg::Reduction::sum})) * factor;
  BOOST_TEST(close_to("ignored", gradient(us::cross_entropy(x, target, ignore)), of_kept));
  BOOST_TEST(close_to("ignored", gradient(us::cross_entropy(x, target, over_all)), of_kept));

  BOOST_CHECK_EXCEPTION(static_cast<void>(us::cross_entropy(x, target, {.reduction = eg::Reduction::none})),
                        eg::ValueError, says({"reduction must be mean or sum, but is none"}));
  BOOST_CHECK_THROW(static_cast<void>(us::cross_entropy(x, eg::tensor({1}))), eg::ShapeError);
  // one class: nothing to learn, and no division by zero
  BOOST_TEST(us::cross_entropy(eg::ones({2, 1}, f64), eg::tensor({0, 0})).item() == 0);

  const nn::PackedSequence logits = nn::pack_sequence({eg::ones({2, 3}), eg::ones({3, 3})}, false);
  const nn::PackedSequence classes = nn::pack_ids(std::vector<std::vector<std::int64_t>>{{0, 1}, {2, 1, 0}});
  BOOST_TEST(us::cross_entropy(logits, classes).item() == std::log(3.0), boost::test_tools::tolerance(1e-6));
  BOOST_CHECK_THROW(static_cast<void>(us::cross_entropy(
                        logits, nn::pack_ids(std::vector<std::vector<std::int64_t>>{{0}, {2, 1, 0, 1}}))),
                    eg::ValueError);
}

// --- dropout

BOOST_AUTO_TEST_CASE(dropout) {
  eg::manual_seed(8);
  us::Dropout layer(0.3);
  const Tensor x = eg::randn({100, 100}).set_requires_grad();
  const Tensor y = layer(x);
  BOOST_TEST(std::abs(rms(y) - 1) < 0.03);
  y.backward(eg::randn({100, 100}));
  BOOST_TEST(std::abs(rms(take_gradient(x)) - 1) < 0.03);
  layer.eval();
  BOOST_TEST(rms(layer(x)) / rms(x) == 0.83666, boost::test_tools::tolerance(1e-4));
  BOOST_TEST(layer.describe() == "unit_scaling.Dropout(p=0.3)");
  const Tensor all = us::dropout(x, {.p = 1});
  BOOST_TEST(rms(all) == 0);
  BOOST_CHECK_THROW(static_cast<void>(us::dropout(x, {.p = 2})), eg::ValueError);
}

// --- LSTM

// The factors inside are those of smaller weights; those outside are on the edges alone.
BOOST_AUTO_TEST_CASE(lstm_is_the_plain_cell) {
  eg::Generator generator(9);
  for (const auto& [offset, projected] : {std::pair(0.0, 0), {1.0, 0}, {0.0, 2}, {1.0, 3}}) {
    const double forget_offset = offset;
    const std::int64_t projection = projected, state = projection > 0 ? projection : 4;
    us::LSTM layer({.input_size = 6,
                    .hidden_size = 4,
                    .num_layers = 1,
                    .proj_size = projection,
                    .dtype = DType::float64,
                    .forget_offset = forget_offset},
                   generator);
    const Tensor x = eg::randn({7, 3, 6}, f64, generator);
    const std::vector<std::int64_t> lengths = {7, 0, 4};
    const eg::LstmResult got = layer(x, lengths);
    Tensor bias = eg::zeros({16}, f64);
    for (int j = 4; j < 8; ++j) bias.set({j}, forget_offset);
    std::vector<Tensor> plain = {layer.parameter("weight_ih_l0").detach() * normal_rms_at_rate(6),
                                 layer.parameter("weight_hh_l0").detach() * normal_rms_at_rate(state), bias,
                                 eg::zeros({16}, f64)};
    if (projection > 0) plain.push_back(layer.parameter("weight_hr_l0").detach() * normal_rms_at_rate(4));
    const eg::LstmResult expected = eg::lstm(x, {}, plain, {}, lengths);
    BOOST_TEST(close_to("output", got.output.detach(), expected.output / (forget_offset == 0 ? 0.197 : 0.230)));
    BOOST_TEST(close_to("h_n", got.h_n.detach(), expected.h_n));
    BOOST_TEST(close_to("c_n", got.c_n.detach(), expected.c_n));
    // packed, and by the function
    const nn::PackedLstmResult packed = layer(nn::pack_padded_sequence(x, lengths, {.enforce_sorted = false}));
    BOOST_TEST(close_to("packed", nn::pad_packed_sequence(packed.output).padded.detach(), got.output.detach()));
    std::vector<Tensor> parameters;
    for (const char* name : {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}) {
      parameters.push_back(layer.parameter(name));
    }
    if (projection > 0) parameters.push_back(layer.parameter("weight_hr_l0"));
    const Tensor by_function = us::lstm(x, {}, parameters, {}, lengths, {.forget_offset = forget_offset}).output;
    BOOST_TEST(equal_to("function", by_function.detach(), got.output.detach()));
    // the gradients of parameters count the steps that there are
    got.output.sum().backward();
    const Tensor of_layer = take_gradient(parameters[0]);
    const Tensor of_last = take_gradient(parameters.back());
    by_function.sum().backward();
    BOOST_TEST(equal_to("gradient", take_gradient(parameters[0]), of_layer));
    BOOST_TEST(equal_to("gradient", take_gradient(parameters.back()), of_last));
    packed.output.values().sum().backward();
    BOOST_TEST(close_to("gradient", take_gradient(parameters[0]), of_layer));
    BOOST_TEST(close_to("gradient", take_gradient(parameters.back()), of_last));
  }
  BOOST_CHECK_EXCEPTION(us::LSTM({.input_size = 1, .hidden_size = 1, .forget_offset = 0.5}), eg::ValueError,
                        says({"forget_offset must be 0 or 1, but is 0.5"}));
  BOOST_CHECK_THROW(us::LSTM({.input_size = 1, .hidden_size = 1, .constraint = Constraint::to_left_grad_scale}),
                    eg::ValueError);
  const us::LSTM layer(3, 2);
  BOOST_CHECK_THROW(static_cast<void>(layer(eg::ones({2, 1, 4}))), eg::ShapeError);
  BOOST_CHECK_THROW(static_cast<void>(layer(Tensor())), eg::ValueError);
  BOOST_TEST((layer(eg::zeros({0, 2, 3})).output.shape() == Shape{0, 2, 2}));
}

// Under a constraint, the input's gradient has the output's factor.
BOOST_AUTO_TEST_CASE(lstm_constraint) {
  eg::Generator generator(10);
  const auto input_gradient = [&](Constraint constraint) {
    eg::Generator same(3);
    const us::LSTM layer({.input_size = 6, .hidden_size = 4, .constraint = constraint}, same);
    const Tensor x = eg::ones({5, 2, 6}).set_requires_grad();
    layer(x).output.sum().backward();
    return take_gradient(x);
  };
  const double free = std::sqrt(6.0 / 16) / 0.125;
  BOOST_TEST(close_to("gradient", input_gradient(Constraint::to_output_scale),
                      input_gradient(Constraint::none) * (1 / 0.197 / free)));
}

// RMS between 0.5 and 2 with a projection, and the same as without: its factors keep what the recurrence adds.
BOOST_AUTO_TEST_CASE(a_projected_lstm_is_unit_at_initialisation) {
  const auto measured = [](std::int64_t projection, double forget_offset) {
    eg::Generator generator(11);
    const us::LSTM lstm({.input_size = 96,
                         .hidden_size = 192,
                         .num_layers = 2,
                         .bidirectional = true,
                         .proj_size = projection,
                         .forget_offset = forget_offset},
                        generator);
    const Tensor x = eg::randn({32, 24, 96}, {}, generator).set_requires_grad();
    const Tensor output = lstm(x).output;
    output.backward(eg::randn(output.shape(), {}, generator));
    std::map<std::string, double> all = {{"output", rms(output)}, {"d x", rms(grad_of(x))}};
    for (const auto& [name, parameter] : lstm.named_parameters()) all["d " + name] = rms(grad_of(parameter));
    return all;
  };
  for (const double forget_offset : {0.0, 1.0}) {
    const auto plain = measured(0, forget_offset);
    for (const std::int64_t projection : {24, 64, 128}) {
      for (const auto& [name, value] : measured(projection, forget_offset)) {
        BOOST_TEST_CONTEXT(name << ", projection " << projection << ", forget offset " << forget_offset) {
          BOOST_TEST(value > 0.5);
          BOOST_TEST(value < 2);
          const auto without = plain.find(name);
          if (without != plain.end()) BOOST_TEST(std::abs(std::log(value / without->second)) < 0.3);
        }
      }
    }
  }
}

// --- a tagger

namespace {

struct Tagger : nn::Module {
  us::Embedding word_embeddings;
  us::LSTM lstm;
  us::LinearReadout hidden2tag;

  Tagger(std::int64_t words, std::int64_t dim, std::int64_t hidden, double forget_offset, eg::Generator& generator)
      : word_embeddings({.num_embeddings = words, .embedding_dim = dim}, {}, generator),
        lstm({.input_size = dim, .hidden_size = hidden, .bidirectional = true, .forget_offset = forget_offset},
             generator),
        hidden2tag(2 * hidden, 17, true, generator) {}
  void members(nn::Visitor& visit) override {
    visit("word_embeddings", word_embeddings);
    visit("lstm", lstm);
    visit("hidden2tag", hidden2tag);
  }
};

struct Configuration {
  std::int64_t words, dim, hidden;
  double forget_offset;
  std::uint64_t seed;
};

// Name and RMS of every activation and gradient at initialisation. Logits are multiplied by √fan_in: they are to be
// small by that.
std::vector<std::pair<std::string, double>> measured(const Configuration& c) {
  Draw draw(c.seed);
  eg::Generator generator(c.seed);
  Tagger model(c.words, c.dim, c.hidden, c.forget_offset, generator);
  std::vector<std::vector<std::int64_t>> words(24), tags(24);
  for (std::size_t s = 0; s < words.size(); ++s) {
    for (std::int64_t t = draw.integer(8, 40); t > 0; --t) {
      // Zipf's law: P(rank) in proportion to 1 / rank
      const double rank = std::exp(draw.unit() * std::log(static_cast<double>(c.words)));
      words[s].push_back(std::min(c.words, static_cast<std::int64_t>(rank)) - 1);
      tags[s].push_back(draw.integer(0, 16));
    }
  }
  const nn::PackedSequence input = nn::pack_ids(words), target = nn::pack_ids(tags);
  Probes probe;
  const auto at = [&](const char* name, const nn::PackedSequence& x) { return x.with_values(probe(name, x.values())); };
  const nn::PackedSequence x = at("x", model.word_embeddings(input));
  const nn::PackedSequence h = at("h", model.lstm(x).output);
  const nn::PackedSequence logits = at("logits", model.hidden2tag(h));
  us::cross_entropy(logits, target).backward();

  std::vector<std::pair<std::string, double>> all;
  for (const auto& [name, of] : probe.activations) {
    all.emplace_back(name, of.first * (name == "logits" ? std::sqrt(2.0 * static_cast<double>(c.hidden)) : 1));
    all.emplace_back("d " + name, of.second);
  }
  for (const auto& [name, parameter] : model.named_parameters()) all.emplace_back("d " + name, rms(grad_of(parameter)));
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_tagger_is_unit_at_initialisation) {
  const std::vector<Configuration> configurations = {
      {5000, 64, 128, 0, 1},  {5000, 64, 128, 1, 2},  {5000, 100, 256, 0, 1},  {5000, 100, 256, 1, 2},
      {20000, 64, 256, 0, 2}, {20000, 64, 256, 1, 1}, {20000, 100, 128, 0, 2}, {20000, 100, 128, 1, 1}};
  std::vector<std::pair<std::string, std::vector<double>>> table;
  for (const Configuration& c : configurations) {
    const auto column = measured(c);
    if (table.empty()) {
      for (const auto& [name, value] : column) table.emplace_back(name, std::vector<double>());
    }
    for (std::size_t i = 0; i < column.size(); ++i) table[i].second.push_back(column[i].second);
  }
  std::cout << "RMS at initialisation, by (words, d_in, d_h, forget offset); logits times the root of fan_in\n"
            << fmt::format("{:30}", "");
  for (const Configuration& c : configurations) {
    std::cout << fmt::format(" {:>14}", fmt::format("{},{},{},{}", c.words, c.dim, c.hidden, c.forget_offset));
  }
  std::cout << "\n";
  for (const auto& [name, values] : table) {
    std::cout << fmt::format("{:30}", name);
    for (const double value : values) std::cout << fmt::format(" {:14.3f}", value);
    std::cout << "\n";
    for (const double value : values) {
      BOOST_TEST((value > 0.6 && value < 1.6), name << " has RMS " << value);
    }
  }
  BOOST_TEST(table.size() == 3U * 2 + 1 + 8 + 2);
}

// Stacked layers, dropout between them, a table with padding, plain layers around: RMS between 0.5 and 2.
BOOST_AUTO_TEST_CASE(a_deeper_model_is_unit_at_initialisation) {
  eg::manual_seed(12);
  Draw draw(12);
  us::Embedding table({.num_embeddings = 1000, .embedding_dim = 48, .padding_idx = 0});
  us::Linear before({.in_features = 48, .out_features = 96, .bias = true});
  us::LSTM lstm({.input_size = 96,
                 .hidden_size = 64,
                 .num_layers = 2,
                 .batch_first = true,
                 .dropout = 0.3,
                 .bidirectional = true});
  us::Dropout dropout(0.5);
  us::LinearReadout readout(128, 17);
  const std::vector<std::int64_t> lengths = {30, 12, 22, 9, 17, 25, 30, 14};
  Tensor ids = eg::zeros({8, 30}, {DType::int64, {}});
  for (std::int64_t s = 0; s < 8; ++s) {
    for (std::int64_t t = 0; t < lengths[static_cast<std::size_t>(s)]; ++t) ids.set({s, t}, draw.integer(1, 999));
  }
  const nn::PackedSequence words =
      nn::pack_padded_sequence(ids, lengths, {.batch_first = true, .enforce_sorted = false});
  Probes probe;
  const auto at = [&](const char* name, const nn::PackedSequence& x) { return x.with_values(probe(name, x.values())); };
  const auto x = at("x", table(words));
  const auto y = at("before", before(x));
  const auto h = at("h", lstm(y).output);
  const auto d = at("dropout", dropout(h));
  const auto logits = at("logits", readout(d));
  us::cross_entropy(logits, logits.with_values(draw.integers({logits.values().size(0)}, 0, 16))).backward();
  for (const auto& [name, of] : probe.activations) {
    const double forward = of.first * (name == "logits" ? std::sqrt(128.0) : 1);
    BOOST_TEST((forward > 0.5 && forward < 2), name << " has RMS " << forward);
    BOOST_TEST((of.second > 0.5 && of.second < 2), "d " << name << " has RMS " << of.second);
  }
  for (nn::Module* layer : std::initializer_list<nn::Module*>{&table, &before, &lstm, &readout}) {
    for (const auto& [name, parameter] : layer->named_parameters()) {
      const double gradient = rms(grad_of(parameter));
      BOOST_TEST((gradient > 0.5 && gradient < 2), layer->describe() << ": d " << name << " has RMS " << gradient);
    }
  }
}

// --- layers

BOOST_AUTO_TEST_CASE(layers_start_from_units) {
  eg::Generator generator(13);
  us::Linear linear({.in_features = 40, .out_features = 50, .bias = true}, generator);
  const us::LinearReadout readout({.in_features = 40, .out_features = 50, .bias = true}, generator);
  us::LSTM lstm({.input_size = 30, .hidden_size = 20}, generator);
  const us::Embedding table({.num_embeddings = 60, .embedding_dim = 40, .padding_idx = 1}, {}, generator);
  const us::EmbeddingBag bags(60, 40, generator);
  for (const Tensor& weight : {linear.weight, readout.weight, lstm.parameter("weight_ih_l0"),
                               lstm.parameter("weight_hh_l0"), table.weight, bags.weight}) {
    BOOST_TEST(std::abs(rms(weight) - 1) < 0.06);
    BOOST_TEST(weight.requires_grad());
  }
  BOOST_TEST(rms(table.weight[1]) == 0);
  BOOST_TEST(rms(linear.bias) == 0);
  BOOST_TEST(linear.bias.requires_grad());
  BOOST_TEST(rms(lstm.parameter("bias_hh_l0")) == 0);
  BOOST_TEST(!us::Linear(3, 4).bias.defined());
  BOOST_TEST(!us::LinearReadout(3, 4).bias.defined());

  // drawn anew by the layer's own rule, also through its base
  eg::no_grad([&] { linear.bias.fill(3); });
  nn::Linear& as_base = linear;
  as_base.reset_parameters(generator);
  BOOST_TEST(std::abs(rms(linear.weight) - 1) < 0.06);
  BOOST_TEST(rms(linear.bias) == 0);
  // one seed, one layer: nothing else was drawn
  eg::Generator one(5), two(5);
  BOOST_TEST(equal_to("weight", us::Linear(4, 3, false, one).weight.detach(), eg::randn({3, 4}, {}, two)));
}

BOOST_AUTO_TEST_CASE(layers_scale_through_their_bases) {
  eg::Generator generator(14);
  const us::Linear linear(16, 4, false, generator);
  const Tensor x = eg::randn({3, 16}, {}, generator);
  const nn::Linear& as_base = linear;
  BOOST_TEST(equal_to("output", as_base(x).detach(), us::linear(x, linear.weight).detach()));
  const us::LinearReadout readout(16, 4, false, generator);
  BOOST_TEST(equal_to("readout", readout(x).detach(), us::linear_readout(x, readout.weight).detach()));

  const us::Embedding table(
      {.num_embeddings = 50, .embedding_dim = 3, .padding_idx = 0, .scale_grad_by_freq = true, .sparse = true},
      {.touched = true}, generator);
  const Tensor ids = eg::tensor({3, 0, 3, 4});
  table(ids).sum().backward();
  const Tensor by_layer = take_gradient(table.weight);
  us::embedding(ids, table.weight, {.padding_idx = 0, .scale_grad_by_freq = true, .sparse = true}, {.touched = true})
      .sum()
      .backward();
  BOOST_TEST(equal_to("table", by_layer, take_gradient(table.weight)));

  const us::EmbeddingBag bags({.num_embeddings = 50, .embedding_dim = 3, .mode = eg::BagMode::sum, .padding_idx = 0},
                              {}, generator);
  const Tensor s = eg::tensor({1.0, 2.0, 3.0, 4.0});
  const Tensor by_bags = bags(ids, eg::tensor({0, 1}), s);
  BOOST_TEST(equal_to("bags", by_bags.detach(),
                      us::embedding_bag(ids, bags.weight, eg::tensor({0, 1}),
                                        {.mode = eg::BagMode::sum, .per_sample_weights = s, .padding_idx = 0})
                          .detach()));

  const Tensor given = eg::ones({4, 2});
  const us::Embedding pretrained = us::Embedding::from_pretrained(given, {.freeze = false});
  BOOST_TEST(pretrained.weight.shares_storage_with(given));
  pretrained(eg::tensor({1})).sum().backward();
  BOOST_TEST(take_gradient(pretrained.weight).at({1, 0}) == 2);
  BOOST_TEST(us::EmbeddingBag::from_pretrained(given).weight.shares_storage_with(given));
  const us::Linear copy = nn::clone(linear);
  BOOST_TEST(equal_to("copy", copy(x).detach(), linear(x).detach()));
  BOOST_TEST(!copy.weight.shares_storage_with(linear.weight));
}

BOOST_AUTO_TEST_CASE(layers_say_what_they_are) {
  BOOST_TEST(us::Linear(3, 4).describe() == "unit_scaling.Linear(3, 4, bias=False)");
  BOOST_TEST(us::LinearReadout(3, 4, true).describe() == "unit_scaling.LinearReadout(3, 4)");
  BOOST_TEST(us::LSTM(3, 4).describe() == "unit_scaling.LSTM(3, 4)");
  BOOST_TEST(us::Embedding(3, 4).describe() == "unit_scaling.Embedding(3, 4)");
  BOOST_TEST(us::EmbeddingBag(3, 4).describe().starts_with("unit_scaling.EmbeddingBag(3, 4"));
}

// --- types

namespace {

struct Block : nn::Module {
  us::Linear in{4, 4, true};
  us::Linear out{4, 4};
  void members(nn::Visitor& visit) override {
    visit("in", in);
    visit("out", out);
  }
};

struct Deep : nn::Module {
  us::Embedding table{10, 4};
  us::DepthModuleList<Block> blocks;
  us::LSTM lstm{4, 3};
  us::EmbeddingBag bags{10, 4};
  us::LinearReadout readout{3, 2, true};
  nn::Linear plain{2, 2};
  void members(nn::Visitor& visit) override {
    visit("table", table);
    visit("blocks", blocks);
    visit("lstm", lstm);
    visit("bags", bags);
    visit("readout", readout);
    visit("plain", plain);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(types_of_parameters) {
  Deep model;
  model.blocks.emplace_back();
  model.blocks.emplace_back();
  model.bags.tie(model.table.weight);
  std::map<std::string, eg::MupParameter> found;
  for (const eg::MupParameter& parameter : us::mup_parameters(model)) found.emplace(parameter.name, parameter);
  using enum eg::MupType;
  const std::map<std::string, std::pair<std::optional<eg::MupType>, std::optional<std::int64_t>>> expected = {
      {"table.weight", {weight, {}}},       {"blocks.0.in.weight", {weight, 2}}, {"blocks.0.in.bias", {bias, 2}},
      {"blocks.0.out.weight", {weight, 2}}, {"blocks.1.in.weight", {weight, 2}}, {"blocks.1.in.bias", {bias, 2}},
      {"blocks.1.out.weight", {weight, 2}}, {"lstm.weight_ih_l0", {weight, {}}}, {"lstm.weight_hh_l0", {weight, {}}},
      {"lstm.bias_ih_l0", {bias, {}}},      {"lstm.bias_hh_l0", {bias, {}}},     {"readout.weight", {output, {}}},
      {"readout.bias", {bias, {}}},         {"plain.weight", {{}, {}}},          {"plain.bias", {{}, {}}}};
  BOOST_TEST(found.size() == expected.size());
  for (const auto& [name, of] : expected) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST_REQUIRE(found.contains(name));
      BOOST_TEST((found.at(name).type == of.first));
      BOOST_TEST((found.at(name).depth == of.second));
    }
  }
  // a layer by itself
  const auto alone = us::mup_parameters(us::LinearReadout(3, 2));
  BOOST_TEST_REQUIRE(alone.size() == 1U);
  BOOST_TEST((alone[0].type == output));

  us::DepthModuleList<nn::Linear> untyped;
  untyped.emplace_back(2, 2);
  BOOST_CHECK_EXCEPTION(us::mup_parameters(untyped), eg::ValueError, says({"0.weight", "no unit-scaled parameter"}));
  us::DepthModuleList<us::DepthModuleList<us::Linear>> nested;
  nested.emplace_back().emplace_back(2, 2);
  BOOST_CHECK_EXCEPTION(us::mup_parameters(nested), eg::ValueError, says({"0 is a stack inside a stack"}));
}

// It learns: the tagger's optimizer from its types.
BOOST_AUTO_TEST_CASE(a_model_learns_at_its_rates) {
  eg::Generator generator(15);
  Tagger model(50, 8, 16, 1, generator);
  const nn::PackedSequence words = nn::pack_ids(std::vector<std::vector<std::int64_t>>{{1, 2, 3}, {4, 5, 6, 7}});
  const nn::PackedSequence tags = nn::pack_ids(std::vector<std::vector<std::int64_t>>{{1, 2, 3}, {4, 5, 6, 7}});
  eg::optim::AdamW optimizer(
      eg::optim::scaled_parameters(us::mup_parameters(model), eg::optim::AdamWOptions{.lr = 0.1}));
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    const Tensor loss = us::cross_entropy(model.hidden2tag(model.lstm(model.word_embeddings(words)).output), tags);
    (step == 0 ? first : last) = loss.item();
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  }
  BOOST_TEST(first > 2);
  BOOST_TEST(last < 0.1 * first);
}

BOOST_AUTO_TEST_SUITE_END()

// nll_loss and cross_entropy.
#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::CrossEntropyOptions;
using eg::DType;
using eg::NllLossOptions;
using eg::Reduction;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr eg::TensorOptions f64{DType::float64, {}};
constexpr Reduction reductions[] = {Reduction::none, Reduction::mean, Reduction::sum};

const char* name_of_reduction(Reduction reduction) {
  return reduction == Reduction::none ? "none" : reduction == Reduction::mean ? "mean" : "sum";
}

// The sizes that a shape of scores tells: samples, classes, places behind each class.
struct Sizes {
  std::int64_t samples, classes, inner;
  Shape target;
};

Sizes sizes_of(const Shape& scores) {
  if (scores.rank() == 1) return {1, scores[0], 1, {}};
  Sizes sizes{scores[0], scores[1], scores.slice(2, scores.rank()).numel(), {}};
  for (int d = 0; d < scores.rank(); ++d) {
    if (d != 1) sizes.target.push_back(scores[d]);
  }
  return sizes;
}

// The definition, in double: log-probabilities (if `is_logits`), weighted and smoothed, reduced.
Tensor by_definition(const Tensor& scores, const Tensor& target, const CrossEntropyOptions& options, bool is_logits) {
  const Sizes sizes = sizes_of(scores.shape());
  const auto x = scores.to_vector<double>();
  const auto y = target.to_vector<std::int64_t>();
  const std::vector<double> w = options.weight.defined()
                                    ? options.weight.to_vector<double>()
                                    : std::vector<double>(static_cast<std::size_t>(sizes.classes), 1.0);
  std::vector<double> losses;
  double total = 0, total_weight = 0;
  for (std::int64_t n = 0; n < sizes.samples; ++n) {
    for (std::int64_t i = 0; i < sizes.inner; ++i) {
      const std::int64_t label = y[static_cast<std::size_t>(n * sizes.inner + i)];
      std::vector<double> log_prob;
      for (std::int64_t c = 0; c < sizes.classes; ++c) {
        log_prob.push_back(x[static_cast<std::size_t>((n * sizes.classes + c) * sizes.inner + i)]);
      }
      if (is_logits) {
        double largest = log_prob[0], sum = 0;
        for (const double each : log_prob) largest = std::max(largest, each);
        for (const double each : log_prob) sum += std::exp(each - largest);
        for (double& each : log_prob) each = each - largest - std::log(sum);
      }
      double loss = 0;
      if (label != options.ignore_index) {
        const double weight = w[static_cast<std::size_t>(label)];
        const double smoothing = options.label_smoothing;
        loss = -(1 - smoothing) * weight * log_prob[static_cast<std::size_t>(label)];
        if (smoothing > 0) {
          for (std::size_t c = 0; c < log_prob.size(); ++c) {
            loss -= smoothing / static_cast<double>(sizes.classes) * w[c] * log_prob[c];
          }
        }
        total_weight += weight;
      }
      losses.push_back(loss);
      total += loss;
    }
  }
  if (options.reduction == Reduction::none) return eg::tensor(losses, sizes.target).to(scores.dtype());
  const double value = options.reduction == Reduction::sum ? total : total / total_weight;
  return eg::tensor(std::vector<double>{value}, {}).to(scores.dtype());
}

NllLossOptions without_smoothing(const CrossEntropyOptions& options) {
  return {.weight = options.weight, .ignore_index = options.ignore_index, .reduction = options.reduction};
}

struct Problem {
  Tensor scores, target;
  CrossEntropyOptions options;
  std::string text;
};

// Every shape with every option.
template <class Body>
void for_all_problems(DType dtype, const Body& body) {
  Draw draw(19);
  for (const Shape& shape : {Shape{5}, Shape{7, 5}, Shape{3, 5, 4}, Shape{2, 3, 2, 3}, Shape{2, 1}, Shape{3, 40}}) {
    const Sizes sizes = sizes_of(shape);
    for (const bool weighted : {false, true}) {
      for (const std::int64_t ignore : {std::int64_t{-100}, std::int64_t{0}, std::int64_t{-1}}) {
        for (const double smoothing : {0.0, 0.3, 1.0}) {
          for (const Reduction reduction : reductions) {
            Problem problem;
            problem.scores = leaf(draw, shape, dtype, -3, 3);
            problem.target = draw.integers(sizes.target, 0, sizes.classes - 1);
            if (ignore < 0 && problem.target.numel() > 2)
              problem.target.copy_from(eg::cat({eg::tensor({ignore}), eg::narrow(problem.target.reshape({-1}), 0, 1,
                                                                                 problem.target.numel() - 1)})
                                           .reshape(sizes.target));
            if (weighted) problem.options.weight = draw.uniform({sizes.classes}, dtype, 0.1, 2);
            problem.options.ignore_index = ignore;
            problem.options.reduction = reduction;
            problem.options.label_smoothing = smoothing;
            problem.text = fmt::format("scores {}, weighted {}, ignore {}, smoothing {}, {}", shape.to_string(),
                                       weighted, ignore, smoothing, name_of_reduction(reduction));
            BOOST_TEST_CONTEXT(problem.text) { body(problem); }
          }
        }
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cross_entropy)

BOOST_AUTO_TEST_CASE(is_its_definition) {
  for_computing_types([](DType dtype) {
    for_all_problems(dtype, [&](const Problem& problem) {
      const auto& [scores, target, options, text] = problem;
      BOOST_TEST(close_to("cross_entropy", eg::cross_entropy(scores, target, options),
                          by_definition(scores, target, options, true)));
      if (options.label_smoothing > 0) return;
      BOOST_TEST(close_to("nll_loss", eg::nll_loss(scores, target, without_smoothing(options)),
                          by_definition(scores, target, options, false)));
    });
  });
}

BOOST_AUTO_TEST_CASE(finite_differences) {
  for_all_problems(DType::float64, [](const Problem& problem) {
    const auto& [scores, target, options, text] = problem;
    // a mean over nothing is NaN
    if (std::isnan(eg::sum(by_definition(scores, target, options, true)).item())) return;
    BOOST_TEST(gradients_agree(
        [&](const Inputs& in) { return eg::cross_entropy(in[0], problem.target, problem.options); }, {scores}));
    if (options.label_smoothing > 0) return;
    BOOST_TEST(gradients_agree(
        [&](const Inputs& in) { return eg::nll_loss(in[0], problem.target, without_smoothing(problem.options)); },
        {scores}));
  });
}

BOOST_AUTO_TEST_CASE(fused_is_two_ops) {
  for_computing_types([](DType dtype) {
    for_all_problems(dtype, [&](const Problem& problem) {
      if (problem.options.label_smoothing > 0) return;
      Tensor scores = problem.scores;
      const int dim = scores.dim() == 1 ? 0 : 1;
      const Tensor fused = eg::cross_entropy(scores, problem.target, problem.options);
      eg::sum(fused).backward();
      const Tensor fused_grad = grad_of(scores);
      scores.zero_grad();
      const Tensor two = eg::nll_loss(eg::log_softmax(scores, dim), problem.target, without_smoothing(problem.options));
      eg::sum(two).backward();
      BOOST_TEST(close_to("loss", fused, two));
      BOOST_TEST(close_to("gradient", fused_grad, grad_of(scores)));
    });
  });
}

BOOST_AUTO_TEST_CASE(pytorchs_numbers) {
  const Tensor z = eg::tensor({{.1, .9, -.4}, {1.2, 0., .3}, {-.5, .2, 2.}}, f64);
  const Tensor y = eg::tensor({1, 0, 2});
  const Tensor w = eg::tensor({1., 2., .5}, f64);
  const auto check = [&](const CrossEntropyOptions& options, double expected) {
    const double got = eg::cross_entropy(z, y, options).item();
    BOOST_TEST(std::abs(got - expected) < 1e-11, got << ", expected " << expected);
  };
  check({}, 0.433212948871);
  check({.weight = w}, 0.495005758403);
  check({.label_smoothing = .1}, 0.527657393315);
  check({.weight = w, .label_smoothing = .1}, 0.587874096498);
  check({.weight = w, .ignore_index = 0, .label_smoothing = .1}, 0.567381901236);
  check({.weight = w, .reduction = Reduction::sum}, 1.732520154412);
}

BOOST_AUTO_TEST_CASE(large_scores) {
  for_computing_types([](DType dtype) {
    const Tensor z = eg::tensor({{1e4, 0.0, -1e4}, {-1e4, -1e4, -1e4}}, {dtype, {}}).set_requires_grad();
    const Tensor y = eg::tensor({1, 2});
    const Tensor loss = eg::cross_entropy(z, y, {.reduction = Reduction::none});
    const Tensor expected = eg::tensor({1e4, std::log(3.0)}, {dtype, {}});
    BOOST_TEST(close_to("loss", loss, expected));
    eg::sum(loss).backward();
    const double third = 1.0 / 3;
    BOOST_TEST(
        close_to("gradient", grad_of(z), eg::tensor({{1.0, -1.0, 0.0}, {third, third, third - 1}}, {dtype, {}})));
  });
}

BOOST_AUTO_TEST_CASE(probability_zero) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Tensor z = eg::tensor({{0.0, -infinity, 0.0}}, f64);
  BOOST_TEST(eg::cross_entropy(z, eg::tensor({1})).item() == infinity);
  BOOST_TEST(std::abs(eg::cross_entropy(z, eg::tensor({0})).item() - std::log(2.0)) < 1e-15);
  const Tensor p = eg::tensor({{-1.0, -infinity}}, f64);
  BOOST_TEST(eg::nll_loss(p, eg::tensor({0})).item() == 1.0);
}

BOOST_AUTO_TEST_CASE(all_ignored) {
  for_computing_types([](DType dtype) {
    Draw draw(23);
    for (const Shape& shape : {Shape{4, 3}, Shape{0, 3}}) {
      Tensor x = leaf(draw, shape, dtype);
      const Tensor y = eg::full({shape[0]}, -100, {DType::int64, {}});
      const Tensor nothing = eg::zeros(shape, {dtype, {}});
      for (const bool fused : {false, true}) {
        const auto loss = [&](Reduction reduction) {
          return fused ? eg::cross_entropy(x, y, {.reduction = reduction})
                       : eg::nll_loss(x, y, {.reduction = reduction});
        };
        x.zero_grad();
        const Tensor mean = loss(Reduction::mean);
        BOOST_TEST(std::isnan(mean.item()));
        mean.backward();
        BOOST_TEST(equal_to("gradient of mean", grad_of(x), nothing));
        x.zero_grad();
        const Tensor total = loss(Reduction::sum);
        BOOST_TEST(total.item() == 0.0);
        total.backward();
        BOOST_TEST(equal_to("gradient of sum", grad_of(x), nothing));
        BOOST_TEST(equal_to("none", loss(Reduction::none), eg::zeros({shape[0]}, {dtype, {}})));
      }
    }
  });
}

// Samples that count, but with weight zero, give 0 / 0, as in PyTorch: the target's gradient of nll_loss, and all of
// cross_entropy's.
BOOST_AUTO_TEST_CASE(no_weight) {
  Draw draw(24);
  Tensor x = leaf(draw, {2, 3});
  const Tensor y = eg::tensor({1, 1});
  const Tensor weight = eg::tensor({1.0, 0.0, 2.0}, f64);
  for (const bool fused : {false, true}) {
    x.zero_grad();
    const Tensor loss = fused ? eg::cross_entropy(x, y, {.weight = weight}) : eg::nll_loss(x, y, {.weight = weight});
    BOOST_TEST(std::isnan(loss.item()));
    loss.backward();
    for (std::int64_t c = 0; c < 3; ++c) {
      const double gradient = grad_of(x).at({0, c});
      BOOST_TEST((fused || c == 1 ? std::isnan(gradient) : gradient == 0.0), "class " << c << ": " << gradient);
    }
  }
  const Tensor smoothed = eg::cross_entropy(x, y, {.weight = weight, .label_smoothing = 0.1});
  BOOST_TEST(std::isnan(smoothed.item()));
}

// What is ignored doesn't count, whatever number stands there.
BOOST_AUTO_TEST_CASE(ignored_samples_are_as_if_not_there) {
  Draw draw(29);
  Tensor x = leaf(draw, {4, 3});
  const Tensor y = eg::tensor({2, -100, 0, -100});
  const auto of = [&](const Tensor& scores, const Tensor& target) {
    return eg::cross_entropy(scores, target, {.label_smoothing = 0.2});
  };
  const Tensor whole = of(x, y);
  whole.backward();
  const Tensor grad = grad_of(x);
  x.zero_grad();
  const Tensor part = of(eg::gather_rows(x, eg::tensor({0, 2})), eg::tensor({2, 0}));
  part.backward();
  BOOST_TEST(close_to("loss", whole, part));
  BOOST_TEST(close_to("gradient", grad, grad_of(x)));
  BOOST_TEST(equal_to("ignored", grad[1], eg::zeros({3}, f64)));
}

// As in PyTorch, where the derivative of log_softmax is NaN there.
BOOST_AUTO_TEST_CASE(a_nan_among_what_is_ignored_shows_in_the_gradient_alone) {
  for_computing_types([](DType dtype) {
    const double nan = std::nan("");
    for (const Shape& shape : {Shape{2, 3}, Shape{2, 3, 1, 1}}) {
      const Tensor x = eg::tensor({{nan, 1.0, 2.0}, {0.0, 0.0, 0.0}}).to(dtype).reshape(shape).set_requires_grad();
      const Tensor y = eg::tensor({-100, 2}).reshape(shape.rank() == 2 ? Shape{2} : Shape{2, 1, 1});
      const Tensor loss = eg::cross_entropy(x, y);
      BOOST_TEST(close_to("loss", loss, eg::tensor(std::log(3.0), {dtype, {}})));
      loss.backward();
      const Tensor grad = grad_of(x).reshape({2, 3});
      BOOST_TEST(std::isnan(grad.at({0, 2})));
      BOOST_TEST(close_to("gradient", grad[1], eg::tensor({1 / 3.0, 1 / 3.0, -2 / 3.0}, {dtype, {}})));
    }
  });
}

BOOST_AUTO_TEST_CASE(types_of_target) {
  Draw draw(31);
  const Tensor x = draw.uniform({5, 4});
  const Tensor y = draw.integers({5}, 0, 3);
  BOOST_TEST(same_bits("int32", eg::cross_entropy(x, y.to(DType::int32)), eg::cross_entropy(x, y)));
  BOOST_TEST(same_bits("int32", eg::nll_loss(x, y.to(DType::int32)), eg::nll_loss(x, y)));
  // one sample without a batch: a scalar or one number
  const Tensor one = draw.uniform({4});
  const Tensor loss = eg::cross_entropy(one, eg::tensor(2), {.reduction = Reduction::none});
  BOOST_TEST((loss.shape() == Shape{}));
  const Tensor listed = eg::cross_entropy(one, eg::tensor({2}), {.reduction = Reduction::none});
  BOOST_TEST(same_bits("one number", listed, loss));
}

BOOST_AUTO_TEST_CASE(gradient_of_each_sample) {
  Draw draw(37);
  Tensor x = leaf(draw, {3, 4, 2});
  const Tensor y = draw.integers({3, 2}, 0, 3);
  const Tensor factor = draw.uniform({3, 2}, DType::float64);
  eg::cross_entropy(x, y, {.reduction = Reduction::none}).backward(factor);
  const Tensor got = grad_of(x);
  const Tensor prob = eg::no_grad([&] { return eg::softmax(x, 1); });
  for (std::int64_t n = 0; n < 3; ++n) {
    for (std::int64_t c = 0; c < 4; ++c) {
      for (std::int64_t i = 0; i < 2; ++i) {
        const double hot = y.at<std::int64_t>({n, i}) == c ? 1 : 0;
        BOOST_TEST(std::abs(got.at({n, c, i}) - factor.at({n, i}) * (prob.at({n, c, i}) - hot)) < 1e-14);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(targets_changed_before_backward_are_noticed) {
  Draw draw(41);
  const Tensor x = leaf(draw, {3, 4});
  for (const bool fused : {false, true}) {
    Tensor y = eg::tensor({0, 1, 2});
    const Tensor loss = fused ? eg::cross_entropy(x, y) : eg::nll_loss(x, y);
    y.fill(1);
    BOOST_TEST(refuses<eg::ValueError>(
        [&] {
          loss.backward();
          return 0;
        },
        {fused ? "cross_entropy" : "nll_loss", "changed in place"}));
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = eg::zeros({2, 3});
  const Tensor y = eg::tensor({0, 1});
  const auto both = [&](const auto& check) {
    check("cross_entropy", "logits", [](const Tensor& scores, const Tensor& target, const Tensor& weight) {
      return eg::cross_entropy(scores, target, {.weight = weight});
    });
    check("nll_loss", "log_probs", [](const Tensor& scores, const Tensor& target, const Tensor& weight) {
      return eg::nll_loss(scores, target, {.weight = weight});
    });
  };
  both([&](const std::string& op, const std::string& argument, const auto& call) {
    const auto run = [&](const Tensor& scores, const Tensor& target, const Tensor& weight = {}) {
      return [&call, scores, target, weight] { return call(scores, target, weight); };
    };
    const Tensor wanting = eg::ones({3}).set_requires_grad();
    BOOST_TEST(refuses<eg::ValueError>(run(x, y, wanting), {op + ": weight requires a gradient"}));
    BOOST_TEST(eg::no_grad([&] { return run(x, y, wanting)(); }).defined());
    BOOST_TEST(refuses<eg::IndexError>(run(x, eg::tensor({0, 3})), {op + ": target[1] is 3, but there are 3 classes"}));
    BOOST_TEST(refuses<eg::IndexError>(run(x, eg::tensor({-1, 0})), {op + ": target[0] is -1"}));
    BOOST_TEST(
        refuses<eg::IndexError>(run(eg::zeros({2, 3, 2}), eg::tensor({{0, 1}, {2, 7}})), {op + ": target[1, 1] is 7"}));
    BOOST_TEST(refuses<eg::ShapeError>(run(x, eg::tensor({0, 1, 2})),
                                       {op + ": target must have shape [2] for " + argument + " [2, 3], but has [3]"}));
    BOOST_TEST(refuses<eg::ShapeError>(run(x, eg::tensor({{0}, {1}})), {op, "[2]", "[2, 1]"}));
    BOOST_TEST(refuses<eg::ShapeError>(run(eg::tensor(1.0), y), {op + ": " + argument + " has no dimensions"}));
    BOOST_TEST(refuses<eg::DTypeError>(run(x, eg::zeros({2, 3})),
                                       {op + ": target must be class indices", "float32", "probabilities"}));
    BOOST_TEST(refuses<eg::DTypeError>(run(eg::zeros({2, 3}, {DType::int64, {}}), y), {op + ": " + argument, "int64"}));
    BOOST_TEST(refuses<eg::DTypeError>(run(x, y, eg::ones({3}, f64)),
                                       {op + ": weight is float64, but " + argument + " is float32"}));
    BOOST_TEST(refuses<eg::ShapeError>(
        run(x, y, eg::ones({2})), {op + ": weight must have one number for each of the 3 classes, but has shape [2]"}));
    BOOST_TEST(refuses<eg::ValueError>(run(x, Tensor()), {op + ": target is undefined"}));
    BOOST_TEST(refuses<eg::ValueError>(run(Tensor(), y), {op + ": " + argument + " is undefined"}));
  });
  for (const double smoothing : {-0.1, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    BOOST_TEST(refuses<eg::ValueError>([&] { return eg::cross_entropy(x, y, {.label_smoothing = smoothing}); },
                                       {"cross_entropy: label_smoothing must be in [0, 1], but is"}));
  }
}

BOOST_AUTO_TEST_SUITE_END()

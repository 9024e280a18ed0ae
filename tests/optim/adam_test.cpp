#include <embergrad/optim/adam.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/nn/embedding.hpp>
#include <embergrad/ops.hpp>

#include "kernels/rules/adam.hpp"
#include "nn/says.hpp"
#include "optim/optim_support.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using eg::test::after_stored_gradients;
using eg::test::Draw;
using eg::test::equal_to;
using eg::test::leaf;
using eg::test::says;
using optim::Adam;
using optim::AdamW;

namespace {

constexpr double twelve_places = 6e-13;

// The formula as PyTorch's documentation has it, in double.
struct Reference {
  std::vector<double> w, m, v, v_max;
  explicit Reference(std::vector<double> start) : w(std::move(start)), m(w.size()), v(w.size()), v_max(w.size()) {}
  void step(const std::vector<double>& grad, const optim::AdamOptions& o, bool decoupled, double t) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      double g = o.maximize ? -grad[i] : grad[i];
      if (decoupled) w[i] -= o.lr * o.weight_decay * w[i];
      if (!decoupled) g += o.weight_decay * w[i];
      m[i] = o.betas.beta1 * m[i] + (1 - o.betas.beta1) * g;
      v[i] = o.betas.beta2 * v[i] + (1 - o.betas.beta2) * g * g;
      v_max[i] = std::max(v_max[i], v[i]);
      const double v_hat = (o.amsgrad ? v_max[i] : v[i]) / (1 - std::pow(o.betas.beta2, t));
      w[i] -= o.lr * (m[i] / (1 - std::pow(o.betas.beta1, t))) / (std::sqrt(v_hat) + o.eps);
    }
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(adam)

// PyTorch 2.15, float64.
BOOST_AUTO_TEST_CASE(numbers_of_pytorch) {
  BOOST_TEST(std::abs(after_stored_gradients<Adam>(optim::AdamOptions{.lr = .1}) - 0.459022570797) < twelve_places);
  BOOST_TEST(std::abs(after_stored_gradients<Adam>(optim::AdamOptions{.lr = .1, .weight_decay = .1, .amsgrad = true}) -
                      0.425091203288) < twelve_places);
  BOOST_TEST(std::abs(after_stored_gradients<AdamW>(optim::AdamWOptions{.lr = .1}) - 0.456714262563) < twelve_places);
}

BOOST_AUTO_TEST_CASE(any_size_and_all_options) {
  for (const bool decoupled : {false, true}) {
    for (const bool amsgrad : {false, true}) {
      for (const double decay : {0.0, 0.1}) {
        for (const std::int64_t size : {0, 1, 17, 16384, 16385, 33000}) {
          Draw draw(static_cast<std::uint64_t>(size) + 1);
          const optim::AdamOptions o{.lr = .01,
                                     .betas = {.8, .95},
                                     .eps = 1e-6,
                                     .weight_decay = decay,
                                     .amsgrad = amsgrad,
                                     .maximize = amsgrad};
          const Tensor start = draw.uniform({size}, eg::DType::float64);
          Tensor p = leaf(start.clone());
          Tensor q = leaf(start.to(eg::DType::float32));
          Reference reference(start.to_vector<double>());
          Adam coupled({p, q}, o);
          AdamW apart({p, q}, {o.lr, o.betas, o.eps, o.weight_decay, o.amsgrad, o.maximize});
          for (int t = 1; t <= 4; ++t) {
            const Tensor grad = draw.uniform({size}, eg::DType::float64);
            p.set_grad(grad);
            q.set_grad(grad.to(eg::DType::float32));
            decoupled ? apart.step() : coupled.step();
            reference.step(grad.to_vector<double>(), o, decoupled, t);
          }
          BOOST_TEST(eg::test::close_to("float64", p.detach(), eg::tensor(reference.w), {1e-12, 1e-13}));
          BOOST_TEST(
              eg::test::close_to("float32", q.detach(), eg::tensor(reference.w).to(eg::DType::float32), {2e-5, 2e-6}));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(each_parameter_counts_its_own_steps) {
  Tensor a = leaf(eg::ones({2}));
  Tensor b = leaf(eg::ones({2}));
  Adam optimizer({a, b}, {.lr = .1});
  a.set_grad(eg::ones({2}));
  optimizer.step();
  optimizer.step();
  b.set_grad(eg::zeros({2}));  // zeros are a step, none is not
  optimizer.step();
  BOOST_TEST(optimizer.state(0, "step").item() == 3);
  BOOST_TEST(optimizer.state(1, "step").item() == 1);
  BOOST_TEST((optimizer.state(1, "step").dtype() == eg::DType::float32));
  BOOST_TEST(optimizer.state(1, "step").dim() == 0);
  BOOST_TEST(equal_to("b", b.detach(), eg::ones({2})));
  BOOST_TEST(!optimizer.state(0, "max_exp_avg_sq").defined());
  BOOST_CHECK_EXCEPTION(static_cast<void>(optimizer.state(0, "momentum_buffer")), eg::ValueError,
                        says({"momentum_buffer", "exp_avg_sq"}));
  BOOST_CHECK_THROW(static_cast<void>(optimizer.state(2, "step")), eg::IndexError);
}

BOOST_AUTO_TEST_CASE(decay_does_not_move_the_padding_row) {
  auto embedding = eg::nn::Embedding::from_pretrained(eg::ones({3, 2}), {.freeze = false, .padding_idx = 1});
  for (const bool decoupled : {false, true}) {
    embedding.weight.set_grad(eg::ones({3, 2}));
    if (decoupled) {
      AdamW({embedding.weight}, {.lr = .1, .weight_decay = .5}).step();
    } else {
      Adam({embedding.weight}, {.lr = .1, .weight_decay = .5}).step();
    }
    BOOST_TEST(equal_to("padding", embedding.weight[1].detach(), eg::ones({2})));
    BOOST_TEST(embedding.weight.at({2, 1}) < 1);
  }
}

BOOST_AUTO_TEST_CASE(small_moments_become_zero_but_not_the_maximum) {
  Tensor p = leaf(eg::ones({1}));
  Adam optimizer({p}, {.lr = 1e-3, .betas = {.5, .5}, .amsgrad = true});
  p.set_grad(eg::full({1}, 1e-14));
  optimizer.step();
  BOOST_TEST(optimizer.state(0, "exp_avg").item() > 0);
  BOOST_TEST(optimizer.state(0, "exp_avg_sq").item() > 0);
  const double largest = optimizer.state(0, "max_exp_avg_sq").item();
  p.set_grad(eg::zeros({1}));
  for (int i = 0; i < 100; ++i) optimizer.step();
  BOOST_TEST(optimizer.state(0, "exp_avg").item() == 0);
  BOOST_TEST(optimizer.state(0, "exp_avg_sq").item() == 0);
  BOOST_TEST(optimizer.state(0, "max_exp_avg_sq").item() == largest);
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  Tensor p = leaf(eg::ones({1}));
  const auto refused = [&](const optim::AdamOptions& o, const std::vector<std::string>& parts) {
    BOOST_CHECK_EXCEPTION(Adam({p}, o), eg::ValueError, says(parts));
    BOOST_CHECK_EXCEPTION(AdamW({p}, {o.lr, o.betas, o.eps, o.weight_decay}), eg::ValueError, says(parts));
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refused({.lr = -1}, {"Adam", "lr", "-1"});
  refused({.betas = {1, .999}}, {"betas", "[0, 1)", "1"});
  refused({.betas = {.9, -.1}}, {"betas", "-0.1"});
  refused({.betas = {nan, .9}}, {"betas", "nan"});
  refused({.eps = -1e-9}, {"eps"});
  refused({.weight_decay = nan}, {"weight_decay"});
  BOOST_TEST(Adam({p}).options().eps == 1e-8);
  BOOST_TEST(AdamW({p}).options().weight_decay == 1e-2);
}

BOOST_AUTO_TEST_SUITE_END()

#include <embergrad/ops.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Generator;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

BOOST_AUTO_TEST_SUITE(dropout)

BOOST_AUTO_TEST_CASE(share_and_scale) {
  for_computing_types([](DType dtype) {
    for (const double p : {0.1, 0.25, 0.5, 0.9}) {
      BOOST_TEST_CONTEXT("p " << p) {
        constexpr std::int64_t n = 200000;
        Generator generator(3);
        const Tensor x = eg::full({n}, 3, {dtype, {}});
        const std::vector<double> y = eg::dropout(x, {.p = p, .generator = &generator}).to_vector<double>();
        double zeros = 0;
        const double kept =
            dtype == DType::float32 ? static_cast<double>(3.0F * static_cast<float>(1 / (1 - p))) : 3.0 * (1 / (1 - p));
        for (const double each : y) {
          if (each == 0) {
            ++zeros;
          } else if (each != kept) {
            BOOST_ERROR("an element is " << each << ", expected 0 or " << kept);
          }
        }
        BOOST_TEST(std::abs(zeros - n * p) <= 5 * std::sqrt(n * p * (1 - p)), zeros << " of " << n << " are zero");
      }
    }
  });
}

// Each element stands for itself: it is the element scaled, or zero.
BOOST_AUTO_TEST_CASE(values_stay_at_their_places) {
  for_computing_types([](DType dtype) {
    Draw draw(5);
    Generator generator(9);
    const Tensor x = draw.uniform({5, 7, 33}, dtype);
    const Tensor y = eg::dropout(x, {.p = 0.5, .generator = &generator});
    BOOST_TEST((y.shape() == x.shape()));
    BOOST_TEST((y.dtype() == dtype));
    const auto in = x.to_vector<double>(), out = y.to_vector<double>();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
      BOOST_TEST((out[i] == 0 || out[i] == 2 * in[i]));
      if (out[i] != 0) ++kept;
    }
    BOOST_TEST(kept > in.size() / 3);
    BOOST_TEST(kept < in.size() * 2 / 3);
  });
}

BOOST_AUTO_TEST_CASE(nothing_or_all) {
  for_computing_types([](DType dtype) {
    Draw draw(6);
    Generator generator(1);
    const Tensor x = leaf(draw, {1000}, dtype);
    const Tensor all = eg::dropout(x, {.p = 0, .generator = &generator});
    BOOST_TEST(equal_to("p = 0", all, x));
    eg::sum(all).backward();
    BOOST_TEST(equal_to("gradient, p = 0", grad_of(x), eg::ones({1000}, {dtype, {}})));
    const Tensor none = eg::dropout(x, {.p = 1, .generator = &generator});
    BOOST_TEST(equal_to("p = 1", none, eg::zeros({1000}, {dtype, {}})));
    Tensor again = x;
    again.zero_grad();
    eg::sum(none).backward();
    BOOST_TEST(equal_to("gradient, p = 1", grad_of(x), eg::zeros({1000}, {dtype, {}})));
    BOOST_TEST(generator.tick() == 2U);
  });
}

BOOST_AUTO_TEST_CASE(evaluation_returns_the_input) {
  Draw draw(7);
  Generator generator(1);
  const Tensor x = leaf(draw, {10});
  const Tensor y = eg::dropout(x, {.p = 0.5, .training = false, .generator = &generator});
  BOOST_TEST(y.state() == x.state());
  BOOST_TEST(generator.tick() == 0U);
  // p is looked at all the same
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::dropout(x, {.p = 2, .training = false}); }));
}

BOOST_AUTO_TEST_CASE(backward_uses_the_same_mask) {
  for_computing_types([](DType dtype) {
    Draw draw(8);
    Generator generator(4);
    const Tensor x = leaf(draw, {3, 1001}, dtype, 0.5, 1.0);
    const Tensor weight = draw.uniform({3, 1001}, dtype, 0.5, 1.0);
    const Tensor y = eg::dropout(x, {.p = 0.3, .generator = &generator});
    // later draws don't matter
    static_cast<void>(eg::dropout(x, {.p = 0.3, .generator = &generator}));
    generator.manual_seed(1234);
    y.backward(weight);
    const auto in = x.to_vector<double>(), out = y.to_vector<double>(), factor = weight.to_vector<double>();
    const auto grad = grad_of(x).to_vector<double>();
    const double tiny = dtype == DType::float32 ? 1e-6 : 1e-14;
    for (std::size_t i = 0; i < in.size(); ++i) {
      const double expected = out[i] == 0 ? 0 : factor[i] / 0.7;
      if (!(std::abs(grad[i] - expected) <= tiny))
        BOOST_ERROR("gradient " << i << " is " << grad[i] << ", expected " << expected);
    }
  });
}

BOOST_AUTO_TEST_CASE(finite_differences) {
  Draw draw(9);
  const Tensor x = leaf(draw, {4, 9});
  const auto function = [](const Inputs& in) {
    Generator generator(5);
    return eg::dropout(in[0], {.p = 0.4, .generator = &generator});
  };
  BOOST_TEST(gradients_agree(function, {x}));
}

BOOST_AUTO_TEST_CASE(the_generator_decides) {
  const Tensor x = eg::ones({1000});
  Generator first(8), second(8);
  const Tensor a = eg::dropout(x, {.generator = &first});
  BOOST_TEST(first.tick() == 1U);
  const Tensor b = eg::dropout(x, {.generator = &first});
  BOOST_TEST(!same_bits("next", b, a));
  BOOST_TEST(same_bits("same seed", eg::dropout(x, {.generator = &second}), a));
  BOOST_TEST(same_bits("same tick", eg::dropout(x, {.generator = &second}), b));
  // what is dropped is where the uniform numbers of this tick are below p
  second.manual_seed(8);
  const Tensor u = eg::rand({1000}, {}, second);
  for (std::int64_t i = 0; i < 1000; ++i) BOOST_TEST((a.data<float>()[i] == 0) == (u.data<float>()[i] < 0.5F));

  const Generator before = eg::default_generator();
  eg::manual_seed(8);
  BOOST_TEST(same_bits("default generator", eg::dropout(x), a));
  eg::default_generator() = before;
}

BOOST_AUTO_TEST_CASE(edges) {
  Generator generator(1);
  BOOST_TEST((eg::dropout(eg::zeros({0, 3}), {.generator = &generator}).shape() == Shape{0, 3}));
  BOOST_TEST((eg::dropout(eg::ones({}), {.generator = &generator}).shape() == Shape{}));
  const Tensor plain = eg::ones({4});
  BOOST_TEST(!eg::dropout(plain, {.generator = &generator}).requires_grad());
  BOOST_TEST(equal_to("the input is not changed", plain, eg::ones({4})));
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = eg::ones({4});
  for (const double p : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    BOOST_TEST(
        refuses<eg::ValueError>([&] { return eg::dropout(x, {.p = p}); }, {"dropout: p must be in [0, 1], but is"}));
  }
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::dropout(Tensor()); }, {"dropout: input is undefined"}));
  for (const DType dtype : {DType::int32, DType::int64, DType::float16, DType::bfloat16}) {
    BOOST_TEST(refuses<eg::DTypeError>(
        [&] {
          return eg::dropout(eg::zeros({3}, {dtype, {}}));
        },
        {"dropout: input must be float32 or float64, but is ", name_of(dtype)}));
  }
  // a refused call draws nothing
  Generator generator(1);
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::dropout(x, {.p = 2, .generator = &generator}); }));
  BOOST_TEST(generator.tick() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

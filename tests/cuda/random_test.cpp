#include "cuda/random.hpp"

#include <cmath>

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

constexpr std::int64_t sizes[] = {0, 1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1025, 4095, 4096, 4097};

// Calls body(T{}, size, shift, seed, tick): high words of the counters count too.
template <class Body>
void for_draws(const Body& body) {
  std::uint64_t number = 0;
  for (const std::int64_t size : sizes) {
    const std::int64_t shift = number % 3 == 2 ? 1 : 0;
    body(float{}, size, shift, number * 0x9E3779B97F4A7C15ULL, number << (number % 40));
    body(double{}, size, shift, number * 0x9E3779B97F4A7C15ULL, number << (number % 40));
    ++number;
  }
}

}  // namespace

// A namespace of its own: the C library has a function of the suite's name.
namespace random_test {

BOOST_AUTO_TEST_SUITE(random)

BOOST_AUTO_TEST_CASE(uniform) {
  for_draws([](auto type, std::int64_t size, std::int64_t shift, std::uint64_t seed, std::uint64_t tick) {
    Draw draw(seed);
    auto out = Numbers<decltype(type)>::drawn(draw, size, shift);
    expect_same_bits("DrawUniform", eg::DrawUniform{out.view(), seed, tick}, out, seed % seeds);
  });
}

BOOST_AUTO_TEST_CASE(normal) {
  for_draws([](auto type, std::int64_t size, std::int64_t shift, std::uint64_t seed, std::uint64_t tick) {
    Draw draw(seed);
    auto out = Numbers<decltype(type)>::drawn(draw, size, shift);
    expect_same_bits("DrawNormal", eg::DrawNormal{out.view(), seed, tick}, out, seed % seeds);
  });
}

BOOST_AUTO_TEST_CASE(dropout) {
  for_draws([](auto type, std::int64_t size, std::int64_t shift, std::uint64_t seed, std::uint64_t tick) {
    using T = decltype(type);
    Draw draw(seed);
    auto in = Numbers<T>::drawn(draw, size, tick % 2 == 0 ? shift : 0);
    auto out = Numbers<T>::drawn(draw, size, shift);
    for (const double p : {0.0, 0.1, 0.5, 1.0}) {
      expect_same_bits("ApplyDropout", eg::ApplyDropout{in.view(), out.view(), p, 1.25, seed, tick}, out, seed % seeds);
    }
  });
}

// A probability between two floats decides for every number as it does in double.
BOOST_AUTO_TEST_CASE(dropout_at_the_border) {
  constexpr std::uint64_t seed = 7;
  constexpr std::uint64_t tick = 3;
  constexpr std::int64_t size = 40;
  Numbers<float> uniform(size, 0);
  eg::run(eg::OnCpu{}, eg::DrawUniform{uniform.view(), seed, tick});
  for (std::int64_t i = 0; i < size; ++i) {
    const double u = static_cast<double>(uniform.data()[i]);
    for (const double p : {u, std::nextafter(u, 0.0), std::nextafter(u, 1.0)}) {
      Draw draw(1);
      auto in = Numbers<float>::drawn(draw, size, 0);
      auto out = Numbers<float>::drawn(draw, size, 0);
      expect_same_bits("ApplyDropout", eg::ApplyDropout{in.view(), out.view(), p, 1.0, seed, tick}, out, 0);
    }
  }
}

// More numbers than threads: each has several.
BOOST_AUTO_TEST_CASE(many_numbers) {
  const std::int64_t size = eg::cuda::most_blocks * eg::cuda::default_threads * 4 + 5;
  Numbers<float> out(size, 0);
  expect_same_bits("DrawUniform", eg::DrawUniform{out.view(), 1, 2}, out, 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace random_test

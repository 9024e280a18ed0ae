// The scalar rules that host and device share, against the C library and against arithmetic in double.
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "kernels/rules/adam.hpp"
#include "kernels/rules/binary.hpp"
#include "kernels/rules/convert.hpp"
#include "kernels/rules/lstm_cell.hpp"
#include "kernels/rules/math.hpp"
#include "kernels/rules/philox.hpp"
#include "kernels/rules/sgd.hpp"
#include "kernels/rules/unary.hpp"
#include "support/check.hpp"

namespace er = embergrad::rules;
using embergrad::BFloat16;
using embergrad::Float16;
using namespace embergrad::test;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float smallest = std::numeric_limits<float>::denorm_min();
constexpr double largest = std::numeric_limits<float>::max();

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }
std::uint32_t bits_of(float x) { return std::bit_cast<std::uint32_t>(x); }

// The gap between floats around x.
double unit_in_last_place(double x) {
  const int exponent = x == 0 ? -126 : std::max(std::ilogb(x), -126);
  return std::ldexp(1.0, std::min(exponent, 127) - 23);
}

double error_in_units(float got, double exact) {
  // Beyond the largest float: infinity stands for 2^128.
  const double limit = std::ldexp(1.0, 128);
  const double clipped = std::min(exact, limit);
  const double value = std::isinf(got) ? std::copysign(limit, got) : static_cast<double>(got);
  return std::abs(value - clipped) / unit_in_last_place(std::min(clipped, largest));
}

// The largest error over floats spread over all, with the float that has it.
template <class Got, class Exact>
void check_accuracy(const std::string& name, double allowed, const Got& got, const Exact& exact, float low,
                    float high) {
  double worst = 0;
  float at = 0;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 1021) {
    const float x = from_bits(static_cast<std::uint32_t>(bits));
    if (!(x >= low && x <= high)) continue;
    const double error = error_in_units(got(x), exact(static_cast<double>(x)));
    if (!(error <= worst)) {
      worst = error;
      at = x;
    }
  }
  BOOST_TEST(worst <= allowed, name << ": " << worst << " units in the last place at " << at);
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// To a format of `digits` significant bits, least exponent `low`, in double: to nearest, ties to even.
double rounded(double x, int digits, int low, double end) {
  if (std::isnan(x) || std::isinf(x) || x == 0) return x;
  const double quantum = std::ldexp(1.0, std::max(std::ilogb(x), low) - digits + 1);
  const double result = std::nearbyint(x / quantum) * quantum;
  return std::abs(result) >= end ? std::copysign(std::numeric_limits<double>::infinity(), x) : result;
}

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

template <class To, class From>
To convert(From x) {
  return er::Converter<To, From>::f(x);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rules)

// --- math

BOOST_AUTO_TEST_CASE(exp_of_floats) {
  const auto got = [](float x) { return er::exp(x); };
  const auto exact = [](double x) { return std::exp(x); };
  check_accuracy("exp", 2, got, exact, -infinity, infinity);
  for (int i = -2000; i <= 2000; ++i) {  // around the ends, every float
    for (const float end : {88.7228394F, -87.3365448F, -103.972084F, 0.34657359F, 88.7F, -104.0F}) {
      const float x = from_bits(bits_of(end) + static_cast<std::uint32_t>(i));
      const double error = error_in_units(got(x), exact(static_cast<double>(x)));
      if (!(error <= 2)) BOOST_ERROR("exp: " << error << " units in the last place at " << x);
    }
  }
  BOOST_TEST(got(0.0F) == 1.0F);
  BOOST_TEST(got(-0.0F) == 1.0F);
  BOOST_TEST(got(smallest) == 1.0F);
  BOOST_TEST(got(-smallest) == 1.0F);
  BOOST_TEST(got(infinity) == infinity);
  BOOST_TEST(bits_of(got(-infinity)) == 0U);
  BOOST_TEST(std::isnan(got(not_a_number)));
  BOOST_TEST(std::isfinite(got(88.7F)));
  BOOST_TEST(got(88.73F) == infinity);
  BOOST_TEST(got(-104.0F) == 0.0F);
  BOOST_TEST(got(-103.97F) == smallest);
  BOOST_TEST(got(1e30F) == infinity);
  BOOST_TEST(got(-1e30F) == 0.0F);
}

BOOST_AUTO_TEST_CASE(tanh_of_floats) {
  const auto got = [](float x) { return er::tanh(x); };
  check_accuracy(
      "tanh", 4, got, [](double x) { return std::tanh(x); }, -infinity, infinity);
  BOOST_TEST(got(0.0F) == 0.0F);
  BOOST_TEST(got(-0.0F) == 0.0F);
  BOOST_TEST(got(infinity) == 1.0F);
  BOOST_TEST(got(-infinity) == -1.0F);
  BOOST_TEST(got(104.0F) == 1.0F);
  BOOST_TEST(got(-104.0F) == -1.0F);
  BOOST_TEST(got(smallest) == smallest);
  BOOST_TEST(std::isnan(got(not_a_number)));
  for (float x = 0.0F; x < 10.0F; x += 0.0137F) {
    if (got(-x) != -got(x)) BOOST_ERROR("tanh is not odd at " << x);
    if (!(std::abs(got(x)) <= 1.0F)) BOOST_ERROR("tanh is beyond 1 at " << x);
  }
}

BOOST_AUTO_TEST_CASE(log1p_of_unit_floats) {
  const auto got = [](float x) { return er::log1p_of_unit(x); };
  check_accuracy(
      "log1p_of_unit", 3, got, [](double x) { return std::log1p(x); }, 0, 1);
  BOOST_TEST(got(0.0F) == 0.0F);
  BOOST_TEST(got(1e-30F) == 1e-30F);
  BOOST_TEST(std::isnan(got(not_a_number)));
  BOOST_TEST(er::log1p_of_unit(0.25) == std::log1p(0.25));
}

BOOST_AUTO_TEST_CASE(sigmoid_of_floats) {
  const auto got = [](float x) { return er::sigmoid(x); };
  check_accuracy("sigmoid", 4, got, logistic, -88.7F, infinity);
  // Below, e^-x is beyond the largest float: zero stands for what is less than 2^-127.
  check_accuracy("sigmoid", 0.5 * (1 << 23), got, logistic, -infinity, -88.7F);
  BOOST_TEST(got(0.0F) == 0.5F);
  BOOST_TEST(got(-0.0F) == 0.5F);
  BOOST_TEST(got(infinity) == 1.0F);
  BOOST_TEST(got(-infinity) == 0.0F);
  BOOST_TEST(got(104.0F) == 1.0F);
  BOOST_TEST(std::isnan(got(not_a_number)));
}

BOOST_AUTO_TEST_CASE(doubles_are_the_c_librarys) {
  for (double x = -40; x < 40; x += 0.37) {
    BOOST_TEST(er::exp(x) == std::exp(x));
    BOOST_TEST(er::tanh(x) == std::tanh(x));
    BOOST_TEST(er::sigmoid(x) == logistic(x));
    if (x > 0) BOOST_TEST(er::log(x) == std::log(x));
  }
}

// --- conversions

BOOST_AUTO_TEST_CASE(every_16_bit_pattern_survives) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    const float brain = er::from_bfloat16({pattern});
    if (bits_of(brain) != bits << 16) BOOST_ERROR("bfloat16 " << bits << " is read as " << brain);
    const std::uint16_t brain_back = er::to_bfloat16(brain).bits;
    const float half = er::from_float16({pattern});
    const std::uint16_t half_back = er::to_float16(half).bits;
    if (std::isnan(brain)) {  // a NaN stays one, with its sign
      const float again = er::from_bfloat16({brain_back});
      if (!std::isnan(again) || std::signbit(again) != std::signbit(brain)) BOOST_ERROR("bfloat16 NaN " << bits);
    } else if (brain_back != pattern) {
      BOOST_ERROR("bfloat16 " << bits << " comes back as " << brain_back);
    }
    if (std::isnan(half)) {
      const float again = er::from_float16({half_back});
      if (!std::isnan(again) || std::signbit(again) != std::signbit(half)) BOOST_ERROR("float16 NaN " << bits);
    } else if (half_back != pattern) {
      BOOST_ERROR("float16 " << bits << " comes back as " << half_back);
    }
    // what the pattern means
    const int exponent = static_cast<int>(bits >> 10 & 31U);
    const double fraction = bits & 1023U;
    double meant = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) meant = fraction == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
    if ((bits & 0x8000U) != 0) meant = -meant;
    if (!std::isnan(meant) && !same(static_cast<double>(half), meant)) {
      BOOST_ERROR("float16 " << bits << " is read as " << half << ", expected " << meant);
    }
    if (std::isnan(meant) != std::isnan(half)) BOOST_ERROR("float16 " << bits << " is read as " << half);
  }
}

BOOST_AUTO_TEST_CASE(rounding_to_16_bits) {
  const auto check = [](float x) {
    const auto exact = static_cast<double>(x);
    const auto brain = static_cast<double>(er::from_bfloat16(er::to_bfloat16(x)));
    const double brain_expected = rounded(exact, 8, -126, std::ldexp(1.0, 128));
    if (!same(brain, brain_expected))
      BOOST_ERROR("bfloat16 of " << x << " is " << brain << ", expected " << brain_expected);
    const auto half = static_cast<double>(er::from_float16(er::to_float16(x)));
    const double half_expected = rounded(exact, 11, -14, 65536.0);
    if (!same(half, half_expected)) BOOST_ERROR("float16 of " << x << " is " << half << ", expected " << half_expected);
  };
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 1021)
    check(from_bits(static_cast<std::uint32_t>(bits)));
  // the ties, and the floats next to them
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    for (const std::uint32_t low : {0x7FFFU, 0x8000U, 0x8001U}) check(from_bits(bits << 16 | low));
    const float half = er::from_float16({static_cast<std::uint16_t>(bits)});
    if (!std::isfinite(half)) continue;
    const float next = er::from_float16({static_cast<std::uint16_t>(bits + 1)});
    const float tie = std::isfinite(next) ? 0.5F * (half + next) : std::copysign(65520.0F, half);
    for (const std::uint32_t step : {0U, 1U, ~0U}) {
      if (tie != 0 || step == 0) check(from_bits(bits_of(tie) + step));
    }
  }
  BOOST_TEST(er::to_float16(65519.996F).bits == 0x7BFF);
  BOOST_TEST(er::to_float16(65520.0F).bits == 0x7C00);
  BOOST_TEST(er::to_float16(-1e30F).bits == 0xFC00);
  BOOST_TEST(er::to_float16(0x1p-25F).bits == 0);
  BOOST_TEST(er::to_float16(0x1.000002p-25F).bits == 1);
  BOOST_TEST(er::to_bfloat16(-0.0F).bits == 0x8000);
  BOOST_TEST(er::to_bfloat16(from_bits(0x7F800001U)).bits == 0x7FC0);  // not infinity
}

BOOST_AUTO_TEST_CASE(between_all_types) {
  BOOST_TEST((convert<std::int32_t>(2.9F) == 2));
  BOOST_TEST((convert<std::int32_t>(-2.9) == -2));
  BOOST_TEST((convert<std::int32_t>(2147483648.0F) == INT32_MAX));
  BOOST_TEST((convert<std::int32_t>(2147483646.7) == 2147483646));
  BOOST_TEST((convert<std::int32_t>(-3e9) == INT32_MIN));
  BOOST_TEST((convert<std::int64_t>(1e30F) == INT64_MAX));
  BOOST_TEST((convert<std::int64_t>(-1e30) == INT64_MIN));
  BOOST_TEST((convert<std::int64_t>(9007199254740992.0) == 9007199254740992));
  BOOST_TEST((convert<std::int64_t>(not_a_number) == 0));
  BOOST_TEST((convert<std::int32_t>(std::nan("")) == 0));
  BOOST_TEST((convert<std::int64_t>(infinity) == INT64_MAX));
  BOOST_TEST((convert<Float16>(1.5).bits == 0x3E00));
  BOOST_TEST((convert<BFloat16>(std::int64_t{-2}).bits == 0xC000));
  BOOST_TEST((convert<double>(Float16{0x3E00}) == 1.5));
  BOOST_TEST((convert<std::int32_t>(BFloat16{0xC000}) == -2));
  BOOST_TEST((convert<BFloat16>(Float16{0x3E00}).bits == 0x3FC0));
  BOOST_TEST((convert<Float16>(BFloat16{0x3FC0}).bits == 0x3E00));
  BOOST_TEST((convert<Float16>(Float16{0x7E01}).bits == 0x7E01));
  BOOST_TEST((convert<float>(0.1) == 0.1F));
}

// --- random numbers

// Known answers of Random123 for Philox4x32-10. Counter: block below, tick above; key: seed.
BOOST_AUTO_TEST_CASE(philox_known_answers) {
  struct Known {
    std::uint64_t seed, tick, block;
    std::array<std::uint32_t, 4> expected;
  };
  const Known all[] = {
      {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {~std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Known& known : all) {
    const er::Philox got = er::philox(known.seed, known.tick, known.block);
    for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(got.x[i] == known.expected[i]);
  }
}

BOOST_AUTO_TEST_CASE(uniform_numbers_from_bits) {
  BOOST_TEST(er::uniform(0U) == 0.0F);
  BOOST_TEST(er::uniform(0xFFU) == 0.0F);
  BOOST_TEST(er::uniform(0x100U) == 0x1p-24F);
  BOOST_TEST(er::uniform(~0U) == 1.0F - 0x1p-24F);
  BOOST_TEST(er::uniform(0U, 0U) == 0.0);
  BOOST_TEST(er::uniform(0x800U, 0U) == 0x1p-53);
  BOOST_TEST(er::uniform(0U, 0x80000000U) == 0.5);
  BOOST_TEST(er::uniform(~0U, ~0U) == 1.0 - 0x1p-53);
}

BOOST_AUTO_TEST_CASE(logarithm) {
  Draw draw(3);
  const auto check = [](double x) {
    const double got = er::log_by_series(x);
    const double expected = std::log(x);
    if (!(std::abs(got - expected) <= 1e-14 * std::max(std::abs(expected), 1e-3))) {
      BOOST_ERROR("log of " << x << " is " << got << ", expected " << expected);
    }
  };
  for (int i = 0; i < 200000; ++i) {
    const double u = 1.0 - draw.unit();
    check(u);
    check(std::ldexp(u, static_cast<int>(draw.integer(-1000, 1000))));
  }
  for (const double x :
       {0x1p-53, 1.0 - 0x1p-53, 1.0, 1.0 + 0x1p-52, 1.4142135623730951, 1.414213562373095, 0.70710678118654757, 2.0}) {
    check(x);
  }
  BOOST_TEST(er::log_by_series(1.0) == 0.0);
}

BOOST_AUTO_TEST_CASE(sine_and_cosine) {
  constexpr long double turn = 6.283185307179586476925286766559005768L;
  Draw draw(4);
  const auto check = [&](double u) {
    const er::SinCos got = er::sin_cos_of_turn(u);
    const long double angle = turn * static_cast<long double>(u);
    if (!(std::abs(static_cast<double>(std::sin(angle) - static_cast<long double>(got.sin))) <= 1e-14) ||
        !(std::abs(static_cast<double>(std::cos(angle) - static_cast<long double>(got.cos))) <= 1e-14)) {
      BOOST_ERROR("sine and cosine of " << u << " turns are " << got.sin << " and " << got.cos);
    }
  };
  for (int i = 0; i < 100000; ++i) check(draw.unit());
  for (int i = 0; i < 64; ++i) {
    check(i / 64.0);
    check((i + 1) / 64.0 - 0x1p-53);
  }
}

// --- derivatives of the elementwise rules, by differences

BOOST_AUTO_TEST_CASE(derivatives) {
  constexpr double eps = 1e-6;
  for (const double x : {-2.1, -0.3, 0.4, 1.7}) {
    const auto check = [&](const char* name, const std::function<double(double)>& f, double derivative) {
      const double numerical = (f(x + eps) - f(x - eps)) / (2 * eps);
      BOOST_TEST(std::abs(numerical - derivative) <= 1e-7,
                 name << " at " << x << ": " << derivative << ", by differences " << numerical);
    };
    namespace r = er;
    check(
        "neg", [](double v) { return r::Neg::f(v); }, r::Neg::df(x));
    check(
        "exp", [](double v) { return r::Exp::f(v); }, r::Exp::df(r::Exp::f(x)));
    check(
        "sigmoid", [](double v) { return r::Sigmoid::f(v); }, r::Sigmoid::df(r::Sigmoid::f(x)));
    check(
        "tanh", [](double v) { return r::Tanh::f(v); }, r::Tanh::df(r::Tanh::f(x)));
    check(
        "relu", [](double v) { return r::Relu::f(v); }, r::Relu::df(r::Relu::f(x)));
    if (x > 0)
      check(
          "log", [](double v) { return r::Log::f(v); }, r::Log::df(x));
  }
  BOOST_TEST(er::Relu::df(0.0) == 0.0);
  BOOST_TEST(std::isnan(er::Relu::f(std::nan(""))));
}

BOOST_AUTO_TEST_CASE(lstm_cell) {
  namespace r = er;
  const std::array<double, 5> start{0.3, -0.7, 1.1, 0.2, -0.4};  // z and c
  // 2 h' + 3 c'
  const auto value = [](const std::array<double, 5>& x) {
    const double c = logistic(x[1]) * x[4] + logistic(x[0]) * std::tanh(x[2]);
    return 2 * logistic(x[3]) * std::tanh(c) + 3 * c;
  };
  const r::LstmGates<double> gate = r::lstm_gates(start[0], start[1], start[2], start[3]);
  const double c = r::lstm_cell(gate, start[4]);
  BOOST_TEST(std::abs(2 * gate.o * std::tanh(c) + 3 * c - value(start)) <= 1e-14);
  const r::LstmCellGrad<double> grad = r::lstm_cell_grad(gate, start[4], std::tanh(c), 2.0, 3.0);
  const std::array<double, 5> got{grad.z.i, grad.z.f, grad.z.g, grad.z.o, grad.c};
  for (std::size_t i = 0; i < 5; ++i) {
    std::array<double, 5> above = start, below = start;
    above[i] += 1e-6;
    below[i] -= 1e-6;
    const double numerical = (value(above) - value(below)) / 2e-6;
    BOOST_TEST(std::abs(got[i] - numerical) <= 1e-8, i << ": " << got[i] << ", by differences " << numerical);
  }
}

// --- optimizers' small print

BOOST_AUTO_TEST_CASE(dust_and_the_larger_one) {
  namespace r = er;
  BOOST_TEST(r::without_dust(0.9e-30F) == 0.0F);
  BOOST_TEST(r::without_dust(-0.9e-30F) == 0.0F);
  BOOST_TEST(r::without_dust(1.1e-30F) == 1.1e-30F);
  BOOST_TEST(r::without_dust(1e-300) == 1e-300);
  BOOST_TEST(std::isnan(r::without_dust(not_a_number)));
  BOOST_TEST(r::larger(1.0, 2.0) == 2.0);
  BOOST_TEST(r::larger(2.0F, 1.0F) == 2.0F);
  BOOST_TEST(std::isnan(r::larger(1.0, std::nan(""))));
  BOOST_TEST(std::isnan(r::larger(std::nan(""), 1.0)));
}

// A step without a gradient, as it is and as a span of one step.
BOOST_AUTO_TEST_CASE(idle_steps) {
  namespace r = er;
  const r::SgdCoefficients<double> sgd{
      .lr = 0.1, .momentum = 0.9, .fresh = 0.5, .weight_decay = 0.01, .keep = 1, .sign = -1};
  double w = 0.7, b = 0.3, none = 0;
  double w_idle = w, b_idle = b;
  r::Sgd<true, true, r::Decay::coupled>::step(sgd, w, 0.0, b, none, none);
  BOOST_TEST(std::abs(b - (0.9 * 0.3 + 0.5 * 0.007)) < 1e-16);
  BOOST_TEST(std::abs(w - (0.7 - 0.1 * (0.007 + 0.9 * b))) < 1e-16);
  const r::LinearSpan<double> linear{
      .near = 1, .rest = -0.1 * (0.01 + 0.9 * 0.005), .w_from_b = -0.1 * 0.81, .b_from_w = 0.005, .b_from_b = 0.9};
  double w_then = 0;
  r::LinearIdle::drift<1>(linear, &none, &w_idle, &b_idle, &none, &none, &w_then);
  r::LinearIdle::age<1>(linear, &w_idle, &b_idle, &none, &none);
  w_idle = w_then;
  BOOST_TEST(std::abs(w - w_idle) < 1e-15);
  BOOST_TEST(std::abs(b - b_idle) < 1e-15);

  const r::AdamCoefficients<double> adam{.step_size = 1e-2,
                                         .fresh1 = 0.1,
                                         .beta2 = 0.999,
                                         .fresh2 = 0.001,
                                         .root_correction2 = 0.5,
                                         .eps = 1e-8,
                                         .weight_decay = 0.1,
                                         .keep = 1,
                                         .sign = -1};
  double p = 0.7, m = 0.3, v = 0.2, v_max = 0.25;
  r::Adam<r::Decay::coupled, true>::step(adam, p, 0.0, m, v, v_max);
  BOOST_TEST(std::abs(m - (0.3 + (0.07 - 0.3) * 0.1)) < 1e-15);
  BOOST_TEST(std::abs(v - (0.2 * 0.999 + 0.001 * 0.07 * 0.07)) < 1e-15);
  BOOST_TEST(v_max == 0.25);
  BOOST_TEST(std::abs(p - (0.7 - 1e-2 * m / (std::sqrt(0.25) / 0.5 + 1e-8))) < 1e-15);
}

BOOST_AUTO_TEST_SUITE_END()

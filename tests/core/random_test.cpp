#include <embergrad/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/tensor.hpp>

#include "kernels/rules/philox.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Generator;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr std::int64_t million = 1'000'000;

// Central moments.
struct Moments {
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};

Moments moments_of(const std::vector<double>& x) {
  Moments m;
  const auto n = static_cast<double>(x.size());
  for (const double each : x) m.mean += each / n;
  for (const double each : x) {
    const double d = each - m.mean;
    m.variance += d * d / n;
    m.skewness += d * d * d / n;
    m.kurtosis += d * d * d * d / n;
  }
  m.skewness /= std::pow(m.variance, 1.5);
  m.kurtosis /= m.variance * m.variance;
  return m;
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const Moments ma = moments_of(a), mb = moments_of(b);
  double product = 0;
  for (std::size_t i = 0; i < a.size(); ++i) product += (a[i] - ma.mean) * (b[i] - mb.mean);
  return product / (static_cast<double>(a.size()) * std::sqrt(ma.variance * mb.variance));
}

bool near(double got, double expected, double allowed) { return std::abs(got - expected) <= allowed; }

Tensor uniform(std::int64_t n, DType dtype, Generator& generator) { return eg::rand({n}, {dtype, {}}, generator); }
Tensor normal(std::int64_t n, DType dtype, Generator& generator) { return eg::randn({n}, {dtype, {}}, generator); }

}  // namespace

// A namespace of its own: the C library has a function of the suite's name.
namespace random_test {

BOOST_AUTO_TEST_SUITE(random)

// Bounds are five standard deviations.
BOOST_AUTO_TEST_CASE(uniform_numbers) {
  for_computing_types([](DType dtype) {
    Generator generator(17);
    const std::vector<double> x = uniform(million, dtype, generator).to_vector<double>();
    BOOST_TEST(*std::min_element(x.begin(), x.end()) >= 0.0);
    BOOST_TEST(*std::max_element(x.begin(), x.end()) < 1.0);
    BOOST_TEST(*std::min_element(x.begin(), x.end()) < 1e-4);
    BOOST_TEST(*std::max_element(x.begin(), x.end()) > 1.0 - 1e-4);
    const Moments m = moments_of(x);
    BOOST_TEST(near(m.mean, 0.5, 5 * 0.2887e-3), "mean " << m.mean);
    BOOST_TEST(near(m.variance, 1.0 / 12, 5 * 7.5e-5), "variance " << m.variance);
    std::vector<int> bins(100);
    for (const double each : x) ++bins[static_cast<std::size_t>(each * 100)];
    for (const int count : bins) BOOST_TEST(near(count, 10000, 5 * 99.5));
  });
}

BOOST_AUTO_TEST_CASE(normal_numbers) {
  for_computing_types([](DType dtype) {
    Generator generator(18);
    const std::vector<double> x = normal(million, dtype, generator).to_vector<double>();
    const Moments m = moments_of(x);
    BOOST_TEST(near(m.mean, 0, 5e-3), "mean " << m.mean);
    BOOST_TEST(near(m.variance, 1, 5 * 1.414e-3), "variance " << m.variance);
    BOOST_TEST(near(m.skewness, 0, 5 * 2.45e-3), "skewness " << m.skewness);
    BOOST_TEST(near(m.kurtosis, 3, 5 * 4.9e-3), "kurtosis " << m.kurtosis);
    // how many are beyond 0, 1, 2, 3 and 4 standard deviations, on each side
    for (const double limit : {0.0, 1.0, 2.0, 3.0, 4.0}) {
      const double share = 0.5 * std::erfc(limit / std::sqrt(2.0));
      const double allowed = 5 * std::sqrt(share * (1 - share) * million) + 1;
      double above = 0, below = 0;
      for (const double each : x) {
        if (each > limit) ++above;
        if (each < -limit) ++below;
      }
      BOOST_TEST(near(above, share * million, allowed), above << " are above " << limit);
      BOOST_TEST(near(below, share * million, allowed), below << " are below " << -limit);
    }
    // neighbours come from one block
    std::vector<double> even, odd;
    for (std::size_t i = 0; i + 1 < x.size(); i += 2) {
      even.push_back(x[i]);
      odd.push_back(x[i + 1]);
    }
    BOOST_TEST(near(correlation(even, odd), 0, 5 * 1.414e-3));
    BOOST_TEST(near(moments_of(even).variance, moments_of(odd).variance, 0.02));
  });
}

BOOST_AUTO_TEST_CASE(the_stated_bits) {
  Generator generator(0x123456789ABCDEF0);
  generator.set_state(0x123456789ABCDEF0, 5);
  const Tensor singles = uniform(11, DType::float32, generator);
  const Tensor doubles = uniform(11, DType::float64, generator);
  const Tensor normals = normal(11, DType::float64, generator);
  const Tensor normal_singles = normal(11, DType::float32, generator);
  BOOST_TEST(generator.tick() == 9U);
  for (std::int64_t i = 0; i < 11; ++i) {
    const auto block = [&](std::uint64_t tick, std::int64_t width) {
      return eg::rules::philox(0x123456789ABCDEF0, tick, static_cast<std::uint64_t>(i / width));
    };
    BOOST_TEST(singles.data<float>()[i] == eg::rules::uniform(block(5, 4).x[i % 4]));
    const eg::rules::Philox words = block(6, 2);
    BOOST_TEST(doubles.data<double>()[i] == eg::rules::uniform(words.x[2 * (i % 2)], words.x[2 * (i % 2) + 1]));
    const eg::rules::SinCos pair = eg::rules::normal_pair(block(7, 2));
    BOOST_TEST(normals.data<double>()[i] == (i % 2 == 0 ? pair.sin : pair.cos));
    const eg::rules::SinCos single = eg::rules::normal_pair(block(8, 2));
    BOOST_TEST(normal_singles.data<float>()[i] == static_cast<float>(i % 2 == 0 ? single.sin : single.cos));
  }
}

BOOST_AUTO_TEST_CASE(same_seed_same_bits) {
  for_computing_types([](DType dtype) {
    Generator first(99), second(99), other(100);
    const Tensor a = uniform(1001, dtype, first), an = normal(1001, dtype, first);
    BOOST_TEST(same_bits("rand", uniform(1001, dtype, second), a));
    BOOST_TEST(same_bits("randn", normal(1001, dtype, second), an));
    BOOST_TEST(!same_bits("rand", uniform(1001, dtype, other), a));
    // an element doesn't depend on how many there are, nor on their shape
    first.manual_seed(99);
    BOOST_TEST(same_bits("fewer", uniform(7, dtype, first), eg::narrow(a, 0, 0, 7)));
    BOOST_TEST(same_bits("shaped", eg::randn({7, 11, 13}, {dtype, {}}, first), an.reshape({7, 11, 13})));
  });
}

BOOST_AUTO_TEST_CASE(each_draw_takes_one_tick) {
  Generator generator(3);
  BOOST_TEST(generator.seed() == 3U);
  BOOST_TEST(generator.tick() == 0U);
  const Tensor first = uniform(5000, DType::float32, generator);
  BOOST_TEST(generator.tick() == 1U);
  const Tensor second = uniform(5000, DType::float32, generator);
  BOOST_TEST(generator.tick() == 2U);
  BOOST_TEST(!same_bits("", first, second));
  BOOST_TEST(near(correlation(first.to_vector<double>(), second.to_vector<double>()), 0, 5 / std::sqrt(5000.0)));
  Generator neighbour(4);
  const Tensor other = uniform(5000, DType::float32, neighbour);
  BOOST_TEST(near(correlation(first.to_vector<double>(), other.to_vector<double>()), 0, 5 / std::sqrt(5000.0)));

  const Generator::Ticket ticket = generator.next();
  BOOST_TEST(ticket.seed == 3U);
  BOOST_TEST(ticket.tick == 2U);
  BOOST_TEST(generator.tick() == 3U);
}

BOOST_AUTO_TEST_CASE(states_are_saved_and_restored) {
  Generator generator(5);
  static_cast<void>(normal(10, DType::float32, generator));
  Generator copy = generator;
  const std::uint64_t seed = generator.seed(), tick = generator.tick();
  const Tensor next = normal(10, DType::float32, generator);
  BOOST_TEST(same_bits("copy", normal(10, DType::float32, copy), next));
  BOOST_TEST(copy.tick() == generator.tick());
  static_cast<void>(normal(10, DType::float32, copy));
  BOOST_TEST(copy.tick() == generator.tick() + 1);  // each goes its own way
  Generator restored(0);
  restored.set_state(seed, tick);
  BOOST_TEST(same_bits("restored", normal(10, DType::float32, restored), next));
  restored.manual_seed(5);
  BOOST_TEST(restored.tick() == 0U);
  static_cast<void>(normal(10, DType::float32, restored));
  BOOST_TEST(same_bits("seeded", normal(10, DType::float32, restored), next));
}

BOOST_AUTO_TEST_CASE(the_default_generator) {
  Generator& generator = eg::default_generator();
  const Generator before = generator;
  eg::manual_seed(77);
  BOOST_TEST(generator.seed() == 77U);
  BOOST_TEST(generator.tick() == 0U);
  const Tensor a = eg::rand({9});
  const Tensor b = eg::randn({9});
  const Tensor c = eg::dropout(eg::ones({9}));
  BOOST_TEST(generator.tick() == 3U);
  Generator own(77);
  BOOST_TEST(same_bits("rand", eg::rand({9}, {}, own), a));
  BOOST_TEST(same_bits("randn", eg::randn({9}, {}, own), b));
  BOOST_TEST(same_bits("dropout", eg::dropout(eg::ones({9}), {.generator = &own}), c));
  generator = before;
}

BOOST_AUTO_TEST_CASE(edges) {
  Generator generator(1);
  BOOST_TEST((eg::rand({0}, {}, generator).shape() == eg::Shape{0}));
  BOOST_TEST((eg::randn({3, 0}, {}, generator).shape() == eg::Shape{3, 0}));
  BOOST_TEST((eg::randn({}, {}, generator).shape() == eg::Shape{}));
  BOOST_TEST((eg::rand({2}, {}, generator).dtype() == DType::float32));
  BOOST_TEST(!eg::rand({2}, {}, generator).requires_grad());
  for (const DType dtype : {DType::int32, DType::int64}) {
    BOOST_TEST(refuses<eg::DTypeError>(
        [&] {
          return eg::rand({2}, {dtype, {}}, generator);
        },
        {"rand", name_of(dtype)}));
    BOOST_TEST(refuses<eg::DTypeError>(
        [&] {
          return eg::randn({2}, {dtype, {}}, generator);
        },
        {"randn", name_of(dtype)}));
  }
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::rand({-1}, {}, generator); }, {"-1"}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace random_test

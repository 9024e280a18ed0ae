// Bags: sums, largest numbers, gradients of weights; the CPU's bits.
#include "cuda/embedding_bag.hpp"

#include <cmath>
#include <numeric>
#include <type_traits>

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

template <class Row>
using Computed = std::conditional_t<std::is_same_v<Row, double>, double, float>;

// Numbers of many sizes, so that another order gives other bits; small integers where equal ones are wanted.
template <class T>
Numbers<T> table_of(Draw& draw, std::int64_t count, std::int64_t shift, bool integers) {
  Numbers<T> numbers(count, shift);
  for (std::int64_t i = 0; i < count; ++i) {
    const double many = draw.uniform(-1, 1) * std::ldexp(1.0, static_cast<int>(draw.integer(0, 12)));
    const double few = draw.integer(0, 40) == 0 ? NAN : static_cast<double>(draw.integer(-2, 2));
    numbers.data()[i] = eg::rules::Converter<T, double>::f(integers ? few : many);
  }
  return numbers;
}

// Bags of these lengths, and all that requests on them take.
template <class Row, class Index>
struct Case {
  using T = Computed<Row>;
  static constexpr std::int64_t table_rows = 11;

  Draw draw;
  std::int64_t dim, bags;
  Numbers<Row> table;
  Numbers<Index> index;
  Numbers<std::int64_t> starts;
  Numbers<T> weights, divisors, out, grad;
  Numbers<std::int32_t> winners;
  eg::Bags request;
  std::string what;

  Case(const std::vector<std::int64_t>& lengths, std::int64_t width, int variant, bool integers)
      : draw(static_cast<std::uint64_t>(width + variant)),
        dim(width),
        bags(static_cast<std::int64_t>(lengths.size())),
        table(table_of<Row>(draw, table_rows * dim, variant % 3 == 2 ? 1 : 0, integers)),
        index(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}), 1),
        starts(bags + 1, 0),
        weights(table_of<T>(draw, index.count(), 1, integers)),
        divisors(Numbers<T>::drawn(draw, bags, 1)),
        out(Numbers<T>::drawn(draw, bags * dim, 0)),
        grad(table_of<T>(draw, bags * dim, 0, false)),
        winners(bags * dim, 0),
        what(fmt::format("width {}, variant {}", dim, variant)) {
    starts.data()[0] = 0;
    for (std::int64_t b = 0; b < bags; ++b) {
      starts.data()[b + 1] = starts.data()[b] + lengths[static_cast<std::size_t>(b)];
    }
    for (std::int64_t i = 0; i < index.count(); ++i)
      index.data()[i] = static_cast<Index>(draw.integer(0, table_rows - 1));
    request = {.table = table.view(),
               .index = index.view(),
               .weights = variant % 2 == 1 ? weights.view() : eg::View{nullptr, eg::dtype_of<T>, 0},
               .dim = dim,
               .starts = starts.data(),
               .count = bags,
               .skip = variant % 4 >= 2 ? 3 : -1};
  }
};

const std::vector<std::int64_t> lengths = {3, 0, 1, 64, 65, 2, 40, 130, 0, 7, 16, 17};

// Calls body(Row{}, Index{}) for tables of all types.
template <class Body>
void for_tables(const Body& body) {
  body(float{}, std::int64_t{});
  body(float{}, std::int32_t{});
  body(double{}, std::int64_t{});
  body(eg::Float16{}, std::int32_t{});
  body(eg::BFloat16{}, std::int64_t{});
}

template <class Row, class Index>
void check_sum(const std::vector<std::int64_t>& of, std::int64_t dim, int variant, bool mean) {
  Case<Row, Index> test(of, dim, variant, false);
  // Weights whose sum is 0.
  if (variant % 2 == 1 && test.index.count() >= 3) {
    const double zero_sum[] = {0.5, 0.25, -0.75};
    for (int i = 0; i < 3; ++i) test.weights.data()[i] = static_cast<Computed<Row>>(zero_sum[i]);
    for (int i = 0; i < 3; ++i) test.index.data()[i] = 0;
  }
  const eg::SumBags request{.bags = test.request,
                            .mean = mean,
                            .scale = variant % 5 == 1 ? -0.3 : 1,
                            .out = test.out.view(),
                            .divisors = test.divisors.view()};
  const auto seed = static_cast<std::uint64_t>(variant);
  expect_same_bits("SumBags of " + test.what, request, test.out, seed);
  if (!mean) return;
  auto by_cpu = test.divisors;
  auto by_body = test.divisors;
  eg::SumBags other = request;
  other.divisors = by_cpu.view();
  run(eg::OnCpu{}, other);
  other.divisors = by_body.view();
  eg::cuda::run_with(AnyGrid{seed + 1}, other);
  for (std::int64_t b = 0; b < test.bags; ++b) BOOST_TEST(by_cpu.data()[b] == by_body.data()[b]);
}

template <class Row, class Index>
void check_max(std::int64_t dim, int variant) {
  Case<Row, Index> test(lengths, dim, variant, true);
  const eg::MaxBags request{.bags = test.request,
                            .scale = variant % 5 == 1 ? -0.3 : 1,
                            .out = test.out.view(),
                            .winners = test.winners.data()};
  const auto seed = static_cast<std::uint64_t>(variant);
  expect_same_bits("MaxBags of " + test.what, request, test.out, seed);
  auto by_cpu = test.winners;
  auto by_body = test.winners;
  eg::MaxBags other = request;
  other.winners = by_cpu.data();
  run(eg::OnCpu{}, other);
  other.winners = by_body.data();
  eg::cuda::run_with(AnyGrid{seed + 1}, other);
  for (std::int64_t i = 0; i < by_cpu.count(); ++i) BOOST_TEST(by_cpu.data()[i] == by_body.data()[i]);
}

template <class Row, class Index>
void check_weights(std::int64_t dim, int variant) {
  Case<Row, Index> test(lengths, dim, variant * 2 + 1, false);
  for (std::int64_t i = 0; i < test.winners.count(); ++i) {
    test.winners.data()[i] = static_cast<std::int32_t>(test.draw.integer(0, 2));
  }
  for (std::int64_t b = 0; b < test.bags; ++b) {
    test.divisors.data()[b] = static_cast<Computed<Row>>(test.draw.integer(0, 3) == 0 ? 0 : test.draw.uniform(1, 9));
  }
  auto out = Numbers<Computed<Row>>::drawn(test.draw, test.index.count(), 0);
  eg::BagWeightGrads request{.bags = test.request,
                             .grad = test.grad.view(),
                             .divisors = {nullptr, eg::dtype_of<Computed<Row>>, 0},
                             .winners = nullptr,
                             .scale = variant % 2 == 0 ? 1 : -0.7,
                             .out = out.view()};
  for (int seed = 0; seed < 4; ++seed) {
    expect_same_bits("BagWeightGrads of " + test.what, request, out, static_cast<std::uint64_t>(seed));
  }
  request.divisors = test.divisors.view();
  expect_same_bits("BagWeightGrads of a mean, " + test.what, request, out, 0);
  expect_same_bits("BagWeightGrads of a mean, " + test.what, request, out, 1);
  request.divisors.data = nullptr;
  request.winners = test.winners.data();
  expect_same_bits("BagWeightGrads of winners, " + test.what, request, out, 2);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(embedding_bag)

BOOST_AUTO_TEST_CASE(sums) {
  for_tables([]<class Row, class Index>(Row, Index) {
    for (const std::int64_t dim : widths({0, 1, 3, 4, 30, 64, 128})) {
      for (int variant = 0; variant < 8; ++variant) {
        check_sum<Row, Index>(lengths, dim, variant, false);
        check_sum<Row, Index>(lengths, dim, variant, true);
      }
    }
  });
  // Bags whose blocks of 64 have blocks of 64, and no bags at all.
  for (int variant = 0; variant < 4; ++variant) check_sum<float, std::int64_t>({4096, 4097, 5000}, 3, variant, true);
  check_sum<float, std::int64_t>({70000}, 1, 3, true);
  check_sum<float, std::int64_t>({}, 4, 1, true);
  // Blocks that take bags several times.
  std::vector<std::int64_t> many(150);
  for (std::size_t b = 0; b < many.size(); ++b) many[b] = static_cast<std::int64_t>(b * 7 % 40);
  for (int variant = 0; variant < 8; ++variant) check_sum<float, std::int64_t>(many, 3, variant, true);
}

BOOST_AUTO_TEST_CASE(largest) {
  for_tables([]<class Row, class Index>(Row, Index) {
    for (const std::int64_t dim : widths({0, 1, 3, 4, 30, 64, 128})) {
      for (int variant = 0; variant < 8; ++variant) check_max<Row, Index>(dim, variant);
    }
  });
}

BOOST_AUTO_TEST_CASE(gradients_of_weights) {
  for_tables([]<class Row, class Index>(Row, Index) {
    for (const std::int64_t dim : widths({0, 1, 15, 16, 17, 64, 100})) {
      for (int variant = 0; variant < 4; ++variant) check_weights<Row, Index>(dim, variant);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()

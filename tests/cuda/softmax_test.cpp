// Teams of threads in the CPU's order of summation. exp of float32 is our own: softmax has the CPU's bits on a GPU too;
// log and what float64 takes from the C library agree to a tolerance there, and to the bit here.
#include "cuda/softmax.hpp"

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

// Numbers of many sizes, so that another order gives other bits; the rows that `specials` picks hold some of those too.
template <class T>
Numbers<T> rows_of(Draw& draw, std::int64_t size, std::int64_t shift, bool specials) {
  auto numbers = Numbers<T>::drawn(draw, size, shift);
  for (std::int64_t i = 0; i < size; ++i) {
    if (!specials || draw.integer(0, 99) != 0) numbers.data()[i] = static_cast<T>(draw.uniform(-6, 6));
  }
  return numbers;
}

struct Sizes {
  std::int64_t outer, count, inner;
};

template <class T>
void check(Sizes sizes, std::uint64_t first_seed, int orders) {
  const std::int64_t outer = sizes.outer;
  const std::int64_t count = sizes.count;
  const std::int64_t inner = sizes.inner;
  const std::int64_t size = outer * count * inner;
  Draw draw(first_seed);
  const std::int64_t shift = first_seed % 3 == 2 ? 1 : 0;
  auto in = rows_of<T>(draw, size, shift, first_seed % 2 == 1);
  auto grad = rows_of<T>(draw, size, 0, first_seed % 4 == 3);
  for (int order = 0; order < orders; ++order) {
    const auto seed = first_seed + static_cast<std::uint64_t>(order);
    for (const bool log : {false, true}) {
      auto out = Numbers<T>::drawn(draw, size, 0);
      const std::string name = fmt::format("{} of ({}, {}, {})", log ? "log-softmax" : "softmax", outer, count, inner);
      expect_same_bits(name, eg::Softmax{in.view(), out.view(), outer, count, inner, log}, out, seed);
      eg::run(eg::OnCpu{}, eg::Softmax{in.view(), out.view(), outer, count, inner, log});
      const auto grad_request = [&](Numbers<T>& grad_in) {
        return eg::SoftmaxGrad{out.view(), grad.view(), grad_in.view(), outer, count, inner, log};
      };
      const auto same = [&](Numbers<T>& by_body, Numbers<T>& by_cpu) {
        expect_same("gradient of " + name, seed, by_body, by_cpu);
      };
      run_both("gradient of " + name, seed, grad_request, same, Numbers<T>::drawn(draw, size, shift));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(softmax)

BOOST_AUTO_TEST_CASE(along_the_last_dimension) {
  std::uint64_t seed = 0;
  for (const std::int64_t count :
       {0, 1, 2, 3, 4, 15, 16, 17, 30, 31, 32, 33, 64, 65, 100, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097}) {
    for (const std::int64_t outer : {1, 3}) {
      check<float>({outer, count, 1}, seed, count > 1000 ? 2 : 5);
      check<double>({outer, count, 1}, seed + 1, count > 1000 ? 2 : 5);
      ++seed;
    }
  }
}

// Beyond 64 blocks of 64 terms in each lane, and more than a block's threads add side by side.
BOOST_AUTO_TEST_CASE(long_rows) {
  std::uint64_t seed = 0;
  for (const std::int64_t count : {32768, 65536, 65537, 70001, 140000}) {
    check<float>({1, count, 1}, seed, 2);
    check<double>({1, count, 1}, seed, 2);
    ++seed;
  }
}

BOOST_AUTO_TEST_CASE(along_a_middle_dimension) {
  std::uint64_t seed = 0;
  for (const std::int64_t inner : {2, 7, 33, 64}) {
    for (const std::int64_t count : {0, 1, 3, 17, 64, 1025, 4100}) {
      check<float>({count > 1000 ? 1 : 3, count, inner}, seed, 2);
      check<double>({count > 1000 ? 1 : 3, count, inner}, seed + 1, 2);
      ++seed;
    }
  }
}

BOOST_AUTO_TEST_CASE(many_rows) {
  for (const std::int64_t outer : {0, 31, 63, 64, 65, 257, 5000}) check<float>({outer, 5, 1}, 1, 2);
  check<float>({3, 2, 1300}, 1, 2);
}

BOOST_AUTO_TEST_SUITE_END()

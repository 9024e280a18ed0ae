// The expected numbers come from the functions rnd_u and order_of of the PyTorch program that embergrad is compared
// with.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/text/order.hpp>
#include <vector>

using embergrad::text::permutation;
using embergrad::text::uniform;
using Order = std::vector<int64_t>;

BOOST_AUTO_TEST_SUITE(order)

BOOST_AUTO_TEST_CASE(numbers_are_the_same_to_the_bit) {
  BOOST_TEST(uniform(1001, 0) == 0.32516485265275463);
  BOOST_TEST(uniform(1001, 1) == 0.22957386292461301);
  BOOST_TEST(uniform(1001, 2) == 0.22834268113978828);
  BOOST_TEST(uniform(1001, 3) == 0.48398630905115814);
  BOOST_TEST(uniform(~uint64_t{0}, 0) == 0.8939429202831845);
  BOOST_TEST(uniform(~uint64_t{0}, 1) == 0.9125972035944532);
  BOOST_TEST(uniform(5, 1000000000000) == 0.8665057420488461);
}

BOOST_AUTO_TEST_CASE(permutations_are_the_same) {
  BOOST_TEST(permutation(10, 1001) == (Order{4, 8, 7, 0, 5, 6, 9, 1, 2, 3}), boost::test_tools::per_element());
  BOOST_TEST(permutation(10, 3005) == (Order{0, 4, 8, 3, 2, 5, 9, 6, 7, 1}), boost::test_tools::per_element());
  Order order = permutation(12544, 1001);
  uint64_t sum = 0;
  for (std::size_t i = 0; i < order.size(); ++i) sum += (i + 1) * static_cast<uint64_t>(order[i]);
  BOOST_TEST(sum == 494193643819U);
  BOOST_TEST(order[0] == 9246);
  BOOST_TEST(order[12543] == 4078);
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) BOOST_REQUIRE(order[i] == static_cast<int64_t>(i));
}

BOOST_AUTO_TEST_CASE(small_and_wrong_sizes) {
  BOOST_TEST(permutation(0, 1).empty());
  BOOST_TEST(permutation(1, 1) == Order{0}, boost::test_tools::per_element());
  BOOST_CHECK_THROW((void)permutation(-1, 1), embergrad::ValueError);
}

BOOST_AUTO_TEST_SUITE_END()

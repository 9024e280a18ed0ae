// The short run of what libFuzzer runs for long: inputs from a fixed seed.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

BOOST_AUTO_TEST_SUITE(fuzz)

BOOST_AUTO_TEST_CASE(bags_of_any_bytes) {
  std::mt19937 random(20260101);
  int taken = 0;
  for (int i = 0; i < 4000; ++i) {
    std::vector<std::uint8_t> bytes(random() % 400);
    // Bytes that stand for something unusual are so rare in one half that most inputs are valid.
    const std::uint32_t bound = i % 2 == 0 ? 0xF0 : 0x100;
    std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::uint8_t>(random() % bound); });
    BOOST_TEST_CONTEXT("input " << i) {
      BOOST_CHECK_NO_THROW(taken += LLVMFuzzerTestOneInput(bytes.data(), bytes.size()) == 0);
    }
  }
  BOOST_TEST(taken > 3500);
}

BOOST_AUTO_TEST_SUITE_END()

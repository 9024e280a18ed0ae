// Random inputs of tests: from a seed alone, and by another road than the library's generator.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

#include <embergrad/tensor.hpp>

namespace embergrad::test {

class Draw {
 public:
  // Other inputs for another EMBERGRAD_TEST_SEED.
  explicit Draw(std::uint64_t seed) : bits_(seed + 1000003 * seed_of_run()) {}

  // [0, 1)
  double unit() { return std::ldexp(static_cast<double>(bits_() >> 11), -53); }
  double uniform(double low, double high) { return low + (high - low) * unit(); }
  // low … high, both included. The bias of the remainder is of no account here.
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(bits_() % static_cast<std::uint64_t>(high - low + 1));
  }

  Tensor uniform(const Shape& shape, DType dtype = DType::float32, double low = -1.0, double high = 1.0) {
    std::vector<double> values(static_cast<std::size_t>(shape.numel()));
    for (double& value : values) value = uniform(low, high);
    return tensor(values, shape).to(dtype);
  }
  Tensor integers(const Shape& shape, std::int64_t low, std::int64_t high, DType dtype = DType::int64) {
    std::vector<std::int64_t> values(static_cast<std::size_t>(shape.numel()));
    for (std::int64_t& value : values) value = integer(low, high);
    return tensor(values, shape).to(dtype);
  }

 private:
  static std::uint64_t seed_of_run() {
    const char* seed = std::getenv("EMBERGRAD_TEST_SEED");
    return seed == nullptr ? 0 : std::strtoull(seed, nullptr, 10);
  }

  std::mt19937_64 bits_;
};

}  // namespace embergrad::test

/// @file
/// Row numbers by Zipf's law.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace common {

/// Row r, counted from 0, in proportion to (r + 1)^-1.05: the first is the most frequent.
class Zipf {
 public:
  static constexpr double exponent = 1.05;

  explicit Zipf(int64_t rows) {
    double sum = 0;
    sums_.reserve(static_cast<std::size_t>(rows));
    for (int64_t r = 1; r <= rows; ++r) sums_.push_back(sum += std::pow(static_cast<double>(r), -exponent));
  }

  [[nodiscard]] int64_t rows() const { return static_cast<int64_t>(sums_.size()); }
  /// The row that a number of [0, 1) stands for.
  [[nodiscard]] int64_t row(double u) const {
    const auto place = std::upper_bound(sums_.begin(), sums_.end(), u * sums_.back());
    return std::min<int64_t>(place - sums_.begin(), rows() - 1);
  }
  /// The probability of a row.
  [[nodiscard]] double share(int64_t row) const {
    return std::pow(static_cast<double>(row + 1), -exponent) / sums_.back();
  }

 private:
  std::vector<double> sums_;
};

}  // namespace common

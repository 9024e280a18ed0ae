// Sums in the order that contracts promise.
#pragma once

#include "kernels/host_device.hpp"

#include <cstdint>

namespace embergrad::cuda {

// Sums of terms, `width` of them side by side: in order by blocks of 64, their sums again by blocks of 64, and so on;
// the last level takes any number.
template <class T, int width, int levels>
class OrderedSum {
 public:
  static constexpr int terms_of_block = 64;

  EMBERGRAD_HD void add(const T* term) {
    if (terms_ > 0 && terms_ % terms_of_block == 0) carry();
    for (int j = 0; j < width; ++j) sums_[0][j] += term[j];
    ++terms_;
  }
  EMBERGRAD_HD void total(T* out) const {
    for (int j = 0; j < width; ++j) out[j] = sums_[0][j];
    std::int64_t most = terms_of_block;
    for (int level = 1; level < levels; ++level, most *= terms_of_block) {
      if (terms_ <= most) return;
      for (int j = 0; j < width; ++j) out[j] = sums_[level][j] + out[j];
    }
  }
  EMBERGRAD_HD std::int64_t terms() const { return terms_; }

 private:
  // A block is full, and others follow.
  EMBERGRAD_HD void carry() {
    std::int64_t blocks = terms_;
    for (int level = 0; level + 1 < levels; ++level) {
      for (int j = 0; j < width; ++j) {
        sums_[level + 1][j] += sums_[level][j];
        sums_[level][j] = T(0);
      }
      blocks /= terms_of_block;
      if (blocks % terms_of_block != 0) return;
    }
  }

  T sums_[levels][width] = {};
  std::int64_t terms_ = 0;
};

// Sixteen lanes' sums, added pairwise.
template <class T>
EMBERGRAD_HD T add_lanes(const T* lanes) {
  T sums[16];
  for (int j = 0; j < 16; ++j) sums[j] = lanes[j];
  for (int half = 8; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) sums[j] += sums[j + half];
  }
  return sums[0];
}

}  // namespace embergrad::cuda

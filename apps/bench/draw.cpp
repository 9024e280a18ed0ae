#include "draw.hpp"

#include <algorithm>
#include <common/zipf.hpp>
#include <embergrad/text/order.hpp>

namespace embergrad::bench {

std::vector<int64_t> draw_rows(uint64_t seed, int64_t rows, bool zipf, int64_t count) {
  std::vector<int64_t> drawn(static_cast<size_t>(count));
  const common::Zipf law(zipf ? rows : 0);
  for (int64_t i = 0; i < count; ++i) {
    const double u = text::uniform(seed, static_cast<uint64_t>(i));
    const int64_t row = zipf ? law.row(u) : static_cast<int64_t>(u * static_cast<double>(rows));
    drawn[static_cast<size_t>(i)] = std::min(row, rows - 1);
  }
  return drawn;
}

Tensor draw_gradient(const Shape& shape) {
  Tensor gradient = empty(shape);
  auto* element = gradient.mutable_data<float>();
  for (int64_t i = 0; i < gradient.numel(); ++i) {
    element[i] = static_cast<float>((text::uniform(5, static_cast<uint64_t>(i)) - 0.5) * 1e-3);
  }
  return gradient;
}

}  // namespace embergrad::bench

#include "draw.hpp"

#include <algorithm>
#include <cmath>
#include <common/zipf.hpp>
#include <embergrad/text/order.hpp>
#include <functional>

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

std::vector<int64_t> draw_spread_rows(uint64_t seed, int64_t rows, bool skewed, int64_t count) {
  constexpr double exponent = 1.05;
  const double top = std::pow(static_cast<double>(rows) + 1.0, 1.0 - exponent) - 1.0;
  std::vector<int64_t> drawn(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const double u = text::uniform(seed, static_cast<uint64_t>(i));
    int64_t& row = drawn[static_cast<size_t>(i)];
    if (!skewed) {
      row = std::min(static_cast<int64_t>(u * static_cast<double>(rows)), rows - 1);
      continue;
    }
    const auto rank = static_cast<int64_t>(std::floor(std::pow(top * u + 1.0, 1.0 / (1.0 - exponent)))) - 1;
    row = (std::clamp<int64_t>(rank, 0, rows - 1) * 2654435761 + 12345) % rows;
  }
  return drawn;
}

std::vector<int64_t> draw_lengths(uint64_t seed, int64_t batch, int64_t longest, Lengths kind) {
  std::vector<int64_t> lengths(static_cast<size_t>(batch));
  const int64_t quarter = longest / 4;
  const auto shortest = static_cast<double>(quarter);
  const auto spread = static_cast<double>(longest - quarter + 1);
  for (int64_t b = 0; b < batch; ++b) {
    const double u = text::uniform(seed, static_cast<uint64_t>(b));
    const double length =
        kind == Lengths::spread ? shortest + u * spread : std::floor(4 - 21.0 * std::log1p(-u * 0.995));
    lengths[static_cast<size_t>(b)] = std::clamp<int64_t>(static_cast<int64_t>(length), 1, longest);
  }
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  if (kind == Lengths::spread && !lengths.empty()) lengths.front() = longest;
  return lengths;
}

int64_t checksum_of(const std::vector<int64_t>& rows) {
  constexpr int64_t modulus = (int64_t{1} << 61) - 1;
  int64_t sum = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    sum = (sum + rows[i] * static_cast<int64_t>(i % 65521 + 1) % modulus) % modulus;
  }
  return sum;
}

int64_t distinct_count(std::vector<int64_t> rows) {
  std::sort(rows.begin(), rows.end());
  return std::unique(rows.begin(), rows.end()) - rows.begin();
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

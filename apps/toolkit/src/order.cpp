#include <embergrad/text/order.hpp>

#include <fmt/format.h>

#include <embergrad/error.hpp>
#include <numeric>
#include <utility>

namespace embergrad::text {

std::vector<int64_t> permutation(int64_t n, uint64_t seed) {
  if (n < 0) throw ValueError(fmt::format("permutation: of {} things", n));
  std::vector<int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  uint64_t k = 0;
  for (std::size_t i = order.size(); i-- > 1; ++k) {
    const auto j = static_cast<std::size_t>(uniform(seed, k) * static_cast<double>(i + 1));
    std::swap(order[i], order[j]);
  }
  return order;
}

}  // namespace embergrad::text

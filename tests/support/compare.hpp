// Comparing tensors, and saying where they differ.
#pragma once

#include <fmt/format.h>

#include <boost/test/tools/assertion_result.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <embergrad/dtype.hpp>
#include <embergrad/shape.hpp>
#include <embergrad/tensor.hpp>

#include "support/tolerances.hpp"

namespace embergrad::test {

// NaN is NaN, an infinity is itself.
inline bool is_close(double got, double expected, Tolerance allowed) {
  if (std::isnan(expected) || std::isnan(got)) return std::isnan(expected) && std::isnan(got);
  if (std::isinf(expected) || std::isinf(got)) return got == expected;
  return std::abs(got - expected) <= allowed.atol + allowed.rtol * std::abs(expected);
}

// "[1, 2]" for a position in row-major order.
inline std::string position_of(std::int64_t flat, const Shape& shape) {
  std::string text;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    text = std::to_string(flat % shape[d]) + (text.empty() ? "" : ", ") + text;
    flat /= shape[d];
  }
  return "[" + text + "]";
}

namespace detail {
template <class T, class Close>
std::string first_difference(const std::string& name, const Tensor& got, const Tensor& expected, const Close& close) {
  const std::vector<T> a = got.to_vector<T>();
  const std::vector<T> b = expected.to_vector<T>();
  std::size_t first = a.size();
  std::size_t count = 0;
  for (std::size_t i = a.size(); i-- > 0;) {
    if (close(a[i], b[i])) continue;
    first = i;
    ++count;
  }
  if (count == 0) return {};
  return fmt::format("{}{}: got {}, expected {} ({} of {} elements differ; {} {})", name,
                     position_of(static_cast<std::int64_t>(first), got.shape()), a[first], b[first], count, a.size(),
                     name_of(got.dtype()), got.shape().to_string());
}
}  // namespace detail

// Empty if `got` is `expected`: dtype, shape and elements; otherwise the first difference with both numbers.
inline std::string difference(const std::string& name, const Tensor& got, const Tensor& expected, Tolerance allowed) {
  if (got.defined() != expected.defined()) {
    return fmt::format("{}: got {} tensor, expected {}", name, got.defined() ? "a" : "an undefined",
                       expected.defined() ? "one" : "none");
  }
  if (!got.defined()) return {};
  if (got.dtype() != expected.dtype()) {
    return fmt::format("{}: got {}, expected {}", name, name_of(got.dtype()), name_of(expected.dtype()));
  }
  if (got.shape() != expected.shape()) {
    return fmt::format("{}: got shape {}, expected {}", name, got.shape().to_string(), expected.shape().to_string());
  }
  if (is_integer(got.dtype())) {
    return detail::first_difference<std::int64_t>(name, got, expected,
                                                  [](std::int64_t a, std::int64_t b) { return a == b; });
  }
  return detail::first_difference<double>(name, got, expected,
                                          [&](double a, double b) { return is_close(a, b, allowed); });
}

// For BOOST_TEST: `BOOST_TEST(close_to("grad", got, expected))` shows the difference.
inline boost::test_tools::assertion_result close_to(const std::string& name, const Tensor& got, const Tensor& expected,
                                                    Tolerance allowed) {
  const std::string text = difference(name, got, expected, allowed);
  boost::test_tools::assertion_result result(text.empty());
  result.message() << text;
  return result;
}
inline boost::test_tools::assertion_result close_to(const std::string& name, const Tensor& got,
                                                    const Tensor& expected) {
  return close_to(name, got, expected, tolerance(expected.defined() ? expected.dtype() : DType::float32));
}
inline boost::test_tools::assertion_result equal_to(const std::string& name, const Tensor& got,
                                                    const Tensor& expected) {
  return close_to(name, got, expected, exact);
}

}  // namespace embergrad::test

// A number given to a kernel: integers keep all their bits.
#pragma once

#include <cstdint>

#include "kernels/host_device.hpp"
#include "kernels/rules/convert.hpp"

namespace embergrad {

struct Number {
  constexpr Number() = default;
  constexpr Number(double value) : floating(value) {}  // NOLINT(google-explicit-constructor): `.fill = 0.5`
  constexpr Number(int value) : Number(static_cast<std::int64_t>(value)) {}  // NOLINT(google-explicit-constructor)
  constexpr Number(std::int64_t value)                                       // NOLINT(google-explicit-constructor)
      : floating(static_cast<double>(value)), integer(value), is_integer(true) {}

  // Converted: floats to integers towards zero, ending at the type's ends.
  template <class T>
  EMBERGRAD_HD T as() const {
    return is_integer ? rules::Converter<T, std::int64_t>::f(integer) : rules::Converter<T, double>::f(floating);
  }

  double floating = 0;
  std::int64_t integer = 0;
  bool is_integer = false;
};

}  // namespace embergrad

// Lists of rules, and what rules ask about types. No standard templates: these headers are compiled for several
// instruction sets.
#pragma once

#include <cstdint>

#include "kernels/host_device.hpp"

namespace embergrad::rules {

// The rules of one kind, in the order that numbers them.
template <class... Rules>
struct RuleList {
  static constexpr int count = static_cast<int>(sizeof...(Rules));
};

template <class A, class B>
inline constexpr bool is_same = false;
template <class A>
inline constexpr bool is_same<A, A> = true;

// The number of a rule: its position in the list. Does not compile for a rule that isn't there.
template <class Rule, class... Rules>
constexpr int position_of(RuleList<Rules...> /*list*/) {
  static_assert((is_same<Rule, Rules> || ...), "the rule is not in the list");
  int position = 0;
  bool found = false;
  (((found = found || is_same<Rule, Rules>) ? 0 : ++position), ...);
  return position;
}

// Integers of tensors, and the type in which they wrap around without undefined behaviour.
template <class T>
struct IntegerOf {
  static constexpr bool is_integer = false;
};
template <>
struct IntegerOf<std::int32_t> {
  static constexpr bool is_integer = true;
  using Wrapping = std::uint32_t;
};
template <>
struct IntegerOf<std::int64_t> {
  static constexpr bool is_integer = true;
  using Wrapping = std::uint64_t;
};
template <class T>
inline constexpr bool is_integer = IntegerOf<T>::is_integer;

// Sums, differences and products; integers wrap around, as PyTorch's.
template <class T>
EMBERGRAD_HD T plus(T a, T b) {
  if constexpr (is_integer<T>) {
    using U = typename IntegerOf<T>::Wrapping;
    return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
  } else {
    return a + b;
  }
}
template <class T>
EMBERGRAD_HD T minus(T a, T b) {
  if constexpr (is_integer<T>) {
    using U = typename IntegerOf<T>::Wrapping;
    return static_cast<T>(static_cast<U>(a) - static_cast<U>(b));
  } else {
    return a - b;
  }
}
template <class T>
EMBERGRAD_HD T times(T a, T b) {
  if constexpr (is_integer<T>) {
    using U = typename IntegerOf<T>::Wrapping;
    return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
  } else {
    return a * b;
  }
}

}  // namespace embergrad::rules

// Elementwise ops of two arguments. `takes_integers`: whether f exists for int32 and int64. A rule counts once it
// stands in BinaryRules, at the end.
#pragma once

#include "kernels/rules/list.hpp"
#include "kernels/rules/math.hpp"

namespace embergrad::rules {

struct Add {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return plus(a, b);
  }
};

struct Sub {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return minus(a, b);
  }
};

struct Mul {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return times(a, b);
  }
};

struct Div {
  static constexpr bool takes_integers = false;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a / b;
  }
};

// a^b. Integers wrap around; a negative power of one is 0 unless a is 1 or -1, as in PyTorch.
struct Pow {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    if constexpr (is_integer<T>) {
      if (b < 0) return a == 1 ? T(1) : (a == -1 ? (b % 2 == 0 ? T(1) : T(-1)) : T(0));
      T power = 1;
      for (T base = a, left = b; left > 0; left /= 2, base = times(base, base)) {
        if (left % 2 == 1) power = times(power, base);
      }
      return power;
    } else {
      return rules::pow(a, b);
    }
  }
};

// d(a^b)/da = b a^(b-1), 0 where b is 0
struct PowGradBase {
  static constexpr bool takes_integers = false;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return b == T(0) ? T(0) : b * rules::pow(a, b - T(1));
  }
};

// d(a^b)/db = a^b log a, 0 where a is 0 and b is not negative
struct PowGradExponent {
  static constexpr bool takes_integers = false;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a == T(0) && b >= T(0) ? T(0) : rules::pow(a, b) * rules::log(a);
  }
};

// The larger; a NaN on either side is the result.
struct Maximum {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a > b || a != a ? a : b;
  }
};

// The smaller; a NaN on either side is the result.
struct Minimum {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a < b || a != a ? a : b;
  }
};

// Comparisons: 1 or 0.
struct Eq {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a == b ? T(1) : T(0);
  }
};

struct Ne {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a != b ? T(1) : T(0);
  }
};

struct Lt {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a < b ? T(1) : T(0);
  }
};

struct Le {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a <= b ? T(1) : T(0);
  }
};

struct Gt {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a > b ? T(1) : T(0);
  }
};

struct Ge {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a >= b ? T(1) : T(0);
  }
};

// Every rule of this file. The kernels' tables and dispatch, on every device, are made from this list.
using BinaryRules =
    RuleList<Add, Sub, Mul, Div, Pow, PowGradBase, PowGradExponent, Maximum, Minimum, Eq, Ne, Lt, Le, Gt, Ge>;

}  // namespace embergrad::rules

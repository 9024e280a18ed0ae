// Elementwise ops of one argument: the value and its derivative. `df` takes what the op saves: its input x or its
// output y, as named. `takes_integers`: whether f exists for int32 and int64 (df never does). A rule counts once it
// stands in UnaryRules, at the end.
#pragma once

#include "kernels/rules/list.hpp"
#include "kernels/rules/math.hpp"

namespace embergrad::rules {

struct Neg {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    if constexpr (is_integer<T>) return minus(T(0), x);
    return -x;
  }
  template <class T>
  EMBERGRAD_HD static T df(T /*x*/) {
    return T(-1);
  }
};

struct Exp {
  static constexpr bool takes_integers = false;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return rules::exp(x);
  }
  template <class T>
  EMBERGRAD_HD static T df(T y) {
    return y;
  }
};

struct Log {
  static constexpr bool takes_integers = false;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return rules::log(x);
  }
  template <class T>
  EMBERGRAD_HD static T df(T x) {
    return T(1) / x;
  }
};

struct Sigmoid {
  static constexpr bool takes_integers = false;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return rules::sigmoid(x);
  }
  template <class T>
  EMBERGRAD_HD static T df(T y) {
    return y * (T(1) - y);
  }
};

// log(sigmoid(x)) = min(x, 0) - log(1 + e^-|x|)
struct LogSigmoid {
  static constexpr bool takes_integers = false;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    const T size = x < T(0) ? -x : x;
    return (x < T(0) ? x : T(0)) - rules::log1p(rules::exp(-size));
  }
  template <class T>
  EMBERGRAD_HD static T df(T x) {
    return rules::sigmoid(-x);
  }
};

struct Tanh {
  static constexpr bool takes_integers = false;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return rules::tanh(x);
  }
  template <class T>
  EMBERGRAD_HD static T df(T y) {
    return T(1) - y * y;
  }
};

// NaN passes, and so does its gradient, as in PyTorch.
struct Relu {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return x <= T(0) ? T(0) : x;
  }
  template <class T>
  EMBERGRAD_HD static T df(T y) {
    return y <= T(0) ? T(0) : T(1);
  }
};

struct Sqrt {
  static constexpr bool takes_integers = false;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return rules::sqrt(x);
  }
  template <class T>
  EMBERGRAD_HD static T df(T y) {
    return T(1) / (T(2) * y);
  }
};

struct Square {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return times(x, x);
  }
  template <class T>
  EMBERGRAD_HD static T df(T x) {
    return T(2) * x;
  }
};

// The derivative at 0 is 0, and at NaN too, as in PyTorch.
struct Abs {
  static constexpr bool takes_integers = true;
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return x < T(0) ? Neg::f(x) : (x == T(0) ? T(0) : x);
  }
  template <class T>
  EMBERGRAD_HD static T df(T x) {
    return x < T(0) ? T(-1) : (x > T(0) ? T(1) : T(0));
  }
};

// Every rule of this file. The kernels' tables and dispatch, on every device, are made from this list.
using UnaryRules = RuleList<Neg, Exp, Log, Sigmoid, LogSigmoid, Tanh, Relu, Sqrt, Square, Abs>;

}  // namespace embergrad::rules

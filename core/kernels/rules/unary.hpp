// Elementwise ops of one argument: the value and its derivative. `df` takes what the op saves: its input x or its
// output y, as named.
#pragma once

#include "kernels/rules/math.hpp"

namespace embergrad::rules {

struct Neg {
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return -x;
  }
  template <class T>
  EMBERGRAD_HD static T df(T /*x*/) {
    return T(-1);
  }
};

struct Exp {
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
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return rules::sigmoid(x);
  }
  template <class T>
  EMBERGRAD_HD static T df(T y) {
    return y * (T(1) - y);
  }
};

struct Tanh {
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
  template <class T>
  EMBERGRAD_HD static T f(T x) {
    return x <= T(0) ? T(0) : x;
  }
  template <class T>
  EMBERGRAD_HD static T df(T y) {
    return y <= T(0) ? T(0) : T(1);
  }
};

}  // namespace embergrad::rules

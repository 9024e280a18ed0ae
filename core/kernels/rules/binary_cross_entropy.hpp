// Binary cross entropy of one logit x with target t, p being the weight of the positive class. PyTorch's formulas in
// PyTorch's order, since infinities among t and p show it.
#pragma once

#include "kernels/rules/unary.hpp"

namespace embergrad::rules {

struct BinaryCrossEntropy {
  template <class T>
  EMBERGRAD_HD static T f(T x, T t) {
    return (T(1) - t) * x - LogSigmoid::f(x);
  }
  template <class T>
  EMBERGRAD_HD static T f(T x, T t, T p) {
    return (T(1) - t) * x - (T(1) + (p - T(1)) * t) * LogSigmoid::f(x);
  }
  // By x.
  template <class T>
  EMBERGRAD_HD static T df(T x, T t) {
    return Sigmoid::f(x) - t;
  }
  template <class T>
  EMBERGRAD_HD static T df(T x, T t, T p) {
    return (p * t + T(1) - t) * Sigmoid::f(x) - p * t;
  }
};

}  // namespace embergrad::rules

// Binary cross entropy of one logit x with target t, p being the weight of the positive class.
#pragma once

#include "kernels/rules/unary.hpp"

namespace embergrad::rules {

struct BinaryCrossEntropy {
  template <class T>
  EMBERGRAD_HD static T f(T x, T t, T p) {
    return (T(1) - t) * x - (T(1) + (p - T(1)) * t) * LogSigmoid::f(x);
  }
  // By x.
  template <class T>
  EMBERGRAD_HD static T df(T x, T t, T p) {
    return (T(1) - t) - (T(1) + (p - T(1)) * t) * LogSigmoid::df(x);
  }
};

}  // namespace embergrad::rules

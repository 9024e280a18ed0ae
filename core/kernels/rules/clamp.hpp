// x held within [low, high].
#pragma once

#include "kernels/host_device.hpp"

namespace embergrad::rules {

// min(max(x, low), high): NaN stays, and where low > high, the result is high. A bound that is NaN is none.
struct Clamp {
  template <class T>
  EMBERGRAD_HD static T f(T x, T low, T high) {
    const T raised = x < low ? low : x;
    return raised > high ? high : raised;
  }
  // The gradient passes strictly between the bounds.
  template <class T>
  EMBERGRAD_HD static T grad(T x, T grad, T low, T high) {
    return x <= low || x >= high || x != x ? T(0) : grad;
  }
};

}  // namespace embergrad::rules

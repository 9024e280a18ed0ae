// x held within [low, high].
#pragma once

#include "kernels/host_device.hpp"

namespace embergrad::rules {

// min(max(x, low), high): NaN stays, and where low > high, the result is high.
struct Clamp {
  template <class T>
  EMBERGRAD_HD static T f(T x, T low, T high) {
    const T raised = x < low ? low : x;
    return raised > high ? high : raised;
  }
  // The gradient passes where x is within the bounds, them included.
  template <class T>
  EMBERGRAD_HD static T grad(T x, T grad, T low, T high) {
    return x >= low && x <= high ? grad : T(0);
  }
};

}  // namespace embergrad::rules

// Elementwise ops of two arguments.
#pragma once

#include "kernels/host_device.hpp"

namespace embergrad::rules {

struct Add {
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a + b;
  }
};

struct Sub {
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a - b;
  }
};

struct Mul {
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a * b;
  }
};

struct Div {
  template <class T>
  EMBERGRAD_HD static T f(T a, T b) {
    return a / b;
  }
};

}  // namespace embergrad::rules

// The LSTM cell for one unit (Hochreiter and Schmidhuber 1997), after the matrix products.
#pragma once

#include "kernels/rules/math.hpp"

namespace embergrad::rules {

template <class T>
struct LstmGates {
  T i, f, g, o;
};

// z -> activations.
template <class T>
EMBERGRAD_HD LstmGates<T> lstm_gates(T zi, T zf, T zg, T zo) {
  return {rules::sigmoid(zi), rules::sigmoid(zf), rules::tanh(zg), rules::sigmoid(zo)};
}

// c' = f c + i g
template <class T>
EMBERGRAD_HD T lstm_cell(const LstmGates<T>& gate, T c) {
  return gate.f * c + gate.i * gate.g;
}

template <class T>
struct LstmCellGrad {
  LstmGates<T> z;
  T c;
};

// From the gradients of h' = o tanh(c') and of c' to those of z and c.
template <class T>
EMBERGRAD_HD LstmCellGrad<T> lstm_cell_grad(const LstmGates<T>& gate, T c, T c_tanh, T grad_h, T grad_c) {
  const T dc = grad_c + grad_h * gate.o * (T(1) - c_tanh * c_tanh);
  return {{dc * gate.g * gate.i * (T(1) - gate.i), dc * c * gate.f * (T(1) - gate.f),
           dc * gate.i * (T(1) - gate.g * gate.g), grad_h * c_tanh * gate.o * (T(1) - gate.o)},
          dc * gate.f};
}

}  // namespace embergrad::rules

// Contracts: one output element from one or two input elements. Inputs and output have one type.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/view.hpp"

namespace embergrad {

enum class UnaryOp : std::uint8_t { neg, exp, log, sigmoid, tanh, relu };
inline constexpr int unary_op_count = 6;
enum class BinaryOp : std::uint8_t { add, sub, mul, div };
inline constexpr int binary_op_count = 4;

// out[i] = f(in[i]); out may be in. float32, float64; neg and relu also integers.
struct UnaryMap {
  UnaryOp op;
  View in, out;
};

// out[i] = grad[i] * df(saved[i]); saved is the op's input or output, as its rule says. float32, float64.
struct UnaryGrad {
  UnaryOp op;
  View saved, grad, out;
};

// out[i] = f(a[i], b[i]); out may be a or b. float32, float64, int32, int64 (no div of integers).
struct BinaryMap {
  BinaryOp op;
  View a, b, out;
};

// out[i] = f(a[i], b), or f(b, a[i]) if `reversed`.
struct BinaryScalarMap {
  BinaryOp op;
  View a;
  double b;
  bool reversed;
  View out;
};

// The same over broadcast inputs: all three have out's extents; out is contiguous.
struct BinaryBroadcast {
  BinaryOp op;
  StridedView a, b, out;
};

void run(OnCpu, const UnaryMap&);
void run(OnCpu, const UnaryGrad&);
void run(OnCpu, const BinaryMap&);
void run(OnCpu, const BinaryScalarMap&);
void run(OnCpu, const BinaryBroadcast&);
void run(OnCuda, const UnaryMap&);
void run(OnCuda, const UnaryGrad&);
void run(OnCuda, const BinaryMap&);
void run(OnCuda, const BinaryScalarMap&);
void run(OnCuda, const BinaryBroadcast&);

}  // namespace embergrad

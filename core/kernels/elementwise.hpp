// Contracts: one output element from one, two or three input elements. Inputs and output have one type, unless said.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/number.hpp"
#include "kernels/rules/binary.hpp"
#include "kernels/rules/unary.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// A rule by its number: unary_op<rules::Exp>.
enum class UnaryOp : std::uint8_t {};
enum class BinaryOp : std::uint8_t {};
template <class Rule>
inline constexpr UnaryOp unary_op = UnaryOp(rules::position_of<Rule>(rules::UnaryRules{}));
template <class Rule>
inline constexpr BinaryOp binary_op = BinaryOp(rules::position_of<Rule>(rules::BinaryRules{}));

// out[i] = f(in[i]); out may be in. float32, float64; int32 and int64 where the rule takes integers.
struct UnaryMap {
  UnaryOp op;
  View in, out;
};

// out[i] = grad[i] * df(saved[i]); saved is the op's input or output, as its rule says. float32, float64.
struct UnaryGrad {
  UnaryOp op;
  View saved, grad, out;
};

// out[i] = f(a[i], b[i]); out may be a or b. Types as for UnaryMap.
struct BinaryMap {
  BinaryOp op;
  View a, b, out;
};

// out[i] = f(a[i], b), or f(b, a[i]) if `reversed`.
struct BinaryScalarMap {
  BinaryOp op;
  View a;
  Number b;
  bool reversed;
  View out;
};

// The same over broadcast inputs: all three have out's extents; out is contiguous.
struct BinaryBroadcast {
  BinaryOp op;
  StridedView a, b, out;
};

// rules::Clamp::f(in[i], low, high); no bound is NaN, or the type's end for integers. out may be in.
struct ClampMap {
  View in, out;
  Number low, high;
};

// rules::Clamp::grad(in[i], grad[i], low, high). float32, float64.
struct ClampGrad {
  View in, grad, out;
  Number low, high;
};

// out[p] = mask[p] != 0 ? a[p] : b[p], all with out's extents (strides may be 0); out is contiguous. mask: int32 or
// int64; a, b and out of any one type.
struct Select {
  StridedView mask, a, b, out;
};

void run(OnCpu, const UnaryMap&);
void run(OnCpu, const UnaryGrad&);
void run(OnCpu, const BinaryMap&);
void run(OnCpu, const BinaryScalarMap&);
void run(OnCpu, const BinaryBroadcast&);
void run(OnCpu, const ClampMap&);
void run(OnCpu, const ClampGrad&);
void run(OnCpu, const Select&);
void run(OnCuda, const UnaryMap&);
void run(OnCuda, const UnaryGrad&);
void run(OnCuda, const BinaryMap&);
void run(OnCuda, const BinaryScalarMap&);
void run(OnCuda, const BinaryBroadcast&);
void run(OnCuda, const ClampMap&);
void run(OnCuda, const ClampGrad&);
void run(OnCuda, const Select&);

}  // namespace embergrad

// Compiled once per instruction set, EMBERGRAD_SIMD naming it. Everything here lives in a namespace of that name and
// nothing of the standard library's templates is used: a weak symbol compiled with newer instructions could be the one
// that the linker keeps for the whole program.
#include "cpu/simd.hpp"
#include "kernels/rules/adam.hpp"
#include "kernels/rules/binary.hpp"
#include "kernels/rules/lstm_cell.hpp"
#include "kernels/rules/sgd.hpp"
#include "kernels/rules/unary.hpp"

namespace embergrad::cpu::EMBERGRAD_SIMD {

// In order of use: each builds on those above it.
// clang-format off
#include "cpu/simd/elementwise.hpp"
#include "cpu/simd/reduce.hpp"
#include "cpu/simd/softmax.hpp"
#include "cpu/simd/gemm.hpp"
#include "cpu/simd/lstm.hpp"
#include "cpu/simd/update.hpp"
// clang-format on

template <class T>
constexpr Loops<T> loops_of() {
  using namespace rules;
  return {
      .unary = {unary_loop<Neg, T>, unary_loop<Exp, T>, unary_loop<Log, T>, unary_loop<Sigmoid, T>, unary_loop<Tanh, T>,
                unary_loop<Relu, T>},
      .unary_grad = {unary_grad_loop<Neg, T>, unary_grad_loop<Exp, T>, unary_grad_loop<Log, T>,
                     unary_grad_loop<Sigmoid, T>, unary_grad_loop<Tanh, T>, unary_grad_loop<Relu, T>},
      .binary = {binary_loop<Add, T>, binary_loop<Sub, T>, binary_loop<Mul, T>, binary_loop<Div, T>},
      .binary_scalar = {binary_scalar_loop<Add, T>, binary_scalar_loop<Sub, T>, binary_scalar_loop<Mul, T>,
                        binary_scalar_loop<Div, T>},
      .scalar_binary = {scalar_binary_loop<Add, T>, scalar_binary_loop<Sub, T>, scalar_binary_loop<Mul, T>,
                        scalar_binary_loop<Div, T>},
      .sum = sum_loop<T>,
      .sum_rows = sum_rows_loop<T>,
      .sum_gathered_rows = sum_gathered_rows_loop<T>,
      .softmax_row = softmax_row_loop<T>,
      .softmax_row_grad = softmax_row_grad_loop<T>,
      .gemm = gemm_loop<T>,
      .lstm_cell = lstm_cell_loop<T>,
      .lstm_cell_grad = lstm_cell_grad_loop<T>,
  };
}

#define EMBERGRAD_TEXT_OF(name) #name
#define EMBERGRAD_TEXT(name) EMBERGRAD_TEXT_OF(name)

extern const SimdTable table;
const SimdTable table = {EMBERGRAD_TEXT(EMBERGRAD_SIMD), loops_of<float>(), loops_of<double>(), update_loops()};

}  // namespace embergrad::cpu::EMBERGRAD_SIMD

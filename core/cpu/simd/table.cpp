// Compiled once per instruction set, EMBERGRAD_SIMD naming it. Everything here lives in a namespace of that name and
// nothing of the standard library's templates is used: a weak symbol compiled with newer instructions could be the one
// that the linker keeps for the whole program.
#include "cpu/simd.hpp"
#include "kernels/rules/binary.hpp"
#include "kernels/rules/binary_cross_entropy.hpp"
#include "kernels/rules/clamp.hpp"
#include "kernels/rules/convert.hpp"
#include "kernels/rules/lstm_cell.hpp"
#include "kernels/rules/unary.hpp"
#include "kernels/rules/update.hpp"

namespace embergrad::cpu::EMBERGRAD_SIMD {

// In order of use: each builds on those above it.
// clang-format off
#include "cpu/simd/elementwise.hpp"
#include "cpu/simd/reduce.hpp"
#include "cpu/simd/embedding.hpp"
#include "cpu/simd/softmax.hpp"
#include "cpu/simd/binary_cross_entropy.hpp"
#include "cpu/simd/gemm.hpp"
#include "cpu/simd/lstm.hpp"
#include "cpu/simd/update.hpp"
// clang-format on

template <class T>
constexpr Loops<T> loops_of() {
  Loops<T> loops{};
  add_elementwise(loops, rules::UnaryRules{}, rules::BinaryRules{});
  loops.extreme = extreme_loop<T>;
  loops.find = find_loop<T>;
  loops.extreme_rows = extreme_rows_loop<T>;
  if constexpr (!rules::is_integer<T>) {
    loops.sum = sum_loop<T>;
    loops.sum_rows = sum_rows_loop<T>;
    loops.softmax_row = softmax_row_loop<T>;
    loops.softmax_row_grad = softmax_row_grad_loop<T>;
    loops.bce = bce_loop<T>;
    loops.bce_grad = bce_grad_loop<T>;
    loops.gemm = gemm_loop<T>;
    loops.lstm_cell = lstm_cell_loop<T>;
    loops.lstm_cell_grad = lstm_cell_grad_loop<T>;
  }
  return loops;
}

#define EMBERGRAD_TEXT_OF(name) #name
#define EMBERGRAD_TEXT(name) EMBERGRAD_TEXT_OF(name)

extern const SimdTable table;
const SimdTable table = {EMBERGRAD_TEXT(EMBERGRAD_SIMD),
                         loops_of<float>(),
                         loops_of<double>(),
                         loops_of<std::int32_t>(),
                         loops_of<std::int64_t>(),
                         update_loops(),
                         table_loops_of<float, float>(),
                         table_loops_of<double, double>(),
                         table_loops_of<Float16, float>(),
                         table_loops_of<BFloat16, float>()};

}  // namespace embergrad::cpu::EMBERGRAD_SIMD

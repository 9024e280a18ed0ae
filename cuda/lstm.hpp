// Bodies of the LSTM's contracts: what one step does beside its products, which cuBLAS makes.
//
// A step of forward is a product with W_hh and one body, a step of backward the same, each twice where h is projected;
// products with W_ih and all gradients of weights take the rows of all steps at once. The floor of a step is the larger
// of two: reading W_hh (H = 256, float32: 1 MiB, 0.2 µs at 4.8 TB/s; less from the L2 cache, which it stays in) and two
// launches that wait for each other, some 2 µs each. So launches decide up to H of about 1000, where W_hh has 16 MiB.
#pragma once

#include "cuda/columns.hpp"
#include "cuda/reduce.hpp"
#include "kernels/lstm.hpp"
#include "kernels/matmul.hpp"
#include "kernels/rules/lstm_cell.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// A thread for each number of a row: a unit's work is long, and steps have few of them.
inline RowShape thread_per_number(std::int64_t width) {
  RowShape shape{width, false, 0};
  while (shape.lanes() < default_threads && shape.lanes() < width) ++shape.lane_bits;
  return shape;
}

// out = both biases and the forget gate's offset
template <class T>
struct LstmBiases {
  const T* bias_ih;  // null: no biases
  const T* bias_hh;
  T forget_offset;
  T* out;
  std::int64_t hidden;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < 4 * hidden; i += item_step(block)) {
      T sum = bias_ih != nullptr ? block.load(bias_ih + i) + block.load(bias_hh + i) : T(0);
      if (forget_offset != T(0) && i >= hidden && i < 2 * hidden) sum += forget_offset;
      block.store(out + i, sum);
    }
  }
};

// to = factor * from + more
template <class T>
struct LstmRows {
  RowShape shape;
  std::int64_t rows;
  const T* from;
  T factor;
  const T* more;  // null: nothing
  std::int64_t more_stride;
  T* to;
  std::int64_t to_stride;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t row = shape.first_row(block); row < rows; row += shape.row_step(block)) {
      for (std::int64_t j = shape.lane(block); j < shape.width; j += shape.lanes()) {
        T x = factor * block.load(from + row * shape.width + j);
        if (more != nullptr) x += block.load(more + row * more_stride + j);
        block.store(to + row * to_stride + j, x);
      }
    }
  }
};

// From z to c' and h' = o tanh c'. Row pointers are those of the step's first row.
template <class T>
struct LstmCells {
  RowShape shape;  // of H
  std::int64_t rows;
  const T* bias;  // (4H) or null
  T* gates;
  T* c;
  T* cells;
  T* cells_tanh;
  T* h;
  T* output;  // out * h; null: not wanted
  std::int64_t output_stride;
  T out;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const std::int64_t hidden = shape.width;
    for (std::int64_t row = shape.first_row(block); row < rows; row += shape.row_step(block)) {
      for (std::int64_t j = shape.lane(block); j < hidden; j += shape.lanes()) {
        T* gate_of_unit = gates + row * 4 * hidden + j;
        const std::int64_t at = row * hidden + j;
        T z[4];
        for (int k = 0; k < 4; ++k) z[k] = block.load(gate_of_unit + k * hidden);
        const T before = block.load(c + at);
        if (bias != nullptr) {
          for (int k = 0; k < 4; ++k) z[k] += block.load(bias + k * hidden + j);
        }
        const rules::LstmGates<T> gate = rules::lstm_gates(z[0], z[1], z[2], z[3]);
        const T cell = rules::lstm_cell(gate, before);
        const T squashed = rules::tanh(cell);
        const T h_new = gate.o * squashed;
        block.store(gate_of_unit, gate.i);
        block.store(gate_of_unit + hidden, gate.f);
        block.store(gate_of_unit + 2 * hidden, gate.g);
        block.store(gate_of_unit + 3 * hidden, gate.o);
        block.store(c + at, cell);
        block.store(cells + at, cell);
        block.store(cells_tanh + at, squashed);
        block.store(h + at, h_new);
        if (output != nullptr) block.store(output + row * output_stride + j, out * h_new);
      }
    }
  }
};

// h before each row of a step: the output of the row before, or h_0.
template <class T>
struct LstmBefore {
  std::int64_t width;  // P
  const T* output;     // of the step before
  std::int64_t output_stride;
  T back_to_h;  // 1 / out
  const T* h_0;
  T* to;  // null: not wanted
};

// From the gradients of h' and c' to those of z, in the place of the gates, and c. Row pointers as above.
template <class T>
struct LstmCellGrads {
  RowShape shape;  // of H
  std::int64_t rows;
  std::int64_t continued;  // rows that have one in the step before
  T* gates;
  const T* cells_before;
  const T* c_0;
  const T* cells_tanh;
  const T* grad_h;
  const T* grad_output;  // added to grad_h; null: zero
  std::int64_t grad_output_stride;
  T* grad_c;
  LstmBefore<T> before;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const std::int64_t hidden = shape.width;
    for (std::int64_t row = shape.first_row(block); row < rows; row += shape.row_step(block)) {
      const bool continues = row < continued;
      for (std::int64_t j = shape.lane(block); j < hidden; j += shape.lanes()) {
        T* gate_of_unit = gates + row * 4 * hidden + j;
        const std::int64_t at = row * hidden + j;
        const rules::LstmGates<T> gate{block.load(gate_of_unit), block.load(gate_of_unit + hidden),
                                       block.load(gate_of_unit + 2 * hidden), block.load(gate_of_unit + 3 * hidden)};
        T dh = block.load(grad_h + at);
        if (grad_output != nullptr) dh += block.load(grad_output + row * grad_output_stride + j);
        const rules::LstmCellGrad<T> grad =
            rules::lstm_cell_grad(gate, block.load((continues ? cells_before : c_0) + at), block.load(cells_tanh + at),
                                  dh, block.load(grad_c + at));
        block.store(gate_of_unit, grad.z.i);
        block.store(gate_of_unit + hidden, grad.z.f);
        block.store(gate_of_unit + 2 * hidden, grad.z.g);
        block.store(gate_of_unit + 3 * hidden, grad.z.o);
        block.store(grad_c + at, grad.c);
      }
      if (before.to == nullptr) continue;
      for (std::int64_t j = shape.lane(block); j < before.width; j += shape.lanes()) {
        const T h = continues ? before.back_to_h * block.load(before.output + row * before.output_stride + j)
                              : block.load(before.h_0 + row * before.width + j);
        block.store(before.to + row * before.width + j, h);
      }
    }
  }
};

// --- from a request to bodies and products

// Where the parts of the memory lie that a request works in; `numbers` in all.
class LstmRoom {
 public:
  explicit LstmRoom(const LstmForward& request) {
    const bool has_bias = request.weights.bias_ih != nullptr || request.factors.forget_offset != 0;
    bias = take(has_bias ? 4 * request.sizes.hidden : 0);
  }
  explicit LstmRoom(const LstmBackward& request) {
    const LstmSizes& s = request.sizes;
    const bool projected = request.weights.weight_hr != nullptr;
    grad_outputs = take(projected ? s.rows * s.output : 0);
    grad_hidden = take(projected ? s.batch * s.hidden : 0);
    h_before = take(request.grad_weight_hh != nullptr ? s.rows * s.output : 0);
    bias_sums = take(request.grad_bias != nullptr ? divide_up(s.rows, block_of_rows) * 4 * s.hidden : 0);
  }
  // Directions come one after the other.
  template <class Request>
  static std::int64_t numbers_for(const LstmLayer<Request>& layer) {
    std::int64_t most = 0;
    for (int d = 0; d < layer.count; ++d) most = std::max(most, LstmRoom(layer.direction[d]).numbers);
    return most;
  }

  static constexpr std::int64_t block_of_rows = 64;
  std::int64_t bias = 0;
  std::int64_t grad_outputs = 0;  // (rows, P): the gradients of each row's h', which the projection's needs
  std::int64_t grad_hidden = 0;   // (batch, H): of o tanh c'
  std::int64_t h_before = 0;      // (rows, P)
  std::int64_t bias_sums = 0;     // of blocks of rows
  std::int64_t numbers = 0;

 private:
  std::int64_t take(std::int64_t count) {
    const std::int64_t at = numbers;
    numbers += divide_up(count, 64) * 64;  // products like their operands aligned
    return at;
  }
};

// An operand that lies without gaps.
template <class T>
struct LstmOperand {
  const T* data;
  bool transposed = false;
};

// c = alpha op(a) op(b) + beta c
template <class T, class Multiply>
void product(const Multiply& multiply, std::int64_t m, std::int64_t n, std::int64_t k, LstmOperand<T> a,
             LstmOperand<T> b, void* c, double alpha, double beta = 0) {
  multiply(Gemm{.dtype = dtype_of<T>,
                .m = m,
                .n = n,
                .k = k,
                .a = a.data,
                .lda = a.transposed ? m : k,
                .transpose_a = a.transposed,
                .b = b.data,
                .ldb = b.transposed ? k : n,
                .transpose_b = b.transposed,
                .c = c,
                .ldc = n,
                .alpha = alpha,
                .beta = beta});
}

// out = factor * the sum of rows, in the order of SumMiddle. Blocks of rows are summed side by side first: one thread
// for a whole column would be slow.
template <class T, class Start>
void sum_rows(const Start& start, T* in, std::int64_t rows, std::int64_t width, T* sums, T factor, T* out) {
  const auto sum = [&](T* from, std::int64_t outer, std::int64_t count, T* to) {
    run_with(
        start,
        SumMiddle{{from, dtype_of<T>, outer * count * width}, {to, dtype_of<T>, outer * width}, outer, count, width});
  };
  const std::int64_t whole = rows / LstmRoom::block_of_rows;
  const std::int64_t summed = whole * LstmRoom::block_of_rows;
  if (whole <= 1) {
    sum(in, 1, rows, out);
  } else {
    sum(in, whole, LstmRoom::block_of_rows, sums);
    if (summed < rows) sum(in + summed * width, 1, rows - summed, sums + whole * width);
    sum(sums, 1, divide_up(rows, LstmRoom::block_of_rows), out);
  }
  if (factor == T(1)) return;
  const RowShape shape = thread_per_number(width);
  start(LstmRows<T>{shape, 1, out, factor, nullptr, 0, out, width}, shape.grid(1));
}

template <class T, class Start, class Multiply>
void run_forward(const Start& start, const LstmForward& request, const Multiply& multiply, T* memory) {
  const LstmSizes& s = request.sizes;
  const LstmFactors& factors = request.factors;
  const LstmRoom room(request);
  const std::int64_t gate_width = 4 * s.hidden;
  const LstmOperand<T> weight_hh{static_cast<const T*>(request.weights.weight_hh), true};
  const LstmOperand<T> weight_hr{static_cast<const T*>(request.weights.weight_hr), true};
  const bool projected = weight_hr.data != nullptr;
  auto* gates = static_cast<T*>(request.gates);
  auto* output = static_cast<T*>(request.output);
  auto* h = static_cast<T*>(request.h);
  const RowShape shape = thread_per_number(s.hidden);
  const RowShape output_shape = thread_per_number(s.output);

  product<T>(multiply, s.rows, gate_width, s.input, {static_cast<const T*>(request.input)},
             {static_cast<const T*>(request.weights.weight_ih), true}, gates, factors.input);
  const auto forget_offset = static_cast<T>(factors.forget_offset);
  const bool has_bias = request.weights.bias_ih != nullptr || forget_offset != T(0);
  if (has_bias) {
    start(LstmBiases<T>{static_cast<const T*>(request.weights.bias_ih), static_cast<const T*>(request.weights.bias_hh),
                        forget_offset, memory + room.bias, s.hidden},
          grid_for(gate_width));
  }
  each_step(s, false, [&](const LstmStep& step) {
    const std::int64_t first = step.first_row;
    T* step_gates = gates + first * gate_width;
    T* step_output = output + first * request.output_stride;
    T* unprojected = projected ? static_cast<T*>(request.before_projection) + first * s.hidden : h;
    product<T>(multiply, step.count, gate_width, s.output, {h}, weight_hh, step_gates, factors.recurrent, 1);
    start(LstmCells<T>{.shape = shape,
                       .rows = step.count,
                       .bias = has_bias ? memory + room.bias : nullptr,
                       .gates = step_gates,
                       .c = static_cast<T*>(request.c),
                       .cells = static_cast<T*>(request.cells) + first * s.hidden,
                       .cells_tanh = static_cast<T*>(request.cells_tanh) + first * s.hidden,
                       .h = unprojected,
                       .output = projected ? nullptr : step_output,
                       .output_stride = request.output_stride,
                       .out = static_cast<T>(factors.out)},
          shape.grid(step.count));
    if (!projected) return;
    product<T>(multiply, step.count, s.output, s.hidden, {unprojected}, weight_hr, h, factors.projection);
    start(LstmRows<T>{output_shape, step.count, h, static_cast<T>(factors.out), nullptr, 0, step_output,
                      request.output_stride},
          output_shape.grid(step.count));
  });
}

template <class T, class Start, class Multiply>
void run_backward(const Start& start, const LstmBackward& request, const Multiply& multiply, T* memory) {
  const LstmSizes& s = request.sizes;
  const LstmFactors& factors = request.factors;
  const LstmRoom room(request);
  const std::int64_t gate_width = 4 * s.hidden;
  const LstmOperand<T> weight_hh{static_cast<const T*>(request.weights.weight_hh)};
  const LstmOperand<T> weight_hr{static_cast<const T*>(request.weights.weight_hr)};
  const bool projected = weight_hr.data != nullptr;
  const bool wants_h_before = request.grad_weight_hh != nullptr;
  auto* gates = static_cast<T*>(request.gates);
  const auto* output = static_cast<const T*>(request.output);
  const auto* cells = static_cast<const T*>(request.cells);
  const auto* cells_tanh = static_cast<const T*>(request.cells_tanh);
  const auto* grad_output = static_cast<const T*>(request.grad_output);
  auto* grad_h = static_cast<T*>(request.grad_h);
  T* grad_outputs = memory + room.grad_outputs;
  T* grad_hidden = memory + room.grad_hidden;
  T* h_before = memory + room.h_before;
  const RowShape shape = thread_per_number(s.hidden);
  const RowShape output_shape = thread_per_number(s.output);

  each_step(s, true, [&](const LstmStep& step) {
    const std::int64_t first = step.first_row;
    T* step_gates = gates + first * gate_width;
    const T* step_grad_output = grad_output == nullptr ? nullptr : grad_output + first * request.grad_output_stride;
    if (projected) {
      T* step_grad_outputs = grad_outputs + first * s.output;
      start(LstmRows<T>{output_shape, step.count, grad_h, T(1), step_grad_output, request.grad_output_stride,
                        step_grad_outputs, s.output},
            output_shape.grid(step.count));
      product<T>(multiply, step.count, s.hidden, s.output, {step_grad_outputs}, weight_hr, grad_hidden,
                 factors.projection);
    }
    start(LstmCellGrads<T>{.shape = shape,
                           .rows = step.count,
                           .continued = step.continued,
                           .gates = step_gates,
                           .cells_before = cells + step.row_before * s.hidden,
                           .c_0 = static_cast<const T*>(request.c_0),
                           .cells_tanh = cells_tanh + first * s.hidden,
                           .grad_h = projected ? grad_hidden : grad_h,
                           .grad_output = projected ? nullptr : step_grad_output,
                           .grad_output_stride = request.grad_output_stride,
                           .grad_c = static_cast<T*>(request.grad_c),
                           .before = {.width = s.output,
                                      .output = output + step.row_before * request.output_stride,
                                      .output_stride = request.output_stride,
                                      .back_to_h = static_cast<T>(1 / factors.out),
                                      .h_0 = static_cast<const T*>(request.h_0),
                                      .to = wants_h_before ? h_before + first * s.output : nullptr}},
          shape.grid(step.count));
    product<T>(multiply, step.count, s.output, gate_width, {step_gates}, weight_hh, grad_h, factors.recurrent);
  });

  const LstmOperand<T> by_gate{gates, true};
  const LstmOperand<T> input{static_cast<const T*>(request.input)};
  if (request.grad_input != nullptr) {
    product<T>(multiply, s.rows, s.input, gate_width, {gates}, {static_cast<const T*>(request.weights.weight_ih)},
               request.grad_input, factors.grad_input);
  }
  if (request.grad_weight_ih != nullptr) {
    product<T>(multiply, gate_width, s.input, s.rows, by_gate, input, request.grad_weight_ih, factors.grad_weight_ih);
  }
  if (wants_h_before) {
    product<T>(multiply, gate_width, s.output, s.rows, by_gate, {h_before}, request.grad_weight_hh,
               factors.grad_weight_hh);
  }
  if (request.grad_bias != nullptr) {
    sum_rows(start, gates, s.rows, gate_width, memory + room.bias_sums, static_cast<T>(factors.grad_bias),
             static_cast<T*>(request.grad_bias));
  }
  if (request.grad_weight_hr != nullptr) {
    product<T>(multiply, s.output, s.hidden, s.rows, {grad_outputs, true},
               {static_cast<const T*>(request.before_projection)}, request.grad_weight_hr, factors.grad_weight_hr);
  }
}

// `multiply` does a Gemm on the same device, behind what was started. `memory` holds the numbers of LstmRoom, of the
// layer's type.
template <class Start, class Multiply>
void run_with(const Start& start, const LstmLayer<LstmForward>& layer, const Multiply& multiply, void* memory) {
  visit_floating(layer.direction[0].sizes.dtype, [&](auto type) {
    for (int d = 0; d < layer.count; ++d) {
      run_forward(start, layer.direction[d], multiply, static_cast<decltype(type)*>(memory));
    }
  });
}

template <class Start, class Multiply>
void run_with(const Start& start, const LstmLayer<LstmBackward>& layer, const Multiply& multiply, void* memory) {
  visit_floating(layer.direction[0].sizes.dtype, [&](auto type) {
    for (int d = 0; d < layer.count; ++d) {
      run_backward(start, layer.direction[d], multiply, static_cast<decltype(type)*>(memory));
    }
  });
}

}  // namespace embergrad::cuda

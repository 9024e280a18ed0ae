#include "kernels/lstm.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/transpose.hpp"
#include "cpu/visit.hpp"
#include "kernels/matmul.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {
namespace {

template <class T>
void copy(const T* from, T* to, std::int64_t count) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

template <class T>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda, bool transpose_a,
              const T* b, std::int64_t ldb, bool transpose_b, T* c, std::int64_t ldc, bool add, double alpha = 1) {
  run(OnCpu{}, Gemm{.dtype = dtype_of<T>,
                    .m = m,
                    .n = n,
                    .k = k,
                    .a = a,
                    .lda = lda,
                    .transpose_a = transpose_a,
                    .b = b,
                    .ldb = ldb,
                    .transpose_b = transpose_b,
                    .c = c,
                    .ldc = ldc,
                    .alpha = alpha,
                    .beta = add ? 1.0 : 0.0});
}

// to = factor * from
template <class T>
void copy_scaled(const T* from, T factor, T* to, std::int64_t count) {
  if (factor == T(1)) return copy(from, to, count);
  cpu::simd().loops<T>().binary_scalar[cpu::binary_place<rules::Mul>](from, factor, to, count);
}

// How many sequences one thread takes through all steps. Sequences don't depend on each other, so this needs no meeting
// of threads at each step; fewer make the products of a step slower, the more so when the weights don't fit a
// processor's own cache. It depends on the sizes alone. Two directions are divided among threads as they are.
std::int64_t share_of(const LstmSizes& s, bool only_direction) {
  if (!only_direction || s.batch == 0) return s.batch;
  const std::int64_t weights = 4 * s.hidden * s.output;
  const std::int64_t enough = weights <= std::int64_t{1} << 18 ? 16 : 32;
  const std::int64_t shares = std::max<std::int64_t>(1, (s.batch + enough / 2) / enough);
  return (s.batch + shares - 1) / shares;
}

// How many of the sequences [begin, end) are among the first `count`.
std::int64_t among(std::int64_t count, std::int64_t begin, std::int64_t end) {
  return std::clamp(count, begin, end) - begin;
}

template <class T>
void forward(const LstmForward& request, bool only_direction) {
  const LstmSizes& s = request.sizes;
  const auto& loops = cpu::simd().loops<T>();
  const std::int64_t gate_width = 4 * s.hidden;
  const auto* weight_ih = static_cast<const T*>(request.weights.weight_ih);
  const auto* weight_hh = static_cast<const T*>(request.weights.weight_hh);
  const auto* bias_ih = static_cast<const T*>(request.weights.bias_ih);
  const auto* bias_hh = static_cast<const T*>(request.weights.bias_hh);
  const auto* weight_hr = static_cast<const T*>(request.weights.weight_hr);
  auto* gates = static_cast<T*>(request.gates);
  auto* cells = static_cast<T*>(request.cells);
  auto* cells_tanh = static_cast<T*>(request.cells_tanh);
  auto* output = static_cast<T*>(request.output);
  auto* before_projection = static_cast<T*>(request.before_projection);
  auto* h = static_cast<T*>(request.h);
  auto* c = static_cast<T*>(request.c);

  // All input projections in one product; the recurrent weights transposed once, so that each step's product streams
  // through them.
  multiply<T>(s.rows, gate_width, s.input, static_cast<const T*>(request.input), s.input, false, weight_ih, s.input,
              true, gates, gate_width, false, request.factors.input);
  const std::int64_t stride = gate_width % 1024 == 0 ? gate_width + 64 : gate_width;  // rows 4 KiB apart share lines
  const detail::Scratch<T> recurrent(s.output * stride);
  cpu::transpose(weight_hh, gate_width, s.output, s.output, recurrent.get(), stride);
  const detail::Scratch<T> bias(gate_width);
  const auto forget_offset = static_cast<T>(request.factors.forget_offset);
  if (bias_ih != nullptr) {
    loops.binary[cpu::binary_place<rules::Add>](bias_ih, bias_hh, bias.get(), gate_width);
  } else if (forget_offset != T(0)) {
    std::fill_n(bias.get(), gate_width, T(0));
  }
  if (forget_offset != T(0)) {
    for (std::int64_t j = s.hidden; j < 2 * s.hidden; ++j) bias[j] += forget_offset;
  }
  const T* both_biases = bias_ih != nullptr || forget_offset != T(0) ? bias.get() : nullptr;
  const auto out_factor = static_cast<T>(request.factors.out);

  cpu::parallel_chunks(s.batch, share_of(s, only_direction), [&](std::int64_t begin, std::int64_t end) {
    each_step(s, false, [&](const LstmStep& step) {
      const std::int64_t alive = among(step.count, begin, end);
      if (alive == 0) return;
      const std::int64_t first = step.first_row + begin;
      multiply<T>(alive, gate_width, s.output, h + begin * s.output, s.output, false, recurrent.get(), stride, false,
                  gates + first * gate_width, gate_width, true, request.factors.recurrent);
      for (std::int64_t b = begin; b < begin + alive; ++b) {
        const std::int64_t row = first + b - begin;
        T* out = weight_hr != nullptr ? before_projection + row * s.hidden : h + b * s.output;
        loops.lstm_cell(gates + row * gate_width, both_biases, c + b * s.hidden, cells + row * s.hidden,
                        cells_tanh + row * s.hidden, out, s.hidden);
        copy(cells + row * s.hidden, c + b * s.hidden, s.hidden);
      }
      if (weight_hr != nullptr) {
        multiply<T>(alive, s.output, s.hidden, before_projection + first * s.hidden, s.hidden, false, weight_hr,
                    s.hidden, true, h + begin * s.output, s.output, false, request.factors.projection);
      }
      for (std::int64_t b = begin; b < begin + alive; ++b) {
        copy_scaled(h + b * s.output, out_factor, output + (first + b - begin) * request.output_stride, s.output);
      }
    });
  });
}

template <class T>
void backward(const LstmBackward& request, bool only_direction) {
  const LstmSizes& s = request.sizes;
  const auto& loops = cpu::simd().loops<T>();
  const std::int64_t gate_width = 4 * s.hidden;
  const auto* input = static_cast<const T*>(request.input);
  const auto* output = static_cast<const T*>(request.output);
  const auto* h_0 = static_cast<const T*>(request.h_0);
  const auto* c_0 = static_cast<const T*>(request.c_0);
  const auto* weight_ih = static_cast<const T*>(request.weights.weight_ih);
  const auto* weight_hh = static_cast<const T*>(request.weights.weight_hh);
  const auto* weight_hr = static_cast<const T*>(request.weights.weight_hr);
  const auto* cells = static_cast<const T*>(request.cells);
  const auto* cells_tanh = static_cast<const T*>(request.cells_tanh);
  const auto* before_projection = static_cast<const T*>(request.before_projection);
  const auto* grad_output = static_cast<const T*>(request.grad_output);
  auto* gates = static_cast<T*>(request.gates);
  auto* grad_h = static_cast<T*>(request.grad_h);
  auto* grad_c = static_cast<T*>(request.grad_c);
  const auto add = loops.binary[cpu::binary_place<rules::Add>];
  // The gradients of h' of each row, kept where the projection's gradient needs them.
  const detail::Scratch<T> grad_outputs(weight_hr != nullptr ? s.rows * s.output : 0);
  const detail::Scratch<T> grad_hidden(weight_hr != nullptr ? s.batch * s.hidden : 0);

  cpu::parallel_chunks(s.batch, share_of(s, only_direction), [&](std::int64_t begin, std::int64_t end) {
    each_step(s, true, [&](const LstmStep& step) {
      const std::int64_t alive = among(step.count, begin, end);
      if (alive == 0) return;
      const std::int64_t first = step.first_row + begin;
      T* grad_state = grad_h + begin * s.output;
      if (grad_output != nullptr) {
        for (std::int64_t b = 0; b < alive; ++b) {
          T* sum = grad_state + b * s.output;
          add(sum, grad_output + (first + b) * request.grad_output_stride, sum, s.output);
        }
      }
      const T* grad_cell_output = grad_state;
      if (weight_hr != nullptr) {
        copy(grad_state, grad_outputs.get() + first * s.output, alive * s.output);
        T* grad_unprojected = grad_hidden.get() + begin * s.hidden;
        multiply<T>(alive, s.hidden, s.output, grad_state, s.output, false, weight_hr, s.hidden, false,
                    grad_unprojected, s.hidden, false, request.factors.projection);
        grad_cell_output = grad_unprojected;
      }
      for (std::int64_t b = begin; b < begin + alive; ++b) {
        const std::int64_t row = first + b - begin;
        const T* c_before = b < step.continued ? cells + (step.row_before + b) * s.hidden : c_0 + b * s.hidden;
        loops.lstm_cell_grad(gates + row * gate_width, c_before, cells_tanh + row * s.hidden,
                             grad_cell_output + (b - begin) * s.hidden, grad_c + b * s.hidden, s.hidden);
      }
      multiply<T>(alive, s.output, gate_width, gates + first * gate_width, gate_width, false, weight_hh, s.output,
                  false, grad_state, s.output, false, request.factors.recurrent);
    });
  });

  if (request.grad_input != nullptr) {
    multiply<T>(s.rows, s.input, gate_width, gates, gate_width, false, weight_ih, s.input, false,
                static_cast<T*>(request.grad_input), s.input, false, request.factors.grad_input);
  }
  if (request.grad_weight_ih != nullptr) {
    multiply<T>(gate_width, s.input, s.rows, gates, gate_width, true, input, s.input, false,
                static_cast<T*>(request.grad_weight_ih), s.input, false, request.factors.grad_weight_ih);
  }
  if (request.grad_weight_hh != nullptr) {
    const detail::Scratch<T> h_before(s.rows * s.output);
    const auto back_to_h = static_cast<T>(1 / request.factors.out);
    each_step(s, false, [&](const LstmStep& step) {
      for (std::int64_t b = 0; b < step.count; ++b) {
        T* to = h_before.get() + (step.first_row + b) * s.output;
        if (b < step.continued) {
          copy_scaled(output + (step.row_before + b) * request.output_stride, back_to_h, to, s.output);
        } else {
          copy(h_0 + b * s.output, to, s.output);
        }
      }
    });
    multiply<T>(gate_width, s.output, s.rows, gates, gate_width, true, h_before.get(), s.output, false,
                static_cast<T*>(request.grad_weight_hh), s.output, false, request.factors.grad_weight_hh);
  }
  if (request.grad_bias != nullptr) {
    auto* grad_bias = static_cast<T*>(request.grad_bias);
    loops.sum_rows(gates, s.rows, gate_width, gate_width, grad_bias);
    if (request.factors.grad_bias != 1) {
      loops.binary_scalar[cpu::binary_place<rules::Mul>](grad_bias, static_cast<T>(request.factors.grad_bias),
                                                         grad_bias, gate_width);
    }
  }
  if (request.grad_weight_hr != nullptr) {
    multiply<T>(s.output, s.hidden, s.rows, grad_outputs.get(), s.output, true, before_projection, s.hidden, false,
                static_cast<T*>(request.grad_weight_hr), s.hidden, false, request.factors.grad_weight_hr);
  }
}

}  // namespace

void run(OnCpu, const LstmLayer<LstmForward>& layer) {
  cpu::visit_floating(layer.direction[0].sizes.dtype, [&](auto type) {
    cpu::parallel_chunks(layer.count, 1, [&](std::int64_t d, std::int64_t) {
      forward<decltype(type)>(layer.direction[d], layer.count == 1);
    });
  });
}

void run(OnCpu, const LstmLayer<LstmBackward>& layer) {
  cpu::visit_floating(layer.direction[0].sizes.dtype, [&](auto type) {
    cpu::parallel_chunks(layer.count, 1, [&](std::int64_t d, std::int64_t) {
      backward<decltype(type)>(layer.direction[d], layer.count == 1);
    });
  });
}

}  // namespace embergrad

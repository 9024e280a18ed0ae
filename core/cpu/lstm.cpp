#include "kernels/lstm.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"
#include "kernels/matmul.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {
namespace {

// The steps in the order of time of one direction.
struct Steps {
  explicit Steps(const LstmSizes& sizes) : sizes_(sizes), offsets_(sizes.steps + 1) {
    offsets_[0] = 0;
    for (std::int64_t t = 0; t < sizes.steps; ++t) offsets_[t + 1] = offsets_[t] + sizes.batch_sizes[t];
  }
  // The step that comes k-th.
  [[nodiscard]] std::int64_t at(std::int64_t k) const { return sizes_.reverse ? sizes_.steps - 1 - k : k; }
  [[nodiscard]] std::int64_t first_row(std::int64_t t) const { return offsets_[t]; }
  // How many of step t's rows have a step before them, whose rows start at `first_row(previous(t))`. The others start
  // from the initial state: going forward none but at step 0, going back those whose sequence ends here.
  [[nodiscard]] std::int64_t continued(std::int64_t t) const {
    const std::int64_t before = previous(t);
    if (before < 0 || before >= sizes_.steps) return 0;
    return std::min(sizes_.batch_sizes[t], sizes_.batch_sizes[before]);
  }
  [[nodiscard]] std::int64_t previous(std::int64_t t) const { return sizes_.reverse ? t + 1 : t - 1; }

 private:
  const LstmSizes& sizes_;
  detail::Scratch<std::int64_t> offsets_;
};

template <class T>
void copy(const T* from, T* to, std::int64_t count) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

template <class T>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda, bool transpose_a,
              const T* b, std::int64_t ldb, bool transpose_b, T* c, std::int64_t ldc, bool add) {
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
                    .beta = add ? 1.0 : 0.0});
}

// to (columns, rows) = from (rows, columns) transposed, in tiles that stay in cache.
template <class T>
void transpose(const T* from, std::int64_t rows, std::int64_t columns, T* to) {
  constexpr std::int64_t tile = 16;
  for (std::int64_t r0 = 0; r0 < rows; r0 += tile) {
    for (std::int64_t c0 = 0; c0 < columns; c0 += tile) {
      for (std::int64_t c = c0; c < std::min(columns, c0 + tile); ++c) {
        for (std::int64_t r = r0; r < std::min(rows, r0 + tile); ++r) to[c * rows + r] = from[r * columns + c];
      }
    }
  }
}

template <class T>
void forward(const LstmForward& request) {
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
  const Steps steps(s);

  // All input projections in one product; the recurrent weights transposed once, so that each step's product streams
  // through them.
  multiply<T>(s.rows, gate_width, s.input, static_cast<const T*>(request.input), s.input, false, weight_ih, s.input,
              true, gates, gate_width, false);
  const detail::Scratch<T> recurrent(s.output * gate_width);
  transpose(weight_hh, gate_width, s.output, recurrent.get());
  const detail::Scratch<T> bias(gate_width);
  if (bias_ih != nullptr) loops.binary[cpu::binary_place<rules::Add>](bias_ih, bias_hh, bias.get(), gate_width);
  const T* both_biases = bias_ih != nullptr ? bias.get() : nullptr;

  for (std::int64_t k = 0; k < s.steps; ++k) {
    const std::int64_t t = steps.at(k);
    const std::int64_t alive = s.batch_sizes[t];
    const std::int64_t first = steps.first_row(t);
    multiply<T>(alive, gate_width, s.output, h, s.output, false, recurrent.get(), gate_width, false,
                gates + first * gate_width, gate_width, true);
    for (std::int64_t b = 0; b < alive; ++b) {
      const std::int64_t row = first + b;
      T* out = weight_hr != nullptr ? before_projection + row * s.hidden : h + b * s.output;
      loops.lstm_cell(gates + row * gate_width, both_biases, c + b * s.hidden, cells + row * s.hidden,
                      cells_tanh + row * s.hidden, out, s.hidden);
      copy(cells + row * s.hidden, c + b * s.hidden, s.hidden);
    }
    if (weight_hr != nullptr) {
      multiply<T>(alive, s.output, s.hidden, before_projection + first * s.hidden, s.hidden, false, weight_hr, s.hidden,
                  true, h, s.output, false);
    }
    for (std::int64_t b = 0; b < alive; ++b)
      copy(h + b * s.output, output + (first + b) * request.output_stride, s.output);
  }
}

template <class T>
void backward(const LstmBackward& request) {
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
  const Steps steps(s);
  // The gradients of h' of each row, kept where the projection's gradient needs them.
  const detail::Scratch<T> grad_outputs(weight_hr != nullptr ? s.rows * s.output : 0);
  const detail::Scratch<T> grad_hidden(weight_hr != nullptr ? s.batch * s.hidden : 0);

  for (std::int64_t k = s.steps - 1; k >= 0; --k) {
    const std::int64_t t = steps.at(k);
    const std::int64_t alive = s.batch_sizes[t];
    const std::int64_t first = steps.first_row(t);
    const std::int64_t continued = steps.continued(t);
    const T* cells_before = continued > 0 ? cells + steps.first_row(steps.previous(t)) * s.hidden : nullptr;
    if (grad_output != nullptr) {
      for (std::int64_t b = 0; b < alive; ++b) {
        T* sum = grad_h + b * s.output;
        add(sum, grad_output + (first + b) * request.grad_output_stride, sum, s.output);
      }
    }
    const T* grad_cell_output = grad_h;
    if (weight_hr != nullptr) {
      copy(grad_h, grad_outputs.get() + first * s.output, alive * s.output);
      multiply<T>(alive, s.hidden, s.output, grad_h, s.output, false, weight_hr, s.hidden, false, grad_hidden.get(),
                  s.hidden, false);
      grad_cell_output = grad_hidden.get();
    }
    for (std::int64_t b = 0; b < alive; ++b) {
      const std::int64_t row = first + b;
      const T* c_before = b < continued ? cells_before + b * s.hidden : c_0 + b * s.hidden;
      loops.lstm_cell_grad(gates + row * gate_width, c_before, cells_tanh + row * s.hidden,
                           grad_cell_output + b * s.hidden, grad_c + b * s.hidden, s.hidden);
    }
    multiply<T>(alive, s.output, gate_width, gates + first * gate_width, gate_width, false, weight_hh, s.output, false,
                grad_h, s.output, false);
  }

  if (request.grad_input != nullptr) {
    multiply<T>(s.rows, s.input, gate_width, gates, gate_width, false, weight_ih, s.input, false,
                static_cast<T*>(request.grad_input), s.input, false);
  }
  if (request.grad_weight_ih != nullptr) {
    multiply<T>(gate_width, s.input, s.rows, gates, gate_width, true, input, s.input, false,
                static_cast<T*>(request.grad_weight_ih), s.input, false);
  }
  if (request.grad_weight_hh != nullptr) {
    const detail::Scratch<T> h_before(s.rows * s.output);
    for (std::int64_t t = 0; t < s.steps; ++t) {
      const std::int64_t continued = steps.continued(t);
      for (std::int64_t b = 0; b < s.batch_sizes[t]; ++b) {
        const T* from = b < continued ? output + (steps.first_row(steps.previous(t)) + b) * request.output_stride
                                      : h_0 + b * s.output;
        copy(from, h_before.get() + (steps.first_row(t) + b) * s.output, s.output);
      }
    }
    multiply<T>(gate_width, s.output, s.rows, gates, gate_width, true, h_before.get(), s.output, false,
                static_cast<T*>(request.grad_weight_hh), s.output, false);
  }
  if (request.grad_bias != nullptr) {
    loops.sum_rows(gates, s.rows, gate_width, gate_width, static_cast<T*>(request.grad_bias));
  }
  if (request.grad_weight_hr != nullptr) {
    multiply<T>(s.output, s.hidden, s.rows, grad_outputs.get(), s.output, true, before_projection, s.hidden, false,
                static_cast<T*>(request.grad_weight_hr), s.hidden, false);
  }
}

}  // namespace

void run(OnCpu, const LstmLayer<LstmForward>& layer) {
  cpu::visit_floating(layer.direction[0].sizes.dtype, [&](auto type) {
    cpu::parallel_chunks(layer.count, 1,
                         [&](std::int64_t d, std::int64_t) { forward<decltype(type)>(layer.direction[d]); });
  });
}

void run(OnCpu, const LstmLayer<LstmBackward>& layer) {
  cpu::visit_floating(layer.direction[0].sizes.dtype, [&](auto type) {
    cpu::parallel_chunks(layer.count, 1,
                         [&](std::int64_t d, std::int64_t) { backward<decltype(type)>(layer.direction[d]); });
  });
}

}  // namespace embergrad

// Contracts: one direction of one LSTM layer over packed rows. Row blocks of a step stand in order of the step; step t
// has batch_sizes[t] rows, which belong to sequences 0 … batch_sizes[t]-1. float32 or float64.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/launch.hpp"
#include "kernels/view.hpp"

namespace embergrad {

struct LstmSizes {
  DType dtype;
  std::int64_t steps, rows, batch;     // rows = sum of batch_sizes; batch >= batch_sizes[0]
  std::int64_t input, hidden, output;  // I, H, and P (H without projection)
  const std::int64_t* batch_sizes;
  bool reverse;
};

struct LstmWeights {
  const void* weight_ih;  // (4H, I)
  const void* weight_hh;  // (4H, P)
  const void* bias_ih;    // (4H) or null
  const void* bias_hh;    // (4H) or null
  const void* weight_hr;  // (P, H) or null
};

// z = input x W_ih^T + recurrent h W_hh^T + b_ih + b_hh, with the offset added for the forget gate; a projected h is
// projection * (o tanh c') W_hr^T. Rows of output hold out * h, out not 0; the recurrence has h. The others multiply
// dz W_ih, dz^T x, dz^T h, the sum of dz, and dh^T (o tanh c').
struct LstmFactors {
  double input = 1, recurrent = 1, forget_offset = 0, projection = 1, out = 1;
  double grad_input = 1, grad_weight_ih = 1, grad_weight_hh = 1, grad_bias = 1, grad_weight_hr = 1;
};

// h, c hold the states: before, h_0 and c_0; after, h_n and c_n.
struct LstmForward {
  LstmSizes sizes;
  LstmWeights weights;
  LstmFactors factors;
  const void* input;  // (rows, I)
  void* output;       // row r at output + r * output_stride, P numbers
  std::int64_t output_stride;
  void* h;  // (batch, P)
  void* c;  // (batch, H)
  // What backward needs; gates is written in any case.
  void* gates;              // (rows, 4H): i, f, g, o after their functions
  void* cells;              // (rows, H): c' of each step
  void* cells_tanh;         // (rows, H)
  void* before_projection;  // (rows, H), with projection; else null
};

struct LstmBackward {
  LstmSizes sizes;
  LstmWeights weights;
  LstmFactors factors;
  const void* input;
  const void* output;
  std::int64_t output_stride;
  const void* h_0;  // (batch, P)
  const void* c_0;  // (batch, H)
  void* gates;      // read, then overwritten by the gradients of z
  const void* cells;
  const void* cells_tanh;
  const void* before_projection;
  const void* grad_output;  // as output; null: zero
  std::int64_t grad_output_stride;
  void* grad_h;  // (batch, P): before, the gradient of h_n; after, of h_0
  void* grad_c;  // (batch, H): before, of c_n; after, of c_0
  // Wanted gradients; null: not wanted.
  void* grad_input;  // (rows, I)
  void* grad_weight_ih;
  void* grad_weight_hh;
  void* grad_bias;  // (4H): both biases have the same gradient
  void* grad_weight_hr;
};

// The directions of one layer, which don't depend on each other.
template <class Direction>
struct LstmLayer {
  Direction direction[2];
  int count;
};

void run(OnCpu, const LstmLayer<LstmForward>&);
void run(OnCpu, const LstmLayer<LstmBackward>&);
void run(OnCuda, const LstmLayer<LstmForward>&);
void run(OnCuda, const LstmLayer<LstmBackward>&);

// What one step of a direction works on.
struct LstmStep {
  std::int64_t first_row, count;  // its rows, which belong to sequences 0 … count-1
  // Those of sequences 0 … continued-1 have a row in the step before, from `row_before` on. The others start from the
  // initial state: going forward all at step 0, going back those whose sequence ends here.
  std::int64_t continued, row_before;
};

// Calls body(LstmStep) in the order of the direction's time, or against it.
template <class Body>
void each_step(const LstmSizes& sizes, bool against_time, const Body& body) {
  const bool rising = sizes.reverse == against_time;
  std::int64_t first = rising ? 0 : sizes.rows;
  for (std::int64_t k = 0; k < sizes.steps; ++k) {
    const std::int64_t t = rising ? k : sizes.steps - 1 - k;
    const std::int64_t count = sizes.batch_sizes[t];
    if (!rising) first -= count;
    const std::int64_t before = sizes.reverse ? t + 1 : t - 1;
    const std::int64_t count_before = before < 0 || before >= sizes.steps ? 0 : sizes.batch_sizes[before];
    body(LstmStep{first, count, std::min(count, count_before), sizes.reverse ? first + count : first - count_before});
    if (rising) first += count;
  }
}

}  // namespace embergrad

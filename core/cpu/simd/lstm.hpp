// Included by table.cpp inside a namespace. One sequence's step: gates is (4, H).

template <class T, bool with_bias>
EMBERGRAD_HD void lstm_cell_units(T* __restrict gates, const T* __restrict bias, const T* __restrict c_before,
                                  T* __restrict c, T* __restrict c_tanh, T* __restrict h, std::int64_t hidden) {
  T *zi = gates, *zf = gates + hidden, *zg = gates + 2 * hidden, *zo = gates + 3 * hidden;
// The four blocks don't overlap.
#ifndef __clang__  // which does not know the next line
#pragma GCC ivdep
#endif
  for (std::int64_t j = 0; j < hidden; ++j) {
    const rules::LstmGates<T> gate = with_bias
                                         ? rules::lstm_gates(zi[j] + bias[j], zf[j] + bias[hidden + j],
                                                             zg[j] + bias[2 * hidden + j], zo[j] + bias[3 * hidden + j])
                                         : rules::lstm_gates(zi[j], zf[j], zg[j], zo[j]);
    const T cell = rules::lstm_cell(gate, c_before[j]);
    const T squashed = rules::tanh(cell);
    zi[j] = gate.i;
    zf[j] = gate.f;
    zg[j] = gate.g;
    zo[j] = gate.o;
    c[j] = cell;
    c_tanh[j] = squashed;
    h[j] = gate.o * squashed;
  }
}

template <class T>
static void lstm_cell_loop(T* gates, const T* bias, const T* c_before, T* c, T* c_tanh, T* h, std::int64_t hidden) {
  if (bias != nullptr) {
    lstm_cell_units<T, true>(gates, bias, c_before, c, c_tanh, h, hidden);
  } else {
    lstm_cell_units<T, false>(gates, bias, c_before, c, c_tanh, h, hidden);
  }
}

template <class T>
static void lstm_cell_grad_loop(T* __restrict gates, const T* __restrict c_before, const T* __restrict c_tanh,
                                const T* __restrict grad_h, T* __restrict grad_c, std::int64_t hidden) {
  T *gi = gates, *gf = gates + hidden, *gg = gates + 2 * hidden, *go = gates + 3 * hidden;
// The four blocks don't overlap.
#ifndef __clang__  // which does not know the next line
#pragma GCC ivdep
#endif
  for (std::int64_t j = 0; j < hidden; ++j) {
    const rules::LstmCellGrad<T> grad =
        rules::lstm_cell_grad<T>({gi[j], gf[j], gg[j], go[j]}, c_before[j], c_tanh[j], grad_h[j], grad_c[j]);
    gi[j] = grad.z.i;
    gf[j] = grad.z.f;
    gg[j] = grad.z.g;
    go[j] = grad.z.o;
    grad_c[j] = grad.c;
  }
}

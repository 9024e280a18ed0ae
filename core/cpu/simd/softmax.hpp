// Included by table.cpp inside a namespace. One contiguous row.

// A NaN anywhere makes the sum NaN, whatever the maximum missed.
template <class T>
static void softmax_row_loop(const T* in, T* out, std::int64_t n, bool log) {
  if (n == 0) return;
  const T largest = extreme_but_nan<false>(in, n);
  for (std::int64_t i = 0; i < n; ++i) out[i] = rules::exp(in[i] - largest);
  const T total = sum_loop(out, n);
  if (log) {
    const T shift = rules::log(total);
    for (std::int64_t i = 0; i < n; ++i) out[i] = (in[i] - largest) - shift;
  } else {
    for (std::int64_t i = 0; i < n; ++i) out[i] = out[i] / total;
  }
}

template <class T>
static void softmax_row_grad_loop(const T* out, const T* grad, T* grad_in, std::int64_t n, bool log) {
  if (log) {
    const T total = sum_loop(grad, n);
    for (std::int64_t i = 0; i < n; ++i) grad_in[i] = grad[i] - rules::exp(out[i]) * total;
    return;
  }
  T lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i) lanes[i % 16] += grad[i] * out[i];
  const T total = add_lanes(lanes);
  for (std::int64_t i = 0; i < n; ++i) grad_in[i] = out[i] * (grad[i] - total);
}

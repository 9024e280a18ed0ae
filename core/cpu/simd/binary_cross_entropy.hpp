// Included by table.cpp inside a namespace. A step is 1, or 0 for a number that repeats. pos_weight may be null.

template <class T>
static void bce_loop(const T* x, const T* t, const T* weight, std::int64_t weight_step, const T* pos_weight,
                     std::int64_t pos_step, T* out, std::int64_t n) {
  if (pos_weight == nullptr) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = weight[i * weight_step] * rules::BinaryCrossEntropy::f(x[i], t[i]);
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = weight[i * weight_step] * rules::BinaryCrossEntropy::f(x[i], t[i], pos_weight[i * pos_step]);
  }
}

template <class T>
static void bce_grad_loop(const T* x, const T* t, const T* weight, std::int64_t weight_step, const T* pos_weight,
                          std::int64_t pos_step, const T* scale, std::int64_t scale_step, T* out, std::int64_t n) {
  if (pos_weight == nullptr) {
    for (std::int64_t i = 0; i < n; ++i) {
      out[i] = scale[i * scale_step] * weight[i * weight_step] * rules::BinaryCrossEntropy::df(x[i], t[i]);
    }
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const T slope = rules::BinaryCrossEntropy::df(x[i], t[i], pos_weight[i * pos_step]);
    out[i] = scale[i * scale_step] * weight[i * weight_step] * slope;
  }
}

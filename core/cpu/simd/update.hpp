// Included by table.cpp inside a namespace. Optimizers and gradient clipping.

template <class Rule, class T>
static void sgd_loop(const Rule& rule, T* __restrict param, const T* __restrict grad, T* __restrict momentum,
                     std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) rule.step(param[i], grad[i], momentum[i]);
}

template <class Rule, class T>
static void sgd_loop_without_momentum(const Rule& rule, T* __restrict param, const T* __restrict grad, std::int64_t n) {
  T none = 0;
  for (std::int64_t i = 0; i < n; ++i) rule.step(param[i], grad[i], none);
}

template <class T, bool decays>
static void sgd_decay(const rules::SgdCoefficients<T>& c, bool nesterov, T* param, const T* grad, T* momentum,
                      std::int64_t n) {
  if (momentum == nullptr) {
    sgd_loop_without_momentum(rules::Sgd<T, false, false, decays>{c}, param, grad, n);
  } else if (nesterov) {
    sgd_loop(rules::Sgd<T, true, true, decays>{c}, param, grad, momentum, n);
  } else {
    sgd_loop(rules::Sgd<T, true, false, decays>{c}, param, grad, momentum, n);
  }
}

template <class T>
static void sgd_any(const rules::SgdCoefficients<T>& c, bool nesterov, T* param, const T* grad, T* momentum,
                    std::int64_t n) {
  // Without decay nothing is added: 0·inf would be NaN.
  if (c.weight_decay == 0) {
    sgd_decay<T, false>(c, nesterov, param, grad, momentum, n);
  } else {
    sgd_decay<T, true>(c, nesterov, param, grad, momentum, n);
  }
}

template <class Rule, class T>
static void adam_loop(const Rule& rule, T* __restrict param, const T* __restrict grad, T* __restrict m, T* __restrict v,
                      std::int64_t n) {
  T none = 0;
  for (std::int64_t i = 0; i < n; ++i) rule.step(param[i], grad[i], m[i], v[i], none);
}

template <class Rule, class T>
static void amsgrad_loop(const Rule& rule, T* __restrict param, const T* __restrict grad, T* __restrict m,
                         T* __restrict v, T* __restrict v_max, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) rule.step(param[i], grad[i], m[i], v[i], v_max[i]);
}

template <class T, rules::Decay decay>
static void adam_decay(const rules::AdamCoefficients<T>& c, T* param, const T* grad, T* m, T* v, T* v_max,
                       std::int64_t n) {
  if (v_max == nullptr) {
    adam_loop(rules::Adam<T, decay, false>{c}, param, grad, m, v, n);
  } else {
    amsgrad_loop(rules::Adam<T, decay, true>{c}, param, grad, m, v, v_max, n);
  }
}

template <class T>
static void adam_any(const rules::AdamCoefficients<T>& c, rules::Decay decay, T* param, const T* grad, T* m, T* v,
                     T* v_max, std::int64_t n) {
  switch (decay) {
    case rules::Decay::none:
      return adam_decay<T, rules::Decay::none>(c, param, grad, m, v, v_max, n);
    case rules::Decay::coupled:
      return adam_decay<T, rules::Decay::coupled>(c, param, grad, m, v, v_max, n);
    case rules::Decay::decoupled:
      return adam_decay<T, rules::Decay::decoupled>(c, param, grad, m, v, v_max, n);
  }
}

template <class Rule, class T>
static void adagrad_loop(const Rule& rule, T* __restrict param, const T* __restrict grad, T* __restrict sum,
                         std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) rule.step(param[i], grad[i], sum[i]);
}

template <class T>
static void adagrad_any(const rules::AdagradCoefficients<T>& c, T* param, const T* grad, T* sum, std::int64_t n) {
  if (c.weight_decay == 0) {
    adagrad_loop(rules::Adagrad<T, false>{c}, param, grad, sum, n);
  } else {
    adagrad_loop(rules::Adagrad<T, true>{c}, param, grad, sum, n);
  }
}

template <class T>
static double sum_squares_loop(const T* x, std::int64_t n) {
  double lane[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int j = 0; j < 16; ++j) lane[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  }
  for (int j = 0; i < n; ++i, ++j) lane[j] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  for (int width = 8; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lane[j] += lane[j + width];
  }
  return lane[0];
}

template <class T>
static void scale_loop(T* __restrict x, T factor, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] *= factor;
}

template <class T>
static void clamp_loop(T* __restrict x, T limit, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T low = x[i] < -limit ? -limit : x[i];
    x[i] = low > limit ? limit : low;
  }
}

template <class T>
static constexpr UpdateLoopsOf<T> update_loops_of() {
  return {
      .sgd = sgd_any<T>,
      .adam = adam_any<T>,
      .adagrad = adagrad_any<T>,
      .sum_squares = sum_squares_loop<T>,
      .scale = scale_loop<T>,
      .clamp = clamp_loop<T>,
  };
}

static constexpr UpdateLoops update_loops() { return {update_loops_of<float>(), update_loops_of<double>()}; }

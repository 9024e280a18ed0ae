// Included by table.cpp inside a namespace.

template <class Rule, class T>
static void unary_loop(const T* in, T* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = Rule::f(in[i]);
}

template <class Rule, class T>
static void unary_grad_loop(const T* saved, const T* grad, T* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = grad[i] * Rule::df(saved[i]);
}

template <class Rule, class T>
static void binary_loop(const T* a, const T* b, T* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = Rule::f(a[i], b[i]);
}

template <class Rule, class T>
static void binary_scalar_loop(const T* a, T b, T* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = Rule::f(a[i], b);
}

template <class Rule, class T>
static void scalar_binary_loop(T a, const T* b, T* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = Rule::f(a, b[i]);
}

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

template <class T>
static void clamp_loop(const T* in, T low, T high, T* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = rules::Clamp::f(in[i], low, high);
}

template <class T>
static void clamp_grad_loop(const T* in, const T* grad, T low, T high, T* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = rules::Clamp::grad(in[i], grad[i], low, high);
}

// A loop for every rule of the lists; null where a rule takes no integers.
template <class T, class Rule>
constexpr void add_unary(Loops<T>& loops) {
  constexpr int place = unary_place<Rule>;
  if constexpr (Rule::takes_integers || !rules::is_integer<T>) loops.unary[place] = unary_loop<Rule, T>;
  if constexpr (!rules::is_integer<T>) loops.unary_grad[place] = unary_grad_loop<Rule, T>;
}

template <class T, class Rule>
constexpr void add_binary(Loops<T>& loops) {
  constexpr int place = binary_place<Rule>;
  if constexpr (Rule::takes_integers || !rules::is_integer<T>) {
    loops.binary[place] = binary_loop<Rule, T>;
    loops.binary_scalar[place] = binary_scalar_loop<Rule, T>;
    loops.scalar_binary[place] = scalar_binary_loop<Rule, T>;
  }
}

template <class T, class... Unary, class... Binary>
constexpr void add_elementwise(Loops<T>& loops, rules::RuleList<Unary...> /*unary*/,
                               rules::RuleList<Binary...> /*binary*/) {
  (add_unary<T, Unary>(loops), ...);
  (add_binary<T, Binary>(loops), ...);
  loops.clamp = clamp_loop<T>;
  if constexpr (!rules::is_integer<T>) loops.clamp_grad = clamp_grad_loop<T>;
}

// Included by table.cpp inside a namespace. Optimizers and gradient clipping.

// A slot's number, or where a rule keeps none, one that nobody looks at.
template <bool kept, class T>
[[gnu::always_inline]] static inline T& slot_at(T* slot, T& none, std::int64_t i) {
  if constexpr (kept) {
    return slot[i];
  } else {
    return none;
  }
}

template <class Rule, class Gradient, class T>
static void step_numbers(const typename Rule::template Coefficients<T>& c, T* __restrict param, const Gradient& grad,
                         T* __restrict s0, T* __restrict s1, T* __restrict s2, std::int64_t n) {
  T none = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    Rule::step(c, param[i], grad[i], slot_at<(Rule::slots & 0b001) != 0>(s0, none, i),
               slot_at<(Rule::slots & 0b010) != 0>(s1, none, i), slot_at<(Rule::slots & 0b100) != 0>(s2, none, i));
  }
}

// A row of a rule that keeps one number for it. Squares are summed in 16 lanes.
template <class Rule, class Gradient, class T>
static void step_row(const typename Rule::template Coefficients<T>& c, T* __restrict param, const Gradient& grad,
                     T* __restrict sum, std::int64_t n) {
  T lane[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int j = 0; j < 16; ++j) {
      const T g = Rule::gradient(c, param[i + j], grad[i + j]);
      lane[j] += g * g;
    }
  }
  for (int j = 0; i < n; ++i, ++j) {
    const T g = Rule::gradient(c, param[i], grad[i]);
    lane[j] += g * g;
  }
  for (int width = 8; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lane[j] += lane[j + width];
  }
  const T rate = Rule::rate(c, lane[0] / static_cast<T>(n), *sum);
  for (i = 0; i < n; ++i) param[i] = param[i] - rate * Rule::gradient(c, param[i], grad[i]);
}

template <class T>
struct GivenGradient {
  const T* __restrict values;
  T operator[](std::int64_t i) const { return values[i]; }
};
template <class T>
struct NoGradient {
  T operator[](std::int64_t /*i*/) const { return T(0); }
};

template <class Rule, class T>
static void step_loop(const T* coefficients, T* param, const T* grad, T* s0, T* s1, T* s2, std::int64_t n) {
  typename Rule::template Coefficients<T> c;
  __builtin_memcpy(&c, coefficients, sizeof(c));
  const auto step = [&](const auto& gradient) {
    if constexpr (rules::is_by_row<Rule>) {
      step_row<Rule>(c, param, gradient, s0, n);
    } else {
      step_numbers<Rule>(c, param, gradient, s0, s1, s2, n);
    }
  };
  if (grad != nullptr) {
    step(GivenGradient<T>{grad});
  } else {
    step(NoGradient<T>{});
  }
}

template <int count>
struct Lanes {
  static constexpr int n = count;
};
// Calls body(Lanes, i) for the numbers i … of a row. Several vectors at once: in an idle rule each number waits for the
// one before it in a chain of sums.
template <class Body>
[[gnu::always_inline]] static inline void by_lanes(std::int64_t n, const Body& body) {
  std::int64_t i = 0;
  for (; i + 64 <= n; i += 64) body(Lanes<64>{}, i);
  for (; i + 16 <= n; i += 16) body(Lanes<16>{}, i);
  for (; i < n; ++i) body(Lanes<1>{}, i);
}

// A row and its slots as an idle rule takes them: one that is not there is not looked at, or is zero. What is written
// to it goes where nobody looks.
template <class T>
struct IdleRow {
  T* param;
  T* slots[3];
  T nowhere[64] = {};
  const T* from(int s, std::int64_t i) const {
    static constexpr T zeros[64] = {};
    return slots[s] == nullptr ? zeros : slots[s] + i;
  }
  T* at(int s, std::int64_t i) { return slots[s] == nullptr ? nowhere : slots[s] + i; }
};

template <class Rule, class T>
struct SpanOf {
  explicit SpanOf(const T* span) : tail(span + sizeof(numbers) / sizeof(T)) {
    __builtin_memcpy(&numbers, span, sizeof(numbers));
  }
  typename Rule::template Span<T> numbers;
  const T* tail;
};

// What time does to a row, in place.
template <class Rule, class T>
static void idle_loop(const T* span, T* param, T* s0, T* s1, T* s2, std::int64_t n) {
  const SpanOf<Rule, T> c(span);
  IdleRow<T> row{param, {s0, s1, s2}};
  by_lanes(n, [&](auto lanes, std::int64_t i) {
    T moved[lanes.n];
    Rule::template drift<lanes.n>(c.numbers, c.tail, param + i, row.from(0, i), row.from(1, i), row.from(2, i), moved);
    Rule::template age<lanes.n>(c.numbers, param + i, row.at(0, i), row.at(1, i), row.at(2, i));
    for (int j = 0; j < lanes.n; ++j) param[i + j] = moved[j];
  });
}

// What it does to the parameter alone, elsewhere.
template <class Rule, class T>
static void drift_loop(const T* span, T* param, T* s0, T* s1, T* s2, T* __restrict out, std::int64_t n) {
  const SpanOf<Rule, T> c(span);
  IdleRow<T> row{param, {s0, s1, s2}};
  by_lanes(n, [&](auto lanes, std::int64_t i) {
    Rule::template drift<lanes.n>(c.numbers, c.tail, param + i, row.from(0, i), row.from(1, i), row.from(2, i),
                                  out + i);
  });
}

// What it does to the slots alone; the parameter is as it was before.
template <class Rule, class T>
static void age_loop(const T* span, T* param, T* s0, T* s1, T* s2, std::int64_t n) {
  const SpanOf<Rule, T> c(span);
  IdleRow<T> row{param, {s0, s1, s2}};
  by_lanes(n, [&](auto lanes, std::int64_t i) {
    Rule::template age<lanes.n>(c.numbers, param + i, row.at(0, i), row.at(1, i), row.at(2, i));
  });
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

template <class T, class... Steps, class... Idles>
static constexpr UpdateLoopsOf<T> update_loops_of(rules::RuleList<Steps...> /*steps*/,
                                                  rules::RuleList<Idles...> /*idles*/) {
  return {
      .step = {step_loop<Steps, T>...},
      .idle = {idle_loop<Idles, T>...},
      .drift = {drift_loop<Idles, T>...},
      .age = {age_loop<Idles, T>...},
      .sum_squares = sum_squares_loop<T>,
      .scale = scale_loop<T>,
      .clamp = clamp_loop<T>,
  };
}

static constexpr UpdateLoops update_loops() {
  return {update_loops_of<float>(rules::StepRules{}, rules::IdleRules{}),
          update_loops_of<double>(rules::StepRules{}, rules::IdleRules{})};
}

// Included by table.cpp inside a namespace. The orders of summation are fixed: they are part of the contract.

template <class T>
EMBERGRAD_HD T add_lanes(T* lanes) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// A contiguous sum: lane i adds the elements i, i+16, i+32, …, in blocks of 64 whose sums are added in blocks of 64,
// and these in order; then the lanes are added pairwise.
template <class T>
static T sum_loop(const T* in, std::int64_t n) {
  constexpr std::int64_t block = 16 * 64;
  T outer[16] = {};
  for (std::int64_t far = 0; far < n; far += 64 * block) {
    T middle[16] = {};
    const std::int64_t far_end = far + 64 * block < n ? far + 64 * block : n;
    for (std::int64_t first = far; first < far_end; first += block) {
      T lanes[16] = {};
      const std::int64_t end = first + block < far_end ? first + block : far_end;
      const std::int64_t whole = first + (end - first) / 16 * 16;
      for (std::int64_t i = first; i < whole; i += 16) {
        for (int k = 0; k < 16; ++k) lanes[k] += in[i + k];
      }
      for (std::int64_t i = whole; i < end; ++i) lanes[i - whole] += in[i];
      for (int k = 0; k < 16; ++k) middle[k] += lanes[k];
    }
    for (int k = 0; k < 16; ++k) outer[k] += middle[k];
  }
  return add_lanes(outer);
}

// Rows added in order by blocks of 64, the block sums again by blocks of 64, and so on; `w` <= 64 columns of them.
// sum_block(first, end, sums) leaves the sums of rows [first, end). out (+)= scale * the sum.
template <class T, class SumBlock>
EMBERGRAD_HD void add_blocks(std::int64_t count, int w, T scale, T* out, bool accumulate, const SumBlock& sum_block) {
  constexpr int levels = 6;  // 64^7 rows are enough
  T now[64];
  T sums[levels][64];
  std::int64_t filled[levels] = {};
  int used = 0;
  std::int64_t first = 0;
  for (; count - first > 64; first += 64) {
    sum_block(first, first + 64, now);
    const T* carry = now;
    for (int level = 0; level < levels; ++level) {
      if (level == used) {
        for (int j = 0; j < w; ++j) sums[level][j] = T(0);
        ++used;
      }
      for (int j = 0; j < w; ++j) sums[level][j] += carry[j];
      if (level > 0) {
        for (int j = 0; j < w; ++j) sums[level - 1][j] = T(0);
      }
      if (++filled[level] < 64) break;
      filled[level] = 0;
      carry = sums[level];
    }
  }
  sum_block(first, count, now);
  const T* total = now;
  for (int level = 0; level < used; ++level) {
    for (int j = 0; j < w; ++j) sums[level][j] += total[j];
    total = sums[level];
  }
  if (accumulate) {
    for (int j = 0; j < w; ++j) out[j] += scale * total[j];
  } else {
    for (int j = 0; j < w; ++j) out[j] = scale * total[j];
  }
}

// Sixteen numbers that the compiler keeps in registers. GNU C's vector extension: g++ and clang alike.
template <class T>
struct PackOf {
  // NOLINTNEXTLINE(modernize-use-using): as g++ and clang both take it
  typedef T Type __attribute__((vector_size(16 * sizeof(T))));
};

// An element of a table as a number to compute with.
template <class T, class Row>
EMBERGRAD_HD T to_number(Row x) {
  return rules::Converter<T, Row>::f(x);
}

template <class T, class Row>
EMBERGRAD_HD void load_pack(const Row* from, typename PackOf<T>::Type& to) {
  if constexpr (rules::is_same<T, Row>) {
    __builtin_memcpy(&to, from, sizeof(to));
  } else {
    T numbers[16];
    for (int j = 0; j < 16; ++j) numbers[j] = to_number<T>(from[j]);
    __builtin_memcpy(&to, numbers, sizeof(to));
  }
}

// The rows of a sum. at(k): the k-th. With `weighted`, factor(k) multiplies it; with `masked`, only the columns count
// in which mask(k)[j] == slot(k).
template <class T>
struct StridedRows {
  static constexpr bool weighted = false;
  static constexpr bool masked = false;
  const T* in;
  std::int64_t stride;
  EMBERGRAD_HD const T* at(std::int64_t k) const { return in + k * stride; }
  EMBERGRAD_HD const T* ahead(std::int64_t /*k*/) const { return nullptr; }
};

template <class Row, class T, bool is_weighted, bool is_masked>
struct GatheredRows {
  static constexpr bool weighted = is_weighted;
  static constexpr bool masked = is_masked;
  const RowsOf<Row, T>* rows;
  EMBERGRAD_HD const Row* at(std::int64_t k) const { return rows->table + rows->rows[k] * rows->width; }
  // A row to fetch while row k is added: far enough to hide the memory's latency, near enough to stay in the cache.
  EMBERGRAD_HD const Row* ahead(std::int64_t k) const {
    constexpr std::int64_t distance = 12;
    return k + distance < rows->readable ? at(k + distance) : nullptr;
  }
  EMBERGRAD_HD T factor(std::int64_t k) const { return rows->factors[k]; }
  EMBERGRAD_HD const std::int32_t* mask(std::int64_t k) const { return rows->winners + rows->rows[k] * rows->width; }
  EMBERGRAD_HD std::int32_t slot(std::int64_t k) const { return rows->slots[k]; }
};

// Adds columns [column, column + 16) of row k to a pack.
template <class T, class Rows, class Pack>
EMBERGRAD_HD void add_pack(const Rows& rows, std::int64_t k, std::int64_t column, Pack& sum) {
  Pack x;
  load_pack<T>(rows.at(k) + column, x);
  if constexpr (Rows::weighted) x = x * rows.factor(k);
  if constexpr (Rows::masked) {
    const std::int32_t* mask = rows.mask(k) + column;
    const std::int32_t slot = rows.slot(k);
    T taken[16];
    for (int j = 0; j < 16; ++j) taken[j] = mask[j] == slot ? x[j] : T(0);
    __builtin_memcpy(&x, taken, sizeof(x));
  }
  sum += x;
}

template <int packs, class T, class Rows>
EMBERGRAD_HD void sum_packs(const Rows& rows, std::int64_t first, std::int64_t end, std::int64_t column, T* out) {
  using Pack = typename PackOf<T>::Type;
  Pack a = {};
  Pack b = {};
  Pack c = {};
  Pack d = {};
  for (std::int64_t k = first; k < end; ++k) {
    if (const auto* next = rows.ahead(k); next != nullptr) {
      const char* line = reinterpret_cast<const char*>(next + column);
      for (std::size_t byte = 0; byte < packs * 16 * sizeof(*next); byte += 64) __builtin_prefetch(line + byte);
    }
    add_pack<T>(rows, k, column, a);
    if constexpr (packs > 1) {
      add_pack<T>(rows, k, column + 16, b);
      add_pack<T>(rows, k, column + 32, c);
      add_pack<T>(rows, k, column + 48, d);
    }
  }
  __builtin_memcpy(out, &a, sizeof(a));
  if constexpr (packs > 1) {
    __builtin_memcpy(out + 16, &b, sizeof(b));
    __builtin_memcpy(out + 32, &c, sizeof(c));
    __builtin_memcpy(out + 48, &d, sizeof(d));
  }
}

// The same for fewer than 16 columns.
template <class T, class Rows>
EMBERGRAD_HD void sum_few(const Rows& rows, std::int64_t first, std::int64_t end, std::int64_t column, int w, T* out) {
  for (int j = 0; j < w; ++j) out[j] = T(0);
  for (std::int64_t k = first; k < end; ++k) {
    if (const auto* next = rows.ahead(k); next != nullptr) __builtin_prefetch(next + column);
    const auto* row = rows.at(k) + column;
    for (int j = 0; j < w; ++j) {
      T x = to_number<T>(row[j]);
      if constexpr (Rows::weighted) x = x * rows.factor(k);
      if constexpr (Rows::masked) x = rows.mask(k)[column + j] == rows.slot(k) ? x : T(0);
      out[j] += x;
    }
  }
}

// What add_blocks calls for the columns from `column` on.
template <int packs, class Rows>
struct PackSums {
  const Rows& rows;
  std::int64_t column;
  template <class T>
  EMBERGRAD_HD void operator()(std::int64_t first, std::int64_t end, T* sums) const {
    sum_packs<packs>(rows, first, end, column, sums);
  }
};
template <class Rows>
struct FewSums {
  const Rows& rows;
  std::int64_t column;
  int w;
  template <class T>
  EMBERGRAD_HD void operator()(std::int64_t first, std::int64_t end, T* sums) const {
    sum_few(rows, first, end, column, w, sums);
  }
};

template <class T, class Rows>
EMBERGRAD_HD void sum_all_columns(const Rows& rows, std::int64_t count, std::int64_t width, T scale, T* out,
                                  bool accumulate) {
  std::int64_t column = 0;
  for (; column + 64 <= width; column += 64) {
    add_blocks(count, 64, scale, out + column, accumulate, PackSums<4, Rows>{rows, column});
  }
  for (; column + 16 <= width; column += 16) {
    add_blocks(count, 16, scale, out + column, accumulate, PackSums<1, Rows>{rows, column});
  }
  if (column < width) {
    const int w = static_cast<int>(width - column);
    add_blocks(count, w, scale, out + column, accumulate, FewSums<Rows>{rows, column, w});
  }
}

template <class T>
static void sum_rows_loop(const T* in, std::int64_t count, std::int64_t stride, std::int64_t width, T* out) {
  sum_all_columns(StridedRows<T>{in, stride}, count, width, T(1), out, false);
}

// Comparisons that NaN wins.
template <bool smallest, class T>
EMBERGRAD_HD bool beats(T x, T best) {
  return (smallest ? x < best : x > best) || (x != x && best == best);
}

// The extreme of n >= 1 numbers, passing over NaN but for the first number.
template <bool smallest, class T>
EMBERGRAD_HD T extreme_but_nan(const T* in, std::int64_t n) {
  T lanes[16];
  for (int k = 0; k < 16; ++k) lanes[k] = in[0];
  const std::int64_t whole = n / 16 * 16;
  for (std::int64_t i = 0; i < whole; i += 16) {
    for (int k = 0; k < 16; ++k)
      lanes[k] = (smallest ? in[i + k] < lanes[k] : in[i + k] > lanes[k]) ? in[i + k] : lanes[k];
  }
  for (std::int64_t i = whole; i < n; ++i) {
    T& lane = lanes[i - whole];
    lane = (smallest ? in[i] < lane : in[i] > lane) ? in[i] : lane;
  }
  T best = lanes[0];
  for (int k = 1; k < 16; ++k) best = (smallest ? lanes[k] < best : lanes[k] > best) ? lanes[k] : best;
  return best;
}

// The first position that holds, or n; looked at in blocks, without a branch inside.
template <class T, class Holds>
EMBERGRAD_HD std::int64_t first_that(const T* in, std::int64_t n, const Holds& holds) {
  constexpr std::int64_t block = 256;
  std::int64_t first = 0;
  for (; first + block <= n; first += block) {
    int found = 0;
    for (std::int64_t i = first; i < first + block; ++i) found |= holds(in[i]) ? 1 : 0;
    if (found != 0) break;
  }
  while (first < n && !holds(in[first])) ++first;
  return first;
}

template <class T>
struct IsNan {
  EMBERGRAD_HD bool operator()(T x) const { return x != x; }
};
template <class T>
struct IsEqual {
  T value;
  EMBERGRAD_HD bool operator()(T x) const { return x == value; }
};

template <class T>
static T extreme_loop(const T* in, std::int64_t n, bool smallest) {
  if constexpr (!rules::is_integer<T>) {
    const std::int64_t nan = first_that(in, n, IsNan<T>{});
    if (nan < n) return in[nan];
  }
  return smallest ? extreme_but_nan<true>(in, n) : extreme_but_nan<false>(in, n);
}

template <class T>
static std::int64_t find_loop(const T* in, std::int64_t n, T value) {
  if (value != value) return first_that(in, n, IsNan<T>{});
  return first_that(in, n, IsEqual<T>{value});
}

template <bool smallest, class T>
EMBERGRAD_HD void extreme_of_rows(const T* in, std::int64_t count, std::int64_t width, T* values,
                                  std::int64_t* indices) {
  for (std::int64_t j = 0; j < width; ++j) values[j] = in[j];
  if (indices == nullptr) {
    for (std::int64_t k = 1; k < count; ++k) {
      const T* row = in + k * width;
      for (std::int64_t j = 0; j < width; ++j) values[j] = beats<smallest>(row[j], values[j]) ? row[j] : values[j];
    }
    return;
  }
  for (std::int64_t j = 0; j < width; ++j) indices[j] = 0;
  for (std::int64_t k = 1; k < count; ++k) {
    const T* row = in + k * width;
    for (std::int64_t j = 0; j < width; ++j) {
      const bool better = beats<smallest>(row[j], values[j]);
      values[j] = better ? row[j] : values[j];
      indices[j] = better ? k : indices[j];
    }
  }
}

template <class T>
static void extreme_rows_loop(const T* in, std::int64_t count, std::int64_t width, T* values, std::int64_t* indices,
                              bool smallest) {
  if (smallest) {
    extreme_of_rows<true>(in, count, width, values, indices);
  } else {
    extreme_of_rows<false>(in, count, width, values, indices);
  }
}

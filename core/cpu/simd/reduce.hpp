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

// Rows added in order by blocks of 64, the block sums again by blocks of 64, and so on; `columns` of them at a time.
template <class T, class RowAt>
EMBERGRAD_HD void sum_rows_in_blocks(std::int64_t count, std::int64_t width, T* out, bool accumulate,
                                     const RowAt& row_at) {
  constexpr int columns = 64;
  constexpr int levels = 7;  // 64^7 rows are enough
  T sums[levels][columns];
  for (std::int64_t first = 0; first < width; first += columns) {
    const int w = static_cast<int>(width - first < columns ? width - first : columns);
    int used = 1;
    int filled[levels] = {};
    for (int j = 0; j < w; ++j) sums[0][j] = T(0);
    for (std::int64_t k = 0; k < count; ++k) {
      const T* row = row_at(k) + first;
      for (int j = 0; j < w; ++j) sums[0][j] += row[j];
      ++filled[0];
      for (int level = 0; filled[level] == 64 && level + 1 < levels && k + 1 < count; ++level) {
        if (level + 1 == used) {
          for (int j = 0; j < w; ++j) sums[level + 1][j] = T(0);
          ++used;
        }
        for (int j = 0; j < w; ++j) sums[level + 1][j] += sums[level][j];
        for (int j = 0; j < w; ++j) sums[level][j] = T(0);
        filled[level] = 0;
        ++filled[level + 1];
      }
    }
    for (int level = 0; level + 1 < used; ++level) {
      for (int j = 0; j < w; ++j) sums[level + 1][j] += sums[level][j];
    }
    T* to = out + first;
    if (accumulate) {
      for (int j = 0; j < w; ++j) to[j] += sums[used - 1][j];
    } else {
      for (int j = 0; j < w; ++j) to[j] = sums[used - 1][j];
    }
  }
}

template <class T>
struct StridedRows {
  const T* in;
  std::int64_t stride;
  EMBERGRAD_HD const T* operator()(std::int64_t k) const { return in + k * stride; }
};

template <class T>
struct GatheredRows {
  const T* in;
  const std::int64_t* places;
  std::int64_t width;
  EMBERGRAD_HD const T* operator()(std::int64_t k) const { return in + places[k] * width; }
};

template <class T>
static void sum_rows_loop(const T* in, std::int64_t count, std::int64_t stride, std::int64_t width, T* out) {
  sum_rows_in_blocks(count, width, out, false, StridedRows<T>{in, stride});
}

template <class T>
static void sum_gathered_rows_loop(const T* in, const std::int64_t* places, std::int64_t count, std::int64_t width,
                                   T* out, bool accumulate) {
  sum_rows_in_blocks(count, width, out, accumulate, GatheredRows<T>{in, places, width});
}

// Comparisons that NaN wins.
template <bool smallest, class T>
EMBERGRAD_HD bool beats(T x, T best) {
  return (smallest ? x < best : x > best) || (x != x && best == best);
}

template <bool smallest, class T>
EMBERGRAD_HD T extreme_of(const T* in, std::int64_t n) {
  T lanes[16];
  for (int k = 0; k < 16; ++k) lanes[k] = in[0];
  const std::int64_t whole = n / 16 * 16;
  for (std::int64_t i = 0; i < whole; i += 16) {
    for (int k = 0; k < 16; ++k) {
      const T x = in[i + k];
      lanes[k] = ((smallest ? x < lanes[k] : x > lanes[k]) | (x != x)) ? x : lanes[k];
    }
  }
  for (std::int64_t i = whole; i < n; ++i) {
    if (beats<smallest>(in[i], lanes[i - whole])) lanes[i - whole] = in[i];
  }
  T best = lanes[0];
  for (int k = 1; k < 16; ++k) best = beats<smallest>(lanes[k], best) ? lanes[k] : best;
  return best;
}

template <class T>
static T extreme_loop(const T* in, std::int64_t n, bool smallest) {
  return smallest ? extreme_of<true>(in, n) : extreme_of<false>(in, n);
}

template <class T>
static std::int64_t find_loop(const T* in, std::int64_t n, T value) {
  constexpr std::int64_t block = 128;
  const bool any_nan = value != value;
  std::int64_t first = 0;
  for (; first + block <= n; first += block) {
    int found = 0;
    for (std::int64_t i = first; i < first + block; ++i)
      found |= static_cast<int>(in[i] == value || (any_nan && in[i] != in[i]));
    if (found != 0) break;
  }
  while (first < n && !(in[first] == value || (any_nan && in[first] != in[first]))) ++first;
  return first;
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

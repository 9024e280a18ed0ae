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

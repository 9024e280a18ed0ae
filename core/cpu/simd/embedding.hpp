// Included by table.cpp inside a namespace. Rows of a table: sums, maxima, products with a gradient.

template <class Row, class T>
static void sum_rows_of_table(const RowsOf<Row, T>& rows, T* out, bool accumulate) {
  if (rows.winners != nullptr && rows.factors != nullptr) {
    sum_all_columns(GatheredRows<Row, T, true, true>{&rows}, rows.count, rows.width, rows.scale, out, accumulate);
  } else if (rows.winners != nullptr) {
    sum_all_columns(GatheredRows<Row, T, false, true>{&rows}, rows.count, rows.width, rows.scale, out, accumulate);
  } else if (rows.factors != nullptr) {
    sum_all_columns(GatheredRows<Row, T, true, false>{&rows}, rows.count, rows.width, rows.scale, out, accumulate);
  } else {
    sum_all_columns(GatheredRows<Row, T, false, false>{&rows}, rows.count, rows.width, rows.scale, out, accumulate);
  }
}

template <bool weighted, class Row, class T>
EMBERGRAD_HD void max_of_rows(const RowsOf<Row, T>& rows, T* out, std::int32_t* winners) {
  for (std::int64_t k = 0; k < rows.count; ++k) {
    const Row* row = rows.table + rows.rows[k] * rows.width;
    const std::int32_t slot = rows.slots == nullptr ? static_cast<std::int32_t>(k) : rows.slots[k];
    for (std::int64_t j = 0; j < rows.width; ++j) {
      T x = to_number<T>(row[j]);
      if constexpr (weighted) x = x * rows.factors[k];
      const bool better = k == 0 || beats<false>(x, out[j]);
      out[j] = better ? x : out[j];
      winners[j] = better ? slot : winners[j];
    }
  }
}

template <class Row, class T>
static void max_rows_of_table(const RowsOf<Row, T>& rows, T* out, std::int32_t* winners) {
  if (rows.factors != nullptr) {
    max_of_rows<true>(rows, out, winners);
  } else {
    max_of_rows<false>(rows, out, winners);
  }
}

// Σ x[j] * y[j] in 16 lanes; masked: of the columns j with winners[j] == slot.
template <bool masked, class Row, class T>
EMBERGRAD_HD T dot_lanes(const Row* x, const T* y, std::int64_t n, const std::int32_t* winners, std::int32_t slot) {
  T lanes[16] = {};
  const std::int64_t whole = n / 16 * 16;
  for (std::int64_t i = 0; i < whole; i += 16) {
    for (int j = 0; j < 16; ++j) {
      const T product = to_number<T>(x[i + j]) * y[i + j];
      lanes[j] += !masked || winners[i + j] == slot ? product : T(0);
    }
  }
  for (std::int64_t i = whole; i < n; ++i) {
    if (!masked || winners[i] == slot) lanes[i - whole] += to_number<T>(x[i]) * y[i];
  }
  return add_lanes(lanes);
}

template <class Row, class T>
static void dots_with_rows(const RowsOf<Row, T>& rows, const T* grad, T* out) {
  for (std::int64_t k = 0; k < rows.count; ++k) {
    const Row* row = rows.table + rows.rows[k] * rows.width;
    if (rows.winners == nullptr) {
      out[k] = dot_lanes<false>(row, grad, rows.width, nullptr, 0);
    } else {
      const std::int32_t slot = rows.slots == nullptr ? static_cast<std::int32_t>(k) : rows.slots[k];
      out[k] = dot_lanes<true>(row, grad, rows.width, rows.winners, slot);
    }
  }
}

template <class Row, class T>
static constexpr TableLoops<Row, T> table_loops_of() {
  return {.sum = sum_rows_of_table<Row, T>, .max = max_rows_of_table<Row, T>, .dots = dots_with_rows<Row, T>};
}

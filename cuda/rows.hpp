// Rows along the middle of (outer, count, inner), each for a team of threads of one block, and what a team finds out
// together. A row has 16 lanes, of which a thread has the neighbours that fit 16 bytes; that is the CPU's order of
// summation, so sums have its bits.
#pragma once

#include "cuda/block.hpp"

namespace embergrad::cuda {

// How rows are shared out; made on the host.
template <class T>
struct Rows {
  static constexpr int lanes = 16;
  static constexpr int threads_per_unit = lanes / Pack<T>::width;
  static constexpr int most_units = default_threads / threads_per_unit;
  static constexpr std::int64_t terms = 64;

  std::int64_t rows, count, inner;
  std::int64_t unit;  // elements that lanes add up before they are added to others: `terms` for each
  int units;          // how many of them a team adds side by side; a power of two
  bool packs;         // rows are contiguous and may be moved 16 bytes at a time

  [[nodiscard]] EMBERGRAD_HD int team() const { return units * threads_per_unit; }

  // Blocks of fewer threads where there would be too few of them; rows beside each other stay eight to a block.
  [[nodiscard]] Grid grid() const {
    const int least = inner == 1 ? team() : 8 * team();
    int threads = default_threads;
    while (threads > 32 && threads > least && divide_up(rows, threads / team()) < 512) threads /= 2;
    const std::int64_t blocks = divide_up(rows, threads / team());
    return {blocks < most_blocks ? blocks : most_blocks, threads};
  }

  // More units, until teams take rows whole, `step` elements in each. Rows beside each other are for neighbouring
  // threads: they have few units, or one where there are rows enough.
  void widen(std::int64_t step) {
    const int most = inner == 1 ? most_units : (rows < 16384 ? 8 : 1);
    while (units < most && units * step < count) units *= 2;
  }
};

// Teams that add up rows, and teams that only walk over them.
template <class T, class... Pointers>
Rows<T> rows_to_sum(std::int64_t outer, std::int64_t count, std::int64_t inner, Pointers... pointers) {
  using R = Rows<T>;
  R rows{outer * inner, count, inner, R::lanes * R::terms, 1, false};
  rows.packs = inner == 1 && count % Pack<T>::width == 0 && all_on_packs(pointers...);
  rows.widen(rows.unit);
  return rows;
}
template <class T, class... Pointers>
Rows<T> rows_to_walk(std::int64_t outer, std::int64_t count, std::int64_t inner, Pointers... pointers) {
  Rows<T> rows = rows_to_sum<T>(outer, count, inner, pointers...);
  rows.widen(Rows<T>::lanes);
  return rows;
}

// A thread's part in them. All threads of a block come to what is done together, those without a row too.
template <class T, Block B>
class Team {
 public:
  static constexpr int width = Pack<T>::width;

  EMBERGRAD_HD Team(B& block, const Rows<T>& rows)
      : block_(block), rows_(rows), per_block_(block.threads() / rows.team()), next_(block.block() * per_block_) {
    const int thread = block.thread();
    const int member = rows.inner == 1 ? thread % rows.team() : thread / per_block_;
    row_in_block_ = rows.inner == 1 ? thread / rows.team() : thread % per_block_;
    unit_ = member / Rows<T>::threads_per_unit;
    column_ = member % Rows<T>::threads_per_unit;
    first = unit_ * Rows<T>::lanes + column_ * width;
    step = std::int64_t{rows.units} * Rows<T>::lanes;
  }

  // Goes to the next row; false, for all threads of the block, if there are no more.
  EMBERGRAD_HD bool next() {
    if (next_ >= rows_.rows) return false;
    row = next_ + row_in_block_;
    next_ += block_.blocks() * per_block_;
    has_row = row < rows_.rows;
    count = has_row ? rows_.count : 0;
    const std::int64_t outer = rows_.inner == 1 ? row : row / rows_.inner;
    start_ = rows_.inner == 1 ? row * rows_.count : outer * rows_.count * rows_.inner + (row - outer * rows_.inner);
    return true;
  }

  // Does one thread's work for the row fall to this one?
  [[nodiscard]] EMBERGRAD_HD bool leads() const { return has_row && first == 0; }

  // Where element k of the row lies.
  [[nodiscard]] EMBERGRAD_HD std::int64_t at(std::int64_t k) const { return start_ + k * rows_.inner; }

  // Elements k, k + 1, …: as many as there are, the rest is 0.
  EMBERGRAD_HD Pack<T> load(const T* in, std::int64_t k) const {
    if (rows_.packs) return block_.load(reinterpret_cast<const Pack<T>*>(in + at(k)));
    Pack<T> x;
    for (int j = 0; j < width; ++j) x.values[j] = k + j < count ? block_.load(in + at(k + j)) : T(0);
    return x;
  }
  EMBERGRAD_HD void store(T* out, std::int64_t k, const Pack<T>& x) const {
    if (rows_.packs) return block_.store(reinterpret_cast<Pack<T>*>(out + at(k)), x);
    for (int j = 0; j < width; ++j) {
      if (k + j < count) block_.store(out + at(k + j), x.values[j]);
    }
  }

  // The largest of term(k).values[j] for the elements k + j, passing over NaN; -inf if there is none.
  template <class Term>
  EMBERGRAD_HD T largest(const Term& term) {
    Pack<T> own;
    for (T& x : own.values) x = static_cast<T>(-__builtin_inff());
    const Pack<T> none = own;
    for (std::int64_t k = first; k < count; k += step) {
      const Pack<T> x = term(k);
      for (int j = 0; j < width; ++j) {
        if (rows_.packs || k + j < count) own.values[j] = Larger{}(own.values[j], x.values[j]);
      }
    }
    return over_lanes(over_units(none, own, EachLane<Larger>{}), Larger{});
  }

  // Their sum: each lane in blocks of 64, these in blocks of 64, and these in order; then the lanes pairwise.
  template <class Term>
  EMBERGRAD_HD T sum(const Term& term) {
    const std::int64_t all = rows_.count;
    const std::int64_t far_step = Rows<T>::terms * rows_.unit;
    Pack<T> total{};
    for (std::int64_t far = 0; far < all; far += far_step) {
      const std::int64_t far_end = far + far_step < all ? far + far_step : all;
      Pack<T> middle{};
      for (std::int64_t near = far; near < far_end; near += rows_.units * rows_.unit) {
        const std::int64_t begin = near + unit_ * rows_.unit;
        const std::int64_t end = begin + rows_.unit < far_end ? begin + rows_.unit : far_end;
        Pack<T> own{};
        for (std::int64_t k = begin + column_ * width; has_row && k < end; k += Rows<T>::lanes) {
          const Pack<T> x = term(k);
          for (int j = 0; j < width; ++j) {
            if (rows_.packs || k + j < all) own.values[j] += x.values[j];
          }
        }
        middle = over_units(middle, own, EachLane<Sum>{});
      }
      for (int j = 0; j < width; ++j) total.values[j] += middle.values[j];
    }
    return over_lanes(total, Sum{});
  }

  // What op makes of all that the row's threads have.
  template <class V, class Op>
  EMBERGRAD_HD V fold(const V& none, const V& own, const Op& op) {
    V columns[Rows<T>::threads_per_unit];
    all_columns(over_units(none, own, op), columns);
    V result = columns[0];
    for (int column = 1; column < Rows<T>::threads_per_unit; ++column) result = op(result, columns[column]);
    return result;
  }

  std::int64_t row = 0;
  std::int64_t count = 0;  // 0 where a thread has no row
  bool has_row = false;
  std::int64_t first, step;  // of the elements that this thread walks over, `width` at a time

 private:
  struct Sum {
    EMBERGRAD_HD T operator()(T a, T b) const { return a + b; }
  };
  struct Larger {
    EMBERGRAD_HD T operator()(T a, T b) const { return b > a ? b : a; }
  };
  template <class Op>
  struct EachLane {
    EMBERGRAD_HD Pack<T> operator()(Pack<T> a, const Pack<T>& b) const {
      for (int j = 0; j < width; ++j) a.values[j] = Op{}(a.values[j], b.values[j]);
      return a;
    }
  };
  template <class V>
  struct Slots {
    V of[default_threads];
  };

  [[nodiscard]] EMBERGRAD_HD int slot(int unit, int column) const {
    return (row_in_block_ * rows_.units + unit) * Rows<T>::threads_per_unit + column;
  }

  // For each column: start, then what each unit has, in order.
  template <class V, class Op>
  EMBERGRAD_HD V over_units(V start, const V& own, const Op& op) {
    if (rows_.units == 1) return op(start, own);
    auto& slots = block_.template shared<Slots<V>>();
    slots.of[slot(unit_, column_)] = own;
    block_.sync();
    for (int unit = 0; unit < rows_.units; ++unit) start = op(start, slots.of[slot(unit, column_)]);
    block_.sync();  // before the slots are written again
    return start;
  }

  template <class V>
  EMBERGRAD_HD void all_columns(const V& own, V* columns) {
    auto& slots = block_.template shared<Slots<V>>();
    slots.of[slot(unit_, column_)] = own;
    block_.sync();
    for (int column = 0; column < Rows<T>::threads_per_unit; ++column) columns[column] = slots.of[slot(unit_, column)];
    block_.sync();
  }

  template <class Op>
  EMBERGRAD_HD T over_lanes(const Pack<T>& own, const Op& op) {
    Pack<T> columns[Rows<T>::threads_per_unit];
    all_columns(own, columns);
    T lanes[Rows<T>::lanes];
    for (int lane = 0; lane < Rows<T>::lanes; ++lane) lanes[lane] = columns[lane / width].values[lane % width];
    for (int half = Rows<T>::lanes / 2; half > 0; half /= 2) {
      for (int lane = 0; lane < half; ++lane) lanes[lane] = op(lanes[lane], lanes[lane + half]);
    }
    return lanes[0];
  }

  B& block_;
  const Rows<T>& rows_;
  int per_block_;
  std::int64_t next_;
  std::int64_t start_ = 0;
  int row_in_block_, unit_, column_;
};

}  // namespace embergrad::cuda

// Bodies of the contracts over a middle dimension. The orders of summation are the contract's, so the bits are those of
// the CPU.
#pragma once

#include "cuda/block.hpp"
#include "cuda/memory.hpp"
#include "cuda/rows.hpp"
#include "kernels/reduce.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// out[o] = sum of in[o, :], one block per slice: 16 lanes, each in blocks of 64 terms; 64 such blocks are summed side
// by side and added in order by a thread per lane.
template <class T>
struct SumSlices {
  static constexpr int lanes = 16;
  static constexpr int terms = 64;
  static constexpr int units = 64;
  struct Sums {
    T of[units][lanes];
  };

  const T* in;
  T* out;
  std::int64_t outer, count;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    Sums& sums = block.template shared<Sums>();
    const int thread = block.thread();
    for (std::int64_t o = block.block(); o < outer; o += block.blocks()) {
      T total = T(0);
      for (std::int64_t far = 0; far < count; far += units * terms * lanes) {
        const T* part = in + o * count + far;
        const int left = static_cast<int>(count - far < units * terms * lanes ? count - far : units * terms * lanes);
        const int used = (left + terms * lanes - 1) / (terms * lanes);
        for (int task = thread; task < used * lanes; task += block.threads()) {
          const int unit = task / lanes;
          const int end = (unit + 1) * terms * lanes < left ? (unit + 1) * terms * lanes : left;
          T sum = T(0);
          for (int i = unit * terms * lanes + task % lanes; i < end; i += lanes) sum += block.load(part + i);
          sums.of[unit][task % lanes] = sum;
        }
        block.sync();
        if (thread < lanes) {
          T middle = T(0);
          for (int unit = 0; unit < used; ++unit) middle += sums.of[unit][thread];
          total += middle;
        }
        block.sync();  // before the sums are written again
      }
      if (thread < lanes) sums.of[0][thread] = total;
      block.sync();
      for (int half = lanes / 2; half > 0; half /= 2) {
        if (thread < half) sums.of[0][thread] += sums.of[0][thread + half];
        block.sync();
      }
      if (thread == 0) block.store(out + o, sums.of[0][0]);  // where thread 0 alone writes for the next slice
    }
  }
};

// out[o, i] = sum over k of in[o, k, i], one thread per sum: blocks of 64 terms, in order, their sums again in blocks
// of 64, and so on.
template <class T>
struct SumColumns {
  static constexpr int terms = 64;
  static constexpr int levels = 7;

  const T* in;
  T* out;
  std::int64_t outer, count, inner;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < outer * inner; i += item_step(block)) {
      const std::int64_t o = i / inner;
      const T* column = in + o * count * inner + (i - o * inner);
      T sums[levels] = {};
      int filled[levels] = {};
      int used = 1;
      for (std::int64_t k = 0; k < count;) {
        const std::int64_t end = k + terms < count ? k + terms : count;
        T sum = T(0);
        for (; k < end; ++k) sum += block.load(column + k * inner);
        sums[0] = sum;
        if (end == count) break;
        // This block is full and others follow.
        filled[0] = terms;
        for (int level = 0; level + 1 < levels && filled[level] == terms; ++level) {
          if (used < level + 2) used = level + 2;
          sums[level + 1] += sums[level];
          sums[level] = T(0);
          filled[level] = 0;
          ++filled[level + 1];
        }
      }
      for (int level = 0; level + 1 < used; ++level) sums[level + 1] += sums[level];
      block.store(out + i, sums[used - 1]);
    }
  }
};

// A number and what decides among equal ones, the smaller first; -1: none.
template <class T>
struct Candidate {
  T value;
  std::int64_t order;
};

// The one that goes first: a NaN before all numbers.
template <class T>
struct FirstOf {
  bool smallest;
  EMBERGRAD_HD Candidate<T> operator()(const Candidate<T>& a, const Candidate<T>& b) const {
    if (a.order < 0 || b.order < 0) return a.order < 0 ? b : a;
    const bool a_nan = a.value != a.value;
    const bool b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan ? a : b;
    if (!a_nan && a.value != b.value) return (smallest ? a.value < b.value : a.value > b.value) ? a : b;
    return a.order < b.order ? a : b;
  }
};

// values[o, i], indices[o, i] = the extreme of in[o, :, i] and its place
template <class T>
struct ExtremeRows {
  const T* in;
  T* values;
  std::int64_t* indices;
  Rows<T> rows;
  bool smallest;

  // Of equal numbers the first, which shows in the sign of zero. Where only values of contiguous rows are asked for,
  // the CPU compares in 16 lanes: it takes the first of the first lane.
  [[nodiscard]] EMBERGRAD_HD std::int64_t order_of(std::int64_t k) const {
    return indices == nullptr && rows.inner == 1 ? ((k % 16) << 58) | (k / 16) : k;
  }

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const FirstOf<T> first_of{smallest};
    Team<T, B> team(block, rows);
    while (team.next()) {
      const Candidate<T> none{T(0), -1};
      Candidate<T> best = none;
      for (std::int64_t k = team.first; k < team.count; k += team.step) {
        const Pack<T> x = team.load(in, k);
        for (int j = 0; j < Pack<T>::width; ++j) {
          if (k + j < team.count) best = first_of(best, {x.values[j], order_of(k + j)});
        }
      }
      best = team.fold(none, best, first_of);
      if (team.leads()) {
        if (values != nullptr) block.store(values + team.row, best.value);
        if (indices != nullptr) block.store(indices + team.row, best.order);
      }
    }
  }
};

// Unsigned integers in the order of numbers: equal ones are equal, a NaN is above all.
EMBERGRAD_HD std::uint32_t ordered(std::int32_t x) { return static_cast<std::uint32_t>(x) ^ 0x80000000U; }
EMBERGRAD_HD std::uint64_t ordered(std::int64_t x) { return static_cast<std::uint64_t>(x) ^ 0x8000000000000000U; }
EMBERGRAD_HD std::uint32_t ordered(float x) {
  if (x != x) return 0xFFFFFFFFU;
  const auto bits = __builtin_bit_cast(std::uint32_t, x == 0.0F ? 0.0F : x);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
EMBERGRAD_HD std::uint64_t ordered(double x) {
  if (x != x) return 0xFFFFFFFFFFFFFFFFU;
  const auto bits = __builtin_bit_cast(std::uint64_t, x == 0.0 ? 0.0 : x);
  return (bits & 0x8000000000000000U) != 0 ? ~bits : bits | 0x8000000000000000U;
}

// values[o, :, i], indices[o, :, i] = the k largest (smallest) of in[o, :, i] and their places, one block per row. Four
// bits at a time it finds the key of the last one that is taken; then it takes what has a smaller key and, of equals,
// the first.
template <class T>
struct TopkRows {
  using Key = decltype(ordered(T{}));
  static constexpr int key_bits = 8 * static_cast<int>(sizeof(Key));
  static constexpr int digit_bits = 4;
  static constexpr int digits = 1 << digit_bits;

  const T* in;
  T* values;
  std::int64_t* indices;
  std::int64_t rows, count, inner, k;
  bool smallest, sorted;

  struct Counts {
    std::int32_t of[digits][default_threads];  // by digit, of each thread
    std::int64_t all[digits];
  };
  struct Found {
    std::int64_t smaller[default_threads], equal[default_threads];
  };
  // The last key that is taken, and how many of those that have it are.
  struct Last {
    Key key;
    std::int64_t taken;
  };

  [[nodiscard]] EMBERGRAD_HD Key key_of(T x) const { return smallest ? ordered(x) : static_cast<Key>(~ordered(x)); }

  template <Block B>
  EMBERGRAD_HD Last find_last(B& block, const T* row) const {
    auto& counts = block.template shared<Counts>();
    const int thread = block.thread();
    Last last{0, k};
    for (int shift = key_bits - digit_bits; shift >= 0; shift -= digit_bits) {
      for (auto& own : counts.of) own[thread] = 0;
      for (std::int64_t c = thread; c < count; c += block.threads()) {
        const Key key = key_of(block.load(row + c * inner));
        // Above this digit as the last one. In two steps: a shift by all bits is undefined.
        if (((key ^ last.key) >> shift >> digit_bits) == 0) ++counts.of[(key >> shift) % digits][thread];
      }
      block.sync();
      if (thread < digits) {
        std::int64_t sum = 0;
        int from = thread;  // each elsewhere, so that they don't wait for one bank of the memory
        for (int i = 0; i < block.threads(); ++i) {
          sum += counts.of[thread][from];
          from = from + 1 == block.threads() ? 0 : from + 1;
        }
        counts.all[thread] = sum;
      }
      block.sync();
      int digit = 0;
      for (; counts.all[digit] < last.taken; ++digit) last.taken -= counts.all[digit];
      last.key |= static_cast<Key>(digit) << shift;
    }
    return last;
  }

  // Each thread takes from consecutive elements, so that places stay in order.
  template <Block B>
  EMBERGRAD_HD void take(B& block, const T* row, std::int64_t start, const Last& last) const {
    auto& found = block.template shared<Found>();
    const int thread = block.thread();
    const std::int64_t part = (count + block.threads() - 1) / block.threads();
    const std::int64_t begin = thread * part < count ? thread * part : count;
    const std::int64_t end = begin + part < count ? begin + part : count;
    std::int64_t smaller = 0;
    std::int64_t equal = 0;
    for (std::int64_t c = begin; c < end; ++c) {
      const Key key = key_of(block.load(row + c * inner));
      if (key < last.key) ++smaller;
      if (key == last.key) ++equal;
    }
    found.smaller[thread] = smaller;
    found.equal[thread] = equal;
    block.sync();
    smaller = equal = 0;
    for (int i = 0; i < thread; ++i) {
      smaller += found.smaller[i];
      equal += found.equal[i];
    }
    for (std::int64_t c = begin; c < end; ++c) {
      const T x = block.load(row + c * inner);
      const Key key = key_of(x);
      std::int64_t to = k;
      if (key < last.key) to = smaller++;
      if (key == last.key && equal < last.taken) to = k - last.taken + equal++;
      if (to == k) continue;
      block.store(values + start + to * inner, x);
      block.store(indices + start + to * inner, c);
    }
  }

  // Swaps two that are in the wrong order.
  template <Block B>
  EMBERGRAD_HD void put_in_order(B& block, T* value_a, T* value_b, std::int64_t* index_a, std::int64_t* index_b) const {
    const T a = block.load(value_a);
    const T b = block.load(value_b);
    const std::int64_t at_a = block.load(index_a);
    const std::int64_t at_b = block.load(index_b);
    const Key key_a = key_of(a);
    const Key key_b = key_of(b);
    if (key_a < key_b || (key_a == key_b && at_a < at_b)) return;
    block.store(value_a, b);
    block.store(value_b, a);
    block.store(index_a, at_b);
    block.store(index_b, at_a);
  }

  // A sorting network (Batcher 1968) for any number: runs of `run` are merged with their mirror images.
  template <Block B>
  EMBERGRAD_HD void sort(B& block, std::int64_t start) const {
    for (std::int64_t run = 1; run < k; run *= 2) {
      for (std::int64_t step = run; step > 0; step /= 2) {
        block.sync();
        for (std::int64_t pair = block.thread();; pair += block.threads()) {
          const std::int64_t in_step = pair & (step - 1);
          const std::int64_t a = 2 * pair - in_step;
          if (a >= k) break;
          const std::int64_t b = step == run ? a + 2 * (step - in_step) - 1 : a + step;
          if (b >= k) continue;
          put_in_order(block, values + start + a * inner, values + start + b * inner, indices + start + a * inner,
                       indices + start + b * inner);
        }
      }
    }
  }

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t r = block.block(); r < rows; r += block.blocks()) {
      const std::int64_t o = inner == 1 ? r : r / inner;
      const std::int64_t i = r - o * inner;
      const T* row = in + o * count * inner + i;
      const std::int64_t start = o * k * inner + i;
      const Last last = find_last(block, row);
      take(block, row, start, last);
      if (sorted) sort(block, start);
    }
  }
};

// out[o, indices[o, j, i], i] = in[o, j, i]
template <class T>
struct PlaceNumbers {
  const T* in;
  const std::int64_t* indices;
  T* out;
  std::int64_t outer, count, inner, k;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const std::int64_t slice = k * inner;
    for (std::int64_t at = first_item(block); at < outer * slice; at += item_step(block)) {
      const std::int64_t o = at / slice;
      const std::int64_t i = inner == 1 ? 0 : at % inner;
      block.store(out + (o * count + block.load(indices + at)) * inner + i, block.load(in + at));
    }
  }
};

template <class Start>
void run_with(const Start& start, const SumMiddle& request) {
  const auto sum = [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    T* out = request.out.as<T>();
    if (request.inner != 1) {
      return start(SumColumns<T>{in, out, request.outer, request.count, request.inner},
                   grid_for(request.outer * request.inner));
    }
    const int threads = request.count <= 2 * SumSlices<T>::terms * SumSlices<T>::lanes ? 32 : default_threads;
    start(SumSlices<T>{in, out, request.outer, request.count},
          Grid{request.outer < most_blocks ? request.outer : most_blocks, threads});
  };
  // Unsigned, integers wrap around.
  if (request.in.dtype == DType::int64) return sum(std::uint64_t{});
  visit_floating(request.in.dtype, sum);
}

template <class Start>
void run_with(const Start& start, const ExtremeMiddle& request) {
  visit_numbers(request.in.dtype, [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    const Rows<T> rows = rows_to_walk<T>(request.outer, request.count, request.inner, in);
    start(ExtremeRows<T>{in, request.values.as<T>(), request.indices.as<std::int64_t>(), rows, request.smallest},
          rows.grid());
  });
}

template <class Start>
void run_with(const Start& start, const TopkMiddle& request) {
  if (request.k == 0) return;
  visit_numbers(request.in.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t rows = request.outer * request.inner;
    start(TopkRows<T>{request.in.as<const T>(), request.values.as<T>(), request.indices.as<std::int64_t>(), rows,
                      request.count, request.inner, request.k, request.smallest, request.sorted},
          Grid{rows < most_blocks ? rows : most_blocks, request.count <= 512 ? 32 : default_threads});
  });
}

template <class Start>
void run_with(const Start& start, const PlaceMiddle& request) {
  run_with(start, Fill{request.out, 0});
  visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    start(PlaceNumbers<T>{request.in.as<const T>(), request.indices.as<const std::int64_t>(), request.out.as<T>(),
                          request.outer, request.count, request.inner, request.k},
          grid_for(request.outer * request.k * request.inner));
  });
}

}  // namespace embergrad::cuda

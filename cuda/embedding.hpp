// Bodies of the contracts on rows of a table.
#pragma once

#include "cuda/block.hpp"
#include "cuda/columns.hpp"
#include "cuda/ordered_sum.hpp"
#include "kernels/embedding.hpp"
#include "kernels/rules/norm.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// out[i, :] = table[index[i], :], or `fill` where index[i] < 0; rows of `width` words. A row is copied by 2^lane_bits
// threads, so that short rows share a block.
template <class Word, class Index>
struct GatherWords {
  const Word* table;
  const Index* index;
  Word* out;
  std::int64_t rows, width;
  Word fill;
  int lane_bits;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const int lanes = 1 << lane_bits;
    const int lane = block.thread() & (lanes - 1);
    const std::int64_t rows_per_block = block.threads() >> lane_bits;
    for (std::int64_t i = block.block() * rows_per_block + (block.thread() >> lane_bits); i < rows;
         i += block.blocks() * rows_per_block) {
      const auto row = static_cast<std::int64_t>(block.load(index + i));
      Word* to = out + i * width;
      if (row < 0) {
        for (std::int64_t j = lane; j < width; j += lanes) block.store(to + j, fill);
      } else {
        const Word* from = table + row * width;
        for (std::int64_t j = lane; j < width; j += lanes) block.store(to + j, block.load(from + j));
      }
    }
  }
};

// out[r(s), :] (+)= scale * the sum of segment s. Some threads add a segment of up to 64 places; for a longer one all
// threads of the block make the sums of its blocks of 64, 64 at a time.
template <class T, bool weighted, bool masked>
struct SumPlaces {
  static constexpr int terms = OrderedSum<T, 1, 1>::terms_of_block;
  static constexpr int lanes = 16;
  using Here = Columns<T>;
  struct Sums {
    T of[terms][lanes][Here::width];
  };
  struct Found {
    int is_long;
  };

  SumSegments request;
  RowShape shape;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    int& is_long = block.template shared<Found>().is_long;
    const int rows_at_once = block.threads() >> shape.lane_bits;
    for (std::int64_t base = block.block() * rows_at_once; base < request.segments;
         base += block.blocks() * rows_at_once) {
      const std::int64_t s = base + (block.thread() >> shape.lane_bits);
      const std::int64_t first = s < request.segments ? block.load(request.starts + s) : 0;
      const std::int64_t end = s < request.segments ? block.load(request.starts + s + 1) : 0;
      if (block.thread() == 0) is_long = 0;
      block.sync();
      if (end - first > terms) {
        is_long = 1;
      } else if (s < request.segments) {
        add_alone(block, s, first, end);
      }
      block.sync();
      if (is_long != 0) {
        for (std::int64_t other = base; other < base + rows_at_once && other < request.segments; ++other) {
          const std::int64_t begin = block.load(request.starts + other);
          const std::int64_t after = block.load(request.starts + other + 1);
          if (after - begin > terms) add_together(block, other, begin, after);
        }
      }
      block.sync();  // before is_long is written again
    }
  }

 private:
  template <Block B>
  EMBERGRAD_HD void add_places(B& block, const Here& at, std::int64_t first, std::int64_t end, T* sum) const {
    for (int k = 0; k < Here::width; ++k) sum[k] = T(0);
    for (std::int64_t i = first; i < end; ++i) {
      const std::int64_t place = block.load(request.places + i);
      T x[Here::width];
      at.load(block, static_cast<const T*>(request.grad.data) + place * request.dim, x);
      if constexpr (weighted) {
        const T factor = block.load(static_cast<const T*>(request.factors) + i);
        for (T& number : x) number = number * factor;
      }
      if constexpr (masked) {
        const std::int32_t slot = block.load(request.slots + i);
        std::int32_t winners[Here::width];
        at.load(block, request.winners + place * request.dim, winners);
        for (int k = 0; k < Here::width; ++k) x[k] = winners[k] == slot ? x[k] : T(0);
      }
      for (int k = 0; k < Here::width; ++k) sum[k] += x[k];
    }
  }

  template <Block B>
  EMBERGRAD_HD void write(B& block, const Here& at, std::int64_t s, T* sum) const {
    const std::int64_t row = request.rows == nullptr ? s : block.load(request.rows + s);
    T* out = static_cast<T*>(request.out.data) + row * request.dim;
    const auto scale = static_cast<T>(request.scale);
    T before[Here::width] = {};
    if (request.accumulate) at.load(block, out, before);
    for (int k = 0; k < Here::width; ++k) sum[k] = request.accumulate ? before[k] + scale * sum[k] : scale * sum[k];
    at.store(block, out, sum);
  }

  template <Block B>
  EMBERGRAD_HD void add_alone(B& block, std::int64_t s, std::int64_t first, std::int64_t end) const {
    for (Here at(shape.lane(block), shape.lanes(), shape.width, shape.packs); at.some(); at.advance()) {
      T sum[Here::width];
      add_places(block, at, first, end, sum);
      write(block, at, s, sum);
    }
  }

  template <Block B>
  EMBERGRAD_HD void add_together(B& block, std::int64_t s, std::int64_t first, std::int64_t end) const {
    auto& sums = block.template shared<Sums>().of;
    const int lane = block.thread() % lanes;
    const int group = block.thread() / lanes;
    Here at(lane, lanes, shape.width, shape.packs);
    for (std::int64_t tile = 0; tile < shape.width; tile += lanes * Here::width, at.advance()) {
      OrderedSum<T, Here::width, 4> total;
      for (std::int64_t far = first; far < end; far += terms * terms) {
        const std::int64_t left = end - far;
        const int units = left < terms * terms ? static_cast<int>((left + terms - 1) / terms) : terms;
        for (int unit = group; unit < units; unit += block.threads() / lanes) {
          const std::int64_t begin = far + unit * terms;
          add_places(block, at, begin, begin + terms < end ? begin + terms : end, sums[unit][lane]);
        }
        block.sync();
        if (group == 0) {
          T sum[Here::width] = {};
          for (int unit = 0; unit < units; ++unit) {
            for (int k = 0; k < Here::width; ++k) sum[k] += sums[unit][lane][k];
          }
          total.add(sum);
        }
        block.sync();  // before the sums are written again
      }
      if (group == 0) {
        T sum[Here::width];
        total.total(sum);
        write(block, at, s, sum);
      }
    }
  }
};

// Rows whose norm is above max_norm, times max_norm / (norm + 1e-7): a thread for each row's norm, which is summed in
// order, then all for each row.
template <class Row, class T, class Norm>
struct ScaleLongRows {
  static constexpr int threads = 64;
  struct Factors {
    T of[threads];
    bool is_long[threads];
  };

  Norm norm;
  Row* table;
  std::int64_t dim;
  const std::int64_t* rows;
  std::int64_t count;
  double max_norm;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    Factors& factors = block.template shared<Factors>();
    const int thread = block.thread();
    for (std::int64_t base = block.block() * threads; base < count; base += block.blocks() * threads) {
      factors.is_long[thread] = false;
      if (base + thread < count) {
        const Row* row = table + block.load(rows + base + thread) * dim;
        const auto exact =
            norm([&](std::int64_t j) { return rules::Converter<double, Row>::f(block.load(row + j)); }, dim);
        const auto size = static_cast<double>(static_cast<T>(exact));
        factors.is_long[thread] = size > max_norm;
        factors.of[thread] = static_cast<T>(max_norm / (size + 1e-7));
      }
      block.sync();
      for (int i = 0; i < threads; ++i) {
        if (!factors.is_long[i]) continue;
        Row* row = table + block.load(rows + base + i) * dim;
        for (std::int64_t j = thread; j < dim; j += threads) {
          const T number = rules::Converter<T, Row>::f(block.load(row + j));
          block.store(row + j, rules::Converter<Row, T>::f(number * factors.of[i]));
        }
      }
      block.sync();  // before factors are written again
    }
  }
};

// One block, so that the first of all is found without atomic operations.
template <class Index>
struct FindOutside {
  static constexpr int threads = default_threads;
  CheckIndices request;

  struct Firsts {
    std::int64_t at[threads];
  };

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const auto* index = static_cast<const Index*>(request.index.data);
    auto* out = static_cast<Index*>(request.out.data);
    const std::int64_t size = request.index.size;
    std::int64_t first = size;
    for (std::int64_t i = block.thread(); i < size; i += threads) {
      const Index value = block.load(index + i);
      const bool outside = is_outside(value);
      if (out != nullptr) block.store(out + i, outside ? Index(0) : value);
      if (outside && i < first) first = i;
    }
    auto& firsts = block.template shared<Firsts>();
    firsts.at[block.thread()] = first;
    block.sync();
    if (block.thread() != 0) return;
    for (int t = 0; t < threads; ++t) first = firsts.at[t] < first ? firsts.at[t] : first;
    if (first == size || block.load(request.found) != 0) return;
    block.store(request.found, request.ticket);
    block.store(request.found + 1, first);
    block.store(request.found + 2, static_cast<std::int64_t>(block.load(index + first)));
  }

 private:
  EMBERGRAD_HD bool is_outside(Index value) const {
    const auto wide = static_cast<std::int64_t>(value);
    return (wide < 0 || wide >= request.range) && !(request.or_also && wide == request.also);
  }
};

template <class Word, class Index, class Start>
void gather_words(const Start& start, const GatherRows& request, Word fill, Index /*index*/) {
  const auto word = static_cast<std::int64_t>(sizeof(Word));
  const std::int64_t width = request.dim * static_cast<std::int64_t>(item_size(request.table.dtype)) / word;
  constexpr int block_bits = 8;
  static_assert(default_threads == 1 << block_bits);
  int lane_bits = 0;
  while (lane_bits < block_bits && (std::int64_t{1} << lane_bits) < width) ++lane_bits;
  const std::int64_t blocks = divide_up(request.index.size, default_threads >> lane_bits);
  start(GatherWords<Word, Index>{request.table.as<const Word>(), request.index.as<const Index>(),
                                 request.out.as<Word>(), request.index.size, width, fill, lane_bits},
        Grid{blocks < most_blocks ? blocks : most_blocks, default_threads});
}

template <class T, class Word, class Index, class Start>
void gather_single_words(const Start& start, const GatherRows& request, T fill, Word /*word*/, Index index) {
  if constexpr (sizeof(T) == sizeof(Word)) gather_words(start, request, __builtin_bit_cast(Word, fill), index);
}

template <class T, class Index, class Start>
void gather_rows_of(const Start& start, const GatherRows& request, T /*type*/, Index index) {
  Pack<T> fill;
  for (T& value : fill.values) value = request.fill.as<T>();
  if (request.dim % Pack<T>::width == 0 && all_on_packs(request.table.data, request.out.data)) {
    return gather_words(start, request, __builtin_bit_cast(Pack<std::uint32_t>, fill), index);
  }
  visit_word(request.table.dtype, [&](auto word) { gather_single_words(start, request, fill.values[0], word, index); });
}

template <class Start>
void run_with(const Start& start, const GatherRows& request) {
  if (request.dim == 0) return;
  visit(request.table.dtype, [&](auto type) {
    visit_index(request.index.dtype, [&](auto index) { gather_rows_of(start, request, type, index); });
  });
}

template <class Start>
void run_with(const Start& start, const CheckIndices& request) {
  visit_index(request.index.dtype, [&](auto type) {
    using Body = FindOutside<decltype(type)>;
    start(Body{request}, Grid{1, Body::threads});
  });
}

template <bool weighted, bool masked, class T, class Start>
void sum_places(const Start& start, const SumSegments& request, T /*type*/) {
  const bool on_packs = all_on_packs(request.grad.data, request.out.data, request.winners);
  const RowShape shape = RowShape::of<T>(request.dim, on_packs, 8);
  start(SumPlaces<T, weighted, masked>{request, shape}, shape.grid(request.segments));
}

template <class Start>
void run_with(const Start& start, const SumSegments& request) {
  if (request.dim == 0) return;
  visit_floating(request.out.dtype, [&](auto type) {
    if (request.winners != nullptr && request.factors != nullptr) return sum_places<true, true>(start, request, type);
    if (request.winners != nullptr) return sum_places<false, true>(start, request, type);
    if (request.factors != nullptr) return sum_places<true, false>(start, request, type);
    sum_places<false, false>(start, request, type);
  });
}

template <class Row, class T, class Norm, class Start>
void scale_long_rows(const Start& start, const RenormRows& request, Row /*row*/, T /*number*/, const Norm& norm) {
  using Body = ScaleLongRows<Row, T, Norm>;
  const std::int64_t blocks = divide_up(request.count, Body::threads);
  start(Body{norm, request.table.as<Row>(), request.dim, request.rows, request.count, request.max_norm},
        Grid{blocks < most_blocks ? blocks : most_blocks, Body::threads});
}

template <class Start>
void run_with(const Start& start, const RenormRows& request) {
  visit_table(request.table.dtype, [&](auto row, auto number) {
    rules::visit_row_norm(request.p, [&](const auto& norm) { scale_long_rows(start, request, row, number, norm); });
  });
}

}  // namespace embergrad::cuda

// Bodies of the contracts on bags of rows.
#pragma once

#include "cuda/block.hpp"
#include "cuda/columns.hpp"
#include "cuda/ordered_sum.hpp"
#include "cuda/search.hpp"
#include "kernels/embedding_bag.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// Bags as bodies see them: of a table's elements, computed in T, places named by an index.
template <class Row, class T, class Index>
struct BagsOf {
  const Row* table;
  const Index* index;
  const T* weights;  // null: all 1
  std::int64_t dim;
  const std::int64_t* starts;
  std::int64_t count;
  std::int64_t skip;

  explicit BagsOf(const Bags& bags)
      : table(bags.table.as<const Row>()),
        index(bags.index.as<const Index>()),
        weights(bags.weights.as<const T>()),
        dim(bags.dim),
        starts(bags.starts),
        count(bags.count),
        skip(bags.skip) {}

  template <Block B>
  EMBERGRAD_HD std::int64_t start(B& block, std::int64_t bag) const {
    return block.load(starts + bag);
  }
  // The row of a place, or -1 where it is left out.
  template <Block B>
  EMBERGRAD_HD std::int64_t row(B& block, std::int64_t place) const {
    const auto row = static_cast<std::int64_t>(block.load(index + place));
    return row == skip ? -1 : row;
  }
  template <Block B>
  EMBERGRAD_HD T weight(B& block, std::int64_t place) const {
    return weights == nullptr ? T(1) : block.load(weights + place);
  }
  // Some columns of a row, times the weight of its place.
  template <Block B>
  EMBERGRAD_HD void load(B& block, const Columns<T>& at, std::int64_t place, std::int64_t row, T* to) const {
    at.load(block, table + row * dim, to);
    if (weights == nullptr) return;
    const T weight = block.load(weights + place);
    for (int k = 0; k < Columns<T>::width; ++k) to[k] = to[k] * weight;
  }
};

// The sums of the weights of bags: 16 threads for each are the lanes of its sum.
template <class Row, class T, class Index>
struct SumWeights {
  static constexpr int lanes = 16;
  static constexpr int bags_at_once = default_threads / lanes;
  struct Sums {
    T of[bags_at_once][lanes];
  };

  BagsOf<Row, T, Index> bags;
  T* out;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const int lane = block.thread() % lanes;
    T* sums = block.template shared<Sums>().of[block.thread() / lanes];
    for (std::int64_t base = block.block() * bags_at_once; base < bags.count; base += block.blocks() * bags_at_once) {
      const std::int64_t b = base + block.thread() / lanes;
      if (b < bags.count) {
        OrderedSum<T, 1, 3> sum;
        const std::int64_t end = bags.start(block, b + 1);
        int turn = 0;
        for (std::int64_t p = bags.start(block, b); p < end; ++p) {
          if (bags.row(block, p) < 0) continue;
          if (turn == lane) {
            const T weight = block.load(bags.weights + p);
            sum.add(&weight);
          }
          turn = (turn + 1) % lanes;
        }
        sum.total(sums + lane);
      }
      block.sync();
      if (b < bags.count && lane == 0) block.store(out + b, add_lanes(sums));
      block.sync();  // before the sums are written again
    }
  }
};

// out[b, :] = scale * Σ s * w, or its mean: some threads for each bag.
template <class Row, class T, class Index>
struct AddBags {
  BagsOf<Row, T, Index> bags;
  bool mean;
  T scale;
  T* out;
  T* divisors;  // with a mean and weights: of each bag; with a mean alone: out, or null
  RowShape shape;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    constexpr int width = Columns<T>::width;
    for (std::int64_t b = shape.first_row(block); b < bags.count; b += shape.row_step(block)) {
      const std::int64_t first = bags.start(block, b);
      const std::int64_t end = bags.start(block, b + 1);
      Columns<T> at(shape.lane(block), shape.lanes(), shape.width, shape.packs);
      do {  // once at least: even without columns there is a divisor
        OrderedSum<T, width, 6> sum;
        for (std::int64_t p = first; p < end; ++p) {
          const std::int64_t row = bags.row(block, p);
          if (row < 0) continue;
          T x[width];
          bags.load(block, at, p, row, x);
          sum.add(x);
        }
        T total[width];
        sum.total(total);
        if (mean) {
          const T divisor = bags.weights == nullptr ? static_cast<T>(sum.terms()) : block.load(divisors + b);
          for (T& number : total) number = divisor == T(0) ? T(0) : number / divisor;
          if (bags.weights == nullptr && divisors != nullptr && at.column(0) == 0) block.store(divisors + b, divisor);
        }
        for (T& number : total) number = number * scale;
        at.store(block, out + b * bags.dim, total);
        at.advance();
      } while (at.some());
    }
  }
};

// out[b, :] = scale * the largest s * w of each column.
template <class Row, class T, class Index>
struct LargestOfBags {
  BagsOf<Row, T, Index> bags;
  T scale;
  T* out;
  std::int32_t* winners;
  RowShape shape;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    constexpr int width = Columns<T>::width;
    for (std::int64_t b = shape.first_row(block); b < bags.count; b += shape.row_step(block)) {
      const std::int64_t first = bags.start(block, b);
      const std::int64_t end = bags.start(block, b + 1);
      for (Columns<T> at(shape.lane(block), shape.lanes(), shape.width, shape.packs); at.some(); at.advance()) {
        T best[width] = {};
        std::int32_t winner[width];
        for (std::int32_t& slot : winner) slot = -1;
        for (std::int64_t p = first; p < end; ++p) {
          const std::int64_t row = bags.row(block, p);
          if (row < 0) continue;
          T x[width];
          bags.load(block, at, p, row, x);
          for (int k = 0; k < width; ++k) {
            const bool is_nan = x[k] != x[k] && best[k] == best[k];
            if (winner[k] >= 0 && !(x[k] > best[k]) && !is_nan) continue;
            best[k] = x[k];
            winner[k] = static_cast<std::int32_t>(p - first);
          }
        }
        for (T& number : best) number = number * scale;
        at.store(block, out + b * bags.dim, best);
        at.store(block, winners + b * bags.dim, winner);
      }
    }
  }
};

// out[p] = scale * (grad of p's bag · row), over the columns that p has won where there are winners: 16 threads for
// each place are the lanes of the product.
template <class Row, class T, class Index>
struct DotPlaces {
  static constexpr int lanes = 16;
  static constexpr int places_at_once = default_threads / lanes;
  struct Sums {
    T of[places_at_once][lanes];
  };

  BagsOf<Row, T, Index> bags;
  const T* grad;
  const std::int32_t* winners;
  T scale;
  T* out;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const int lane = block.thread() % lanes;
    T* sums = block.template shared<Sums>().of[block.thread() / lanes];
    const std::int64_t begin = bags.start(block, 0);
    const std::int64_t end = bags.start(block, bags.count);
    for (std::int64_t base = begin + block.block() * places_at_once; base < end;
         base += block.blocks() * places_at_once) {
      const std::int64_t p = base + block.thread() / lanes;
      const std::int64_t row = p < end ? bags.row(block, p) : -1;
      if (row >= 0) {
        const std::int64_t bag = part_of(block, bags.starts, bags.count, p);
        const auto slot = static_cast<std::int32_t>(p - bags.start(block, bag));
        T sum = T(0);
        for (std::int64_t j = lane; j < bags.dim; j += lanes) {
          if (winners != nullptr && block.load(winners + bag * bags.dim + j) != slot) continue;
          const T x = rules::Converter<T, Row>::f(block.load(bags.table + row * bags.dim + j));
          sum += x * block.load(grad + bag * bags.dim + j);
        }
        sums[lane] = sum;
      }
      block.sync();
      if (lane == 0 && p < end) block.store(out + p, row < 0 ? T(0) : add_lanes(sums) * scale);
      block.sync();  // before the sums are written again
    }
  }
};

// With divisors: from the products of a bag's places, less their mean by weight. A thread for each bag.
template <class Row, class T, class Index>
struct CenterBags {
  BagsOf<Row, T, Index> bags;
  const T* divisors;
  T scale;
  T* out;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t b = first_item(block); b < bags.count; b += item_step(block)) {
      const std::int64_t first = bags.start(block, b);
      const std::int64_t end = bags.start(block, b + 1);
      const T divisor = block.load(divisors + b);
      T mean = T(0);
      for (std::int64_t p = first; p < end; ++p) {
        if (bags.row(block, p) >= 0) mean += bags.weight(block, p) * block.load(out + p);
      }
      mean /= divisor;
      for (std::int64_t p = first; p < end; ++p) {
        if (bags.row(block, p) < 0) continue;
        block.store(out + p, divisor == T(0) ? T(0) : (block.load(out + p) - mean) / divisor * scale);
      }
    }
  }
};

// --- from a request to a body

// Calls body(BagsOf<…>).
template <class Body>
void visit_bags(const Bags& bags, const Body& body) {
  visit_table(bags.table.dtype, [&](auto row, auto number) {
    using Row = decltype(row);
    using T = decltype(number);
    visit_index(bags.index.dtype, [&](auto index) { body(BagsOf<Row, T, decltype(index)>(bags)); });
  });
}

template <class Row, class T, class Index, class Start>
void add_bags(const Start& start, const SumBags& request, const BagsOf<Row, T, Index>& bags) {
  T* out = request.out.as<T>();
  T* divisors = request.divisors.as<T>();
  if (request.mean && bags.weights != nullptr) {
    const std::int64_t blocks = divide_up(bags.count, SumWeights<Row, T, Index>::bags_at_once);
    start(SumWeights<Row, T, Index>{bags, divisors},
          Grid{blocks < most_blocks ? blocks : most_blocks, default_threads});
  }
  const RowShape shape = RowShape::of<T>(bags.dim, all_on_packs(bags.table, out), 8);
  start(AddBags<Row, T, Index>{bags, request.mean, static_cast<T>(request.scale), out, divisors, shape},
        shape.grid(bags.count));
}

// The mean of weighted bags needs divisors.
template <class Start>
void run_with(const Start& start, const SumBags& request) {
  visit_bags(request.bags, [&](const auto& bags) { add_bags(start, request, bags); });
}

template <class Row, class T, class Index, class Start>
void largest_of_bags(const Start& start, const MaxBags& request, const BagsOf<Row, T, Index>& bags) {
  T* out = request.out.as<T>();
  const RowShape shape = RowShape::of<T>(bags.dim, all_on_packs(bags.table, out, request.winners), 8);
  start(LargestOfBags<Row, T, Index>{bags, static_cast<T>(request.scale), out, request.winners, shape},
        shape.grid(bags.count));
}

template <class Start>
void run_with(const Start& start, const MaxBags& request) {
  if (request.bags.dim == 0) return;
  visit_bags(request.bags, [&](const auto& bags) { largest_of_bags(start, request, bags); });
}

template <class Row, class T, class Index, class Start>
void weight_grads(const Start& start, const BagWeightGrads& request, const BagsOf<Row, T, Index>& bags) {
  using Dots = DotPlaces<Row, T, Index>;
  const auto scale = static_cast<T>(request.scale);
  const bool centers = request.divisors.data != nullptr;
  const std::int64_t places = request.bags.index.size;
  T* out = request.out.as<T>();
  const std::int64_t blocks = divide_up(places, Dots::places_at_once);
  start(Dots{bags, request.grad.as<const T>(), request.winners, centers ? T(1) : scale, out},
        Grid{blocks < most_blocks ? blocks : most_blocks, default_threads});
  if (!centers) return;
  start(CenterBags<Row, T, Index>{bags, request.divisors.as<const T>(), scale, out}, grid_for(bags.count));
}

template <class Start>
void run_with(const Start& start, const BagWeightGrads& request) {
  visit_bags(request.bags, [&](const auto& bags) { weight_grads(start, request, bags); });
}

}  // namespace embergrad::cuda

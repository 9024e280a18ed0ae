#include "kernels/embedding_bag.hpp"

#include "cpu/parallel.hpp"
#include "cpu/rows.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {
namespace {

// The places of all bags as the loops take them: row numbers in int64, without those that are left out. Copied only
// where that is not what was given.
template <class T>
class Places {
 public:
  explicit Places(const Bags& bags)
      : bags_(bags),
        kept_(bags.index.dtype == DType::int64 && bags.skip < 0),
        copied_rows_(kept_ ? 0 : bags.index.size),
        copied_starts_(kept_ ? 0 : bags.count + 1),
        copied_weights_(kept_ || bags.weights.data == nullptr ? 0 : bags.index.size),
        slots_(kept_ ? 0 : bags.index.size) {
    if (!kept_) cpu::visit_index(bags.index.dtype, [&](auto type) { copy(bags.index.as<const decltype(type)>()); });
  }

  [[nodiscard]] std::int64_t first(std::int64_t bag) const { return starts()[bag]; }
  [[nodiscard]] std::int64_t count(std::int64_t bag) const { return starts()[bag + 1] - starts()[bag]; }
  // The number within its bag, of all its places, of the k-th place that is left.
  [[nodiscard]] std::int64_t slot(std::int64_t bag, std::int64_t k) const { return kept_ ? k : slots_[first(bag) + k]; }
  [[nodiscard]] const T* weights(std::int64_t bag) const {
    if (bags_.weights.data == nullptr) return nullptr;
    return (kept_ ? bags_.weights.as<const T>() : copied_weights_.get()) + first(bag);
  }

  template <class Row>
  [[nodiscard]] cpu::RowsOf<Row, T> of(std::int64_t bag) const {
    const std::int64_t* rows = kept_ ? bags_.index.as<const std::int64_t>() : copied_rows_.get();
    return {.table = bags_.table.as<const Row>(),
            .rows = rows + first(bag),
            .count = count(bag),
            .readable = starts()[bags_.count] - first(bag),
            .width = bags_.dim,
            .factors = weights(bag),
            .slots = kept_ ? nullptr : slots_.get() + first(bag)};
  }

 private:
  [[nodiscard]] const std::int64_t* starts() const { return kept_ ? bags_.starts : copied_starts_.get(); }

  template <class Index>
  void copy(const Index* index) {
    const T* weights = bags_.weights.as<const T>();
    std::int64_t next = 0;
    for (std::int64_t b = 0; b < bags_.count; ++b) {
      copied_starts_[b] = next;
      for (std::int64_t p = bags_.starts[b]; p < bags_.starts[b + 1]; ++p) {
        if (index[p] == bags_.skip) continue;
        copied_rows_[next] = static_cast<std::int64_t>(index[p]);
        if (weights != nullptr) copied_weights_[next] = weights[p];
        slots_[next++] = static_cast<std::int32_t>(p - bags_.starts[b]);
      }
    }
    copied_starts_[bags_.count] = next;
  }

  const Bags& bags_;
  bool kept_;
  detail::Scratch<std::int64_t> copied_rows_, copied_starts_;
  detail::Scratch<T> copied_weights_;
  detail::Scratch<std::int32_t> slots_;
};

// Bags in a chunk: about 32768 elements of the table.
std::int64_t bags_in_chunk(const Bags& bags) {
  const std::int64_t places = bags.count == 0 ? 0 : bags.index.size / bags.count;
  return cpu::rows_in(32768, bags.dim * (places + 1));
}

// Calls body(Row{}, T{}, places, bag) for each bag.
template <class Body>
void for_each_bag(const Bags& bags, const Body& body) {
  cpu::visit_table(bags.table.dtype, [&]<class Row, class T>(Row row, T number) {
    const Places<T> places(bags);
    cpu::parallel_chunks(bags.count, bags_in_chunk(bags), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) body(row, number, places, b);
    });
  });
}

template <class T>
void times(T* values, double factor, std::int64_t n) {
  if (factor == 1) return;
  cpu::simd().loops<T>().binary_scalar[cpu::binary_place<rules::Mul>](values, static_cast<T>(factor), values, n);
}

}  // namespace

void run(OnCpu, const SumBags& request) {
  const std::int64_t dim = request.bags.dim;
  for_each_bag(request.bags, [&]<class Row, class T>(Row, T, const Places<T>& places, std::int64_t b) {
    T* out = request.out.as<T>() + b * dim;
    cpu::simd().table<Row>().sum(places.template of<Row>(b), out, false);
    if (request.mean) {
      const T* weights = places.weights(b);
      T divisor = T(places.count(b));
      if (weights != nullptr) divisor = cpu::simd().loops<T>().sum(weights, places.count(b));
      if (request.divisors.data != nullptr) request.divisors.as<T>()[b] = divisor;
      if (divisor == T(0)) {
        for (std::int64_t j = 0; j < dim; ++j) out[j] = T(0);
      } else {
        cpu::simd().loops<T>().binary_scalar[cpu::binary_place<rules::Div>](out, divisor, out, dim);
      }
    }
    times(out, request.scale, dim);
  });
}

void run(OnCpu, const MaxBags& request) {
  const std::int64_t dim = request.bags.dim;
  for_each_bag(request.bags, [&]<class Row, class T>(Row, T, const Places<T>& places, std::int64_t b) {
    T* out = request.out.as<T>() + b * dim;
    std::int32_t* winners = request.winners + b * dim;
    if (places.count(b) == 0) {
      for (std::int64_t j = 0; j < dim; ++j) {
        out[j] = T(0);
        winners[j] = -1;
      }
    }
    cpu::simd().table<Row>().max(places.template of<Row>(b), out, winners);
    times(out, request.scale, dim);
  });
}

void run(OnCpu, const BagWeightGrads& request) {
  const Bags& bags = request.bags;
  for_each_bag(bags, [&]<class Row, class T>(Row, T, const Places<T>& places, std::int64_t b) {
    T* out = request.out.as<T>();
    for (std::int64_t p = bags.starts[b]; p < bags.starts[b + 1]; ++p) out[p] = T(0);
    const std::int64_t count = places.count(b);
    const T divisor = request.divisors.data == nullptr ? T(1) : request.divisors.as<const T>()[b];
    if (divisor == T(0)) return;
    cpu::RowsOf<Row, T> rows = places.template of<Row>(b);
    if (request.winners != nullptr) rows.winners = request.winners + b * bags.dim;
    const detail::Scratch<T> dots(count);
    cpu::simd().table<Row>().dots(rows, request.grad.as<const T>() + b * bags.dim, dots.get());
    T mean = 0;
    if (request.divisors.data != nullptr) {
      for (std::int64_t k = 0; k < count; ++k) mean += rows.factors[k] * dots[k];
      mean /= divisor;
    }
    const auto scale = static_cast<T>(request.scale);
    for (std::int64_t k = 0; k < count; ++k) {
      out[bags.starts[b] + places.slot(b, k)] = (dots[k] - mean) / divisor * scale;
    }
  });
}

}  // namespace embergrad

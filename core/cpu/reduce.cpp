#include "kernels/reduce.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {
namespace {

// How many outer slices make a chunk of about 32,768 elements.
std::int64_t slices_per_chunk(std::int64_t slice) {
  return std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, slice));
}

template <class T>
void sum_floating(const SumMiddle& request) {
  const auto& loops = cpu::simd().loops<T>();
  const T* in = request.in.as<const T>();
  T* out = request.out.as<T>();
  const std::int64_t slice = request.count * request.inner;
  cpu::parallel_chunks(request.outer, slices_per_chunk(slice), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      if (request.inner == 1) {
        out[o] = loops.sum(in + o * slice, request.count);
      } else {
        loops.sum_rows(in + o * slice, request.count, request.inner, request.inner, out + o * request.inner);
      }
    }
  });
}

void sum_integers(const SumMiddle& request) {
  const auto* in = request.in.as<const std::int64_t>();
  auto* out = request.out.as<std::int64_t>();
  for (std::int64_t o = 0; o < request.outer; ++o) {
    for (std::int64_t i = 0; i < request.inner; ++i) {
      std::uint64_t total = 0;
      for (std::int64_t k = 0; k < request.count; ++k) {
        total += static_cast<std::uint64_t>(in[(o * request.count + k) * request.inner + i]);
      }
      out[o * request.inner + i] = static_cast<std::int64_t>(total);
    }
  }
}

}  // namespace

void run(OnCpu, const SumMiddle& request) {
  if (request.in.dtype == DType::int64) return sum_integers(request);
  cpu::visit_floating(request.in.dtype, [&](auto type) { sum_floating<decltype(type)>(request); });
}

void run(OnCpu, const ExtremeMiddle& request) {
  cpu::visit_numbers(request.in.dtype, [&](auto type) {
    using T = decltype(type);
    const auto& loops = cpu::simd().loops<T>();
    const T* in = request.in.as<const T>();
    T* values = request.values.as<T>();
    auto* indices = request.indices.as<std::int64_t>();
    const std::int64_t inner = request.inner;
    const std::int64_t slice = request.count * inner;
    cpu::parallel_chunks(request.outer, slices_per_chunk(slice), [&](std::int64_t begin, std::int64_t end) {
      if (inner == 1) {
        for (std::int64_t o = begin; o < end; ++o) {
          const T* row = in + o * slice;
          T value = loops.extreme(row, slice, request.smallest);
          if (indices != nullptr) value = row[indices[o] = loops.find(row, slice, value)];
          if (values != nullptr) values[o] = value;
        }
        return;
      }
      const detail::Scratch<T> unwanted(values == nullptr ? inner : 0);
      for (std::int64_t o = begin; o < end; ++o) {
        loops.extreme_rows(in + o * slice, request.count, inner,
                           values == nullptr ? unwanted.get() : values + o * inner,
                           indices == nullptr ? nullptr : indices + o * inner, request.smallest);
      }
    });
  });
}

namespace {

// A number and its place, ordered as topk wants them.
template <class T>
struct Candidate {
  T value;
  std::int64_t place;
};

// Whether a goes before b. A NaN counts as larger than all numbers; of equals, the first place.
template <class T>
bool goes_before(const Candidate<T>& a, const Candidate<T>& b, bool smallest) {
  const bool a_nan = a.value != a.value;
  const bool b_nan = b.value != b.value;
  if (a_nan || b_nan) {
    if (a_nan && b_nan) return a.place < b.place;
    return a_nan != smallest;
  }
  if (a.value != b.value) return smallest ? a.value < b.value : a.value > b.value;
  return a.place < b.place;
}

}  // namespace

void run(OnCpu, const TopkMiddle& request) {
  cpu::visit_numbers(request.in.dtype, [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    T* values = request.values.as<T>();
    auto* indices = request.indices.as<std::int64_t>();
    const std::int64_t count = request.count;
    const std::int64_t inner = request.inner;
    const std::int64_t k = request.k;
    if (k == 0) return;
    cpu::parallel_chunks(request.outer, slices_per_chunk(count * inner), [&](std::int64_t begin, std::int64_t end) {
      const detail::Scratch<Candidate<T>> column(count);
      Candidate<T>* first = column.get();
      const auto before = [&](const Candidate<T>& a, const Candidate<T>& b) {
        return goes_before(a, b, request.smallest);
      };
      for (std::int64_t o = begin; o < end; ++o) {
        for (std::int64_t i = 0; i < inner; ++i) {
          for (std::int64_t c = 0; c < count; ++c) first[c] = {in[(o * count + c) * inner + i], c};
          // Few of many: a heap of k. Else partition, then sort what was kept.
          if (k * 64 <= count) {
            std::partial_sort(first, first + k, first + count, before);
          } else {
            if (k < count) std::nth_element(first, first + (k - 1), first + count, before);
            if (request.sorted) std::sort(first, first + k, before);
          }
          for (std::int64_t j = 0; j < k; ++j) {
            values[(o * k + j) * inner + i] = first[j].value;
            indices[(o * k + j) * inner + i] = first[j].place;
          }
        }
      }
    });
  });
}

void run(OnCpu, const PlaceMiddle& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    const auto* indices = request.indices.as<const std::int64_t>();
    T* out = request.out.as<T>();
    const std::int64_t inner = request.inner;
    const std::int64_t slice = request.count * inner;
    cpu::parallel_chunks(request.outer, slices_per_chunk(slice), [&](std::int64_t begin, std::int64_t end) {
      std::memset(out + begin * slice, 0, static_cast<std::size_t>((end - begin) * slice) * sizeof(T));
      for (std::int64_t o = begin; o < end; ++o) {
        for (std::int64_t j = 0; j < request.k; ++j) {
          for (std::int64_t i = 0; i < inner; ++i) {
            const std::int64_t at = (o * request.k + j) * inner + i;
            out[o * slice + indices[at] * inner + i] = in[at];
          }
        }
      }
    });
  });
}

}  // namespace embergrad

// Bodies of SumMiddle. The orders of summation are the contract's, so the bits are those of the CPU.
#pragma once

#include "cuda/block.hpp"
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

}  // namespace embergrad::cuda

// Bodies of the contracts that draw. A thread makes 16 bytes of numbers from the counters that the CPU gives them.
#pragma once

#include "cuda/block.hpp"
#include "kernels/random.hpp"
#include "kernels/rules/philox.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// Numbers [p * width, (p + 1) * width) of a drawing op, which are one block of Philox.
template <class T>
struct Uniforms {
  std::uint64_t seed, tick;
  EMBERGRAD_HD Pack<T> operator()(std::int64_t p) const {
    const rules::Philox r = rules::philox(seed, tick, static_cast<std::uint64_t>(p));
    Pack<T> u;
    for (int k = 0; k < Pack<T>::width; ++k) {
      if constexpr (sizeof(T) == 4) {
        u.values[k] = rules::uniform(r.x[k]);
      } else {
        u.values[k] = rules::uniform(r.x[2 * k], r.x[2 * k + 1]);
      }
    }
    return u;
  }
};

// The same; a block of Philox for two of them.
template <class T>
struct Normals {
  std::uint64_t seed, tick;
  EMBERGRAD_HD Pack<T> operator()(std::int64_t p) const {
    constexpr int pairs = Pack<T>::width / 2;
    Pack<T> z;
    for (int k = 0; k < pairs; ++k) {
      const auto pair = static_cast<std::uint64_t>(p * pairs + k);
      const rules::SinCos two = rules::normal_pair(rules::philox(seed, tick, pair));
      z.values[2 * k] = static_cast<T>(two.sin);
      z.values[2 * k + 1] = static_cast<T>(two.cos);
    }
    return z;
  }
};

// out[i] = the i-th number
template <class Draw, class T>
struct DrawNumbers {
  Draw draw;
  T* out;
  std::int64_t size;
  bool packs;  // write 16 bytes at a time

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    constexpr int width = Pack<T>::width;
    for (std::int64_t p = first_item(block); p * width < size; p += item_step(block)) {
      const Pack<T> numbers = draw(p);
      if (packs && (p + 1) * width <= size) {
        block.store(reinterpret_cast<Pack<T>*>(out) + p, numbers);
      } else {
        for (int k = 0; k < width && p * width + k < size; ++k) block.store(out + p * width + k, numbers.values[k]);
      }
    }
  }
};

// out[i] = in[i] * (u_i < p ? 0 : kept)
template <class T>
struct DropNumbers {
  Uniforms<T> draw;
  const T* in;
  T* out;
  std::int64_t size;
  T p, kept;
  bool packs;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    constexpr int width = Pack<T>::width;
    for (std::int64_t at = first_item(block); at * width < size; at += item_step(block)) {
      Pack<T> u = draw(at);
      for (int k = 0; k < width; ++k) u.values[k] = u.values[k] < p ? T(0) : kept;
      if (packs && (at + 1) * width <= size) {
        Pack<T> x = block.load(reinterpret_cast<const Pack<T>*>(in) + at);
        for (int k = 0; k < width; ++k) x.values[k] = x.values[k] * u.values[k];
        block.store(reinterpret_cast<Pack<T>*>(out) + at, x);
      } else {
        for (int k = 0; k < width && at * width + k < size; ++k) {
          block.store(out + at * width + k, block.load(in + at * width + k) * u.values[k]);
        }
      }
    }
  }
};

template <class Draw, class T, class Start>
void draw_numbers(const Start& start, const Draw& draw, const View& out, T /*type*/) {
  T* to = out.as<T>();
  start(DrawNumbers<Draw, T>{draw, to, out.size, all_on_packs(to)}, grid_for(divide_up(out.size, Pack<T>::width)));
}

template <class Start>
void run_with(const Start& start, const DrawUniform& request) {
  visit_floating(request.out.dtype, [&](auto type) {
    draw_numbers(start, Uniforms<decltype(type)>{request.seed, request.tick}, request.out, type);
  });
}

template <class Start>
void run_with(const Start& start, const DrawNormal& request) {
  visit_floating(request.out.dtype, [&](auto type) {
    draw_numbers(start, Normals<decltype(type)>{request.seed, request.tick}, request.out, type);
  });
}

// The smallest T that is not below p: what is below the one is below the other.
template <class T>
T not_below(double p) {
  const T nearest = static_cast<T>(p);
  if (static_cast<double>(nearest) >= p) return nearest;
  return __builtin_nextafterf(nearest, 2.0F);
}

template <class Start>
void run_with(const Start& start, const ApplyDropout& request) {
  visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    T* out = request.out.as<T>();
    const T kept = request.p == 1.0 ? T(0) : static_cast<T>(request.factor / (1.0 - request.p));
    start(DropNumbers<T>{{request.seed, request.tick},
                         in,
                         out,
                         request.out.size,
                         not_below<T>(request.p),
                         kept,
                         all_on_packs(in, out)},
          grid_for(divide_up(request.out.size, Pack<T>::width)));
  });
}

}  // namespace embergrad::cuda

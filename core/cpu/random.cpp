#include "kernels/random.hpp"

#include "cpu/parallel.hpp"
#include "cpu/visit.hpp"
#include "kernels/rules/philox.hpp"

namespace embergrad {
namespace {

constexpr std::int64_t chunk = 1 << 14;  // elements; a multiple of every block

// Calls each(i, u_i) for i in [begin, end), which starts at a block. float32: four numbers a block; float64: two.
template <class T, class Each>
void for_each_uniform(std::uint64_t seed, std::uint64_t tick, std::int64_t begin, std::int64_t end, const Each& each) {
  constexpr std::int64_t width = sizeof(T) == 4 ? 4 : 2;
  for (std::int64_t i = begin; i < end; i += width) {
    const rules::Philox r = rules::philox(seed, tick, static_cast<std::uint64_t>(i / width));
    for (std::int64_t k = 0; k < width && i + k < end; ++k) {
      if constexpr (sizeof(T) == 4) {
        each(i + k, rules::uniform(r.x[k]));
      } else {
        each(i + k, rules::uniform(r.x[2 * k], r.x[2 * k + 1]));
      }
    }
  }
}

}  // namespace

void run(OnCpu, const DrawUniform& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    T* out = request.out.as<T>();
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      for_each_uniform<T>(request.seed, request.tick, begin, end, [&](std::int64_t i, T u) { out[i] = u; });
    });
  });
}

void run(OnCpu, const DrawNormal& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    T* out = request.out.as<T>();
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i += 2) {
        const rules::SinCos pair =
            rules::normal_pair(rules::philox(request.seed, request.tick, static_cast<std::uint64_t>(i / 2)));
        out[i] = static_cast<T>(pair.sin);
        if (i + 1 < end) out[i + 1] = static_cast<T>(pair.cos);
      }
    });
  });
}

void run(OnCpu, const ApplyDropout& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    T* out = request.out.as<T>();
    const T kept = request.p == 1.0 ? T(0) : static_cast<T>(request.factor / (1.0 - request.p));
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      for_each_uniform<T>(request.seed, request.tick, begin, end, [&](std::int64_t i, T u) {
        out[i] = in[i] * (static_cast<double>(u) < request.p ? T(0) : kept);
      });
    });
  });
}

}  // namespace embergrad

#include "kernels/elementwise.hpp"

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/strided.hpp"
#include "cpu/visit.hpp"

namespace embergrad {
namespace {

constexpr std::int64_t chunk = 1 << 15;

template <class T>
void broadcast(const BinaryBroadcast& request) {
  const auto* a = static_cast<const T*>(request.a.data);
  const auto* b = static_cast<const T*>(request.b.data);
  auto* out = static_cast<T*>(request.out.data);
  const std::int64_t a_step = cpu::inner_stride(request.a);
  const std::int64_t b_step = cpu::inner_stride(request.b);
  const auto op = static_cast<int>(request.op);
  const auto& loops = cpu::simd().loops<T>();
  cpu::for_each_row(
      [&](const std::int64_t* at, std::int64_t length) {
        const T* x = a + at[0];
        const T* y = b + at[1];
        T* row = out + at[2];
        if (a_step != 0 && b_step != 0) return loops.binary[op](x, y, row, length);
        if (a_step != 0) return loops.binary_scalar[op](x, *y, row, length);
        if (b_step != 0) return loops.scalar_binary[op](*x, y, row, length);
        loops.binary[op](x, y, row, 1);
        for (std::int64_t i = 1; i < length; ++i) row[i] = row[0];
      },
      request.a, request.b, request.out);
}

// Moving elements needs no more of a type than its size.
template <class Mask, class Word>
void select(const Select& request) {
  const auto* mask = static_cast<const Mask*>(request.mask.data);
  const auto* a = static_cast<const Word*>(request.a.data);
  const auto* b = static_cast<const Word*>(request.b.data);
  auto* out = static_cast<Word*>(request.out.data);
  const std::int64_t mask_step = cpu::inner_stride(request.mask);
  const std::int64_t a_step = cpu::inner_stride(request.a);
  const std::int64_t b_step = cpu::inner_stride(request.b);
  cpu::for_each_row(
      [&](const std::int64_t* at, std::int64_t length) {
        for (std::int64_t i = 0; i < length; ++i) {
          out[at[3] + i] = mask[at[0] + i * mask_step] != 0 ? a[at[1] + i * a_step] : b[at[2] + i * b_step];
        }
      },
      request.mask, request.a, request.b, request.out);
}

}  // namespace

void run(OnCpu, const UnaryMap& request) {
  cpu::visit_numbers(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const auto loop = cpu::simd().loops<T>().unary[static_cast<int>(request.op)];
    const T* in = request.in.as<const T>();
    T* out = request.out.as<T>();
    cpu::parallel_chunks(request.out.size, chunk,
                         [&](std::int64_t begin, std::int64_t end) { loop(in + begin, out + begin, end - begin); });
  });
}

void run(OnCpu, const UnaryGrad& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const auto loop = cpu::simd().loops<T>().unary_grad[static_cast<int>(request.op)];
    const T* saved = request.saved.as<const T>();
    const T* grad = request.grad.as<const T>();
    T* out = request.out.as<T>();
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loop(saved + begin, grad + begin, out + begin, end - begin);
    });
  });
}

void run(OnCpu, const BinaryMap& request) {
  cpu::visit_numbers(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const auto loop = cpu::simd().loops<T>().binary[static_cast<int>(request.op)];
    const T* a = request.a.as<const T>();
    const T* b = request.b.as<const T>();
    T* out = request.out.as<T>();
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loop(a + begin, b + begin, out + begin, end - begin);
    });
  });
}

void run(OnCpu, const BinaryScalarMap& request) {
  cpu::visit_numbers(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const auto op = static_cast<int>(request.op);
    const auto& loops = cpu::simd().loops<T>();
    const T* a = request.a.as<const T>();
    const T b = request.b.as<T>();
    T* out = request.out.as<T>();
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      if (request.reversed) {
        loops.scalar_binary[op](b, a + begin, out + begin, end - begin);
      } else {
        loops.binary_scalar[op](a + begin, b, out + begin, end - begin);
      }
    });
  });
}

void run(OnCpu, const BinaryBroadcast& request) {
  cpu::visit_numbers(request.out.dtype, [&](auto type) { broadcast<decltype(type)>(request); });
}

void run(OnCpu, const ClampMap& request) {
  cpu::visit_numbers(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    T* out = request.out.as<T>();
    const T low = request.low.as<T>();
    const T high = request.high.as<T>();
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      cpu::simd().loops<T>().clamp(in + begin, low, high, out + begin, end - begin);
    });
  });
}

void run(OnCpu, const ClampGrad& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    const T* grad = request.grad.as<const T>();
    T* out = request.out.as<T>();
    const T low = request.low.as<T>();
    const T high = request.high.as<T>();
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      cpu::simd().loops<T>().clamp_grad(in + begin, grad + begin, low, high, out + begin, end - begin);
    });
  });
}

void run(OnCpu, const Select& request) {
  cpu::visit_index(request.mask.dtype, [&](auto type) {
    using Mask = decltype(type);
    switch (item_size(request.out.dtype)) {
      case 8:
        return select<Mask, std::uint64_t>(request);
      case 4:
        return select<Mask, std::uint32_t>(request);
      default:
        return select<Mask, std::uint16_t>(request);
    }
  });
}

}  // namespace embergrad

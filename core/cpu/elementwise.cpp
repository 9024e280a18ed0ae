#include "kernels/elementwise.hpp"

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/strided.hpp"
#include "cpu/visit.hpp"
#include "kernels/rules/binary.hpp"

namespace embergrad {
namespace {

constexpr std::int64_t chunk = 1 << 15;

// Integers: plain loops; wrapping around like PyTorch's, without undefined behaviour.
template <class T>
T integer_binary(BinaryOp op, T a, T b) {
  using U = std::make_unsigned_t<T>;
  const U x = static_cast<U>(a);
  const U y = static_cast<U>(b);
  switch (op) {
    case BinaryOp::add:
      return static_cast<T>(x + y);
    case BinaryOp::sub:
      return static_cast<T>(x - y);
    default:
      return static_cast<T>(x * y);
  }
}

template <class T>
void unary(const UnaryMap& request) {
  const T* in = request.in.as<const T>();
  T* out = request.out.as<T>();
  if constexpr (std::is_integral_v<T>) {
    const bool negate = request.op == UnaryOp::neg;
    for (std::int64_t i = 0; i < request.out.size; ++i) {
      out[i] = negate ? integer_binary<T>(BinaryOp::sub, 0, in[i]) : (in[i] > 0 ? in[i] : 0);
    }
  } else {
    const auto loop = cpu::simd().loops<T>().unary[static_cast<int>(request.op)];
    cpu::parallel_chunks(request.out.size, chunk,
                         [&](std::int64_t begin, std::int64_t end) { loop(in + begin, out + begin, end - begin); });
  }
}

template <class T>
void binary(const BinaryMap& request) {
  const T* a = request.a.as<const T>();
  const T* b = request.b.as<const T>();
  T* out = request.out.as<T>();
  if constexpr (std::is_integral_v<T>) {
    for (std::int64_t i = 0; i < request.out.size; ++i) out[i] = integer_binary(request.op, a[i], b[i]);
  } else {
    const auto loop = cpu::simd().loops<T>().binary[static_cast<int>(request.op)];
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loop(a + begin, b + begin, out + begin, end - begin);
    });
  }
}

template <class T>
void binary_scalar(const BinaryScalarMap& request) {
  const T* a = request.a.as<const T>();
  const T b = static_cast<T>(request.b);
  T* out = request.out.as<T>();
  const auto op = static_cast<int>(request.op);
  if constexpr (std::is_integral_v<T>) {
    for (std::int64_t i = 0; i < request.out.size; ++i) {
      out[i] = request.reversed ? integer_binary(request.op, b, a[i]) : integer_binary(request.op, a[i], b);
    }
  } else {
    const auto& loops = cpu::simd().loops<T>();
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      if (request.reversed) {
        loops.scalar_binary[op](b, a + begin, out + begin, end - begin);
      } else {
        loops.binary_scalar[op](a + begin, b, out + begin, end - begin);
      }
    });
  }
}

template <class T>
T one_binary(BinaryOp op, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return integer_binary(op, a, b);
  } else {
    switch (op) {
      case BinaryOp::add:
        return rules::Add::f(a, b);
      case BinaryOp::sub:
        return rules::Sub::f(a, b);
      case BinaryOp::mul:
        return rules::Mul::f(a, b);
      default:
        return rules::Div::f(a, b);
    }
  }
}

template <class T>
void broadcast(const BinaryBroadcast& request) {
  const auto* a = static_cast<const T*>(request.a.data);
  const auto* b = static_cast<const T*>(request.b.data);
  auto* out = static_cast<T*>(request.out.data);
  const std::int64_t a_step = cpu::inner_stride(request.a);
  const std::int64_t b_step = cpu::inner_stride(request.b);
  const auto op = static_cast<int>(request.op);
  cpu::for_each_row(
      [&](const std::int64_t* at, std::int64_t length) {
        const T* x = a + at[0];
        const T* y = b + at[1];
        T* row = out + at[2];
        if constexpr (!std::is_integral_v<T>) {
          const auto& loops = cpu::simd().loops<T>();
          if (a_step == 1 && b_step == 1) return loops.binary[op](x, y, row, length);
          if (a_step == 1 && b_step == 0) return loops.binary_scalar[op](x, *y, row, length);
          if (a_step == 0 && b_step == 1) return loops.scalar_binary[op](*x, y, row, length);
        }
        for (std::int64_t i = 0; i < length; ++i) row[i] = one_binary(request.op, x[i * a_step], y[i * b_step]);
      },
      request.a, request.b, request.out);
}

}  // namespace

void run(OnCpu, const UnaryMap& request) {
  cpu::visit_numbers(request.out.dtype, [&](auto type) { unary<decltype(type)>(request); });
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
  cpu::visit_numbers(request.out.dtype, [&](auto type) { binary<decltype(type)>(request); });
}

void run(OnCpu, const BinaryScalarMap& request) {
  cpu::visit_numbers(request.out.dtype, [&](auto type) { binary_scalar<decltype(type)>(request); });
}

void run(OnCpu, const BinaryBroadcast& request) {
  cpu::visit_numbers(request.out.dtype, [&](auto type) { broadcast<decltype(type)>(request); });
}

}  // namespace embergrad

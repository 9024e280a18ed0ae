#include "kernels/memory.hpp"

#include <cmath>
#include <cstring>

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/strided.hpp"
#include "cpu/visit.hpp"
#include "kernels/rules/convert.hpp"

namespace embergrad {
namespace {
constexpr std::int64_t chunk = 1 << 16;
}

void run(OnCpu, const Fill& request) {
  cpu::visit(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const T value = request.value.as<T>();
    T* out = request.out.as<T>();
    if (request.value.floating == 0.0 && !std::signbit(request.value.floating)) {
      cpu::parallel_chunks(request.out.size, 4 * chunk, [&](std::int64_t begin, std::int64_t end) {
        std::memset(static_cast<void*>(out + begin), 0, static_cast<std::size_t>(end - begin) * sizeof(T));
      });
      return;
    }
    cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) out[i] = value;
    });
  });
}

void run(OnCpu, const Convert& request) {
  if (request.in.dtype == request.out.dtype) {
    const std::size_t item = item_size(request.out.dtype);
    auto* out = static_cast<char*>(request.out.data);
    const auto* in = static_cast<const char*>(request.in.data);
    if (in == out) return;
    cpu::parallel_chunks(request.out.size, 4 * chunk, [&](std::int64_t begin, std::int64_t end) {
      const std::size_t at = static_cast<std::size_t>(begin) * item;
      std::memcpy(out + at, in + at, static_cast<std::size_t>(end - begin) * item);
    });
    return;
  }
  cpu::visit(request.in.dtype, [&](auto in_type) {
    using In = decltype(in_type);
    cpu::visit(request.out.dtype, [&](auto out_type) {
      using Out = decltype(out_type);
      const In* in = request.in.as<const In>();
      Out* out = request.out.as<Out>();
      cpu::parallel_chunks(request.out.size, chunk, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) out[i] = rules::Converter<Out, In>::f(in[i]);
      });
    });
  });
}

namespace {

// Moving bytes needs no more of a type than its size.
template <class Word>
void copy_words(const CopyStrided& request) {
  const auto* in = static_cast<const Word*>(request.in.data);
  auto* out = static_cast<Word*>(request.out.data);
  const std::int64_t in_step = cpu::inner_stride(request.in);
  const std::int64_t out_step = cpu::inner_stride(request.out);
  cpu::for_each_row(
      [&](const std::int64_t* at, std::int64_t length) {
        if (in_step == 1 && out_step == 1) {
          std::memcpy(out + at[1], in + at[0], static_cast<std::size_t>(length) * sizeof(Word));
          return;
        }
        for (std::int64_t i = 0; i < length; ++i) out[at[1] + i * out_step] = in[at[0] + i * in_step];
      },
      request.in, request.out);
}

}  // namespace

void run(OnCpu, const CopyStrided& request) {
  switch (item_size(request.out.dtype)) {
    case 8:
      return copy_words<std::uint64_t>(request);
    case 4:
      return copy_words<std::uint32_t>(request);
    default:
      return copy_words<std::uint16_t>(request);
  }
}

void run(OnCpu, const AddStrided& request) {
  cpu::visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const auto* in = static_cast<const T*>(request.in.data);
    auto* out = static_cast<T*>(request.out.data);
    const std::int64_t in_step = cpu::inner_stride(request.in);
    const std::int64_t out_step = cpu::inner_stride(request.out);
    cpu::for_each_row(
        [&](const std::int64_t* at, std::int64_t length) {
          if (in_step == 1 && out_step == 1) {
            T* row = out + at[1];
            cpu::simd().loops<T>().binary[cpu::binary_place<rules::Add>](row, in + at[0], row, length);
            return;
          }
          for (std::int64_t i = 0; i < length; ++i) out[at[1] + i * out_step] += in[at[0] + i * in_step];
        },
        request.in, request.out);
  });
}

}  // namespace embergrad

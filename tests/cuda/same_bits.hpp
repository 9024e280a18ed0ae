// Runs a request by the CPU's kernel and by the CUDA room's bodies under the emulated block, and compares the bits.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <embergrad/dtype.hpp>

#include "kernels/view.hpp"
#include "support/emulated_block.hpp"
#include "support/random.hpp"

namespace embergrad::test {

inline constexpr int seeds = 20;

// Empty, one, around a warp, around a block, several blocks.
inline constexpr std::int64_t map_sizes[] = {0, 1, 3, 31, 32, 33, 127, 128, 129, 255, 256, 257, 1023, 1025, 2600};

// Elements of exactly this number, the first `shift` elements behind an address of 16 bytes: as a slice has them.
template <class T>
class Numbers {
 public:
  Numbers(std::int64_t count, std::int64_t shift) : shift_(shift), all_(static_cast<std::size_t>(count + shift)) {}
  // Random ones; every seventh floating one is special.
  static Numbers drawn(Draw& draw, std::int64_t count, std::int64_t shift) {
    Numbers numbers(count, shift);
    for (T& number : numbers.all_) {
      if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
        number = T{static_cast<std::uint16_t>(draw.integer(0, 0xFFFF))};
      } else if constexpr (std::is_integral_v<T>) {
        number = static_cast<T>(draw.integer(-9, 9) * (draw.integer(0, 6) == 0 ? 400'000'000 : 1));
      } else {
        using Limits = std::numeric_limits<T>;
        const T special[] = {T(0),
                             -T(0),
                             Limits::infinity(),
                             -Limits::infinity(),
                             Limits::quiet_NaN(),
                             Limits::min(),
                             Limits::max(),
                             Limits::denorm_min(),
                             T(1)};
        number = draw.integer(0, 6) == 0 ? special[draw.integer(0, 8)] : static_cast<T>(draw.uniform(-4, 4));
      }
    }
    return numbers;
  }

  T* data() { return all_.data() + shift_; }
  [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(all_.size()) - shift_; }
  View view() { return {data(), dtype_of<T>, count()}; }

 private:
  std::int64_t shift_;
  std::vector<T> all_;
};

template <class T>
bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>) return x != x;
  return false;
}

// Emulated, by odd seeds with few blocks: each has more to do, and no result may show it.
struct OnAnyGrid {
  std::uint64_t seed;

  template <class Body>
  void operator()(const Body& body, cuda::Grid grid) const {
    if (seed % 2 == 1) grid.blocks = std::min<std::int64_t>(grid.blocks, 3);
    Emulated{seed}(body, grid);
  }
};

// run(OnCpu) and the emulated bodies, on outputs that hold the same before. NaNs are all alike.
template <class T, class Request>
void expect_same_bits(const std::string& what, Request request, Numbers<T>& out, std::uint64_t seed) {
  Numbers<T> by_cpu = out;
  Numbers<T> by_body = out;
  request.out.data = by_cpu.data();
  run(OnCpu{}, request);
  request.out.data = by_body.data();
  try {
    cuda::run_with(OnAnyGrid{seed}, request);
  } catch (const EmulationError& error) {
    BOOST_ERROR(fmt::format("{}, {}: {}", what, name_of(dtype_of<T>), error.what()));
    return;
  }
  for (std::int64_t i = 0; i < out.count(); ++i) {
    const T cpu = by_cpu.data()[i];
    const T body = by_body.data()[i];
    if (std::memcmp(&cpu, &body, sizeof(T)) == 0 || (is_nan(cpu) && is_nan(body))) continue;
    std::string numbers = "other bits";
    if constexpr (std::is_arithmetic_v<T>) numbers = fmt::format("{} by the body, {} by the CPU", body, cpu);
    BOOST_ERROR(fmt::format("{}, {}, {} elements, seed {}: [{}] is {}", what, name_of(dtype_of<T>), out.count(), seed,
                            i, numbers));
    return;
  }
}

// Calls body(T{}) for the types that compute, and for those of indices.
template <class Body>
void for_numbers(const Body& body) {
  body(float{});
  body(double{});
  body(std::int32_t{});
  body(std::int64_t{});
}

// Row-major strides, or those given.
inline StridedView strided(void* data, DType dtype, const std::vector<std::int64_t>& extents,
                           const std::vector<std::int64_t>& strides = {}) {
  StridedView view{data, dtype, static_cast<int>(extents.size()), {}, {}};
  std::int64_t stride = 1;
  for (std::size_t d = extents.size(); d-- > 0;) {
    view.extents[d] = extents[d];
    view.strides[d] = strides.empty() ? stride : strides[d];
    stride *= extents[d];
  }
  return view;
}

}  // namespace embergrad::test

// Runs a request by the CPU's kernel and by the CUDA room's bodies under the emulated block, and compares the bits.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <embergrad/dtype.hpp>

#include "kernels/view.hpp"
#include "support/emulated_block.hpp"
#include "support/random.hpp"
#include "support/tolerances.hpp"

namespace embergrad::test {

// Under sanitizers, where bodies run slowly, fewer.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr int seeds = 5;
#else
inline constexpr int seeds = 20;
#endif

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

// Says where two differ. NaNs are all alike; `tolerance` is the bits unless it says more.
template <class T>
void expect_same(const std::string& what, std::uint64_t seed, Numbers<T>& by_body, Numbers<T>& by_cpu,
                 Tolerance tolerance = exact) {
  for (std::int64_t i = 0; i < by_cpu.count(); ++i) {
    const T cpu = by_cpu.data()[i];
    const T body = by_body.data()[i];
    if (std::memcmp(&cpu, &body, sizeof(T)) == 0 || (is_nan(cpu) && is_nan(body))) continue;
    std::string numbers = "other bits";
    if constexpr (std::is_arithmetic_v<T>) {
      const auto expected = static_cast<double>(cpu);
      const double difference = std::abs(static_cast<double>(body) - expected);
      if (tolerance.rtol > 0 && difference <= tolerance.atol + tolerance.rtol * std::abs(expected)) continue;
      numbers = fmt::format("{} by the body, {} by the CPU", body, cpu);
    }
    BOOST_ERROR(fmt::format("{}, {}, {} elements, seed {}: [{}] is {}", what, name_of(dtype_of<T>), by_cpu.count(),
                            seed, i, numbers));
    return;
  }
}

// Widths of rows to compare. Under sanitizers, where bodies run slowly, every third, and not
// the last.
inline std::vector<std::int64_t> widths(std::initializer_list<std::int64_t> all) {
#if defined(__SANITIZE_ADDRESS__)
  constexpr std::size_t step = 3;
#else
  constexpr std::size_t step = 1;
#endif
  std::vector<std::int64_t> some;
  for (std::size_t i = 0; i + step / 3 < all.size(); i += step) some.push_back(all.begin()[i]);
  return some;
}

// Odd seeds run few blocks, which stride over all the work: grids never enter a result.
struct AnyGrid {
  std::uint64_t seed;

  template <class Body>
  void operator()(const Body& body, cuda::Grid grid) const {
    if (seed % 2 == 1) grid.blocks = std::min<std::int64_t>(grid.blocks, 2);
    Emulated{seed}(body, grid);
  }
};

// run(OnCpu) and the emulated bodies, on outputs that hold the same before: make_request(outputs…), then
// expect(by_body, by_cpu) for each output.
template <class Make, class Expect, class... T>
void run_both(const std::string& what, std::uint64_t seed, const Make& make_request, const Expect& expect,
              const Numbers<T>&... outputs) {
  std::tuple<Numbers<T>...> by_cpu(outputs...);
  std::tuple<Numbers<T>...> by_body(outputs...);
  run(OnCpu{}, std::apply(make_request, by_cpu));
  try {
    cuda::run_with(AnyGrid{seed}, std::apply(make_request, by_body));
  } catch (const EmulationError& error) {
    BOOST_ERROR(fmt::format("{}: {}", what, error.what()));
    return;
  }
  [&]<std::size_t... i>(std::index_sequence<i...> /*all*/) { (expect(std::get<i>(by_body), std::get<i>(by_cpu)), ...); }
  (std::index_sequence_for<T...>{});
}

// The bits of a request with one output, `out`.
template <class T, class Request>
void expect_same_bits(const std::string& what, Request request, Numbers<T>& out, std::uint64_t seed) {
  const auto with_output = [&](Numbers<T>& output) {
    request.out.data = output.data();
    return request;
  };
  run_both(
      what, seed, with_output,
      [&](Numbers<T>& by_body, Numbers<T>& by_cpu) { expect_same(what, seed, by_body, by_cpu); }, out);
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

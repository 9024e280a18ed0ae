#include "cpu/simd.hpp"

#include <cstdlib>
#include <string_view>

namespace embergrad::cpu {

namespace baseline {
extern const SimdTable table;
}
#ifdef EMBERGRAD_SIMD_AVX2
namespace avx2 {
extern const SimdTable table;
}
#endif
#ifdef EMBERGRAD_SIMD_AVX512
namespace avx512 {
extern const SimdTable table;
}
#endif

namespace {

const SimdTable& choose() {
  const char* wish = std::getenv("EMBERGRAD_SIMD");
  [[maybe_unused]] const std::string_view most = wish == nullptr ? "avx512" : wish;
#ifdef EMBERGRAD_SIMD_AVX512
  if (most == "avx512" && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) {
    return avx512::table;
  }
#endif
#ifdef EMBERGRAD_SIMD_AVX2
  if (most != "baseline" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::table;
#endif
  return baseline::table;
}

}  // namespace

const SimdTable& simd() {
  static const SimdTable& table = choose();
  return table;
}

}  // namespace embergrad::cpu

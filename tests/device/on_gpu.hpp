// What tests of a device begin with. Without one they are skipped; EMBERGRAD_REQUIRE_CUDA=1 makes that a failure.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <embergrad/device.hpp>

#include "support/check.hpp"

namespace embergrad::test {

inline constexpr Device gpu = Device::cuda();

inline boost::test_tools::assertion_result gpu_is_here(boost::unit_test::test_unit_id /*id*/) {
  const char* required = std::getenv("EMBERGRAD_REQUIRE_CUDA");
  if (required != nullptr && std::string(required) == "1") return verdict(true, "");
  if (!cuda_is_available()) std::puts("skipped: no usable GPU");
  return verdict(cuda_is_available(), "no usable GPU");
}

// Sizes that emulated GPUs have no time for become smaller there.
#ifdef EMBERGRAD_EMULATED
inline constexpr bool emulated = true;
#else
inline constexpr bool emulated = false;
#endif

}  // namespace embergrad::test

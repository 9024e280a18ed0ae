// What tests of a device need: a GPU, or an emulated one.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <embergrad/device.hpp>

#include "support/check.hpp"

namespace embergrad::test {

// For suites: skipped without a usable GPU; EMBERGRAD_REQUIRE_CUDA=1 makes that a failure.
inline boost::test_tools::assertion_result gpu_is_here(boost::unit_test::test_unit_id /*id*/) {
  const char* required = std::getenv("EMBERGRAD_REQUIRE_CUDA");
  if (required != nullptr && std::string(required) == "1") return verdict(true, "");
  if (!cuda_is_available()) std::puts("skipped: no usable GPU");
  return verdict(cuda_is_available(), "no usable GPU");
}

}  // namespace embergrad::test

// What is said where something is missing.
#include "cuda/availability.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <thread>
#include <vector>

#include <embergrad/device.hpp>
#include <embergrad/error.hpp>

#include "kernels/launch.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::cuda::Found;
using eg::cuda::missing;
using eg::test::refuses;

namespace {
// A contract that only the CPU fulfils.
struct CpuOnly {};
void run(eg::OnCpu /*on*/, const CpuOnly& /*request*/) {}
}  // namespace

BOOST_AUTO_TEST_SUITE(availability)

BOOST_AUTO_TEST_CASE(messages) {
  BOOST_TEST(missing(Found{}, 0) == "no NVIDIA driver: libcuda.so.1 was not found");

  Found driver;
  driver.driver_library = true;
  driver.driver_version = 12040;
  driver.runtime_version = 13000;
  Found found = driver;
  found.driver_too_old = true;
  found.error = "cudaErrorInsufficientDriver (…)";
  BOOST_TEST(missing(found, 0) == "the NVIDIA driver supports CUDA 12.4, but this build needs 13.0");

  found = driver;
  found.no_device = true;
  found.error = "cudaErrorNoDevice (…)";
  BOOST_TEST(missing(found, 0) == "an NVIDIA driver is there, but no GPU");
  found.visible_devices = "7";
  BOOST_TEST(missing(found, 0) == "an NVIDIA driver is there, but no GPU is visible (CUDA_VISIBLE_DEVICES=7)");

  found = driver;
  found.error = "cudaErrorSystemNotReady (system not yet initialized)";
  BOOST_TEST(missing(found, 0) == "the NVIDIA driver answers cudaErrorSystemNotReady (system not yet initialized)");

  found = driver;
  found.count = 1;
  BOOST_TEST(missing(found, 0).empty());
  BOOST_TEST(missing(found, 3) == "cuda:3 asked for, 1 device there");
  BOOST_TEST(missing(found, -1) == "cuda:-1 asked for, 1 device there");
  found.count = 2;
  BOOST_TEST(missing(found, 2) == "cuda:2 asked for, 2 devices there");
  BOOST_TEST(missing(found, 1).empty());
}

BOOST_AUTO_TEST_CASE(asking_never_throws) {
  static_assert(noexcept(eg::cuda_is_available()));
  const bool answer = eg::cuda_is_available();
  std::atomic<int> other{0};
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) other += eg::cuda_is_available() == answer ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(other == 0);
}

BOOST_AUTO_TEST_CASE(contracts_without_a_cuda_side) {
  static_assert(!eg::HasCudaSide<CpuOnly>);
  BOOST_TEST(refuses<eg::DeviceError>(
      [] {
        eg::launch(eg::Device::cuda(2), CpuOnly{});
        return 0;
      },
      {"cuda:2", "no CUDA kernel for", "CpuOnly"}));
}

BOOST_AUTO_TEST_SUITE_END()

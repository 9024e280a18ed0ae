// Where no GPU can be used, for whatever reason, that reason is told. Skipped where there is one.
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <embergrad/device.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/tensor.hpp>

#include "kernels/launch.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::test::refuses;
using eg::test::verdict;

BOOST_AUTO_TEST_SUITE(no_gpu, *boost::unit_test::precondition([](boost::unit_test::test_unit_id) {
                        if (eg::cuda_is_available()) std::puts("skipped: a GPU is here");
                        return verdict(!eg::cuda_is_available(), "a GPU is here");
                      }))

BOOST_AUTO_TEST_CASE(what_is_missing) {
  const std::string reason =
      eg::built_with_cuda ? "cuda:0 is not available: " : "this build has no CUDA (EMBERGRAD_CUDA=OFF)";
  const eg::Tensor here = eg::ones({2, 3});
  const eg::Device gpu = eg::Device::cuda();
  BOOST_TEST(refuses<eg::DeviceError>([&] { return here.to(gpu); }, {"to: cuda:0", reason}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { return eg::empty({2}, {eg::DType::float32, gpu}); }, {"cuda:0", reason}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { return eg::zeros({0}, {eg::DType::float32, gpu}); }, {"cuda:0", reason}));
  BOOST_TEST(refuses<eg::DeviceError>(
      [&] {
        return eg::arange(0, 4, 1, {eg::DType::int64, gpu});
      },
      {"cuda:0", reason}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { eg::synchronize(gpu); }, {"synchronize: cuda:0", reason}));
  BOOST_CHECK_NO_THROW(eg::synchronize(eg::Device::cpu()));
  BOOST_TEST(here.sum().item() == 6);
}

// EMBERGRAD_TEST_REASON: what CTest arranged with a driver that isn't one.
BOOST_AUTO_TEST_CASE(arranged) {
  const char* expected = std::getenv("EMBERGRAD_TEST_REASON");
  if (expected == nullptr) return;
  BOOST_TEST(refuses<eg::DeviceError>([] { return eg::ones({2}).to(eg::Device::cuda(1)); }, {expected}));
}

BOOST_AUTO_TEST_CASE(no_driver, *boost::unit_test::precondition([](boost::unit_test::test_unit_id) {
                       std::string text;
                       try {
                         static_cast<void>(eg::ones({1}).to(eg::Device::cuda()));
                       } catch (const eg::DeviceError& error) {
                         text = error.what();
                       }
                       return verdict(eg::built_with_cuda && text.find("libcuda") != std::string::npos,
                                      "a driver is here, or this build has no CUDA");
                     })) {
  const char* expected = "cuda:1 is not available: no NVIDIA driver: libcuda.so.1 was not found";
  BOOST_TEST(refuses<eg::DeviceError>([] { return eg::ones({2}).to(eg::Device::cuda(1)); }, {expected}));
}

BOOST_AUTO_TEST_SUITE_END()

// What a GPU can do where there is no cuBLAS: run with EMBERGRAD_CUBLAS naming a file that is not there.
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>

#include <embergrad/embergrad.hpp>

#include "device/on_gpu.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::Tensor;
using eg::test::gpu;
using eg::test::refuses;

namespace {

boost::test_tools::assertion_result has_no_cublas(boost::unit_test::test_unit_id /*id*/) {
  const char* file = std::getenv("EMBERGRAD_CUBLAS");
  return file != nullptr && !std::filesystem::exists(file);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(no_cublas, *boost::unit_test::precondition(has_no_cublas))

BOOST_AUTO_TEST_CASE(products_say_so_and_the_rest_works) {
  const Tensor here = eg::ones({2, 2});
  const Tensor there = here.to(gpu);
  for (int time = 0; time < 2; ++time) {
    BOOST_TEST(refuses<eg::DeviceError>([&] { return eg::matmul(there, there); }, {"cuBLAS could not be loaded"}));
  }
  BOOST_TEST((there + there).sum().item() == 8);
  BOOST_TEST(eg::matmul(here, here).sum().item() == 8);
  BOOST_TEST(eg::embedding(eg::arange(2).to(gpu), there).sum().item() == 4);
}

BOOST_AUTO_TEST_SUITE_END()

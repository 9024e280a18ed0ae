// What the host waits for, what it knows without waiting, and where memory ends.
#include <boost/test/unit_test.hpp>
#include <vector>

#include <embergrad/embergrad.hpp>

#include "device/on_gpu.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::Device;
using eg::DType;
using eg::Tensor;
using eg::test::Draw;
using eg::test::gpu;
using eg::test::refuses;

BOOST_AUTO_TEST_SUITE(memory, *boost::unit_test::precondition(eg::test::gpu_is_here))

BOOST_AUTO_TEST_CASE(copies) {
  Draw draw(1);
  // Larger than what is staged at a time, and many at once.
  const Tensor big = draw.uniform({3, 1 << 20});
  BOOST_TEST(eg::test::same_bits("big", big.to(gpu).to(Device::cpu()), big));
  std::vector<Tensor> here, there;
  for (std::int64_t i = 0; i < 200; ++i) {
    here.push_back(draw.uniform({i * 97}));
    there.push_back(here.back().clone().to(gpu));
  }
  for (std::size_t i = 0; i < here.size(); ++i) {
    BOOST_TEST(eg::test::same_bits("many", there[i].to(Device::cpu()), here[i]));
  }
}

// Integers from the host are known to it, until they change.
BOOST_AUTO_TEST_CASE(integers_from_the_host) {
  Tensor here = eg::arange(100).reshape({10, 10});
  Tensor there = here.to(gpu);
  const Tensor before = here.clone();
  here.fill(7);
  BOOST_TEST(eg::test::same_bits("the host's changed", there.to(Device::cpu()), before));
  BOOST_TEST(eg::test::same_bits("a part", there[3].to(Device::cpu()), before[3]));
  BOOST_TEST(there.at({9, 9}) == 99);
  there[4].fill(-1);
  BOOST_TEST(there[4].to(Device::cpu()).sum().item() == -10);
  BOOST_TEST(there.at({4, 2}) == -1);
  BOOST_TEST(there.at({5, 2}) == 52);
}

BOOST_AUTO_TEST_CASE(two_gpus) {
  const Device other = Device::cuda(1);
  Tensor there;
  try {
    there = eg::ones({3, 4}, {DType::float32, other});
  } catch (const eg::DeviceError&) {
    return;  // one GPU
  }
  there.fill(3);
  BOOST_TEST(eg::test::same_bits("moved", there.to(gpu).to(Device::cpu()), eg::full({3, 4}, 3.0)));
  BOOST_TEST(refuses<eg::DeviceError>([&] { return there + there.to(gpu); }, {"add", "cuda:1", "cuda:0"}));
}

BOOST_AUTO_TEST_CASE(no_more_memory) {
  const Tensor small = eg::ones({5}, {DType::float32, gpu});
  BOOST_TEST(refuses<eg::OutOfMemory>(
      [&] {
        return eg::empty({1 << 20, 1 << 20}, {DType::float64, gpu});
      },
      {"out of memory on cuda:0", "8796093022208 bytes wanted", "in use by tensors", "cached", "free of"}));
  BOOST_TEST(refuses<eg::OutOfMemory>(
      [&] { return eg::nn::Embedding({.num_embeddings = std::int64_t{1} << 33, .embedding_dim = 128, .device = gpu}); },
      {"cuda:0", "bytes wanted"}));
  BOOST_TEST(small.sum().item() == 5);  // nothing is broken
}

BOOST_AUTO_TEST_SUITE_END()

// Tensors of more elements than 2^31, where an index of 32 bits would wrap. On an emulated GPU they are small.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/tensor.hpp>

#include "device/on_gpu.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::Device;
using eg::DType;
using eg::Tensor;
using eg::test::gpu;

namespace {

constexpr std::int64_t beyond = std::int64_t{1} << (eg::test::emulated ? 14 : 31);
constexpr std::int64_t dim = 64;
constexpr std::int64_t rows = beyond / dim + 5;

// Runs `body` unless the card is too small for it.
template <class Body>
void with_memory(const Body& body) {
  try {
    body();
  } catch (const eg::OutOfMemory& error) {
    BOOST_TEST_MESSAGE("left out: " << error.what());
  }
}

std::vector<float> row_of(const Tensor& table, std::int64_t row) {
  return eg::no_grad([&] { return table.detach()[row].clone().to(Device::cpu()).to_vector(); });
}

const std::vector<float> zeros(dim, 0.0F);

}  // namespace

BOOST_AUTO_TEST_SUITE(large, *boost::unit_test::precondition(eg::test::gpu_is_here))

BOOST_AUTO_TEST_CASE(elements) {
  with_memory([] {
    const std::int64_t n = beyond + 13;
    Tensor x = eg::full({n}, 1, {DType::float32, gpu});
    eg::narrow(x, 0, n - 3, 3).fill(7);
    const Tensor y = x * 2 + 1;
    BOOST_TEST(y.at({n - 1}) == 15);
    BOOST_TEST(y.at({n - 4}) == 3);
    BOOST_TEST(y.at({beyond}) == 3);
    BOOST_TEST(y.at({0}) == 3);
    BOOST_TEST(eg::narrow(y, 0, n - 5, 5).to(Device::cpu()).sum().item() == 3 + 3 + 15 + 15 + 15);
    BOOST_TEST(eg::amax(x, {0}).item() == 7);
    BOOST_TEST(eg::argmax(x, 0).item<std::int64_t>() == n - 3);
  });
}

BOOST_AUTO_TEST_CASE(a_table) {
  with_memory([] {
    Tensor table = eg::zeros({rows, dim}, {DType::float32, gpu}).set_requires_grad();
    const std::vector<std::int64_t> looked_up = {rows - 1, 0, rows - 1, rows - 3};
    const Tensor index = eg::tensor(looked_up);
    const Tensor gradient = eg::ones({4, dim}, {DType::float32, gpu});
    eg::embedding(index, table, {.sparse = true}).backward(gradient);
    const auto& sparse = table.grad().rows();
    BOOST_TEST(sparse.indices().to(Device::cpu()).to_vector<std::int64_t>() ==
                   (std::vector<std::int64_t>{0, rows - 3, rows - 1}),
               boost::test_tools::per_element());
    BOOST_TEST(row_of(sparse.values(), 2) == std::vector<float>(dim, 2.0F), boost::test_tools::per_element());
    table.zero_grad();
    eg::embedding(index, table).backward(gradient);
    BOOST_TEST(row_of(table.grad().dense(), rows - 1) == std::vector<float>(dim, 2.0F),
               boost::test_tools::per_element());
    BOOST_TEST(row_of(table.grad().dense(), rows - 2) == zeros, boost::test_tools::per_element());
    eg::no_grad([&] { table.detach()[rows - 2].fill(3); });
    const Tensor bag = eg::embedding_bag(eg::tensor(std::vector<std::int64_t>{rows - 2, rows - 2, 1}), table,
                                         eg::tensor(std::vector<std::int64_t>{0}));
    BOOST_TEST(row_of(bag, 0) == std::vector<float>(dim, 2.0F), boost::test_tools::per_element());
  });
}

// Drawn at the same places of the generator's stream as on the CPU.
BOOST_AUTO_TEST_CASE(random_numbers) {
  with_memory([] {
    const std::int64_t n = beyond + 5;
    eg::manual_seed(3);
    const Tensor there = eg::rand({n}, {DType::float32, gpu});
    eg::manual_seed(3);
    BOOST_TEST(eg::test::same_bits("the first", eg::narrow(there, 0, 0, 100).to(Device::cpu()), eg::rand({100})));
    // Not the same numbers again behind 2^32 bytes or 2^31 elements.
    const Tensor last = eg::narrow(there, 0, n - 5, 5).to(Device::cpu());
    const Tensor first = eg::narrow(there, 0, 0, 5).to(Device::cpu());
    BOOST_TEST(last.to_vector() != first.to_vector());
  });
}

BOOST_AUTO_TEST_SUITE_END()

// Steps that run out of device memory: each either happens or changes nothing. Emulated GPUs refuse when they are told
// to.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>
#include <vector>

#include <embergrad/embergrad.hpp>

#include "device/on_gpu.hpp"
#include "emulated/counts.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
namespace optim = embergrad::optim;
using eg::Device;
using eg::Tensor;
using eg::optim::Updates;
using eg::test::Draw;
using eg::test::gpu;

namespace {

// Two tables and an optimizer, on a device.
struct Run {
  Run(Device where, bool sparse, const std::function<std::unique_ptr<optim::Optimizer>(std::vector<Tensor>)>& make)
      : device(where), is_sparse(sparse) {
    Draw draw(5);
    for (Tensor& table : tables) table = draw.uniform({40, 3}).to(device).set_requires_grad();
    optimizer = make({tables[0], tables[1]});
  }

  void backward(int step) {
    Draw draw(static_cast<std::uint64_t>(step) + 10);
    for (const Tensor& table : tables) {
      const Tensor rows = eg::embedding(draw.integers({6}, 0, 39).to(device), table, {.sparse = is_sparse});
      rows.backward(draw.uniform(rows.shape()).to(device));
    }
  }

  [[nodiscard]] std::vector<Tensor> all() const {
    std::vector<Tensor> found;
    for (const Tensor& table : tables) found.push_back(table.detach().to(Device::cpu()).clone());
    for (const auto& [name, tensor] : optimizer->state_dict()) found.push_back(tensor.to(Device::cpu()).clone());
    return found;
  }

  Device device;
  bool is_sparse;
  Tensor tables[2];
  std::unique_ptr<optim::Optimizer> optimizer;
};

void expect_same(const std::string& what, const std::vector<Tensor>& got, const std::vector<Tensor>& expected) {
  BOOST_TEST_REQUIRE(got.size() == expected.size(), what);
  for (std::size_t i = 0; i < got.size(); ++i) BOOST_TEST(eg::test::same_bits(what, got[i], expected[i]));
}

// Steps of which each is tried with no block of memory, one, two, … until it is done: in between nothing moves, and in
// the end all is where a run is that never lacked memory. Nobody reads in the steps that `looks` leaves out, so that
// rows stay behind.
template <class Optimizer, class Options>
void check(const char* name, bool sparse, Options options, bool looks) {
  for (const Updates updates : {Updates::dense, Updates::touched_only, Updates::exact}) {
    options.updates = updates;
    const auto make = [&](const std::vector<Tensor>& parameters) -> std::unique_ptr<optim::Optimizer> {
      return std::make_unique<Optimizer>(parameters, options);
    };
    const std::string what = fmt::format("{}, updates {}{}{}", name, optim::name_of(updates), sparse ? ", sparse" : "",
                                         looks ? ", read in between" : "");
    Run plenty(gpu, sparse, make);
    Run scarce(gpu, sparse, make);
    int refused = 0;
    for (int step = 0; step < 6; ++step) {
      for (Run* run : {&plenty, &scarce}) run->backward(step);
      const std::vector<Tensor> before = looks ? plenty.all() : std::vector<Tensor>{};
      if (looks) expect_same(what + ": before", scarce.all(), before);
      plenty.optimizer->step();
      for (std::int64_t blocks = 0;; ++blocks) {
        BOOST_TEST_REQUIRE(blocks < 200, what);
        eg::emulated::give_blocks(blocks);
        try {
          scarce.optimizer->step();
          eg::emulated::give_blocks(-1);
          break;
        } catch (const eg::OutOfMemory&) {
          eg::emulated::give_blocks(-1);
          ++refused;
        }
        if (looks) expect_same(what + ": refused", scarce.all(), before);
      }
      for (Run* run : {&plenty, &scarce}) run->optimizer->zero_grad();
    }
    BOOST_TEST(refused > 0, what << ": memory was never scarce");
    expect_same(what + ": at the end", scarce.all(), plenty.all());
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(scarce)

BOOST_AUTO_TEST_CASE(steps) {
  for (const bool sparse : {false, true}) {
    for (const bool looks : {false, true}) {
      check<optim::AdamW>("AdamW", sparse, optim::AdamWOptions{.lr = 0.01}, looks);
      check<optim::SGD>("SGD", sparse, optim::SGDOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1}, looks);
      check<optim::Adam>("Adam", sparse, optim::AdamOptions{.lr = 0.01, .weight_decay = 0.1}, looks);  // replays
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

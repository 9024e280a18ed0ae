// The emulator itself: what it must catch, and what it must let pass.
#include "support/emulated_block.hpp"

#include <boost/test/unit_test.hpp>
#include <set>
#include <vector>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::cuda::Block;
using eg::cuda::Pack;
using eg::test::Emulated;
using eg::test::EmulationError;
using eg::test::refuses;

namespace {

// Every thread gives its number to its neighbour.
struct Rotate {
  struct Memory {
    int values[128];
  };
  int* out;
  bool with_barrier;
  template <Block B>
  void operator()(B& block) const {
    auto& memory = block.template shared<Memory>();
    memory.values[block.thread()] = block.thread();
    if (with_barrier) block.sync();
    block.store(out + block.block() * block.threads() + block.thread(),
                memory.values[(block.thread() + 1) % block.threads()]);
  }
};

int wrong_after_rotation(std::uint64_t seed, bool with_barrier) {
  std::vector<int> out(256, -1);
  Emulated{seed}(Rotate{out.data(), with_barrier}, {2, 128});
  int wrong = 0;
  for (int i = 0; i < 256; ++i) wrong += out[static_cast<std::size_t>(i)] == (i + 1) % 128 ? 0 : 1;
  return wrong;
}

struct SomeLeave {
  template <Block B>
  void operator()(B& block) const {
    if (block.thread() < 3) return;
    block.sync();
  }
};

struct TwoBarriers {
  template <Block B>
  void operator()(B& block) const {
    if (block.thread() < 64) {
      block.sync();
    } else {
      block.sync();
    }
  }
};

struct Misaligned {
  float* numbers;
  int at;
  template <Block B>
  void operator()(B& block) const {
    if (block.thread() != 5) return;
    const auto* from = reinterpret_cast<const Pack<float>*>(numbers + at);
    block.store(reinterpret_cast<Pack<float>*>(numbers), block.load(from));
  }
};

struct TooMuch {
  struct Memory {
    double values[7000];
  };
  template <Block B>
  void operator()(B& block) const {
    block.template shared<Memory>().values[block.thread()] = 0;
  }
};

struct WhoIsFirst {
  std::vector<int>* order;
  template <Block B>
  void operator()(B& block) const {
    order->push_back(block.thread());
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(emulated_block)

BOOST_AUTO_TEST_CASE(barriers_order_what_threads_do) {
  int caught = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    BOOST_TEST(wrong_after_rotation(seed, true) == 0, "seed " << seed);
    caught += wrong_after_rotation(seed, false) > 0 ? 1 : 0;
  }
  BOOST_TEST(caught == 20, "a missing barrier shows in " << caught << " of 20 orders");
}

BOOST_AUTO_TEST_CASE(divergence_is_told) {
  const auto run = [] {
    Emulated{17}(SomeLeave{}, {1, 128});
    return 0;
  };
  BOOST_TEST(refuses<EmulationError>(
      run, {"seed 17", "block 0", "3 threads left, 125 of 128 at the barrier", "emulated_block_test.cpp:"}));
  const auto run_two = [] {
    Emulated{17}(TwoBarriers{}, {1, 128});
    return 0;
  };
  BOOST_TEST(refuses<EmulationError>(run_two, {"threads at different barriers"}));
  // The next one finds everything in order.
  BOOST_TEST(wrong_after_rotation(1, true) == 0);
}

BOOST_AUTO_TEST_CASE(misaligned_packs_are_told) {
  alignas(16) float numbers[12] = {};
  for (const int at : {0, 4, 8}) BOOST_CHECK_NO_THROW(Emulated{1}(Misaligned{numbers, at}, {1, 32}));
  for (const int at : {1, 2, 3, 5}) {
    const auto run = [&] {
      Emulated{1}(Misaligned{numbers, at}, {1, 32});
      return 0;
    };
    BOOST_TEST(refuses<EmulationError>(run, {"16 bytes are read at an address that is no multiple of 16"}));
  }
}

BOOST_AUTO_TEST_CASE(shared_memory_is_limited) {
  const auto run = [] {
    Emulated{1}(TooMuch{}, {1, 32});
    return 0;
  };
  BOOST_TEST(refuses<EmulationError>(run, {"56000 bytes of shared memory, a block has 49152"}));
}

BOOST_AUTO_TEST_CASE(orders_differ_and_repeat) {
  std::set<std::vector<int>> orders;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<int> order, again;
    Emulated{seed}(WhoIsFirst{&order}, {1, 32});
    Emulated{seed}(WhoIsFirst{&again}, {1, 32});
    BOOST_TEST(order.size() == 32U);
    BOOST_TEST((order == again), "seed " << seed);
    orders.insert(order);
  }
  BOOST_TEST(orders.size() == 20U);
}

BOOST_AUTO_TEST_SUITE_END()

#include <embergrad/memory.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <new>
#include <queue>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "src/memory_pool.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Tensor;
using namespace eg::test;

// --- the program's own operator new, which counts while it is told to

namespace {

thread_local bool counting = false;
thread_local std::int64_t counted = 0;

void* counted_allocation(std::size_t bytes, std::size_t alignment) {
  if (counting) ++counted;
  const std::size_t wanted = bytes == 0 ? 1 : bytes;
  void* block = alignment <= alignof(std::max_align_t)
                    ? std::malloc(wanted)
                    : std::aligned_alloc(alignment, (wanted + alignment - 1) / alignment * alignment);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

// Not inlined: the compiler would see `free` given what came from `new`.
[[gnu::noinline]] void release(void* block) { std::free(block); }

}  // namespace

void* operator new(std::size_t bytes) { return counted_allocation(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted_allocation(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes) { return counted_allocation(bytes, 1); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return counted_allocation(bytes, 1);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](std::size_t bytes, const std::nothrow_t& tag) noexcept { return operator new(bytes, tag); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return counted_allocation(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete(void* block, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete[](void* block, std::size_t) noexcept { release(block); }
void operator delete[](void* block, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { release(block); }

namespace {

// How often operator new is called in `work`, on this thread.
template <class Work>
std::int64_t allocations_of(const Work& work) {
  counted = 0;
  counting = true;
  work();
  counting = false;
  return counted;
}

// Outlives every thread's pool and is destroyed after main.
Tensor kept_to_the_end;  // NOLINT: that is what is tested
thread_local Tensor kept_to_the_end_of_the_thread;

eg::MemoryStats stats() { return eg::memory_stats(); }

// A tagger of the documents' shape, small enough that no product is worth a call of the GEMM library.
struct Tagger {
  explicit Tagger(std::int64_t layers, bool bidirectional)
      : options{.num_layers = layers, .bidirectional = bidirectional} {
    Draw draw(11);
    const std::int64_t directions = bidirectional ? 2 : 1;
    table = leaf(draw, {50, 6}, DType::float32);
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      for (std::int64_t d = 0; d < directions; ++d) {
        lstm.push_back(leaf(draw, {4 * 5, layer == 0 ? 6 : directions * 5}, DType::float32));
        lstm.push_back(leaf(draw, {4 * 5, 5}, DType::float32));
        lstm.push_back(leaf(draw, {4 * 5}, DType::float32));
        lstm.push_back(leaf(draw, {4 * 5}, DType::float32));
      }
    }
    weight = leaf(draw, {7, directions * 5}, DType::float32);
    bias = leaf(draw, {7}, DType::float32);
    parameters = lstm;
    parameters.insert(parameters.end(), {table, weight, bias});
  }

  // Adds what each part of the step allocates to `by_part`.
  void step(const Tensor& words, const Tensor& tags, std::span<const std::int64_t> lengths,
            std::vector<std::pair<std::string, std::int64_t>>& by_part) {
    std::size_t part = 0;
    const auto run = [&](const char* name, const auto& work) {
      const std::int64_t count = allocations_of(work);
      if (by_part.size() == part) by_part.emplace_back(name, 0);
      by_part[part++].second += count;
    };
    Tensor loss;
    {
      Tensor embedded, scores;
      eg::LstmResult states;
      run("embedding", [&] { embedded = eg::embedding(words, table, {.padding_idx = 0}); });
      run("lstm", [&] { states = eg::lstm(embedded, {}, lstm, options, lengths); });
      run("linear", [&] { scores = eg::linear(states.output, weight, bias); });
      run("cross_entropy", [&] { loss = eg::cross_entropy(scores.reshape({words.numel(), 7}), tags); });
    }
    run("backward", [&] { loss.backward(); });
    run("update", [&] {
      const eg::NoGrad guard;
      for (Tensor& parameter : parameters) {
        parameter.copy_from(parameter - parameter.grad().dense() * 0.1);
        parameter.zero_grad();
      }
    });
    run("dropping the graph", [&] { loss = Tensor(); });
  }

  eg::LstmOptions options;
  Tensor table, weight, bias;
  std::vector<Tensor> lstm, parameters;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(size_classes_hold_what_is_asked_and_little_more) {
  using eg::detail::size_class;
  int last_index = 0;
  std::size_t last_bytes = 0;
  for (std::size_t bytes = 0; bytes < (std::size_t{1} << 20); bytes += bytes < 5000 ? 1 : 61) {
    const auto size = size_class(bytes);
    BOOST_TEST_REQUIRE(size.bytes >= bytes);
    BOOST_TEST_REQUIRE(static_cast<double>(size.bytes) <= 64 + 1.25 * static_cast<double>(bytes));
    BOOST_TEST_REQUIRE(size.bytes % 64 == 0U);
    BOOST_TEST_REQUIRE((size.index == last_index || size.index == last_index + 1));
    BOOST_TEST_REQUIRE((size.bytes == last_bytes) == (size.index == last_index && bytes > 0));
    last_index = size.index;
    last_bytes = size.bytes;
  }
  for (int power = 10; power <= 46; ++power) {
    for (const std::int64_t around : {-1, 0, 1}) {
      const auto bytes = static_cast<std::size_t>((std::int64_t{1} << power) + around);
      if (bytes > std::size_t{1} << 46) continue;
      const auto size = size_class(bytes);
      BOOST_TEST(size.bytes >= bytes);
      BOOST_TEST(size.index < eg::detail::class_count);
      BOOST_TEST(size_class(size.bytes).index == size.index);
      BOOST_TEST(size_class(size.bytes + 1).index == size.index + 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(elements_are_aligned_and_one_s_own) {
  Draw draw(1);
  std::vector<Tensor> all;
  for (int i = 0; i < 300; ++i) all.push_back(eg::full({draw.integer(0, 40000)}, i));
  for (std::size_t i = 0; i < all.size(); ++i) {
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(all[i].data<float>()) % 64 == 0U);
    const std::vector<float> values = all[i].to_vector();
    BOOST_TEST(std::count(values.begin(), values.end(), static_cast<float>(i)) == all[i].numel());
  }
}

BOOST_AUTO_TEST_CASE(counters_follow_tensors) {
  eg::release_cached_memory();
  const auto start = stats();
  constexpr std::int64_t bytes = 4 * 300000;
  {
    const Tensor x = eg::empty({300000});
    const auto held = stats();
    BOOST_TEST(held.bytes_in_use >= start.bytes_in_use + bytes);
    BOOST_TEST(held.bytes_in_use <= start.bytes_in_use + bytes * 5 / 4 + 4096);
    BOOST_TEST(held.system_allocations > start.system_allocations);
    BOOST_TEST(held.bytes_from_system >= start.bytes_from_system + bytes);
    const Tensor view = x.reshape({3, -1});
    BOOST_TEST(stats().bytes_in_use < held.bytes_in_use + 1024);
  }
  const auto freed = stats();
  BOOST_TEST(freed.bytes_in_use == start.bytes_in_use);
  BOOST_TEST(freed.bytes_from_system >= start.bytes_from_system + bytes);  // cached
  const auto asked = freed.system_allocations;
  for (int i = 0; i < 10; ++i) static_cast<void>(eg::empty({300000}));
  BOOST_TEST(stats().system_allocations == asked);
  eg::release_cached_memory();
  BOOST_TEST(stats().bytes_from_system == start.bytes_from_system);
  BOOST_TEST(stats().bytes_in_use == start.bytes_in_use);
  BOOST_TEST(stats().bytes_from_system == stats().bytes_in_use);
}

BOOST_AUTO_TEST_CASE(more_than_a_thread_may_keep_goes_to_the_shared_list) {
  eg::release_cached_memory();
  const auto start = stats();
  {
    std::vector<Tensor> many(40, Tensor());
    for (Tensor& t : many) t = eg::empty({1 << 20});  // 160 MiB; a thread keeps 64
  }
  BOOST_TEST(stats().bytes_in_use == start.bytes_in_use);
  const auto asked = stats().system_allocations;
  {
    std::vector<Tensor> again(40, Tensor());
    for (Tensor& t : again) t = eg::empty({1 << 20});
  }
  BOOST_TEST(stats().system_allocations == asked);
  std::thread([] { static_cast<void>(eg::empty({1 << 20})); }).join();
  eg::release_cached_memory();
  BOOST_TEST(stats().bytes_from_system == start.bytes_from_system);
}

BOOST_AUTO_TEST_CASE(what_can_not_be_had_is_told_and_nothing_is_lost) {
  const auto start = stats();
  BOOST_TEST(refuses<eg::OutOfMemory>(
      [] {
        return eg::empty({std::int64_t{1} << 45}, {DType::float64, {}});
      },
      {"281474976710656 bytes wanted", "in use"}));
  BOOST_TEST(stats().bytes_in_use == start.bytes_in_use);
  BOOST_TEST(eg::ones({100}).sum().item() == 100);
}

// --- a training loop

BOOST_AUTO_TEST_CASE(a_training_loop_asks_for_nothing_once_every_size_was_seen) {
  struct Case {
    const char* name;
    std::int64_t layers;
    bool bidirectional;
    std::vector<std::int64_t> lengths;
  };
  for (const Case& one : {Case{"one layer", 1, false, {}}, Case{"bidirectional", 1, true, {}},
                          Case{"two layers", 2, false, {}}, Case{"lengths", 1, true, {2, 4, 3}}}) {
    BOOST_TEST_CONTEXT(one.name) {
      Tagger tagger(one.layers, one.bidirectional);
      Draw draw(12);
      std::vector<Tensor> words, tags;
      for (int i = 0; i < 4; ++i) {
        words.push_back(draw.integers({4, 3}, 0, 49));
        tags.push_back(draw.integers({12}, 0, 6));
      }
      std::vector<std::pair<std::string, std::int64_t>> by_part;
      for (std::size_t step = 0; step < 12; ++step) tagger.step(words[step % 4], tags[step % 4], one.lengths, by_part);
      by_part.clear();
      const auto start = stats();
      for (std::size_t step = 0; step < 48; ++step) {
        tagger.step(words[step % 4], tags[step % 4], one.lengths, by_part);
        BOOST_TEST(stats().system_allocations == start.system_allocations, "step " << step);
      }
      BOOST_TEST(stats().bytes_in_use == start.bytes_in_use);
      for (const auto& [part, count] : by_part) {
        BOOST_TEST_MESSAGE(one.name << ", " << part << ": " << count << " calls of operator new in 48 steps");
        BOOST_TEST(count == 0, part << " called operator new " << count << " times in 48 steps");
      }
    }
  }
}

// --- several threads

BOOST_AUTO_TEST_CASE(blocks_are_freed_by_whoever_comes_last) {
  const auto start = stats();
  std::mutex mutex;
  std::condition_variable ready;
  std::queue<Tensor> queue;
  bool done = false;
  std::int64_t wrong = 0;
  std::vector<std::thread> consumers;
  for (int c = 0; c < 3; ++c) {
    consumers.emplace_back([&] {
      while (true) {
        Tensor x;
        {
          std::unique_lock lock(mutex);
          ready.wait(lock, [&] { return done || !queue.empty(); });
          if (queue.empty()) return;
          x = std::move(queue.front());
          queue.pop();
        }
        const bool right = (x * 1.0F).to_vector() ==
                           std::vector<float>(static_cast<std::size_t>(x.numel()), x.at({0, 0}) > 0 ? 3.0F : -3.0F);
        const std::scoped_lock lock(mutex);
        wrong += right ? 0 : 1;
      }
    });
  }
  for (int i = 0; i < 3000; ++i) {
    Tensor x = eg::full({1 + i % 7, 1 + i % 300}, i % 2 == 0 ? 3 : -3);
    {
      const std::scoped_lock lock(mutex);
      queue.push(x);
    }
    ready.notify_one();
  }
  {
    const std::scoped_lock lock(mutex);
    done = true;
  }
  ready.notify_all();
  for (std::thread& consumer : consumers) consumer.join();
  BOOST_TEST(wrong == 0);
  BOOST_TEST(stats().bytes_in_use == start.bytes_in_use);
}

BOOST_AUTO_TEST_CASE(a_thread_that_ends_leaves_its_blocks_to_the_others) {
  eg::release_cached_memory();
  const auto start = stats();
  Tensor survivor;
  std::thread([&] {
    kept_to_the_end_of_the_thread = Tensor();  // made before the thread's pool, so destroyed after it
    survivor = eg::full({1000}, 4);
    std::vector<Tensor> cached;
    for (int i = 0; i < 100; ++i) cached.push_back(eg::empty({1000}));
    kept_to_the_end_of_the_thread = eg::ones({10});
  }).join();
  BOOST_TEST(survivor.sum().item() == 4000);
  const auto asked = stats().system_allocations;
  {
    std::vector<Tensor> reused;
    for (int i = 0; i < 100; ++i) reused.push_back(eg::empty({1000}));
  }
  BOOST_TEST(stats().system_allocations == asked);
  survivor = Tensor();
  BOOST_TEST(stats().bytes_in_use == start.bytes_in_use);
  eg::release_cached_memory();
  BOOST_TEST(stats().bytes_from_system == start.bytes_from_system);
  kept_to_the_end = eg::ones({10});
}

BOOST_AUTO_TEST_CASE(handles_are_copied_and_dropped_by_many_threads) {
  const auto start = stats();
  {
    const Tensor shared = eg::full({8}, 2);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&wrong, shared] {
        for (int i = 0; i < 20000; ++i) {
          const Tensor copy = shared;
          const Tensor view = copy[3];
          if (view.item() != 2) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(wrong == 0);
  }
  BOOST_TEST(stats().bytes_in_use == start.bytes_in_use);
}

// Under no_grad any number of threads may run forward on the same parameters.
BOOST_AUTO_TEST_CASE(threads_that_run_forward_get_the_bits_of_one) {
  const Tagger tagger(1, true);
  Draw draw(13);
  const Tensor words = draw.integers({6, 4}, 0, 49);
  const auto forward = [&] {
    return eg::no_grad([&] {
      return eg::linear(eg::lstm(eg::embedding(words, tagger.table), {}, tagger.lstm, tagger.options).output,
                        tagger.weight, tagger.bias);
    });
  };
  const Tensor expected = forward();
  std::vector<Tensor> results(4);
  std::vector<std::thread> threads;
  for (Tensor& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) result = forward();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& result : results) BOOST_TEST(same_bits("another thread", result, expected));
}

BOOST_AUTO_TEST_SUITE_END()

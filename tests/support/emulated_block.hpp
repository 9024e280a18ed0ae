// Runs kernel bodies of the CUDA room on the host: every thread of a block is a fiber, and between barriers they run in
// a random order that a seed decides. What fails: a barrier that not all threads reach, or at different places; a word
// at an address that is no multiple of its size; more shared memory than a block has. Shared memory starts as garbage,
// so what is read too early shows in the results.
#pragma once

#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/block.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define EMBERGRAD_ASAN_FIBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define EMBERGRAD_ASAN_FIBERS 1
#endif
#endif

namespace embergrad::test {

// What a GPU would answer with undefined behaviour, with the seed that shows it again.
class EmulationError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Where a body comes to a barrier. (std::source_location, which clang 14 lacks.)
struct Place {
  const char* file = "";
  int line = 0;
  [[nodiscard]] std::string text() const {
    const std::string path = file;
    return path.substr(path.rfind('/') + 1) + ":" + std::to_string(line);
  }
};

// Stacks with a page below them that nobody may touch; kept for the next block.
class Stacks {
 public:
  static constexpr std::size_t bytes = std::size_t{256} << 10;
  static constexpr std::size_t guard = std::size_t{64} << 10;

  static std::byte* of_fiber(std::size_t i) {
    thread_local Stacks stacks;
    while (stacks.all_.size() <= i) {
      void* block = mmap(nullptr, guard + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (block == MAP_FAILED) throw std::bad_alloc();
      mprotect(block, guard, PROT_NONE);
      stacks.all_.push_back(static_cast<std::byte*>(block) + guard);
    }
#ifdef EMBERGRAD_ASAN_FIBERS
    ASAN_UNPOISON_MEMORY_REGION(stacks.all_[i], bytes);  // an abandoned fiber leaves its marks
#endif
    return stacks.all_[i];
  }

  Stacks() = default;
  ~Stacks() {
    for (std::byte* stack : all_) munmap(stack - guard, guard + bytes);
  }
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  Stacks(Stacks&&) = delete;
  Stacks& operator=(Stacks&&) = delete;

 private:
  std::vector<std::byte*> all_;
};

// The threads of one block, and whose turn it is.
class Fibers {
 public:
  Fibers(int count, std::mt19937_64& random, std::function<void(int)> body)
      : fibers_(static_cast<std::size_t>(count)), random_(random), body_(std::move(body)) {}

  // Runs all to their end.
  void run() {
    for (int i = 0; i < size(); ++i) runnable_.push_back(i);
    while (!runnable_.empty()) {
      const auto pick = static_cast<std::size_t>(random_() % runnable_.size());
      const int fiber = std::exchange(runnable_[pick], runnable_.back());
      runnable_.pop_back();
      resume(fiber);
      if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
      if (runnable_.empty() && !waiting_.empty()) open_barrier();
    }
  }

  // Called from a fiber: the others go on until all have come here.
  void wait(Place where) {
    Fiber& self = at(current_);
    self.where = where;
    waiting_.push_back(current_);
    switch_to_scheduler(self, false);
  }

  [[nodiscard]] int size() const { return static_cast<int>(fibers_.size()); }

 private:
  struct Fiber {
    ucontext_t context{};
    std::byte* stack = nullptr;
    void* fake_stack = nullptr;
    Place where;
  };

  Fiber& at(int i) { return fibers_[static_cast<std::size_t>(i)]; }
  void open_barrier() {
    const auto came = static_cast<int>(waiting_.size());
    const Place where = at(waiting_[0]).where;
    if (came < size()) {
      throw EmulationError(std::to_string(size() - came) + " threads left, " + std::to_string(came) + " of " +
                           std::to_string(size()) + " at the barrier (" + where.text() + ")");
    }
    for (const int fiber : waiting_) {
      const Place other = at(fiber).where;
      if (other.line == where.line && std::string(other.file) == where.file) continue;
      throw EmulationError("threads at different barriers: " + where.text() + " and " + other.text());
    }
    runnable_.swap(waiting_);
  }

  void resume(int i) {
    Fiber& fiber = at(i);
    current_ = i;
    if (fiber.stack == nullptr) {
      fiber.stack = Stacks::of_fiber(static_cast<std::size_t>(i));
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack;
      fiber.context.uc_stack.ss_size = Stacks::bytes;
      fiber.context.uc_link = nullptr;
      makecontext(&fiber.context, &Fibers::enter, 0);
    }
    running() = this;
#ifdef EMBERGRAD_ASAN_FIBERS
    void* own_fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&own_fake_stack, fiber.stack, Stacks::bytes);
#endif
    swapcontext(&scheduler_, &fiber.context);
#ifdef EMBERGRAD_ASAN_FIBERS
    __sanitizer_finish_switch_fiber(own_fake_stack, nullptr, nullptr);
#endif
  }

  void switch_to_scheduler(Fiber& self, [[maybe_unused]] bool for_ever) {
#ifdef EMBERGRAD_ASAN_FIBERS
    __sanitizer_start_switch_fiber(for_ever ? nullptr : &self.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
#endif
    swapcontext(&self.context, &scheduler_);
#ifdef EMBERGRAD_ASAN_FIBERS
    __sanitizer_finish_switch_fiber(self.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
#endif
  }

  static Fibers*& running() {
    thread_local Fibers* fibers = nullptr;
    return fibers;
  }

  static void enter() {
    Fibers& fibers = *running();
#ifdef EMBERGRAD_ASAN_FIBERS
    __sanitizer_finish_switch_fiber(nullptr, &fibers.scheduler_stack_, &fibers.scheduler_stack_bytes_);
#endif
    try {
      fibers.body_(fibers.current_);
    } catch (...) {
      fibers.failure_ = std::current_exception();
    }
    fibers.switch_to_scheduler(fibers.at(fibers.current_), true);
  }

  std::vector<Fiber> fibers_;
  std::vector<int> runnable_, waiting_;
  std::mt19937_64& random_;
  std::function<void(int)> body_;
  ucontext_t scheduler_{};
  int current_ = 0;
  std::exception_ptr failure_;
#ifdef EMBERGRAD_ASAN_FIBERS
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_bytes_ = 0;
#endif
};

// The shared memory of one block: an object per type, garbage at first.
class SharedMemory {
 public:
  static constexpr std::size_t most_bytes = std::size_t{48} << 10;  // what a block has without asking for more

  explicit SharedMemory(std::mt19937_64& random) : random_(random) {}

  template <class T>
  T& get() {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_default_constructible_v<T>);
    static const char key = 0;
    auto& object = objects_[&key];
    if (object == nullptr) {
      used_ += sizeof(T);
      if (used_ > most_bytes) {
        throw EmulationError(std::to_string(used_) + " bytes of shared memory, a block has " +
                             std::to_string(most_bytes));
      }
      object.reset(static_cast<std::byte*>(::operator new(sizeof(T), align)));
      for (std::size_t i = 0; i < sizeof(T); ++i) object.get()[i] = static_cast<std::byte>(random_());
    }
    return *reinterpret_cast<T*>(object.get());
  }

 private:
  static constexpr std::align_val_t align{16};
  struct Delete {
    void operator()(std::byte* bytes) const { ::operator delete(bytes, align); }
  };
  std::map<const void*, std::unique_ptr<std::byte, Delete>> objects_;
  std::size_t used_ = 0;
  std::mt19937_64& random_;
};

// Where bodies may read and write: anywhere, unless a device's memory is set.
struct Addresses {
  const void* begin = nullptr;
  const void* end = nullptr;

  static Addresses& now() {
    thread_local Addresses addresses;
    return addresses;
  }
  [[nodiscard]] bool hold(const void* address) const { return begin == nullptr || (address >= begin && address < end); }
};

// The Block of cuda/block.hpp.
class EmulatedBlock {
 public:
  EmulatedBlock(Fibers& fibers, SharedMemory& memory, int thread, std::int64_t block, std::int64_t blocks)
      : fibers_(fibers), memory_(memory), thread_(thread), block_(block), blocks_(blocks) {}

  [[nodiscard]] int thread() const { return thread_; }
  [[nodiscard]] int threads() const { return fibers_.size(); }
  [[nodiscard]] std::int64_t block() const { return block_; }
  [[nodiscard]] std::int64_t blocks() const { return blocks_; }
  void sync(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { fibers_.wait({file, line}); }
  template <class T>
  T& shared() {
    return memory_.get<T>();
  }
  template <class Word>
  Word load(const Word* from) const {
    check_address(from, sizeof(Word), "read");
    Word word;
    std::memcpy(&word, from, sizeof(Word));
    return word;
  }
  template <class Word>
  void store(Word* to, Word word) const {
    check_address(to, sizeof(Word), "written");
    std::memcpy(to, &word, sizeof(Word));
  }

 private:
  [[gnu::noinline]] static void check_address(const void* address, std::size_t bytes, const char* what) {
    if (!Addresses::now().hold(address)) {
      throw EmulationError(std::to_string(bytes) + " bytes are " + what + " that are not the device's");
    }
    if (reinterpret_cast<std::uintptr_t>(address) % bytes == 0) return;
    throw EmulationError(std::to_string(bytes) + " bytes are " + what + " at an address that is no multiple of " +
                         std::to_string(bytes));
  }

  Fibers& fibers_;
  SharedMemory& memory_;
  int thread_;
  std::int64_t block_, blocks_;
};
static_assert(cuda::Block<EmulatedBlock>);

// What one thread of a body does. Bodies are many: what runs them is compiled once.
using ThreadOfBody = void (*)(const void* body, EmulatedBlock& block);

// Runs all blocks of a grid one after the other, in random order.
inline void run_blocks(std::uint64_t seed, cuda::Grid grid, ThreadOfBody thread_of, const void* body) {
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < grid.blocks; ++i) order.push_back(i);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  for (const std::int64_t block : order) {
    try {
      SharedMemory memory(random);
      Fibers fibers(grid.threads, random, [&](int thread) {
        EmulatedBlock here(fibers, memory, thread, block, grid.blocks);
        thread_of(body, here);
      });
      fibers.run();
    } catch (const EmulationError& error) {
      throw EmulationError("seed " + std::to_string(seed) + ", block " + std::to_string(block) + ": " + error.what());
    }
  }
}

// start(body, grid) on the host.
struct Emulated {
  std::uint64_t seed;

  template <class Body>
  void operator()(const Body& body, cuda::Grid grid) const {
    static_assert(std::is_trivially_copyable_v<Body>, "bodies are handed over as bytes");
    const auto thread_of = [](const void* bytes, EmulatedBlock& block) { (*static_cast<const Body*>(bytes))(block); };
    run_blocks(seed, grid, thread_of, &body);
  }
};

}  // namespace embergrad::test

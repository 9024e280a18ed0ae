#include "emulated/runtime.hpp"

#include <dlfcn.h>
#include <sys/mman.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cuda/launch.cuh"
#include "support/emulated_block.hpp"

// What a cudaEvent_t points to here: how much of a GPU's work was queued when it was recorded.
struct CUevent_st {
  int gpu = 0;
  std::uint64_t queued = 0;
};

namespace embergrad::emulated {
namespace {

constexpr std::size_t alignment = 256;
constexpr std::size_t most_queued = 100;

std::size_t whole_blocks(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

#ifdef EMBERGRAD_ASAN_FIBERS
void poison(const char* from, std::size_t bytes) { ASAN_POISON_MEMORY_REGION(from, bytes); }
void unpoison(const char* from, std::size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(from, bytes); }
#else
void poison(const char* /*from*/, std::size_t /*bytes*/) {}
void unpoison(const char* /*from*/, std::size_t /*bytes*/) {}
#endif

// Memory and work of one GPU. All calls hold the runtime's mutex.
class Gpu {
 public:
  explicit Gpu(int index) : index_(index) {
    void* memory = mmap(nullptr, bytes_of_gpu, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<char*>(memory);
    free_.emplace(0, bytes_of_gpu);
    poison(memory_, bytes_of_gpu);
  }

  // Null if there is no such piece.
  void* allocate(std::size_t bytes) {
    const std::size_t wanted = whole_blocks(bytes);
    for (auto piece = free_.begin(); piece != free_.end(); ++piece) {
      if (piece->second < wanted) continue;
      const auto [begin, size] = *piece;
      free_.erase(piece);
      if (size > wanted) free_.emplace(begin + wanted, size - wanted);
      in_use_.emplace(begin, wanted);
      char* block = memory_ + begin;
      enqueue([block, bytes] {
        unpoison(block, bytes);
        std::memset(block, 0xFF, bytes);
      });
      return block;
    }
    return nullptr;
  }

  bool release(void* pointer) {
    const auto found = in_use_.find(static_cast<std::size_t>(static_cast<char*>(pointer) - memory_));
    if (found == in_use_.end()) return false;
    auto [begin, size] = *found;
    in_use_.erase(found);
    enqueue([block = memory_ + begin, bytes = size] { poison(block, bytes); });
    auto after = free_.lower_bound(begin);
    if (after != free_.end() && begin + size == after->first) {
      size += after->second;
      after = free_.erase(after);
    }
    if (after != free_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second == begin) {
        before->second += size;
        return true;
      }
    }
    free_.emplace(begin, size);
    return true;
  }

  void enqueue(std::function<void()> work) {
    queue_.push_back(std::move(work));
    ++queued_;
    if (queue_.size() > most_queued) work_until(queued_ - most_queued / 2);
  }

  // Does what was queued before number `until`.
  void work_until(std::uint64_t until) {
    if (done_ >= until) return;
    protect(PROT_READ | PROT_WRITE);
    test::Addresses::now() = {memory_, memory_ + bytes_of_gpu};
    while (done_ < until) {
      const std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      ++done_;
      if (!error_.empty()) continue;
      try {
        work();
      } catch (const std::exception& error) {
        error_ = error.what();
        std::fprintf(stderr, "emulated cuda:%d: %s\n", index_, error_.c_str());
      }
    }
    test::Addresses::now() = {};
    protect(PROT_NONE);
  }

  [[nodiscard]] bool holds(const void* address) const {
    const auto* byte = static_cast<const char*>(address);
    return byte >= memory_ && byte < memory_ + bytes_of_gpu;
  }
  [[nodiscard]] std::size_t free_bytes() const {
    std::size_t sum = 0;
    for (const auto& piece : free_) sum += piece.second;
    return sum;
  }
  [[nodiscard]] std::uint64_t queued() const { return queued_; }
  [[nodiscard]] std::uint64_t done() const { return done_; }
  [[nodiscard]] cudaError_t status() const { return error_.empty() ? cudaSuccess : cudaErrorLaunchFailure; }

 private:
  void protect(int access) const {
    if (mprotect(memory_, bytes_of_gpu, access) != 0) std::abort();
  }

  int index_;
  char* memory_ = nullptr;
  std::map<std::size_t, std::size_t> free_, in_use_;  // from where, how much
  std::deque<std::function<void()>> queue_;
  std::uint64_t queued_ = 0, done_ = 0;
  std::string error_;
};

struct Runtime {
  std::recursive_mutex mutex;
  std::array<Gpu, gpus> all{Gpu(0), Gpu(1)};
  std::map<const char*, std::size_t> pinned;
  Counts counts;
  std::int64_t blocks_left = -1;  // to be given; below 0: no end
  std::uint64_t seed = 0;

  Runtime() {
    if (const char* seed_text = std::getenv("EMBERGRAD_EMULATED_SEED")) seed = std::strtoull(seed_text, nullptr, 10);
  }
  Gpu& gpu(int index) { return all.at(static_cast<std::size_t>(index)); }
  [[nodiscard]] bool is_pinned(const void* address) const {
    const auto* byte = static_cast<const char*>(address);
    auto after = pinned.upper_bound(byte);
    return after != pinned.begin() && byte < std::prev(after)->first + std::prev(after)->second;
  }
  cudaError_t wait(int index, std::uint64_t until) {
    if (gpu(index).done() < until) ++counts.waits;
    gpu(index).work_until(until);
    return gpu(index).status();
  }
};

// Never destroyed: tensors may be freed while the program ends.
Runtime& runtime() {
  static auto* one = new Runtime;
  return *one;
}

void enqueue(cudaStream_t stream, std::function<void()> work) {
  const std::scoped_lock lock(runtime().mutex);
  ++runtime().counts.launches;
  runtime().gpu(stream->gpu).enqueue(std::move(work));
}

thread_local int current = 0;

// The CUDA room looks for a driver and for cuBLAS by name.
[[gnu::constructor]] void arrange() {
  if (dlopen(EMBERGRAD_EMULATED_DRIVER, RTLD_LAZY | RTLD_LOCAL) == nullptr) std::fputs(dlerror(), stderr);
  setenv("EMBERGRAD_CUBLAS", EMBERGRAD_EMULATED_CUBLAS, 0);
}

}  // namespace

void give_blocks(std::int64_t count) {
  const std::scoped_lock lock(runtime().mutex);
  runtime().blocks_left = count;
}
Counts counts() {
  const std::scoped_lock lock(runtime().mutex);
  return runtime().counts;
}

}  // namespace embergrad::emulated

void embergrad::cuda::enqueue_body(cudaStream_t stream, Grid grid, test::ThreadOfBody thread_of, const void* body,
                                   std::size_t bytes) {
  struct alignas(16) Word {
    std::byte bytes[16];
  };
  std::vector<Word> copied((bytes + sizeof(Word) - 1) / sizeof(Word));
  std::memcpy(copied.data(), body, bytes);
  const std::scoped_lock lock(embergrad::emulated::runtime().mutex);
  const std::uint64_t seed = ++embergrad::emulated::runtime().seed;
  stream->enqueue(stream, [=, copied = std::move(copied)] { test::run_blocks(seed, grid, thread_of, copied.data()); });
}

using embergrad::emulated::runtime;
using Lock = std::scoped_lock<std::recursive_mutex>;

extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaErrorLaunchFailure";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "unspecified launch failure";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = embergrad::emulated::gpus;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = embergrad::emulated::current;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= embergrad::emulated::gpus) return cudaErrorInvalidDevice;
  embergrad::emulated::current = device;
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* /*function*/) {
  *attributes = {};
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  *stream = new CUstream_st{embergrad::emulated::enqueue, embergrad::emulated::current};
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  return runtime().wait(stream->gpu, runtime().gpu(stream->gpu).queued());
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  *event = {stream->gpu, runtime().gpu(stream->gpu).queued()};
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(runtime().mutex);
  return runtime().gpu(event->gpu).done() >= event->queued ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(runtime().mutex);
  return runtime().wait(event->gpu, event->queued);
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int /*device*/) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t /*pool*/, cudaMemPoolAttr /*attribute*/, void* /*value*/) {
  return cudaSuccess;
}
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t /*pool*/, cudaMemPoolAttr /*attribute*/, void* value) {
  const Lock lock(runtime().mutex);
  *static_cast<std::uint64_t*>(value) =
      embergrad::emulated::bytes_of_gpu - runtime().gpu(embergrad::emulated::current).free_bytes();
  return cudaSuccess;
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t /*pool*/, std::size_t /*keep*/) { return cudaSuccess; }
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const Lock lock(runtime().mutex);
  *free = runtime().gpu(embergrad::emulated::current).free_bytes();
  *total = embergrad::emulated::bytes_of_gpu;
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** block, std::size_t bytes, cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  std::int64_t& left = runtime().blocks_left;
  *block = left == 0 ? nullptr : runtime().gpu(stream->gpu).allocate(bytes);
  if (left > 0) --left;
  return *block == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
cudaError_t cudaFreeAsync(void* block, cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  return runtime().gpu(stream->gpu).release(block) ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaHostAlloc(void** block, std::size_t bytes, unsigned /*flags*/) {
  const Lock lock(runtime().mutex);
  *block = std::malloc(bytes);
  if (*block == nullptr) return cudaErrorMemoryAllocation;
  runtime().pinned.emplace(static_cast<const char*>(*block), bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* block) {
  const Lock lock(runtime().mutex);
  runtime().pinned.erase(static_cast<const char*>(block));
  std::free(block);
  return cudaSuccess;
}

// Pinned memory is read and written when the copy's turn comes, other memory of the host now.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  ++runtime().counts.copies;
  auto& gpu = runtime().gpu(stream->gpu);
  const auto copy = [=] { std::memcpy(to, from, bytes); };
  if (kind == cudaMemcpyHostToDevice) {
    if (!gpu.holds(to) || gpu.holds(from)) return cudaErrorInvalidValue;
    if (runtime().is_pinned(from)) {
      gpu.enqueue(copy);
    } else {
      const auto* bytes_now = static_cast<const char*>(from);
      gpu.enqueue([to, copied = std::vector<char>(bytes_now, bytes_now + bytes)] {
        std::memcpy(to, copied.data(), copied.size());
      });
    }
    return cudaSuccess;
  }
  if (kind == cudaMemcpyDeviceToHost) {
    if (gpu.holds(to) || !gpu.holds(from)) return cudaErrorInvalidValue;
    gpu.enqueue(copy);
    return runtime().is_pinned(to) ? cudaSuccess : runtime().wait(stream->gpu, gpu.queued());
  }
  if (!gpu.holds(to) || !gpu.holds(from)) return cudaErrorInvalidValue;
  gpu.enqueue(copy);
  return cudaSuccess;
}
// Through the host, at once.
cudaError_t cudaMemcpyPeerAsync(void* to, int to_gpu, const void* from, int from_gpu, std::size_t bytes,
                                cudaStream_t /*stream*/) {
  const Lock lock(runtime().mutex);
  ++runtime().counts.copies;
  if (!runtime().gpu(to_gpu).holds(to) || !runtime().gpu(from_gpu).holds(from)) return cudaErrorInvalidValue;
  std::vector<char> between(bytes);
  runtime().gpu(from_gpu).enqueue([&] { std::memcpy(between.data(), from, bytes); });
  runtime().gpu(from_gpu).work_until(runtime().gpu(from_gpu).queued());
  runtime().gpu(to_gpu).enqueue([to, copied = std::move(between)] { std::memcpy(to, copied.data(), copied.size()); });
  return cudaSuccess;
}
cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width, std::size_t height,
                              cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  runtime().gpu(stream->gpu).enqueue([=] {
    for (std::size_t row = 0; row < height; ++row) std::memset(static_cast<char*>(to) + row * pitch, value, width);
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return cudaMemset2DAsync(to, bytes, value, bytes, 1, stream);
}
}

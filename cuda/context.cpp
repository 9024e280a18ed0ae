#include "cuda/context.hpp"

#include <embergrad/error.hpp>

#include <cxxabi.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <typeinfo>

#include "cuda/availability.hpp"

namespace embergrad::cuda {
namespace {

constexpr int most_gpus = 64;

std::string text_of(cudaError_t status) {
  return fmt::format("{} ({})", cudaGetErrorName(status), cudaGetErrorString(status));
}

Found look() {
  Found found;
  found.driver_library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) != nullptr;
  if (!found.driver_library) return found;
  found.visible_devices = std::getenv("CUDA_VISIBLE_DEVICES");
  cudaDriverGetVersion(&found.driver_version);
  cudaRuntimeGetVersion(&found.runtime_version);
  int count = 0;  // not written where the call fails
  const cudaError_t status = cudaGetDeviceCount(&count);
  found.driver_too_old = status == cudaErrorInsufficientDriver && found.driver_version > 0;
  found.no_device = status == cudaErrorNoDevice;
  if (status == cudaSuccess) {
    found.count = count < most_gpus ? count : most_gpus;
  } else {
    static_cast<void>(cudaGetLastError());
    found.error = text_of(status);
  }
  return found;
}

// A driver that is missing now can't be loaded later, so once is enough.
const Found& found() {
  static const auto* result = new Found(look());
  return *result;
}

// Memory of the host that a GPU can fetch from by itself: what is copied there need not stay where it was. Chunks are
// used in turn; only who is a whole round ahead of the GPU waits for it.
class Staging {
 public:
  void copy(OnCuda on, cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    for (std::size_t done = 0; done < bytes;) {
      if (used_ == chunk_bytes || chunks_[current_].memory == nullptr) next_chunk(on, stream);
      Chunk& chunk = chunks_[current_];
      const std::size_t part = std::min(bytes - done, chunk_bytes - used_);
      std::memcpy(chunk.memory + used_, static_cast<const char*>(from) + done, part);
      check(cudaMemcpyAsync(static_cast<char*>(to) + done, chunk.memory + used_, part, cudaMemcpyHostToDevice, stream),
            "cudaMemcpyAsync", on);
      used_ += part;
      done += part;
    }
  }

 private:
  static constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
  struct Chunk {
    char* memory = nullptr;
    cudaEvent_t fetched = nullptr;  // all of it
  };

  void next_chunk(OnCuda on, cudaStream_t stream) {
    if (chunks_[current_].memory != nullptr) {
      check(cudaEventRecord(chunks_[current_].fetched, stream), "cudaEventRecord", on);
      current_ = (current_ + 1) % chunks_.size();
    }
    Chunk& chunk = chunks_[current_];
    if (chunk.memory != nullptr) {
      if (cudaEventQuery(chunk.fetched) != cudaSuccess) {
        static_cast<void>(cudaGetLastError());
        check(cudaEventSynchronize(chunk.fetched), "cudaEventSynchronize", on);
      }
    } else {
      if (chunk.fetched == nullptr) {
        check(cudaEventCreateWithFlags(&chunk.fetched, cudaEventDisableTiming), "cudaEventCreateWithFlags", on);
      }
      void* memory = nullptr;
      check(cudaHostAlloc(&memory, chunk_bytes, cudaHostAllocDefault), "cudaHostAlloc", on);
      chunk.memory = static_cast<char*>(memory);
    }
    used_ = 0;
  }

  std::mutex mutex_;
  std::array<Chunk, 8> chunks_;
  std::size_t current_ = 0;
  std::size_t used_ = 0;
};

struct Gpu {
  std::once_flag once;
  cudaStream_t stream = nullptr;
  std::string reason;  // why it can't be used
  Staging staging;
};

// Sets a GPU up, once. Never destroyed: tensors may be freed while the program ends.
Gpu& gpu(OnCuda on) {
  static auto* gpus = new std::array<Gpu, most_gpus>;
  Gpu& here = gpus->at(static_cast<std::size_t>(on.index));
  std::call_once(here.once, [&] {
    const auto failed = [&](cudaError_t status, const char* call) {
      if (status == cudaSuccess) return false;
      static_cast<void>(cudaGetLastError());
      here.reason = fmt::format("{}: {}", call, text_of(status));
      return true;
    };
    int before = 0;
    if (failed(cudaGetDevice(&before), "cudaGetDevice")) return;
    if (failed(cudaSetDevice(on.index), "cudaSetDevice")) return;
    if (!failed(find_code(), "this build has no code for this GPU: cudaFuncGetAttributes")) {
      cudaMemPool_t pool = nullptr;
      std::uint64_t keep = UINT64_MAX;  // memory stays with the process
      if (!failed(cudaStreamCreateWithFlags(&here.stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags") &&
          !failed(cudaDeviceGetDefaultMemPool(&pool, on.index), "cudaDeviceGetDefaultMemPool")) {
        failed(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "cudaMemPoolSetAttribute");
      }
    }
    static_cast<void>(cudaSetDevice(before));
  });
  return here;
}

[[noreturn]] void throw_out_of_memory(OnCuda on, std::size_t bytes) {
  std::size_t free = 0, total = 0;
  std::uint64_t used = 0, cached = 0;
  cudaMemPool_t pool = nullptr;
  static_cast<void>(cudaMemGetInfo(&free, &total));
  if (cudaDeviceGetDefaultMemPool(&pool, on.index) == cudaSuccess) {
    static_cast<void>(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
    static_cast<void>(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &cached));
  }
  static_cast<void>(cudaGetLastError());
  throw OutOfMemory(
      fmt::format("out of memory on cuda:{}: {} bytes wanted, {} in use by tensors, {} cached, {} free of {} "
                  "(cudaErrorMemoryAllocation)",
                  on.index, bytes, used, cached - used, free, total));
}

}  // namespace

std::string missing(OnCuda on) {
  std::string reason = missing(found(), on.index);
  if (reason.empty()) reason = gpu(on).reason;
  return reason;
}

void check(cudaError_t status, const char* call, OnCuda on) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  const std::string message = fmt::format("cuda:{}: {}: {}", on.index, call, text_of(status));
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(message);
  throw DeviceError(message);
}

void check_launch(cudaError_t status, const std::type_info& body, OnCuda on) {
  if (status == cudaSuccess) return;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(body.name(), nullptr, nullptr, nullptr),
                                                         &std::free);
  check(status, name != nullptr ? name.get() : body.name(), on);
}

cudaStream_t stream_of(OnCuda on) {
  const std::string reason = missing(on);
  if (!reason.empty()) throw DeviceError(fmt::format("cuda:{} is not available: {}", on.index, reason));
  return gpu(on).stream;
}

Current::Current(OnCuda on) {
  check(cudaGetDevice(&before_), "cudaGetDevice", on);
  if (before_ != on.index) check(cudaSetDevice(on.index), "cudaSetDevice", on);
}

Current::~Current() { static_cast<void>(cudaSetDevice(before_)); }

void* allocate(OnCuda on, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  const cudaStream_t stream = stream_of(on);
  const Current current(on);
  void* block = nullptr;
  cudaError_t status = cudaMallocAsync(&block, bytes, stream);
  if (status == cudaErrorMemoryAllocation) {
    // What is freed but still waits for its turn, or lies cached in pieces, may be enough.
    static_cast<void>(cudaGetLastError());
    cudaMemPool_t pool = nullptr;
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", on);
    check(cudaDeviceGetDefaultMemPool(&pool, on.index), "cudaDeviceGetDefaultMemPool", on);
    check(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo", on);
    status = cudaMallocAsync(&block, bytes, stream);
    if (status == cudaErrorMemoryAllocation) throw_out_of_memory(on, bytes);
  }
  check(status, "cudaMallocAsync", on);
  return block;
}

// An error here was or will be reported by the next call; at the end of the program CUDA may be gone already.
void release(OnCuda on, void* block) noexcept {
  if (block == nullptr) return;
  static_cast<void>(cudaFreeAsync(block, gpu(on).stream));
}

void synchronize(OnCuda on) {
  const cudaStream_t stream = stream_of(on);
  const Current current(on);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", on);
}

void copy_from_host(OnCuda on, void* to, const void* from, std::size_t bytes) {
  const cudaStream_t stream = stream_of(on);
  const Current current(on);
  gpu(on).staging.copy(on, stream, to, from, bytes);
}

void copy_to_host(OnCuda on, void* to, const void* from, std::size_t bytes) {
  const cudaStream_t stream = stream_of(on);
  const Current current(on);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync", on);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", on);
}

void copy_between(OnCuda to_gpu, void* to, OnCuda from_gpu, const void* from, std::size_t bytes) {
  const cudaStream_t stream = stream_of(to_gpu);
  check(cudaStreamSynchronize(stream_of(from_gpu)), "cudaStreamSynchronize", from_gpu);
  const Current current(to_gpu);
  check(cudaMemcpyPeerAsync(to, to_gpu.index, from, from_gpu.index, bytes, stream), "cudaMemcpyPeerAsync", to_gpu);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", to_gpu);
}

}  // namespace embergrad::cuda

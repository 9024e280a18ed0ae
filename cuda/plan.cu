// The one place where CUB is compiled.
#include "cuda/plan.hpp"

#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>

#include "cuda/launch.cuh"
#include "cuda/scratch.hpp"

namespace embergrad {
namespace {

// Calls a function of CUB: once to learn how much room it wants, once with that.
template <class Call>
void with_room(OnCuda on, const char* name, const Call& call) {
  const cudaStream_t stream = cuda::stream_of(on);
  const cuda::Current current(on);
  std::size_t bytes = 0;
  cuda::check(call(nullptr, bytes, stream), name, on);
  const cuda::Scratch<char> room(on, static_cast<std::int64_t>(bytes));
  cuda::check(call(room.get(), bytes, stream), name, on);
}

struct CubLists {
  OnCuda on;

  void sort(const std::int64_t* keys, std::int64_t* sorted, const std::int64_t* values, std::int64_t* sorted_values,
            std::int64_t size, int bits) const {
    with_room(on, "cub::DeviceRadixSort::SortPairs", [=](void* room, std::size_t& bytes, cudaStream_t stream) {
      return cub::DeviceRadixSort::SortPairs(room, bytes, keys, sorted, values, sorted_values, size, 0, bits, stream);
    });
  }
  void add_before(const std::int64_t* in, std::int64_t* out, std::int64_t size) const {
    with_room(on, "cub::DeviceScan::ExclusiveSum", [=](void* room, std::size_t& bytes, cudaStream_t stream) {
      return cub::DeviceScan::ExclusiveSum(room, bytes, in, out, size, stream);
    });
  }
};

}  // namespace

void run(OnCuda on, const PlanRows& request) {
  const cuda::Scratch<std::int64_t> memory(on, cuda::PlanRoom::numbers(request.index.size));
  const cuda::PlanRoom room(memory.get(), request.index.size);
  cuda::run_with(cuda::Start{on}, request, CubLists{on}, room);
  cuda::copy_to_host(on, request.segments, room.segments, sizeof(std::int64_t));
}

void run(OnCuda on, const PlanBags& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

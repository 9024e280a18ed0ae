// A CUDA runtime on the host, for tests: the .cu files of the CUDA room, compiled by the host's compiler over the
// emulated block, run on two GPUs that are memory of this process.
//
// It is strict where a GPU is silent. Work is done late, in the order of its stream: at a wait, or when much is queued.
// A GPU's memory may be touched by its work only: the host that reads it is stopped by the system, and a body that
// reads the host's memory, or another GPU's, is an error at the next wait. New memory holds NaNs. Waits are counted.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>

#include "emulated/counts.hpp"

namespace embergrad::emulated {

inline constexpr int gpus = 2;
inline constexpr std::size_t bytes_of_gpu = std::size_t{1} << 30;

// Puts work behind what a stream has to do. What it throws is an error of the stream from then on.
// A pointer, so that a library loaded at run time finds it in the stream.
using Enqueue = void (*)(cudaStream_t stream, std::function<void()> work);

}  // namespace embergrad::emulated

// What a cudaStream_t points to here.
struct CUstream_st {
  embergrad::emulated::Enqueue enqueue;
  int gpu;
};

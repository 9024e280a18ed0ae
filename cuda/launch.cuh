// Runs a body on a GPU.
#pragma once

#include <cuda_runtime.h>

#include <typeinfo>

#include "cuda/block.hpp"
#include "cuda/context.hpp"

namespace embergrad::cuda {

// The Block of block.hpp, by the hardware.
struct CudaBlock {
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ int threads() const { return static_cast<int>(blockDim.x); }
  __device__ std::int64_t block() const { return static_cast<std::int64_t>(blockIdx.x); }
  __device__ std::int64_t blocks() const { return static_cast<std::int64_t>(gridDim.x); }
  __device__ void sync() const { __syncthreads(); }
  template <class T>
  __device__ T& shared() const {
    __shared__ T memory;
    return memory;
  }
  template <class Word>
  __device__ Word load(const Word* from) const {
    return *from;
  }
  template <class Word>
  __device__ void store(Word* to, Word value) const {
    *to = value;
  }
};

template <class Body>
__global__ void __launch_bounds__(default_threads) run_body(const __grid_constant__ Body body) {
  CudaBlock block;
  body(block);
}

// start(body, grid) on one GPU, behind what its stream has to do already.
struct Start {
  OnCuda on;

  template <class Body>
  void operator()(const Body& body, Grid grid) const {
    if (grid.blocks == 0) return;
    const cudaStream_t stream = stream_of(on);
    const Current current(on);
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(grid.blocks));
    config.blockDim = dim3(static_cast<unsigned>(grid.threads));
    config.stream = stream;
    check_launch(cudaLaunchKernelEx(&config, run_body<Body>, body), typeid(Body), on);
  }
};

}  // namespace embergrad::cuda

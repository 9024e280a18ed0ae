// Runs a body on an emulated GPU. Found in place of the CUDA room's own launch.cuh.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "cuda/block.hpp"
#include "cuda/context.hpp"
#include "emulated/runtime.hpp"
#include "support/emulated_block.hpp"

// As nvcc's headers have it.
template <class Body>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (*kernel)(Body)) {
  return cudaFuncGetAttributes(attributes, reinterpret_cast<const void*>(kernel));
}

namespace embergrad::cuda {

// A kernel that is never called; its address asks for attributes.
template <class Body>
void run_body(Body /*body*/) {}

// The order in which the threads of the next launch run.
std::uint64_t next_seed();

// start(body, grid): few blocks, since grids never enter a result.
struct Start {
  OnCuda on;

  template <class Body>
  void operator()(const Body& body, Grid grid) const {
    if (grid.blocks == 0) return;
    const cudaStream_t stream = stream_of(on);
    const Current current(on);
    grid.blocks = std::min<std::int64_t>(grid.blocks, 2);
    stream->enqueue(stream, [body, grid, seed = next_seed()] { test::Emulated{seed}(body, grid); });
  }
};

}  // namespace embergrad::cuda

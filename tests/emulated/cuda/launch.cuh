// Runs a body on an emulated GPU. Found in place of the CUDA room's own launch.cuh.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

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

// Queues a launch of a body, which is copied.
void enqueue_body(cudaStream_t stream, Grid grid, test::ThreadOfBody thread_of, const void* body, std::size_t bytes);

// start(body, grid): few blocks, since grids never enter a result.
struct Start {
  OnCuda on;

  template <class Body>
  void operator()(const Body& body, Grid grid) const {
    if (grid.blocks == 0) return;
    const cudaStream_t stream = stream_of(on);
    const Current current(on);
    static_assert(std::is_trivially_copyable_v<Body> && alignof(Body) <= 16);
    grid.blocks = std::min<std::int64_t>(grid.blocks, 2);
    const auto thread_of = [](const void* bytes, test::EmulatedBlock& block) {
      (*static_cast<const Body*>(bytes))(block);
    };
    enqueue_body(stream, grid, thread_of, &body, sizeof(body));
  }
};

}  // namespace embergrad::cuda

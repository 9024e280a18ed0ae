#include "cuda/memory.hpp"

#include "cuda/launch.cuh"

namespace embergrad {

void run(OnCuda on, const Fill& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const Convert& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const CopyStrided& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const AddStrided& request) { cuda::run_with(cuda::Start{on}, request); }

cudaError_t cuda::find_code() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, &run_body<FillWords<std::uint32_t>>);
}

}  // namespace embergrad

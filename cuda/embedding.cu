#include "cuda/embedding.hpp"

#include "cuda/launch.cuh"

namespace embergrad {

void run(OnCuda on, const CheckIndices& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const GatherRows& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const RenormRows& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const SumSegments& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

#include "cuda/random.hpp"

#include "cuda/launch.cuh"

namespace embergrad {

void run(OnCuda on, const DrawUniform& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const DrawNormal& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const ApplyDropout& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

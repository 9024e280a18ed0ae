#include "cuda/cross_entropy.hpp"

#include "cuda/launch.cuh"

namespace embergrad {

void run(OnCuda on, const NllLoss& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const NllLossGrad& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const CrossEntropy& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const CrossEntropyGrad& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

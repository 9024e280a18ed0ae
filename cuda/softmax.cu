#include "cuda/softmax.hpp"

#include "cuda/launch.cuh"

namespace embergrad {

void run(OnCuda on, const Softmax& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const SoftmaxGrad& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

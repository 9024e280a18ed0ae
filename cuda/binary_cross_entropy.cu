#include "cuda/binary_cross_entropy.hpp"

#include "cuda/launch.cuh"

namespace embergrad {

void run(OnCuda on, const BinaryCrossEntropy& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const BinaryCrossEntropyGrad& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

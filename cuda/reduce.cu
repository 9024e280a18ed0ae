#include "cuda/reduce.hpp"

#include "cuda/launch.cuh"

namespace embergrad {

void run(OnCuda on, const SumMiddle& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const ExtremeMiddle& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const TopkMiddle& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const PlaceMiddle& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

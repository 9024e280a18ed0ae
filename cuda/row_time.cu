#include "cuda/row_time.hpp"

#include "cuda/launch.cuh"

namespace embergrad {

void run(OnCuda on, const FindGaps& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const SetLastSteps& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

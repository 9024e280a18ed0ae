#include "cuda/elementwise.hpp"

#include "cuda/launch.cuh"

namespace embergrad {

void run(OnCuda on, const UnaryMap& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const UnaryGrad& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const BinaryMap& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const BinaryScalarMap& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const BinaryBroadcast& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const ClampMap& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const ClampGrad& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const Select& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

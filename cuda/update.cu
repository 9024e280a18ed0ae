#include "cuda/update.hpp"

#include "cuda/launch.cuh"
#include "cuda/scratch.hpp"

namespace embergrad {

void run(OnCuda on, const OptimizerStep& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const SettleRows& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const ScaleInPlace& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const ClampInPlace& request) { cuda::run_with(cuda::Start{on}, request); }

void run(OnCuda on, const NormTerms& request) {
  const cuda::Scratch<double> sums(on, cuda::norm_chunks(request));
  cuda::run_with(cuda::Start{on}, request, sums.get());
}

}  // namespace embergrad

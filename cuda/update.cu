#include "cuda/update.hpp"

#include "cuda/launch.cuh"
#include "cuda/scratch.hpp"

namespace embergrad {

void run(OnCuda on, const OptimizerStep& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const SettleRows& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const ScaleInPlace& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const ClampInPlace& request) { cuda::run_with(cuda::Start{on}, request); }

void run(OnCuda on, const NormTerms& request) {
  const std::int64_t chunks = cuda::norm_chunks(request);
  const cuda::Scratch<double> sums(on, chunks + 1);
  NormTerms there = request;
  there.result = sums.get() + chunks;
  cuda::run_with(cuda::Start{on}, there, sums.get());
  cuda::copy_to_host(on, request.result, there.result, sizeof(double));
}

}  // namespace embergrad

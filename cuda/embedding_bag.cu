#include "cuda/embedding_bag.hpp"

#include "cuda/launch.cuh"
#include "cuda/scratch.hpp"

namespace embergrad {

void run(OnCuda on, const SumBags& request) {
  SumBags complete = request;
  const bool wants_room = request.mean && request.bags.weights.data != nullptr && request.divisors.data == nullptr;
  const cuda::Scratch<double> room(on, wants_room ? request.bags.count : 0);
  if (wants_room) complete.divisors.data = room.get();
  cuda::run_with(cuda::Start{on}, complete);
}

void run(OnCuda on, const MaxBags& request) { cuda::run_with(cuda::Start{on}, request); }
void run(OnCuda on, const BagWeightGrads& request) { cuda::run_with(cuda::Start{on}, request); }

}  // namespace embergrad

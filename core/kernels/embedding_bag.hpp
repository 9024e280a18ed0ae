// Contracts: bags of rows of a table. For a GPU, all that a request points to lies in its memory.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// Bags of places: bag b has the places [starts[b], starts[b + 1]) but for those of the row `skip`. `table` is of any
// floating type; what is computed is of its type, or float32 for 16 bits. index: int32 or int64, checked.
struct Bags {
  View table, index;
  View weights;  // of each place; null: all 1
  std::int64_t dim;
  const std::int64_t* starts;  // [count + 1], not falling
  std::int64_t count;
  std::int64_t skip;  // -1: none
};

// out[b, :] = scale * Σ s * w, or with `mean` divided by Σ s (0 where that is 0): s the weight, w the row of a place,
// summed in order by blocks of 64.
struct SumBags {
  Bags bags;
  bool mean;
  double scale;
  View out;
  View divisors;  // with mean: of each bag, or null if nobody wants them
};

// out[b, :] = scale * the largest s * w in each column; the first of equals, NaN before all; 0 for a bag without
// places.
struct MaxBags {
  Bags bags;
  double scale;
  View out;
  std::int32_t* winners;  // [count, dim]: place within its bag, -1 for a bag without
};

// The gradients of the weights, 0 at places left out: grad[b, :] · w / divisors[b], less their mean by weight where
// there are divisors (0 where one is 0); or, where there are winners, over the columns that the place has won.
struct BagWeightGrads {
  Bags bags;
  View grad;
  View divisors;                // of mean, or null
  const std::int32_t* winners;  // of max, or null
  double scale;
  View out;  // of each place
};

void run(OnCpu, const SumBags&);
void run(OnCpu, const MaxBags&);
void run(OnCpu, const BagWeightGrads&);
void run(OnCuda, const SumBags&);
void run(OnCuda, const MaxBags&);
void run(OnCuda, const BagWeightGrads&);

}  // namespace embergrad

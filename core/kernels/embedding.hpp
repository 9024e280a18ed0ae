// Contracts: rows of a table, and sums of gradients by row. For a GPU, all that a request points to lies in its
// memory, unless said.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/number.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// out[i, :] = table[index[i], :], or `fill` where index[i] is -1. Any element type; index int32 or int64, checked.
struct GatherRows {
  View table, index, out;
  std::int64_t dim;
  Number fill = 0;
};

// Is every index in [0, range), or `also` where `or_also` is set? found: ticket, position and value of the first that
// is not, unless found[0] has a ticket (not 0) already. `out`, where not null, gets the indices, 0 for those.
struct CheckIndices {
  View index, out;
  std::int64_t range;
  bool or_also;
  std::int64_t also;
  std::int64_t ticket;
  std::int64_t* found;  // [3]
};

// Which places of a lookup hold each row: places sorted by row, stably, cut into segments of one row each.
// index: int32 or int64, checked; places of `skip` are left out.
struct PlanRows {
  View index;
  std::int64_t table_rows, skip;
  std::int64_t* places;                // out: [index.size]
  std::int64_t* starts;                // out: [index.size + 1]; the last of the used ones ends the last segment
  std::int64_t* rows;                  // out: [index.size]
  std::int64_t* segments;              // out: how many; on the host, which waits for a GPU
  std::int64_t* segment_of = nullptr;  // out, or null: of each place of index, the number of its segment
  std::int64_t left_out = -1;          // what that is for places that are left out
};

// Each row of `table` named in `rows` whose p-norm is above max_norm, times max_norm / (norm + 1e-7). Norms are summed
// in float64, in order, and rounded to the table's type (float32 for 16 bits); the factor is rounded likewise.
struct RenormRows {
  View table;
  std::int64_t dim;
  const std::int64_t* rows;
  std::int64_t count;
  double max_norm, p;  // any p but NaN; 0 counts what is not 0, ±infinity takes the largest or smallest size
};

// table[rows[i], :] = 0. Any element type.
struct ZeroRows {
  View table;
  std::int64_t dim;
  const std::int64_t* rows;
  std::int64_t count;
};

// From a plan of places to what SumSegments takes, for a lookup whose places share gradients by bags, or have factors.
struct PlanBags {
  std::int64_t* places;        // in: places in order of rows; out: the bag of each
  const std::int64_t* starts;  // of the plan: [segments + 1]
  std::int64_t segments;
  const std::int64_t* bag_starts;  // [bags + 1]: where each bag begins; null: every place is a bag
  std::int64_t bags;
  View weights;   // of each place, or null
  View divisors;  // of each bag, or null; where it is 0, so is the factor
  bool by_frequency;
  View factors;         // out, or null: of each place: weight / divisor / how many places its row has
  std::int32_t* slots;  // out, or null: the place within its bag
};

// out[r(s), :] = (or +=, if `accumulate`) scale * the sum over the places p of segment s of factors[p] *
// grad[places[p], :], in order by blocks of 64. With winners, of the columns where winners[places[p], :] == slots[p].
// r(s) is rows[s], or s where rows is null. float32 or float64.
struct SumSegments {
  View grad, out;
  std::int64_t dim;
  const std::int64_t* places;
  const std::int64_t* starts;
  const std::int64_t* rows;
  std::int64_t segments;
  bool accumulate;
  double scale = 1;                       // rounded to grad's type
  const void* factors = nullptr;          // of grad's type; null: all 1
  const std::int32_t* slots = nullptr;    // with winners
  const std::int32_t* winners = nullptr;  // a row for each row of grad, or null
};

void run(OnCpu, const GatherRows&);
void run(OnCpu, const CheckIndices&);
void run(OnCpu, const PlanRows&);
void run(OnCpu, const RenormRows&);
void run(OnCpu, const ZeroRows&);
void run(OnCpu, const PlanBags&);
void run(OnCpu, const SumSegments&);
void run(OnCuda, const GatherRows&);
void run(OnCuda, const CheckIndices&);
void run(OnCuda, const PlanRows&);
void run(OnCuda, const RenormRows&);
void run(OnCuda, const ZeroRows&);
void run(OnCuda, const PlanBags&);
void run(OnCuda, const SumSegments&);

}  // namespace embergrad

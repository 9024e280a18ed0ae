// Contracts: rows of a table, and sums of gradients by row.
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

// Which places of a lookup hold each row: places sorted by row, stably, cut into segments of one row each.
// index: int32 or int64, checked; places of `skip` are left out.
struct PlanRows {
  View index;
  std::int64_t table_rows, skip;
  std::int64_t* places;    // out: [index.size]
  std::int64_t* starts;    // out: [index.size + 1]; the last of the used ones ends the last segment
  std::int64_t* rows;      // out: [index.size]
  std::int64_t* segments;  // out: how many
};

// out[r(s), :] = (or +=, if `accumulate`) sum over the places p of segment s of grad[p, :], in order by blocks of 64.
// r(s) is rows[s], or s where rows is null. float32 or float64.
struct SumSegments {
  View grad, out;
  std::int64_t dim;
  const std::int64_t* places;
  const std::int64_t* starts;
  const std::int64_t* rows;
  std::int64_t segments;
  bool accumulate;
};

void run(OnCpu, const GatherRows&);
void run(OnCpu, const PlanRows&);
void run(OnCpu, const SumSegments&);
void run(OnCuda, const GatherRows&);
void run(OnCuda, const PlanRows&);
void run(OnCuda, const SumSegments&);

}  // namespace embergrad

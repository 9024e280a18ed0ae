// Contracts: how far the rows of a table are behind. For a GPU, all that a request points to lies in its memory.
#pragma once

#include <cstdint>

#include "kernels/launch.hpp"

namespace embergrad {

// Rows of a table by number: the `count` numbers of a list, or without one first, first + 1, …
struct RowNumbers {
  const std::int64_t* list = nullptr;
  std::int64_t count = 0;
  std::int64_t first = 0;
};

// Rows that nobody moves, ascending. Row r of a request is row r + offset of this list.
struct FrozenRows {
  const std::int64_t* rows = nullptr;
  std::int64_t count = 0;
  std::int64_t offset = 0;
};

// gaps[i] = now - last[row i], the steps that row i is behind; 0 for frozen rows, and with `spares_untouched` for those
// whose last step is 0.
struct FindGaps {
  const std::uint32_t* last;  // of each row of the table: at most `now`
  std::int64_t now;
  RowNumbers rows;
  FrozenRows frozen = {};
  bool spares_untouched = false;
  std::int64_t* gaps;
  // Out, or null: where the span of row i stands in a list of the spans since step 0 and since the steps `oldest`,
  // oldest + 1, …; of rows without a gap nothing is said.
  std::int64_t* span_of = nullptr;
  std::int64_t oldest = 1;  // at least 1, and at most any last step but 0 of rows with a gap
};

// last[row i] = now. With `gaps`, of the rows whose gap is not 0.
struct SetLastSteps {
  std::uint32_t* last;
  std::uint32_t now;
  RowNumbers rows;
  const std::int64_t* gaps = nullptr;
};

void run(OnCpu, const FindGaps&);
void run(OnCpu, const SetLastSteps&);
void run(OnCuda, const FindGaps&);
void run(OnCuda, const SetLastSteps&);

}  // namespace embergrad

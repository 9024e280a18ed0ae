// Bodies of the contracts on how far rows are behind.
#pragma once

#include "cuda/block.hpp"
#include "cuda/search.hpp"
#include "kernels/row_time.hpp"

namespace embergrad::cuda {

template <Block B>
EMBERGRAD_HD std::int64_t number_of_row(B& block, const RowNumbers& rows, std::int64_t i) {
  return rows.list == nullptr ? rows.first + i : block.load(rows.list + i);
}

struct GapsOfRows {
  FindGaps request;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < request.rows.count; i += item_step(block)) {
      const std::int64_t row = number_of_row(block, request.rows, i);
      const auto last = static_cast<std::int64_t>(block.load(request.last + row));
      const bool is_spared = request.spares_untouched && last == 0;
      const std::int64_t gap = is_spared ? 0 : request.now - last;
      block.store(request.gaps + i, gap != 0 && is_frozen(block, request.frozen, row) ? std::int64_t{0} : gap);
      if (request.span_of != nullptr) {
        block.store(request.span_of + i, last == 0 ? std::int64_t{0} : last - request.oldest + 1);
      }
    }
  }
};

struct LastStepsOfRows {
  SetLastSteps request;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < request.rows.count; i += item_step(block)) {
      if (request.gaps != nullptr && block.load(request.gaps + i) == 0) continue;
      block.store(request.last + number_of_row(block, request.rows, i), request.now);
    }
  }
};

template <class Start>
void run_with(const Start& start, const FindGaps& request) {
  start(GapsOfRows{request}, grid_for(request.rows.count));
}

template <class Start>
void run_with(const Start& start, const SetLastSteps& request) {
  start(LastStepsOfRows{request}, grid_for(request.rows.count));
}

}  // namespace embergrad::cuda

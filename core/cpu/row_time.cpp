#include "kernels/row_time.hpp"

#include "cpu/parallel.hpp"
#include "cpu/rows.hpp"

namespace embergrad {
namespace {

constexpr std::int64_t chunk = 16384;

// Calls body(i, row) for rows by number.
template <class Body>
void for_each_row(const RowNumbers& rows, const Body& body) {
  cpu::parallel_chunks(rows.count, chunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(i, rows.list == nullptr ? rows.first + i : rows.list[i]);
  });
}

}  // namespace

void run(OnCpu, const FindGaps& request) {
  for_each_row(request.rows, [&](std::int64_t i, std::int64_t row) {
    const std::int64_t last = request.last[row];
    const bool is_spared = request.spares_untouched && last == 0;
    const std::int64_t gap = is_spared ? 0 : request.now - last;
    request.gaps[i] = gap != 0 && cpu::is_frozen(request.frozen, row) ? 0 : gap;
    if (request.span_of != nullptr) request.span_of[i] = last == 0 ? 0 : last - request.oldest + 1;
  });
}

void run(OnCpu, const SetLastSteps& request) {
  for_each_row(request.rows, [&](std::int64_t i, std::int64_t row) {
    if (request.gaps == nullptr || request.gaps[i] != 0) request.last[row] = request.now;
  });
}

}  // namespace embergrad

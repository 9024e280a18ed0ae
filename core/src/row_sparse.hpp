// How ops make row-sparse gradients.
#pragma once

#include <embergrad/row_sparse.hpp>

namespace embergrad::detail {

// The gradient of a table by a lookup, or by bags of lookups. `index` is checked.
struct LookupGradient {
  Tensor index;               // of each place
  Tensor grad;                // a row for each place, or for each bag
  std::int64_t rows = 0;      // of the table
  std::int64_t padding = -1;  // a row without a gradient
  bool by_frequency = false;  // divided by how many places the row has
  double scale = 1;           // of the sums of places
  Tensor bag_starts = {};     // int64 [bags + 1]; undefined: no bags
  Tensor weights = {};        // of each place, of grad's type; undefined: all 1
  Tensor divisors = {};       // of each bag, of grad's type: 0 gives 0; undefined: all 1
  Tensor winners = {};        // int32 [bags, dim]: the place in the bag that alone has this column; undefined: all have
};

[[nodiscard]] RowSparse rows_of(const LookupGradient& lookup);
// The rows that an index holds, ascending, each once: int64. `index` is checked.
[[nodiscard]] Tensor distinct_rows(const Tensor& index, std::int64_t rows);
// The same rows, and for each place where its row stands among them: int64, of the index's shape. Places that hold
// `skip` are left out, and have `left_out` there.
struct LookupRows {
  Tensor rows, index;
};
[[nodiscard]] LookupRows rows_of_lookup(const Tensor& index, std::int64_t rows, std::int64_t skip,
                                        std::int64_t left_out);

// The element type of a tensor's gradient: its own, but float32 for 16 bits.
[[nodiscard]] constexpr DType gradient_dtype(DType dtype) { return item_size(dtype) == 2 ? DType::float32 : dtype; }

}  // namespace embergrad::detail

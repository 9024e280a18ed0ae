// What the ops that look rows up share: checks of their options, and renormalisation.
#pragma once

#include <embergrad/autograd.hpp>
#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/embedding.hpp"
#include "ops/scales.hpp"
#include "src/op_check.hpp"
#include "src/row_sparse.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

// A row counted from the front; -1 for none.
inline std::int64_t padding_row(const OpCheck& check, std::optional<std::int64_t> padding_idx, std::int64_t rows) {
  if (!padding_idx) return -1;
  if (*padding_idx < -rows || *padding_idx >= rows) {
    check.fail_index(fmt::format("padding_idx is {}, but weight has {} rows", *padding_idx, rows));
  }
  return *padding_idx < 0 ? *padding_idx + rows : *padding_idx;
}

inline void check_table(const OpCheck& check, const Tensor& weight) {
  check.defined("weight", weight);
  if (!is_floating(weight.dtype())) {
    check.fail_dtype(fmt::format("weight must be floating, but is {}", name_of(weight.dtype())));
  }
  check.has_rank("weight", weight, 2);
}

inline void check_max_norm(const OpCheck& check, std::optional<double> max_norm, double norm_type) {
  if (max_norm && !(*max_norm > 0)) check.fail_value(fmt::format("max_norm must be above 0, but is {}", *max_norm));
  if (std::isnan(norm_type)) check.fail_value("norm_type must be a number, but is NaN");
}

// Brings some rows of a table up to date in place; rows are ascending, each once.
inline void settle_looked_up(const Tensor& weight, const Tensor& rows) {
  auto* deferred = detail::deferred_rows(*weight.state()->storage);
  if (deferred == nullptr) return;
  const std::int64_t dim = weight.shape()[1];
  const std::int64_t offset = weight.state()->offset;
  if (deferred->dim() != dim || offset % std::max<std::int64_t>(1, dim) != 0) return deferred->settle_all();
  const Tensor shifted = offset == 0 ? rows : add(rows, offset / dim);
  deferred->settle({.list = detail::view(shifted).as<const std::int64_t>(), .count = shifted.numel()});
}

// Scales the rows that `index` holds down to max_norm, in place, if it is given. All must have been checked before.
inline void renormalise(const OpCheck& check, const Tensor& weight, const Tensor& index, std::optional<double> max_norm,
                        double norm_type) {
  if (!max_norm || index.numel() == 0) return;
  const NoGrad guard;
  detail::begin_row_change(check.op(), weight);
  const Tensor rows = detail::distinct_rows(index, weight.shape()[0]);
  settle_looked_up(weight, rows);
  launch(weight.device(), RenormRows{.table = detail::unsettled_view(weight),
                                     .dim = weight.shape()[1],
                                     .rows = detail::view(rows).as<const std::int64_t>(),
                                     .count = rows.numel(),
                                     .max_norm = *max_norm,
                                     .p = norm_type});
}

// What a lookup reads: the table and its index; or, where rows are behind, the values of the rows that it wants, as
// they would be, and an index into those. The table is not written. Places of -1 stay; those of a padding row, if there
// is one, are not wanted.
struct GatherView {
  GatherView(const Tensor& weight, const Tensor& input, std::int64_t padding = -1);
  Tensor table, index;
  std::int64_t padding;  // what index holds at places that are not wanted; -1: all are
};

inline GatherView::GatherView(const Tensor& weight, const Tensor& input, std::int64_t padding_row)
    : table(weight), index(input), padding(padding_row) {
  const auto* deferred = detail::deferred_rows(*weight.state()->storage);
  if (deferred == nullptr || input.numel() == 0 || weight.numel() == 0) return;
  const std::int64_t rows = weight.shape()[0];
  const std::int64_t dim = weight.numel() / rows;
  const std::int64_t offset = weight.state()->offset;
  if (deferred->dim() != dim || offset % dim != 0) {
    table = detail::settled(weight);
    return;
  }
  if (padding >= 0) padding = rows;  // a row behind all others
  detail::LookupRows lookup = detail::rows_of_lookup(input, rows, padding_row, padding);
  if (offset > 0) lookup.rows = add(lookup.rows, offset / dim);
  const std::int64_t count = lookup.rows.numel();
  table = empty({count, dim}, weight.options());
  deferred->read({.list = detail::view(lookup.rows).as<const std::int64_t>(), .count = count}, detail::view(table),
                 grad_enabled() && weight.requires_grad());
  index = std::move(lookup.index);
}

// A table's gradient as its user wants it.
inline Gradient table_gradient(RowSparse rows, bool sparse) {
  return sparse ? Gradient(std::move(rows)) : Gradient::dense_rows(std::move(rows));
}

}  // namespace embergrad

// What the ops that look rows up share: checks of their options, and renormalisation.
#pragma once

#include <embergrad/autograd.hpp>
#include <embergrad/ops.hpp>

#include <fmt/format.h>

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

// Scales the rows that `index` holds down to max_norm, in place, if it is given. All must have been checked before.
inline void renormalise(const OpCheck& check, const Tensor& weight, const Tensor& index, std::optional<double> max_norm,
                        double norm_type) {
  if (!max_norm || index.numel() == 0) return;
  const NoGrad guard;
  detail::begin_change(check.op(), weight);
  const Tensor rows = detail::distinct_rows(index, weight.shape()[0]);
  launch(weight.device(), RenormRows{.table = detail::view(weight),
                                     .dim = weight.shape()[1],
                                     .rows = rows.data<std::int64_t>(),
                                     .count = rows.numel(),
                                     .max_norm = *max_norm,
                                     .p = norm_type});
}

// A table's gradient as its user wants it.
inline Gradient table_gradient(RowSparse rows, bool sparse) {
  return sparse ? Gradient(std::move(rows)) : Gradient::dense_rows(std::move(rows));
}

}  // namespace embergrad

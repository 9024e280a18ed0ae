/// @file
/// Updates: what a step with a sparse gradient means for the rows that it does not hold.
#pragma once

namespace embergrad::optim {

/// What becomes of the rows of a table that a sparse gradient does not hold. Dense gradients are not concerned.
enum class Updates : unsigned char {
  exact,         ///< what dense training would make of them, by the time they are next read; a step costs its own rows
  touched_only,  ///< they stand still, momentum and moments included (`torch.optim.SparseAdam`, LazyAdam)
  dense,         ///< every row moves at every step: the reference, at its full cost
};

/// "exact", "touched_only", "dense".
[[nodiscard]] const char* name_of(Updates updates);

}  // namespace embergrad::optim

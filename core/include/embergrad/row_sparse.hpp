/// @file
/// Gradients: dense, or a few rows of a table.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>

#include <embergrad/tensor.hpp>

namespace embergrad {

class RowSparse;
namespace detail {
struct LookupGradient;
[[nodiscard]] RowSparse rows_of(const LookupGradient& lookup);
}  // namespace detail

/// A gradient that is zero but for some rows of a (rows, dim) table: ascending, unique row numbers and one row of
/// values each. A shared, immutable handle. It may hold where the rows come from (a lookup and the gradient of its
/// output) instead of the values, which are then summed when somebody first reads them: duplicates of a row in the
/// order of the lookup, in blocks of 64.
class RowSparse {
 public:
  /// The gradient of `table[input]`: row r is the sum of `grad_output` over the places where input is r. Places that
  /// hold `padding_idx` (or -1 for none) are left out.
  /// @param input  integers of any shape, each in [0, rows) (IndexError)
  /// @param grad_output  input.shape + (dim)
  [[nodiscard]] static RowSparse from_lookup(const Tensor& input, const Tensor& grad_output, std::int64_t rows,
                                             std::int64_t padding_idx = -1);
  /// From rows given one by one, any order, duplicates allowed (they are summed). IndexError for a row outside the
  /// table, ShapeError unless indices is (n) and values (n, dim).
  [[nodiscard]] static RowSparse from_rows(const Tensor& indices, const Tensor& values, std::int64_t rows);

  /// Rows of the table.
  [[nodiscard]] std::int64_t rows() const;
  /// Width of a row.
  [[nodiscard]] std::int64_t dim() const;
  /// Number of rows held.
  [[nodiscard]] std::int64_t count() const;
  /// Element type of the values.
  [[nodiscard]] DType dtype() const;
  /// Where indices and values are.
  [[nodiscard]] Device device() const;
  /// int64 (count): ascending, without duplicates.
  [[nodiscard]] const Tensor& indices() const;
  /// (count, dim); summed at the first call.
  [[nodiscard]] const Tensor& values() const;
  /// (rows, dim). O(rows * dim).
  [[nodiscard]] Tensor to_dense() const;
  /// table[indices] += values. `table` is (rows, dim), dense.
  void add_to(Tensor& table) const;
  /// The sum of two gradients of one table: each summed on its own, then added where they share a row.
  [[nodiscard]] RowSparse plus(const RowSparse& other) const;
  /// Every value times `factor`.
  [[nodiscard]] RowSparse scaled(double factor) const;
  /// The same rows with other values: (count, dim), float32 or float64, where the rows are. O(count). ShapeError,
  /// DTypeError or DeviceError for others.
  [[nodiscard]] RowSparse with_values(const Tensor& values) const;

  struct State;

 private:
  explicit RowSparse(std::shared_ptr<State> state) : state_(std::move(state)) {}
  [[nodiscard]] static RowSparse of(const detail::LookupGradient& lookup);
  std::shared_ptr<State> state_;
  friend class Gradient;
  friend RowSparse detail::rows_of(const detail::LookupGradient& lookup);
};

/// What backward hands to a tensor: nothing, a dense tensor, or a RowSparse. Dense + dense, sparse + sparse and
/// sparse + dense add up in `plus`, nowhere else.
class Gradient {
 public:
  /// No gradient.
  Gradient() = default;
  /// A dense gradient; none, if the tensor is undefined.
  Gradient(Tensor dense) : dense_(std::move(dense)) {}  // NOLINT: a gradient is one
  /// A sparse gradient.
  Gradient(RowSparse rows);  // NOLINT: or the other
  /// A dense gradient that is given as rows: what a table gets that is not `sparse`. It becomes dense where it
  /// arrives, and the table remembers which rows were touched, so that dropping it costs what was touched.
  [[nodiscard]] static Gradient dense_rows(RowSparse rows);

  /// False if there is no gradient.
  [[nodiscard]] bool defined() const { return dense_.defined() || rows_ != nullptr; }
  /// True if `rows()` gives it, false if `dense()` does.
  [[nodiscard]] bool is_sparse() const { return rows_ != nullptr && !densify_; }
  /// The dense gradient. ValueError if there is none, or if it is sparse (`to_dense()` converts).
  [[nodiscard]] const Tensor& dense() const;
  /// The sparse gradient. ValueError if there is none, or if it is dense.
  [[nodiscard]] const RowSparse& rows() const;
  /// Dense, whatever it is. ValueError if there is none.
  [[nodiscard]] Tensor to_dense() const;
  /// This gradient and another one of the same tensor. Reuses this one's memory if nobody else holds it.
  [[nodiscard]] Gradient plus(Gradient other) &&;
  /// Adds a dense gradient; to a sparse one, the result is dense. Reuses this one's memory if nobody else holds it.
  void add(const Tensor& dense);
  /// True if `dense_rows` made it and it has not become dense yet.
  [[nodiscard]] bool is_pending_dense() const { return densify_; }
  /// The rows of a sparse gradient or one that is to become dense.
  [[nodiscard]] const RowSparse& source_rows() const { return *rows_; }

 private:
  Tensor dense_;
  std::shared_ptr<const RowSparse> rows_;
  bool densify_ = false;
};

/// @{
/// "undefined", the tensor, or the row numbers and values.
std::ostream& operator<<(std::ostream& out, const Gradient& gradient);
std::ostream& operator<<(std::ostream& out, const RowSparse& rows);
/// @}

}  // namespace embergrad

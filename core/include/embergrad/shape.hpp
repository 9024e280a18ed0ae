/// @file
/// Extents of a tensor.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace embergrad {

/// A short list of integers: the extents of a tensor, or a list of dimensions. At most 8 entries (ShapeError beyond).
class Shape {
 public:
  static constexpr int max_rank = 8;  ///< most entries

  /// No entries: the shape of a rank-0 tensor.
  Shape() = default;
  /// `{2, 3}`
  Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  /// The entries of a span or vector.
  explicit Shape(std::span<const std::int64_t> extents);

  /// Number of dimensions.
  [[nodiscard]] int rank() const { return rank_; }
  /// True for rank 0 (not for a tensor without elements).
  [[nodiscard]] bool empty() const { return rank_ == 0; }
  /// Product of the extents; 1 for rank 0.
  [[nodiscard]] std::int64_t numel() const {
    std::int64_t n = 1;
    for (int d = 0; d < rank_; ++d) n *= extents_[static_cast<std::size_t>(d)];
    return n;
  }
  /// @{
  /// Entry `dim`, in [0, rank); not checked. `Tensor::size` is, and counts negative ones from the end.
  [[nodiscard]] std::int64_t operator[](int dim) const { return extents_[static_cast<std::size_t>(dim)]; }
  [[nodiscard]] std::int64_t& operator[](int dim) { return extents_[static_cast<std::size_t>(dim)]; }
  /// @}
  /// The last entry; there must be one.
  [[nodiscard]] std::int64_t back() const { return (*this)[rank_ - 1]; }
  /// @{
  /// Walks the entries.
  [[nodiscard]] const std::int64_t* begin() const { return extents_.data(); }
  [[nodiscard]] const std::int64_t* end() const { return extents_.data() + rank_; }
  /// @}
  /// Appends a dimension (ShapeError beyond 8).
  void push_back(std::int64_t extent);
  /// The extents `first` up to, not including, `last`.
  [[nodiscard]] Shape slice(int first, int last) const {
    return Shape(std::span(begin() + first, static_cast<std::size_t>(last - first)));
  }
  /// These extents followed by one more: `input.shape() + dim`.
  [[nodiscard]] friend Shape operator+(Shape shape, std::int64_t extent) {
    shape.push_back(extent);
    return shape;
  }
  /// The same entries.
  [[nodiscard]] friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int d = 0; d < a.rank_; ++d) {
      if (a[d] != b[d]) return false;
    }
    return true;
  }
  /// "[2, 3]".
  [[nodiscard]] std::string to_string() const;

 private:
  std::array<std::int64_t, max_rank> extents_{};
  int rank_ = 0;
};

/// A list of dimensions (negative ones count from the end).
using Dims = Shape;

}  // namespace embergrad

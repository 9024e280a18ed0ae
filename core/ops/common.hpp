// What several ops share.
#pragma once

#include <embergrad/autograd.hpp>
#include <embergrad/tensor.hpp>

#include <array>

#include "kernels/elementwise.hpp"
#include "src/op_check.hpp"

namespace embergrad {

// The shape that both broadcast to. ShapeError names op and shapes.
[[nodiscard]] Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);

// The gradient of a tensor of `shape` that was broadcast: summed over what was repeated.
[[nodiscard]] Tensor sum_to(const Tensor& gradient, const Shape& shape);

// The type two operands are brought to, as torch.result_type.
[[nodiscard]] DType promote(const Tensor& a, const Tensor& b);

// Two operands brought to one type; integers to float32 if `to_floating`.
class Operands {
 public:
  Operands(const char* op, const Tensor& a, const Tensor& b, bool to_floating);
  [[nodiscard]] const Tensor& a() const { return first_.get(); }
  [[nodiscard]] const Tensor& b() const { return second_.get(); }

 private:
  TensorRef first_, second_;
  Tensor converted_[2];
};

// f(a, b) of one type, broadcast; off the tape.
[[nodiscard]] Tensor map_binary(BinaryOp op, const char* name, const Tensor& a, const Tensor& b);
// f(input, other), or f(other, input) if `reversed`; off the tape. Integers become float32 if `to_floating`, or where
// the scalar is floating.
[[nodiscard]] Tensor map_scalar(BinaryOp op, const char* name, const Tensor& input, Scalar other, bool reversed,
                                bool to_floating = false);
// The tensor, as float32 if it holds integers.
[[nodiscard]] Tensor as_floating(const Tensor& input);

// Dimensions of a reduction.
struct ReducedDims {
  // An empty list means all. `check` names the op in IndexError and ValueError (a dimension named twice).
  ReducedDims(const OpCheck& check, const Shape& shape, const Dims& dims);

  std::array<bool, Shape::max_rank> reduced{};
  Shape shape;  // of the input
  Shape kept;   // with extent 1 where reduced
  Shape left;   // without what was reduced

  [[nodiscard]] Shape result(bool keepdim) const { return keepdim ? kept : left; }
  // How many elements make one.
  [[nodiscard]] std::int64_t count() const;
  // Calls body(outer, count, inner) for every run of neighbouring reduced dimensions, the last first, sizes being those
  // that are left of the tensor then.
  template <class Body>
  void for_each_run(const Body& body) const {
    Shape now = shape;
    int last = shape.rank();
    while (last > 0) {
      int first = last;
      while (first > 0 && reduced[static_cast<std::size_t>(first - 1)]) --first;
      if (first == last) {
        --last;
        continue;
      }
      body(now.slice(0, first).numel(), now.slice(first, last).numel(), now.slice(last, now.rank()).numel());
      for (int d = first; d < last; ++d) now[d] = 1;
      last = first;
    }
  }
};

// A dimension as the middle of (outer, count, inner); a scalar has one of extent 1.
struct Middle {
  Middle(const Shape& shape, int dim);
  std::int64_t outer, count, inner;
};

// The shape with another extent at `dim`, or without it where `extent` is -1. A scalar stays one.
[[nodiscard]] Shape with_extent(const Shape& shape, int dim, std::int64_t extent);

// in summed over the reduced dimensions, flat; the input itself where there are none.
[[nodiscard]] Tensor sum_runs(const Tensor& input, const ReducedDims& dims);

}  // namespace embergrad

#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include "ops/common.hpp"
#include "ops/gemm.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

// One product per matrix of the broadcast batch.
struct Batch {
  Batch(const char* op, const Shape& a, const Shape& b) : shape(broadcast_shape(op, a, b)), a_shape(a), b_shape(b) {}
  // Calls body(matrix of a, matrix of b, matrix of the result) for each.
  template <class Body>
  void for_each(const Body& body) const {
    const std::int64_t count = shape.numel();
    for (std::int64_t i = 0; i < count; ++i) body(matrix_of(a_shape, i), matrix_of(b_shape, i), i);
  }
  Shape shape, a_shape, b_shape;

 private:
  [[nodiscard]] std::int64_t matrix_of(const Shape& own, std::int64_t i) const {
    std::int64_t at = 0, stride = 1;
    for (int d = shape.rank() - 1, k = own.rank() - 1; k >= 0; --d, --k) {
      if (own[k] != 1) at += i % shape[d] * stride;
      stride *= own[k];
      i /= shape[d];
    }
    return at;
  }
};

void one(const Tensor& a, std::int64_t a_at, bool transpose_a, const Tensor& b, std::int64_t b_at, bool transpose_b,
         Tensor& out, std::int64_t out_at, GemmSizes s, bool add) {
  const auto item = static_cast<std::int64_t>(item_size(out.dtype()));
  launch(out.device(), Gemm{.dtype = out.dtype(),
                            .m = s.m,
                            .n = s.n,
                            .k = s.k,
                            .a = detail::data_of(a) + a_at * s.m * s.k * item,
                            .lda = transpose_a ? s.m : s.k,
                            .transpose_a = transpose_a,
                            .b = detail::data_of(b) + b_at * s.k * s.n * item,
                            .ldb = transpose_b ? s.k : s.n,
                            .transpose_b = transpose_b,
                            .c = detail::data_of(out) + out_at * s.m * s.n * item,
                            .ldc = s.n,
                            .beta = add ? 1.0 : 0.0});
}

// Both operands have at least two dimensions and fit.
Tensor product(const Tensor& a, const Tensor& b) {
  const std::int64_t m = a.shape()[a.dim() - 2], k = a.shape().back(), n = b.shape().back();
  const Batch batch("matmul", a.shape().slice(0, a.dim() - 2), b.shape().slice(0, b.dim() - 2));
  Tensor out = empty(batch.shape + m + n, a.options());
  const bool one_b = b.dim() == 2;  // then all rows of a make one product
  if (one_b) {
    one(a, 0, false, b, 0, false, out, 0, {batch.shape.numel() * m, n, k}, false);
  } else {
    batch.for_each([&](std::int64_t i, std::int64_t j, std::int64_t o) {
      one(a, i, false, b, j, false, out, o, {m, n, k}, false);
    });
  }
  // dA = G B^T,  dB = A^T G; matrices that were repeated collect the sum.
  return record("matmul", out, {a, b},
                [a_saved = Saved::input(b.requires_grad() ? a : Tensor()),
                 b_saved = Saved::input(a.requires_grad() ? b : Tensor()), a_shape = a.shape(), b_shape = b.shape(),
                 batch, m, n, k, one_b](const Tensor& grad, InputGradients& into) {
                  const std::int64_t rows = batch.shape.numel() * m;
                  if (into.wants(0)) {
                    Tensor grad_a = one_b ? empty(a_shape, grad.options()) : zeros(a_shape, grad.options());
                    const Tensor& other = b_saved.get();
                    if (one_b) {
                      one(grad, 0, false, other, 0, true, grad_a, 0, {rows, k, n}, false);
                    } else {
                      batch.for_each([&](std::int64_t i, std::int64_t j, std::int64_t o) {
                        one(grad, o, false, other, j, true, grad_a, i, {m, k, n}, true);
                      });
                    }
                    into.add(0, std::move(grad_a));
                  }
                  if (into.wants(1)) {
                    Tensor grad_b = one_b ? empty(b_shape, grad.options()) : zeros(b_shape, grad.options());
                    const Tensor& other = a_saved.get();
                    if (one_b) {
                      one(other, 0, true, grad, 0, false, grad_b, 0, {k, n, rows}, false);
                    } else {
                      batch.for_each([&](std::int64_t i, std::int64_t j, std::int64_t o) {
                        one(other, i, true, grad, o, false, grad_b, j, {k, n, m}, true);
                      });
                    }
                    into.add(1, std::move(grad_b));
                  }
                });
}

}  // namespace

Tensor matmul(const Tensor& input, const Tensor& other) {
  const OpCheck check("matmul");
  check.computes("input", input);
  check.computes("other", other);
  check.same_dtype("other", other, "input", input);
  check.same_device(input, other);
  if (input.dim() == 0 || other.dim() == 0) {
    check.fail_shape(fmt::format("both operands need at least 1 dimension, but have shapes {} and {}",
                                 input.shape().to_string(), other.shape().to_string()));
  }
  const std::int64_t inner = other.dim() == 1 ? other.shape()[0] : other.shape()[other.dim() - 2];
  if (input.shape().back() != inner) {
    check.fail_shape(fmt::format("the last dimension of input {} must be the {} dimension of other {}",
                                 input.shape().to_string(), other.dim() == 1 ? "only" : "second to last",
                                 other.shape().to_string()));
  }
  // A 1-D operand is a row or column whose dimension is dropped again.
  const Tensor a = input.dim() == 1 ? input.reshape({1, input.shape()[0]}) : input;
  const Tensor b = other.dim() == 1 ? other.reshape({other.shape()[0], 1}) : other;
  Tensor out = product(a, b);
  if (input.dim() > 1 && other.dim() > 1) return out;
  Shape shape = out.shape().slice(0, out.dim() - 2);
  if (input.dim() > 1) shape.push_back(out.shape()[out.dim() - 2]);
  if (other.dim() > 1) shape.push_back(out.shape().back());
  return out.reshape(shape);
}

}  // namespace embergrad

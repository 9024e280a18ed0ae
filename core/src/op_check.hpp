// Checks of an op's arguments. Every message starts with the op's name and tells argument, expected and got.
#pragma once

#include <embergrad/error.hpp>
#include <embergrad/tensor.hpp>

#include <cstdint>
#include <string>

#include "kernels/number.hpp"

namespace embergrad {

class OpCheck {
 public:
  explicit OpCheck(const char* op) : op_(op) {}
  [[nodiscard]] const char* op() const { return op_; }

  void defined(const char* argument, const Tensor& tensor) const {
    if (!tensor.defined()) throw_undefined(argument);
  }
  // float32 or float64.
  void computes(const char* argument, const Tensor& tensor) const {
    defined(argument, tensor);
    if (tensor.dtype() > DType::float64) throw_dtype(argument, tensor, "float32 or float64");
  }
  // Anything but the 16-bit storage types.
  void not_16_bit(const char* argument, const Tensor& tensor) const {
    defined(argument, tensor);
    if (item_size(tensor.dtype()) == 2) throw_dtype(argument, tensor, "float32, float64, int32 or int64");
  }
  void is_integer(const char* argument, const Tensor& tensor) const {
    defined(argument, tensor);
    if (!embergrad::is_integer(tensor.dtype())) throw_dtype(argument, tensor, "int32 or int64");
  }
  void same_dtype(const char* argument, const Tensor& tensor, const char* other_argument, const Tensor& other) const {
    if (tensor.dtype() != other.dtype()) throw_dtypes_differ(argument, tensor, other_argument, other);
  }
  void has_rank(const char* argument, const Tensor& tensor, int rank) const {
    if (tensor.dim() != rank) throw_rank(argument, tensor, rank);
  }
  void has_shape(const char* argument, const Tensor& tensor, const Shape& shape) const {
    if (tensor.shape() != shape) throw_shape(argument, tensor, shape);
  }
  void same_device(const Tensor& a, const Tensor& b) const {
    if (a.device() != b.device()) throw_devices_differ(a, b);
  }
  // For weights, whose gradient no derivative gives: refused rather than silently zero.
  void wants_no_gradient(const char* argument, const Tensor& tensor) const;
  // Indices may lie on the host, wherever the table is.
  void index_device(const Tensor& table, const Tensor& index) const {
    if (!index.device().is_cpu()) same_device(table, index);
  }
  // A dimension counted from the front. A scalar has dimension 0 and -1, as in PyTorch.
  [[nodiscard]] int dimension(const char* argument, int dim, int rank) const;
  // Every element of `input` is a row; -1 too where `or_minus_one`. `what` names what has the rows. What is returned
  // is `input`, or, where the host does not know its elements, a copy to use in its place (see index_watch.hpp).
  [[nodiscard]] Tensor rows_exist(const char* argument, const Tensor& input, const char* what, std::int64_t rows,
                                  bool or_minus_one = false) const;
  // Every element of `target` is a class, or `ignored`; what is returned as above.
  [[nodiscard]] Tensor classes_exist(const char* argument, const Tensor& target, std::int64_t classes,
                                     std::int64_t ignored) const;

  // A scalar for a tensor of `dtype`. Into integers: cut to whole numbers; ValueError if it does not fit.
  [[nodiscard]] Number number(const char* argument, Scalar scalar, DType dtype) const;

  [[noreturn]] void fail_shape(const std::string& message) const;
  [[noreturn]] void fail_value(const std::string& message) const;
  [[noreturn]] void fail_dtype(const std::string& message) const;
  [[noreturn]] void fail_index(const std::string& message) const;

 private:
  [[noreturn]] void throw_undefined(const char* argument) const;
  [[noreturn]] void throw_dtype(const char* argument, const Tensor& tensor, const char* expected) const;
  [[noreturn]] void throw_dtypes_differ(const char* argument, const Tensor& tensor, const char* other_argument,
                                        const Tensor& other) const;
  [[noreturn]] void throw_rank(const char* argument, const Tensor& tensor, int rank) const;
  [[noreturn]] void throw_shape(const char* argument, const Tensor& tensor, const Shape& shape) const;
  [[noreturn]] void throw_devices_differ(const Tensor& a, const Tensor& b) const;

  const char* op_;
};

// "3, 7" for flat position 17 of a (…, 10) tensor: how messages name an element.
[[nodiscard]] std::string position_text(const Shape& shape, std::int64_t flat);

}  // namespace embergrad

/// @file
/// Tensor: a shared handle to a typed, row-major array.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <embergrad/device.hpp>
#include <embergrad/dtype.hpp>
#include <embergrad/random.hpp>
#include <embergrad/shape.hpp>

namespace embergrad {

class Gradient;
class Tensor;

namespace detail {

/// Base of what handles share: a count that any thread may change.
struct Shared {
  std::atomic<std::int32_t> references{0};
};
struct Storage;
struct TensorState;
struct Node;
struct GradientSlot;
void destroy(Storage* storage) noexcept;
void destroy(TensorState* state) noexcept;

/// An owning pointer to a Shared object.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) count()->fetch_add(1, std::memory_order_relaxed);
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr && count()->fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(object_);
  }
  [[nodiscard]] T* get() const { return object_; }
  [[nodiscard]] T* operator->() const { return object_; }
  [[nodiscard]] T& operator*() const { return *object_; }
  [[nodiscard]] explicit operator bool() const { return object_ != nullptr; }
  /// True if this is the only owner.
  [[nodiscard]] bool unique() const { return count()->load(std::memory_order_acquire) == 1; }

 private:
  // The count stands first in every Shared object, so it is found without knowing T.
  [[nodiscard]] std::atomic<std::int32_t>* count() const {
    return reinterpret_cast<std::atomic<std::int32_t>*>(object_);
  }
  T* object_ = nullptr;
};

/// What a Tensor handle points to.
struct TensorState : Shared {
  DType dtype = DType::float32;
  Device device = {};
  bool requires_grad = false;
  std::uint16_t output_index = 0;  // which output of `node` this is
  std::int64_t numel = 0;
  std::int64_t offset = 0;  // elements
  Ref<Storage> storage;
  char* data = nullptr;  // of the first element
  Node* node = nullptr;  // counted
  GradientSlot* slot = nullptr;
  Shape shape;
};

[[noreturn]] void throw_undefined();
[[noreturn]] void throw_beyond_int64(std::uint64_t value);

}  // namespace detail

/// Element type and place of a new tensor.
struct TensorOptions {
  DType dtype = DType::float32;  ///< element type
  Device device = {};            ///< where the elements are
};

/// A number given where a tensor could stand. Integers keep integer tensors integer; floating ones make them float32.
/// Integers keep all their bits; one that is beyond the integer tensor it meets is a ValueError.
class Scalar {
 public:
  /// Any built-in number. ValueError for an unsigned one beyond int64.
  template <class T>
  requires std::is_arithmetic_v<T> Scalar(T value)  // NOLINT(google-explicit-constructor): `x * 2` must work
      : value_(static_cast<double>(value)), is_integer_(std::is_integral_v<T>) {
    if constexpr (std::is_integral_v<T>) {
      integer_ = static_cast<std::int64_t>(value);
      if (std::is_unsigned_v<T> && integer_ < 0) detail::throw_beyond_int64(static_cast<std::uint64_t>(value));
    }
  }
  /// The number; of an integer beyond 2^53 the nearest double.
  [[nodiscard]] double value() const { return value_; }
  /// True if it was given as an integer.
  [[nodiscard]] bool is_integer() const { return is_integer_; }
  /// The integer, exactly; 0 unless `is_integer()`.
  [[nodiscard]] std::int64_t integer() const { return integer_; }

 private:
  double value_;
  std::int64_t integer_ = 0;
  bool is_integer_;
};

/// A shared handle: storage, shape, dtype, device, and (for floating types) a place on the tape. Copying a Tensor
/// copies the handle, not the elements; `clone()` copies the elements. Tensors are row-major and contiguous: reshape
/// and slices of the leading dimension (`operator[]`, `narrow` along 0) are views of the same storage, all else copies.
///
/// Handles may be copied and destroyed by any thread; elements and graph belong to one thread at a time.
class Tensor {
 public:
  /// The undefined tensor: what an optional argument is when it is not given.
  Tensor() = default;

  /// False for the undefined tensor; all else that is asked of it is a ValueError.
  [[nodiscard]] bool defined() const { return static_cast<bool>(state_); }
  /// The extents.
  [[nodiscard]] const Shape& shape() const { return checked().shape; }
  /// Number of dimensions.
  [[nodiscard]] int dim() const { return shape().rank(); }
  /// Extent of one dimension; negative counts from the end (IndexError).
  [[nodiscard]] std::int64_t size(int dim) const;
  /// Number of elements.
  [[nodiscard]] std::int64_t numel() const { return checked().numel; }
  /// Element type.
  [[nodiscard]] DType dtype() const { return checked().dtype; }
  /// Where the elements are.
  [[nodiscard]] Device device() const { return checked().device; }
  /// dtype and device, for a new tensor like this one.
  [[nodiscard]] TensorOptions options() const { return {dtype(), device()}; }
  /// How often the storage was changed in place; shared by all views.
  [[nodiscard]] std::uint64_t version() const;
  /// True if both handles see the same storage (one is a view of the other, or both of a third).
  [[nodiscard]] bool shares_storage_with(const Tensor& other) const;

  // --- elements
  /// The only element, converted. ValueError unless numel() is 1.
  template <class T = double>
  [[nodiscard]] T item() const {
    check_one_element();
    return read<T>(0);
  }
  /// All elements in row-major order, converted to T.
  template <class T = float>
  [[nodiscard]] std::vector<T> to_vector() const;
  /// One element, converted; negative positions count from the end (IndexError).
  template <class T = double>
  [[nodiscard]] T at(std::initializer_list<std::int64_t> position) const {
    return read<T>(flat_position(Shape(position)));
  }
  /// Changes one element in place (see `fill` for what in-place means).
  void set(std::initializer_list<std::int64_t> position, Scalar value);
  /// Elements on the host, up to date until the next optimizer step. DTypeError for another T; DeviceError off the CPU.
  template <class T>
  [[nodiscard]] const T* data() const {
    return static_cast<const T*>(raw_data(dtype_of<T>));
  }
  /// Write access: counts as a change in place at the moment of the call. Valid while the tensor lives and no
  /// optimizer step comes between.
  template <class T>
  [[nodiscard]] T* mutable_data() {
    return static_cast<T*>(raw_mutable_data(dtype_of<T>));
  }
  /// View of slice i of the leading dimension (negative counts from the end), on the tape.
  [[nodiscard]] Tensor operator[](std::int64_t i) const;

  // --- in place. Each bumps the version; a later backward that needs the old elements throws. Refused on a tensor
  //     that requires a gradient unless under no_grad.
  /// Sets every element.
  Tensor& fill(Scalar value);
  /// Copies the elements of `source` (same shape; converted to this dtype; from any device). Not recorded: outside
  /// no_grad, a source that requires a gradient is refused (ValueError).
  Tensor& copy_from(const Tensor& source);

  // --- copies
  /// A copy with storage of its own, on the tape.
  [[nodiscard]] Tensor clone() const;
  /// The same storage off the tape; the version is shared, so changes through it are noticed.
  [[nodiscard]] Tensor detach() const;
  /// Converted (on the tape between floating types); this handle if nothing changes.
  [[nodiscard]] Tensor to(DType dtype) const;
  /// Moved; this handle if it is there already. DeviceError if the device is not there.
  [[nodiscard]] Tensor to(Device device) const;

  // --- tape (see autograd.hpp)
  /// True if ops on this tensor are recorded: a leaf that was marked, or what was computed from one.
  [[nodiscard]] bool requires_grad() const { return checked().requires_grad; }
  /// Marks a leaf as wanting a gradient. DTypeError for integers, ValueError for results of ops.
  Tensor& set_requires_grad(bool requires_grad = true);
  /// True unless an op recorded on the tape made it.
  [[nodiscard]] bool is_leaf() const { return checked().node == nullptr; }
  /// The gradient that backward left here (`defined()` false: none). Only leaves keep one.
  [[nodiscard]] const Gradient& grad() const;
  /// Replaces the gradient. ShapeError or DTypeError if it doesn't fit.
  void set_grad(Gradient gradient);
  /// Drops the gradient; without `set_to_none`, one that is there becomes zeros, or a sparse one without rows
  /// (`torch.Tensor.grad`, `zero_grad(set_to_none)`).
  void zero_grad(bool set_to_none = true);
  /// @{
  /// Runs the tape back from this tensor; `gradient` has its shape (default: 1, for one element).
  void backward() const;
  void backward(const Tensor& gradient) const;
  /// @}

  // --- the most common ops as members; all others are functions in ops.hpp
  /// The same elements under another shape; one extent may be -1. A view.
  [[nodiscard]] Tensor reshape(const Shape& shape) const;
  /// The same as reshape: tensors are contiguous, so a reshape is always a view.
  [[nodiscard]] Tensor view(const Shape& shape) const { return reshape(shape); }
  /// Two dimensions swapped. A copy.
  [[nodiscard]] Tensor transpose(int dim0, int dim1) const;
  /// Sum of all elements, rank 0.
  [[nodiscard]] Tensor sum() const;
  /// Mean of all elements, rank 0.
  [[nodiscard]] Tensor mean() const;

  /// For the library and for own ops: the shared state.
  [[nodiscard]] detail::TensorState* state() const { return state_.get(); }
  /// A handle to a state, for the library.
  explicit Tensor(detail::Ref<detail::TensorState> state) : state_(std::move(state)) {}
  /// The owning pointer to the state.
  [[nodiscard]] const detail::Ref<detail::TensorState>& state_ref() const { return state_; }

 private:
  [[nodiscard]] const detail::TensorState& checked() const {
    if (!state_) detail::throw_undefined();
    return *state_;
  }
  template <class T>
  [[nodiscard]] T read(std::int64_t flat) const {
    using Wide = std::conditional_t<std::is_integral_v<T>, std::int64_t, double>;
    Wide value{};
    read_element(flat, &value, dtype_of<Wide>);
    return static_cast<T>(value);
  }
  void check_one_element() const;
  [[nodiscard]] std::int64_t flat_position(const Shape& position) const;
  void read_element(std::int64_t flat, void* value, DType as) const;
  [[nodiscard]] const void* raw_data(DType dtype) const;
  [[nodiscard]] void* raw_mutable_data(DType dtype);

  detail::Ref<detail::TensorState> state_;
};

/// Values, shape, dtype and device; large tensors are shortened to their edges.
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

// --- factories. All throw ShapeError for a negative extent and OutOfMemory with the bytes wanted.

/// Uninitialised elements.
[[nodiscard]] Tensor empty(const Shape& shape, TensorOptions options = {});
/// Every element 0.
[[nodiscard]] Tensor zeros(const Shape& shape, TensorOptions options = {});
/// Every element 1.
[[nodiscard]] Tensor ones(const Shape& shape, TensorOptions options = {});
/// Every element `value`, converted.
[[nodiscard]] Tensor full(const Shape& shape, Scalar value, TensorOptions options = {});
/// Zeros of the same shape, dtype and device.
[[nodiscard]] Tensor zeros_like(const Tensor& like);
/// start, start + step, … below end (above, for a negative step). int64 unless options say otherwise; integers are
/// exact. ValueError for a step of 0, a number that is not finite, or more elements than can be counted.
[[nodiscard]] Tensor arange(Scalar start, Scalar end, Scalar step = 1, TensorOptions options = {DType::int64, {}});
/// 0 … end - 1, int64.
[[nodiscard]] Tensor arange(std::int64_t end);
/// Uniform on [0, 1), 24 (float32) or 53 (float64) random bits.
[[nodiscard]] Tensor rand(const Shape& shape, TensorOptions options = {}, Generator& generator = default_generator());
/// Normal with mean 0 and standard deviation 1.
[[nodiscard]] Tensor randn(const Shape& shape, TensorOptions options = {}, Generator& generator = default_generator());

namespace detail {
[[nodiscard]] Tensor tensor_from(const void* values, DType from, const Shape& shape, TensorOptions options);
[[nodiscard]] Tensor borrow(void* data, DType dtype, const Shape& shape, std::shared_ptr<void> owner);

/// The dtype of numbers written in the source: PyTorch's defaults, float32 and int64.
template <class T>
inline constexpr DType literal_dtype = std::is_integral_v<T> ? DType::int64 : DType::float32;

template <class T>
[[nodiscard]] Tensor from_literals(const std::vector<T>& values, const Shape& shape, TensorOptions options) {
  if constexpr (std::is_integral_v<T>) {
    const std::vector<std::int64_t> wide(values.begin(), values.end());
    return tensor_from(wide.data(), DType::int64, shape, options);
  } else {
    const std::vector<double> wide(values.begin(), values.end());
    return tensor_from(wide.data(), DType::float64, shape, options);
  }
}
[[noreturn]] void throw_ragged(std::size_t expected, std::size_t got);

template <class T>
void append(std::vector<T>& all, std::initializer_list<T> row, std::size_t width) {
  if (row.size() != width) throw_ragged(width, row.size());
  all.insert(all.end(), row.begin(), row.end());
}
}  // namespace detail

/// A rank-0 tensor: `tensor(2.5)` is float32, `tensor(2)` int64, as in PyTorch.
template <class T>
requires std::is_arithmetic_v<T>
[[nodiscard]] Tensor tensor(T value, TensorOptions options = {detail::literal_dtype<T>, {}}) {
  return detail::from_literals(std::vector<T>{value}, {}, options);
}
/// `tensor({1.0, 2.0})`: numbers in the source, float32 or int64 unless options say otherwise.
template <class T>
requires std::is_arithmetic_v<T>
[[nodiscard]] Tensor tensor(std::initializer_list<T> values, TensorOptions options = {detail::literal_dtype<T>, {}}) {
  return detail::from_literals(std::vector<T>(values), {static_cast<std::int64_t>(values.size())}, options);
}
/// `tensor({{1, 2}, {3, 4}})`. ShapeError if the rows differ in length.
template <class T>
requires std::is_arithmetic_v<T>
[[nodiscard]] Tensor tensor(std::initializer_list<std::initializer_list<T>> rows,
                            TensorOptions options = {detail::literal_dtype<T>, {}}) {
  std::vector<T> all;
  const std::size_t width = rows.size() == 0 ? 0 : rows.begin()->size();
  for (const auto& row : rows) detail::append(all, row, width);
  return detail::from_literals(all, {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(width)},
                               options);
}
/// `tensor({{{1, 2}, {3, 4}}})`.
template <class T>
requires std::is_arithmetic_v<T>
[[nodiscard]] Tensor tensor(std::initializer_list<std::initializer_list<std::initializer_list<T>>> blocks,
                            TensorOptions options = {detail::literal_dtype<T>, {}}) {
  std::vector<T> all;
  const std::size_t height = blocks.size() == 0 ? 0 : blocks.begin()->size();
  const std::size_t width = height == 0 ? 0 : blocks.begin()->begin()->size();
  for (const auto& block : blocks) {
    if (block.size() != height) detail::throw_ragged(height, block.size());
    for (const auto& row : block) detail::append(all, row, width);
  }
  return detail::from_literals(
      all,
      {static_cast<std::int64_t>(blocks.size()), static_cast<std::int64_t>(height), static_cast<std::int64_t>(width)},
      options);
}
/// Copies the elements of a span, keeping their type. ShapeError unless their number is the shape's.
template <class T>
[[nodiscard]] Tensor tensor(std::span<const T> values, const Shape& shape, Device device = {}) {
  if (static_cast<std::int64_t>(values.size()) != shape.numel()) {
    detail::throw_ragged(static_cast<std::size_t>(shape.numel()), values.size());
  }
  return detail::tensor_from(values.data(), dtype_of<T>, shape, {dtype_of<T>, device});
}
/// Copies a vector, keeping its element type; one dimension unless a shape is given.
template <class T>
[[nodiscard]] Tensor tensor(const std::vector<T>& values, const Shape& shape, Device device = {}) {
  return tensor(std::span<const T>(values), shape, device);
}
/// The same, with one dimension.
template <class T>
[[nodiscard]] Tensor tensor(const std::vector<T>& values) {
  return tensor(std::span<const T>(values), {static_cast<std::int64_t>(values.size())});
}

namespace detail {
/// Puts a row on the list of rows that no optimizer moves; the list belongs to the storage.
void freeze_row(const Tensor& table, std::int64_t row);
/// Takes a row off that list; it goes on from where it stood.
void unfreeze_row(const Tensor& table, std::int64_t row);
/// Puts a leaf's handles, all of them, onto the elements of `source` (another dtype or device, or more rows). Frozen
/// rows come along; the gradient is dropped; a graph that still needs the old elements refuses to run back.
void adopt(const Tensor& leaf, const Tensor& source);
/// The frozen rows of a table, ascending.
[[nodiscard]] std::span<const std::int64_t> frozen_rows(const Tensor& table);
}  // namespace detail

/// @cond
extern template std::vector<float> Tensor::to_vector<float>() const;
extern template std::vector<double> Tensor::to_vector<double>() const;
extern template std::vector<std::int32_t> Tensor::to_vector<std::int32_t>() const;
extern template std::vector<std::int64_t> Tensor::to_vector<std::int64_t>() const;
/// @endcond

}  // namespace embergrad

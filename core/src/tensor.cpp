#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/tensor.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/launch.hpp"
#include "kernels/memory.hpp"
#include "kernels/random.hpp"
#include "kernels/rules/list.hpp"
#include "src/device_memory.hpp"
#include "src/index_watch.hpp"
#include "src/memory_pool.hpp"
#include "src/op_check.hpp"
#include "src/row_sparse.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

// --- Shape

Shape::Shape(std::span<const std::int64_t> extents) {
  for (const std::int64_t extent : extents) push_back(extent);
}

void Shape::push_back(std::int64_t extent) {
  if (rank_ == max_rank) throw ShapeError(fmt::format("a tensor has at most {} dimensions", max_rank));
  extents_[static_cast<std::size_t>(rank_++)] = extent;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int d = 0; d < rank_; ++d) text += fmt::format("{}{}", d == 0 ? "" : ", ", (*this)[d]);
  return text + "]";
}

namespace detail {

// --- Storage

constexpr std::size_t header_bytes = (sizeof(Storage) + 63) / 64 * 64;
constexpr std::size_t small_storage = std::size_t{64} << 10;

Ref<Storage> allocate_storage(std::size_t bytes, Device device) {
  if (!device.is_cpu()) require_device("empty", device);
  const bool together = device.is_cpu() && bytes <= small_storage;
  const std::size_t block_bytes = together ? header_bytes + bytes : header_bytes;
  void* block = pool_allocate(block_bytes);
  auto* storage = new (block) Storage;
  storage->device = device;
  storage->block_bytes = block_bytes;
  storage->bytes = bytes;
  storage->data_in_block = together;
  Ref<Storage> owner(storage);
  storage->data = together ? static_cast<char*>(block) + header_bytes : allocate_on(device, bytes);
  return owner;
}

void destroy(Storage* storage) noexcept {
  const bool borrowed = storage->extras != nullptr && storage->extras->owner != nullptr;
  if (!storage->data_in_block && !borrowed) free_on(storage->device, storage->data, storage->bytes);
  delete storage->extras;
  const std::size_t block_bytes = storage->block_bytes;
  storage->~Storage();
  pool_free(storage, block_bytes);
}

// --- TensorState

void destroy(TensorState* state) noexcept {
  if (state->node != nullptr) release_node(state->node);
  delete state->slot;
  state->~TensorState();
  pool_free(state, sizeof(TensorState));
}

Tensor make_view(const Ref<Storage>& storage, std::int64_t offset, const Shape& shape, DType dtype) {
  auto* state = new (pool_allocate(sizeof(TensorState))) TensorState;
  state->dtype = dtype;
  state->numel = shape.numel();
  state->offset = offset;
  state->storage = storage;
  state->device = storage->device;
  state->data = static_cast<char*>(storage->data) + static_cast<std::size_t>(offset) * item_size(dtype);
  state->shape = shape;
  return Tensor(Ref<TensorState>(state));
}

StridedView strided_view(const Tensor& tensor) {
  StridedView strided{data_of(tensor), tensor.dtype(), tensor.dim(), {}, {}};
  std::int64_t stride = 1;
  for (int d = strided.rank - 1; d >= 0; --d) {
    strided.extents[d] = tensor.shape()[d];
    strided.strides[d] = stride;
    stride *= tensor.shape()[d];
  }
  return strided;
}

StridedView broadcast_view(const Tensor& tensor, const Shape& shape) {
  const StridedView own = strided_view(tensor);
  StridedView wide{own.data, own.dtype, shape.rank(), {}, {}};
  const int added = shape.rank() - own.rank;
  for (int d = 0; d < wide.rank; ++d) {
    wide.extents[d] = shape[d];
    wide.strides[d] = d < added || (own.extents[d - added] == 1 && shape[d] != 1) ? 0 : own.strides[d - added];
  }
  return wide;
}

void begin_row_change(const char* op, const Tensor& tensor) {
  if (!tensor.defined()) throw ValueError(fmt::format("{}: the tensor is undefined", op));
  if (grad_enabled() && tensor.requires_grad()) {
    throw ValueError(
        fmt::format("{}: a tensor of shape {} that requires a gradient can't be changed in place outside no_grad", op,
                    tensor.shape().to_string()));
  }
  // A parameter's last chance not to see a batch with bad indices.
  if (tensor.requires_grad()) report_watched_indices(tensor.device());
  ++tensor.state()->storage->version;
}

void begin_change(const char* op, const Tensor& tensor) {
  begin_row_change(op, tensor);
  settle_rows(tensor);
}

// --- rows that are behind

DeferredRows* deferred_rows(const Storage& storage) {
  DeferredRows* rows = storage.extras == nullptr ? nullptr : storage.extras->deferred.get();
  return rows != nullptr && rows->pending() ? rows : nullptr;
}

std::shared_ptr<DeferredRows> deferral_of(const Storage& storage) {
  return storage.extras == nullptr ? nullptr : storage.extras->deferred;
}

void defer_rows(Storage& storage, std::shared_ptr<DeferredRows> rows) {
  if (storage.extras == nullptr) storage.extras = new StorageExtras;
  storage.extras->deferred = std::move(rows);
}

void settle_rows(const Tensor& tensor) {
  if (DeferredRows* rows = deferred_rows(*tensor.state()->storage)) rows->settle_all();
}

namespace {

// Elements [begin, begin + count) of a storage whose rows are behind, as they would be.
void read_settled(const DeferredRows& deferred, DType dtype, std::int64_t begin, std::int64_t count, char* out) {
  constexpr std::int64_t block = 1024;  // rows
  const std::int64_t dim = deferred.dim();
  const std::size_t item = item_size(dtype);
  const Scratch<std::int64_t> rows(block);
  const Scratch<char> values(block * dim * static_cast<std::int64_t>(item));
  for (std::int64_t at = begin; at < begin + count;) {
    const std::int64_t first = at / dim;
    const std::int64_t end = std::min((first + block) * dim, begin + count);
    const std::int64_t n = (end + dim - 1) / dim - first;
    for (std::int64_t i = 0; i < n; ++i) rows[i] = first + i;
    deferred.read(rows.get(), n, {.data = values.get(), .dtype = dtype, .size = n * dim}, false);
    std::memcpy(out + static_cast<std::size_t>(at - begin) * item,
                values.get() + static_cast<std::size_t>(at - first * dim) * item,
                static_cast<std::size_t>(end - at) * item);
    at = end;
  }
}

}  // namespace

Tensor settled(const Tensor& tensor) {
  if (!tensor.defined()) throw_undefined();
  const TensorState& state = *tensor.state();
  const DeferredRows* deferred = deferred_rows(*state.storage);
  if (deferred == nullptr) return tensor;
  Tensor copy = empty(state.shape, {state.dtype, state.device});
  if (state.numel > 0) read_settled(*deferred, state.dtype, state.offset, state.numel, copy.state()->data);
  return copy;
}

namespace {

// The host's copy of a GPU's integers, or null.
const char* mirrored(const Tensor& tensor) {
  const Storage& storage = *tensor.state()->storage;
  const StorageExtras* extras = storage.extras;
  if (extras == nullptr || !extras->mirror.defined() || extras->mirror_version != storage.version) return nullptr;
  return extras->mirror.state()->data + static_cast<std::size_t>(tensor.state()->offset) * item_size(tensor.dtype());
}

// Keeps what was just copied to a GPU.
void mirror(const Tensor& there, const Tensor& here) {
  constexpr std::int64_t most = std::int64_t{1} << 24;  // a data set is no batch
  if (here.numel() > most) return;
  Storage& storage = *there.state()->storage;
  if (storage.extras == nullptr) storage.extras = new StorageExtras;
  storage.extras->mirror = here.clone();
  storage.extras->mirror_version = storage.version;
}

}  // namespace

bool known_to_host(const Tensor& tensor) { return tensor.device().is_cpu() || mirrored(tensor) != nullptr; }

Tensor tensor_from(const void* values, DType from, const Shape& shape, TensorOptions options) {
  Tensor result = empty(shape, {options.dtype, Device::cpu()});
  // The source is only read.
  launch(Device::cpu(), Convert{.in = {const_cast<void*>(values), from, shape.numel()}, .out = view(result)});
  return result.to(options.device);
}

Tensor borrow(void* data, DType dtype, const Shape& shape, std::shared_ptr<void> owner) {
  auto* storage = new (pool_allocate(header_bytes)) Storage;
  Ref<Storage> ref(storage);
  storage->block_bytes = header_bytes;
  storage->data = data;
  storage->bytes = static_cast<std::size_t>(shape.numel()) * item_size(dtype);
  storage->extras = new StorageExtras;
  storage->extras->owner = owner != nullptr ? std::move(owner) : std::shared_ptr<void>(data, [](void*) {});
  return make_view(ref, 0, shape, dtype);
}

void throw_ragged(std::size_t expected, std::size_t got) {
  throw ShapeError(fmt::format("tensor: {} elements expected, {} given", expected, got));
}

void freeze_row(const Tensor& table, std::int64_t row) {
  Storage& storage = *table.state()->storage;
  if (storage.extras == nullptr) storage.extras = new StorageExtras;
  auto& rows = storage.extras->frozen_rows;
  const auto place = std::lower_bound(rows.begin(), rows.end(), row);
  if (place != rows.end() && *place == row) return;
  if (DeferredRows* deferred = deferred_rows(storage)) deferred->settle(&row, 1);
  rows.insert(place, row);
}

void unfreeze_row(const Tensor& table, std::int64_t row) {
  Storage& storage = *table.state()->storage;
  if (storage.extras == nullptr) return;
  auto& rows = storage.extras->frozen_rows;
  const auto place = std::lower_bound(rows.begin(), rows.end(), row);
  if (place == rows.end() || *place != row) return;
  rows.erase(place);
  if (DeferredRows* deferred = deferred_rows(storage)) deferred->skip(row);
}

void adopt(const Tensor& leaf, const Tensor& source) {
  TensorState& state = *leaf.state();
  const TensorState& from = *source.state();
  delete std::exchange(state.slot, nullptr);
  for (const std::int64_t row : frozen_rows(leaf)) freeze_row(source, row);
  from.storage->version = std::max(from.storage->version, state.storage->version + 1);
  state.dtype = from.dtype;
  state.device = from.device;
  state.storage = from.storage;
  state.offset = from.offset;
  state.data = from.data;
  state.shape = from.shape;
  state.numel = from.numel;
}

std::span<const std::int64_t> frozen_rows(const Tensor& table) {
  const StorageExtras* extras = table.state()->storage->extras;
  if (extras == nullptr) return {};
  return extras->frozen_rows;
}

}  // namespace detail

// --- facts

void detail::throw_undefined() { throw ValueError("the tensor is undefined"); }

void detail::throw_beyond_int64(std::uint64_t value) {
  throw ValueError(fmt::format("a scalar of {} is beyond the largest int64", value));
}

namespace {
const detail::TensorState& state_of(const Tensor& tensor) {
  if (!tensor.defined()) detail::throw_undefined();
  return *tensor.state();
}
}  // namespace

std::uint64_t Tensor::version() const { return state_of(*this).storage->version; }

std::int64_t Tensor::size(int dim) const {
  const Shape& extents = shape();
  if (dim < -extents.rank() || dim >= extents.rank()) {
    throw IndexError(fmt::format("size: dim is {}, but the shape is {}", dim, extents.to_string()));
  }
  return extents[dim < 0 ? dim + extents.rank() : dim];
}

bool Tensor::shares_storage_with(const Tensor& other) const {
  return defined() && other.defined() && state_->storage.get() == other.state_->storage.get();
}

// --- elements

void Tensor::check_one_element() const {
  if (numel() == 1) return;
  throw ValueError(fmt::format("item: the tensor of shape {} has {} elements, not one", shape().to_string(), numel()));
}

std::int64_t Tensor::flat_position(const Shape& position) const {
  const Shape& extents = shape();
  if (position.rank() != extents.rank()) {
    throw IndexError(fmt::format("at: {} positions given for shape {}", position.rank(), extents.to_string()));
  }
  std::int64_t flat = 0;
  for (int d = 0; d < extents.rank(); ++d) {
    const std::int64_t i = position[d] < 0 ? position[d] + extents[d] : position[d];
    if (i < 0 || i >= extents[d]) {
      throw IndexError(
          fmt::format("at: position {} of dimension {} is outside shape {}", position[d], d, extents.to_string()));
    }
    flat = flat * extents[d] + i;
  }
  return flat;
}

namespace {
View element_view(const Tensor& tensor, std::int64_t flat) {
  const DType dtype = tensor.dtype();
  return {detail::data_of(tensor) + static_cast<std::size_t>(flat) * item_size(dtype), dtype, 1};
}
}  // namespace

void Tensor::read_element(std::int64_t flat, void* value, DType as) const {
  if (detail::deferred_rows(*checked().storage) != nullptr) {
    return detail::settled(detail::make_view(state_->storage, state_->offset + flat, {1}, dtype()))
        .read_element(0, value, as);
  }
  View element = element_view(*this, flat);
  std::uint64_t here = 0;
  if (!device().is_cpu()) {
    if (const char* mirror = detail::mirrored(*this)) {
      std::memcpy(&here, mirror + static_cast<std::size_t>(flat) * item_size(dtype()), item_size(dtype()));
    } else {
      detail::report_watched_indices(device());
      detail::copy_bytes(Device::cpu(), &here, device(), element.data, item_size(dtype()));
    }
    element.data = &here;
  }
  launch(Device::cpu(), Convert{.in = element, .out = {value, as, 1}});
}

void Tensor::set(std::initializer_list<std::int64_t> position, Scalar value) {
  const std::int64_t flat = flat_position(Shape(position));
  const Number number = OpCheck("set").number("value", value, dtype());
  detail::begin_change("set", *this);
  launch(device(), Fill{.out = element_view(*this, flat), .value = number});
}

namespace {
void check_on_host(const char* op, Device device) {
  if (device.is_cpu()) return;
  throw DeviceError(fmt::format("{}: the tensor is on {}, where the host can't read it; copy it with to(Device::cpu())",
                                op, device.to_string()));
}
}  // namespace

const void* Tensor::raw_data(DType wanted) const {
  if (dtype() != wanted) {
    throw DTypeError(fmt::format("data: {} asked of a tensor of {}", name_of(wanted), name_of(dtype())));
  }
  check_on_host("data", device());
  return detail::data_of(*this);
}

void* Tensor::raw_mutable_data(DType wanted) {
  if (dtype() != wanted) {
    throw DTypeError(fmt::format("mutable_data: {} asked of a tensor of {}", name_of(wanted), name_of(dtype())));
  }
  check_on_host("mutable_data", device());
  detail::begin_change("mutable_data", *this);
  return state_->data;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  std::vector<T> values(static_cast<std::size_t>(numel()));
  const Tensor now = detail::settled(*this);
  const Tensor here = device().is_cpu() ? now : now.detach().to(Device::cpu());
  launch(Device::cpu(), Convert{.in = detail::view(here), .out = {values.data(), dtype_of<T>, numel()}});
  return values;
}
template std::vector<float> Tensor::to_vector<float>() const;
template std::vector<double> Tensor::to_vector<double>() const;
template std::vector<std::int32_t> Tensor::to_vector<std::int32_t>() const;
template std::vector<std::int64_t> Tensor::to_vector<std::int64_t>() const;

Tensor& Tensor::fill(Scalar value) {
  const Number number = OpCheck("fill").number("value", value, dtype());
  detail::begin_change("fill", *this);
  launch(device(), Fill{.out = detail::view(*this), .value = number});
  return *this;
}

Tensor& Tensor::copy_from(const Tensor& source) {
  const OpCheck check("copy_from");
  check.defined("source", source);
  check.defined("the tensor", *this);
  check.has_shape("source", source, shape());
  if (grad_enabled() && source.requires_grad()) {
    check.fail_value(
        "source requires a gradient, which a change in place does not record: detach() it, or use no_grad");
  }
  detail::begin_change("copy_from", *this);
  // Elements of another view of this storage might be overwritten before they are read.
  const bool overlaps = shares_storage_with(source) && source.state()->data != state_->data;
  const Tensor here = no_grad([&] { return overlaps ? source.clone() : source.to(device()); });
  launch(device(), Convert{.in = detail::view(detail::settled(here)), .out = detail::view(*this)});
  return *this;
}

// --- copies

Tensor Tensor::clone() const {
  Tensor copy = detail::settled(*this);
  if (copy.state() == state()) {
    copy = empty(shape(), options());
    launch(device(), Convert{.in = detail::view(*this), .out = detail::view(copy)});
  }
  return record("clone", copy, {*this}, [](const Tensor& grad) { return Gradient(grad); });
}

Tensor Tensor::detach() const {
  const detail::TensorState& state = state_of(*this);
  return detail::make_view(state.storage, state.offset, state.shape, state.dtype);
}

Tensor Tensor::to(DType wanted) const {
  if (dtype() == wanted) return *this;
  Tensor converted = empty(shape(), {wanted, device()});
  launch(device(), Convert{.in = detail::view(detail::settled(*this)), .out = detail::view(converted)});
  if (!is_floating(wanted)) return converted;
  return record("to", converted, {*this},
                [from = detail::gradient_dtype(dtype())](const Tensor& grad) { return Gradient(grad.to(from)); });
}

Tensor Tensor::to(Device wanted) const {
  if (device() == wanted) return *this;
  detail::require_device("to", wanted);
  Tensor copy = empty(shape(), {dtype(), wanted});
  const std::size_t bytes = static_cast<std::size_t>(numel()) * item_size(dtype());
  if (const char* mirror = wanted.is_cpu() ? detail::mirrored(*this) : nullptr) {
    if (bytes > 0) std::memcpy(copy.state()->data, mirror, bytes);
    return copy;
  }
  if (wanted.is_cpu()) detail::report_watched_indices(device());
  const Tensor now = detail::settled(*this);
  detail::copy_bytes(wanted, copy.state()->data, device(), now.state()->data, bytes);
  if (device().is_cpu() && is_integer(dtype())) detail::mirror(copy, *this);
  return record("to", copy, {*this}, [from = device()](const Tensor& grad) { return Gradient(grad.to(from)); });
}

// --- tape

Tensor& Tensor::set_requires_grad(bool requires_grad) {
  const detail::TensorState& state = state_of(*this);
  if (state.node != nullptr && requires_grad) return *this;
  if (state.node != nullptr) {
    throw ValueError("set_requires_grad: only leaves can be told not to require a gradient; use detach()");
  }
  if (requires_grad && !is_floating(state.dtype)) {
    throw DTypeError(
        fmt::format("set_requires_grad: only floating tensors have gradients, not {}", name_of(state.dtype)));
  }
  state_->requires_grad = requires_grad;
  return *this;
}

const Gradient& Tensor::grad() const {
  static const Gradient none;
  const detail::TensorState& state = state_of(*this);
  return state.slot == nullptr ? none : state.slot->gradient;
}

// --- members that are ops

Tensor Tensor::reshape(const Shape& shape) const { return embergrad::reshape(*this, shape); }
Tensor Tensor::transpose(int dim0, int dim1) const { return embergrad::transpose(*this, dim0, dim1); }
Tensor Tensor::sum() const { return embergrad::sum(*this); }
Tensor Tensor::mean() const { return embergrad::mean(*this); }

Tensor Tensor::operator[](std::int64_t i) const {
  if (dim() == 0) throw IndexError("operator[]: the tensor has no dimensions");
  const std::int64_t at = i < 0 ? i + shape()[0] : i;
  if (at < 0 || at >= shape()[0])
    throw IndexError(fmt::format("operator[]: {} is outside shape {}", i, shape().to_string()));
  return narrow(*this, 0, at, 1).reshape(shape().slice(1, dim()));
}

// --- factories

Tensor empty(const Shape& shape, TensorOptions options) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw ShapeError(fmt::format("a shape has no negative extents: {}", shape.to_string()));
    if (__builtin_mul_overflow(count, extent == 0 ? 1 : extent, &count) || count > (std::int64_t{1} << 45)) {
      throw OutOfMemory(fmt::format("out of memory: a tensor of shape {} ({}) has more elements than any memory holds",
                                    shape.to_string(), name_of(options.dtype)));
    }
  }
  return detail::make_view(
      detail::allocate_storage(static_cast<std::size_t>(shape.numel()) * item_size(options.dtype), options.device), 0,
      shape, options.dtype);
}

Tensor full(const Shape& shape, Scalar value, TensorOptions options) {
  const Number number = OpCheck("full").number("value", value, options.dtype);
  Tensor tensor = empty(shape, options);
  launch(options.device, Fill{.out = detail::view(tensor), .value = number});
  return tensor;
}

Tensor zeros(const Shape& shape, TensorOptions options) { return full(shape, 0, options); }
Tensor ones(const Shape& shape, TensorOptions options) { return full(shape, 1, options); }
Tensor zeros_like(const Tensor& like) { return zeros(like.shape(), like.options()); }

namespace {

// How many numbers arange gives. Integers are counted without rounding.
std::int64_t arange_count(Scalar start, Scalar end, Scalar step) {
  const bool rising = step.value() > 0;
  if (step.value() == 0 || !std::isfinite(step.value())) {
    throw ValueError(fmt::format("arange: step is {}", step.value()));
  }
  if (!std::isfinite(start.value()) || !std::isfinite(end.value())) {
    throw ValueError(fmt::format("arange: start is {} and end is {}", start.value(), end.value()));
  }
  if (rising ? end.value() < start.value() : end.value() > start.value()) return 0;
  if (start.is_integer() && end.is_integer() && step.is_integer()) {
    const auto from = static_cast<std::uint64_t>(rising ? start.integer() : end.integer());
    const auto to = static_cast<std::uint64_t>(rising ? end.integer() : start.integer());
    const auto size =
        rising ? static_cast<std::uint64_t>(step.integer()) : 0 - static_cast<std::uint64_t>(step.integer());
    const std::uint64_t distance = to - from;
    const std::uint64_t count = distance / size + (distance % size == 0 ? 0 : 1);
    if (count <= INT64_MAX) return static_cast<std::int64_t>(count);
  } else {
    const double count = std::ceil((end.value() - start.value()) / step.value());
    if (count < 0x1p63) return static_cast<std::int64_t>(count);
  }
  throw ValueError(fmt::format("arange: from {} to {} by {} are more elements than can be counted", start.value(),
                               end.value(), step.value()));
}

}  // namespace

Tensor arange(Scalar start, Scalar end, Scalar step, TensorOptions options) {
  const std::int64_t count = arange_count(start, end, step);
  const bool whole = start.is_integer() && step.is_integer();
  Tensor values = empty({count}, {whole ? DType::int64 : DType::float64, Device::cpu()});
  if (whole) {
    auto* value = static_cast<std::int64_t*>(detail::view(values).data);
    for (std::int64_t i = 0; i < count; ++i) {
      value[i] = rules::plus(start.integer(), rules::times(i, step.integer()));
    }
  } else {
    auto* value = static_cast<double*>(detail::view(values).data);
    for (std::int64_t i = 0; i < count; ++i) value[i] = start.value() + static_cast<double>(i) * step.value();
  }
  return values.to(options.dtype).to(options.device);
}

Tensor arange(std::int64_t end) { return arange(0, end); }

namespace {
template <class Draw>
Tensor draw(const char* op, const Shape& shape, TensorOptions options, Generator& generator) {
  if (options.dtype > DType::float64) {
    throw DTypeError(fmt::format("{}: dtype must be float32 or float64, but is {}", op, name_of(options.dtype)));
  }
  Tensor tensor = empty(shape, options);
  const Generator::Ticket ticket = generator.next();
  launch(options.device, Draw{.out = detail::view(tensor), .seed = ticket.seed, .tick = ticket.tick});
  return tensor;
}
}  // namespace

Tensor rand(const Shape& shape, TensorOptions options, Generator& generator) {
  return draw<DrawUniform>("rand", shape, options, generator);
}

Tensor randn(const Shape& shape, TensorOptions options, Generator& generator) {
  return draw<DrawNormal>("randn", shape, options, generator);
}

}  // namespace embergrad

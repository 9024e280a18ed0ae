// Storage, gradients and nodes: what a Tensor's state refers to.
#pragma once

#include <embergrad/autograd.hpp>
#include <embergrad/tensor.hpp>

#include <memory>
#include <vector>

#include "kernels/view.hpp"
#include "src/deferred_rows.hpp"

namespace embergrad::detail {

// What few storages have.
struct StorageExtras {
  std::vector<std::int64_t> frozen_rows;   // ascending
  std::shared_ptr<void> owner;             // of borrowed memory
  std::shared_ptr<DeferredRows> deferred;  // who steps rows of this table later than they are due
  // Integers that were copied to a GPU, as they were at this version: the host need not wait to know them.
  Tensor mirror;
  std::uint64_t mirror_version = 0;
};

// The elements, and what all views of them share.
struct Storage : Shared {
  Device device;
  void* data = nullptr;
  std::size_t bytes = 0;        // of the elements
  std::size_t block_bytes = 0;  // of the pool block that holds header and elements (small storages), or the header
  std::uint64_t version = 0;
  StorageExtras* extras = nullptr;
  bool data_in_block = false;
};

// A leaf's gradient. A dense gradient that came from rows remembers them: dropping it zeroes these rows and keeps the
// buffer for the next backward.
struct GradientSlot {
  Gradient gradient;
  Tensor spare;                       // zeros, shaped like the leaf
  std::vector<std::int64_t> touched;  // rows of `gradient` that may be non-zero
  bool touched_known = false;
  std::uint64_t version_at_add = 0;  // of the gradient's storage: a foreign change voids `touched`
};

// One input of a node: nothing, another node's output, or a leaf. Counted.
struct Node::Edge {
  Node* node = nullptr;
  TensorState* leaf = nullptr;
  std::uint16_t output = 0;
};

// One output of a node: what it looked like, and the gradient that arrived so far.
struct Node::Output {
  Shape shape;
  DType dtype = DType::float32;
  Tensor gradient;
};

void release_node(Node* node) noexcept;  // one count less

[[nodiscard]] Ref<Storage> allocate_storage(std::size_t bytes, Device device);
// A new handle on a storage.
[[nodiscard]] Tensor make_view(const Ref<Storage>& storage, std::int64_t offset, const Shape& shape, DType dtype);

// Adds to a leaf's gradient.
void accumulate_leaf(TensorState& leaf, Gradient gradient);
void accumulate_leaf(TensorState& leaf, Tensor dense);
// sum += term, in place where nobody else sees sum; an undefined sum becomes the term's handle.
void accumulate(Tensor& sum, Tensor term);
// True if nobody else sees this tensor's elements.
[[nodiscard]] inline bool is_exclusive(const Tensor& tensor) {
  return tensor.state_ref().unique() && tensor.state()->storage.unique() && tensor.state()->storage->extras == nullptr;
}

// --- the doors to the elements of a table whose rows may be behind (see deferred_rows.hpp)

// Brings all rows of the tensor's storage up to date, in place.
void settle_rows(const Tensor& tensor);
// Pointers, writes and whatever is not told apart: everything is settled in place first.
[[nodiscard]] inline char* data_of(const Tensor& tensor) {
  if (tensor.state()->storage->extras != nullptr) settle_rows(tensor);
  return tensor.state()->data;
}
[[nodiscard]] inline View view(const Tensor& tensor) {
  const TensorState& state = *tensor.state();
  return {data_of(tensor), state.dtype, state.numel};
}
// Readers of the whole: this handle, or a settled copy off the tape where rows are behind; nothing is written.
[[nodiscard]] Tensor settled(const Tensor& tensor);
// Are the elements known to the host: on it, or copied from it and unchanged? Then to(Device::cpu()) waits for nothing.
[[nodiscard]] bool known_to_host(const Tensor& tensor);
// For lookups and optimizers, who know which rows they ask for: the elements as they are.
[[nodiscard]] inline View unsettled_view(const Tensor& tensor) {
  const TensorState& state = *tensor.state();
  return {state.data, state.dtype, state.numel};
}

[[nodiscard]] StridedView strided_view(const Tensor& tensor);
// `tensor` as seen when broadcast to `shape`: repeated dimensions have stride 0.
[[nodiscard]] StridedView broadcast_view(const Tensor& tensor, const Shape& shape);

// Throws if `op` may not change this tensor in place now; settles its rows and bumps the version otherwise.
void begin_change(const char* op, const Tensor& tensor);
// The same for a change of rows that the caller settles itself.
void begin_row_change(const char* op, const Tensor& tensor);

}  // namespace embergrad::detail

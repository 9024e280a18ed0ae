#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/embedding.hpp"
#include "src/memory_pool.hpp"
#include "src/op_check.hpp"
#include "src/row_sparse.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

thread_local bool recording = true;
// The op whose backward runs on this thread: errors name it.
thread_local const char* running_op = nullptr;
thread_local bool detecting_anomalies = false;

std::atomic<std::uint64_t> next_sequence{1};

}  // namespace

bool grad_enabled() { return recording; }

NoGrad::NoGrad() : before_(std::exchange(recording, false)) {}
NoGrad::~NoGrad() { recording = before_; }

DetectAnomaly::DetectAnomaly() : before_(std::exchange(detecting_anomalies, true)) {}
DetectAnomaly::~DetectAnomaly() { detecting_anomalies = before_; }

// --- anomalies

namespace {

template <class T>
std::int64_t first_nan_of(const Tensor& tensor) {
  const std::int64_t count = tensor.numel();
  const T* values = tensor.data<T>();
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::isnan(values[i])) return i;
  }
  return -1;
}

// Position of the first NaN, or -1.
std::int64_t first_nan(const Tensor& tensor) {
  if (!tensor.defined() || !is_floating(tensor.dtype())) return -1;
  const NoGrad guard;
  const Tensor here = tensor.detach().to(Device::cpu());
  if (here.dtype() == DType::float64) return first_nan_of<double>(here);
  return first_nan_of<float>(here.to(DType::float32));
}

void check_outputs(const char* op, std::span<const Tensor> outputs, std::span<const TensorRef> inputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::int64_t at = first_nan(outputs[i]);
    if (at < 0) continue;
    std::string message = fmt::format("{}: output", op);
    if (outputs.size() > 1) message += fmt::format(" {}", i);
    message += fmt::format(" of shape {} is NaN at [{}]", outputs[i].shape().to_string(),
                           position_text(outputs[i].shape(), at));
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (first_nan(inputs[k].get()) < 0) continue;
      throw ValueError(
          fmt::format("{}; input {} of shape {} holds NaN already", message, k, inputs[k].get().shape().to_string()));
    }
    throw ValueError(message + ", though no input is");
  }
}

void check_gradient(const char* op, std::size_t input, const Tensor& gradient) {
  const std::int64_t at = first_nan(gradient);
  if (at < 0) return;
  throw ValueError(fmt::format("backward of {}: the gradient of input {}, of shape {}, is NaN at [{}]", op, input,
                               gradient.shape().to_string(), position_text(gradient.shape(), at)));
}

}  // namespace

// --- Saved

// A handle to an op's result would own the op's node, and the node this closure; and at this moment a result has no
// node yet. So only parameters, which never get one, are kept as they are.
Saved::Saved(const Tensor& tensor)
    : tensor_(!tensor.defined() || (tensor.requires_grad() && tensor.is_leaf()) ? tensor : tensor.detach()),
      version_(tensor.defined() ? tensor.version() : 0) {}

void Saved::throw_changed() const {
  throw ValueError(fmt::format(
      "backward of {}: a tensor of shape {} that it needs was changed in place after the op (version {}, now {})",
      running_op == nullptr ? "an op" : running_op, tensor_.shape().to_string(), version_, tensor_.version()));
}

namespace detail {

// --- nodes

namespace {
constexpr std::size_t align_up(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
}  // namespace

void* allocate_node(std::size_t node_bytes, std::size_t inputs, std::size_t outputs) {
  return pool_allocate(align_up(node_bytes) + inputs * sizeof(Node::Edge) + outputs * sizeof(Node::Output));
}

bool any_requires_grad(std::span<const TensorRef> inputs) {
  if (!recording) return false;
  return std::any_of(inputs.begin(), inputs.end(), [](const TensorRef& input) {
    return input.get().defined() && input.get().state()->requires_grad;
  });
}

bool begin_record(const char* op, std::span<const Tensor> outputs, std::span<const TensorRef> inputs) {
  if (detecting_anomalies && recording) check_outputs(op, outputs, inputs);
  if (outputs.size() > std::numeric_limits<std::uint16_t>::max()) {
    throw ValueError(fmt::format("record: {} has {} outputs; at most 65535 can be recorded", op, outputs.size()));
  }
  return any_requires_grad(inputs);
}

void attach_node(Node* node, std::size_t node_bytes, const char* op, std::span<const TensorRef> inputs,
                 std::span<Tensor> outputs) {
  node->op = op;
  node->layer = current_layer();
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  node->bytes = align_up(node_bytes) + inputs.size() * sizeof(Node::Edge) + outputs.size() * sizeof(Node::Output);
  char* tail = reinterpret_cast<char*>(node) + align_up(node_bytes);
  node->outputs = reinterpret_cast<Node::Output*>(tail);
  node->edges = reinterpret_cast<Node::Edge*>(tail + outputs.size() * sizeof(Node::Output));
  node->output_count = static_cast<std::uint32_t>(outputs.size());
  node->edge_count = static_cast<std::uint32_t>(inputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    new (&node->outputs[i]) Node::Output{outputs[i].shape(), outputs[i].dtype(), {}};
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto* edge = new (&node->edges[i]) Node::Edge;
    const Tensor& input = inputs[i].get();
    if (!input.defined() || !input.state()->requires_grad) continue;
    TensorState* state = input.state();
    if (state->node != nullptr) {
      edge->node = state->node;
      edge->output = state->output_index;
      ++state->node->references;
    } else {
      edge->leaf = state;
      state->references.fetch_add(1, std::memory_order_relaxed);
    }
  }
  ++node->references;  // held here until the outputs hold it, so that an error below frees it
  try {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      TensorState* state = outputs[i].state();
      if (state->node != nullptr || state->requires_grad) {
        throw ValueError(fmt::format("record: output {} of {} is already on the tape", i, op));
      }
      if (!is_floating(state->dtype)) {
        throw DTypeError(
            fmt::format("record: output {} of {} is {}, which has no gradient", i, op, name_of(state->dtype)));
      }
      state->node = node;
      state->output_index = static_cast<std::uint16_t>(i);
      state->requires_grad = true;
      ++node->references;
    }
  } catch (...) {
    release_node(node);
    throw;
  }
  release_node(node);
}

void destroy(Node* node) noexcept {
  const std::size_t bytes = node->bytes;
  for (std::uint32_t i = 0; i < node->output_count; ++i) node->outputs[i].~Output();
  node->~Node();
  pool_free(node, bytes);
}

namespace {

void drop_edge(Node::Edge& edge) noexcept {
  if (edge.node != nullptr) release_node(std::exchange(edge.node, nullptr));
  if (TensorState* leaf = std::exchange(edge.leaf, nullptr)) {
    if (leaf->references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(leaf);
  }
}

thread_local Node* doomed = nullptr;  // list of nodes without owners
thread_local bool dooming = false;

}  // namespace

// Nodes own their inputs' nodes, so a graph is a chain of owners as long as the computation. They are destroyed from a
// list, not by recursion: a million ops must not overflow the stack.
void release_node(Node* node) noexcept {
  if (--node->references > 0) return;
  node->next = std::exchange(doomed, node);
  if (dooming) return;
  dooming = true;
  while (Node* dead = doomed) {
    doomed = dead->next;
    for (std::uint32_t i = 0; i < dead->edge_count; ++i) drop_edge(dead->edges[i]);
    destroy(dead);
  }
  dooming = false;
}

// --- gradients arrive

namespace {

void check_fits(const Shape& got, DType got_dtype, const Shape& shape, DType dtype, const char* op) {
  if (got != shape) {
    throw ShapeError(fmt::format("backward of {}: the gradient has shape {}, but the tensor has {}", op,
                                 got.to_string(), shape.to_string()));
  }
  if (got_dtype != gradient_dtype(dtype)) {
    throw DTypeError(fmt::format("backward of {}: the gradient is {}, but that of a {} tensor must be {}", op,
                                 name_of(got_dtype), name_of(dtype), name_of(gradient_dtype(dtype))));
  }
}

void check_fits(const Tensor& gradient, const Shape& shape, DType dtype, const char* op) {
  check_fits(gradient.shape(), gradient.dtype(), shape, dtype, op);
}

void check_fits(const Gradient& gradient, const Shape& shape, DType dtype, const char* op) {
  if (!gradient.is_sparse() && !gradient.is_pending_dense()) return check_fits(gradient.dense(), shape, dtype, op);
  const RowSparse& rows = gradient.source_rows();
  check_fits({rows.rows(), rows.dim()}, rows.dtype(), shape, dtype, op);
}

// Adds rows to a leaf's dense gradient, remembering which.
void accumulate_rows(GradientSlot& slot, const RowSparse& rows) {
  if (!slot.gradient.defined()) {
    if (!slot.spare.defined()) slot.spare = zeros({rows.rows(), rows.dim()}, {rows.dtype(), rows.device()});
    slot.gradient = std::exchange(slot.spare, Tensor());
    slot.touched.clear();
    slot.touched_known = true;
    slot.version_at_add = slot.gradient.dense().version();
  }
  const bool unchanged = slot.gradient.dense().version() == slot.version_at_add;
  slot.touched_known = slot.touched_known && unchanged;
  if (!is_exclusive(slot.gradient.dense())) slot.gradient = slot.gradient.dense().clone();
  Tensor sum = slot.gradient.dense();
  rows.add_to(sum);
  slot.version_at_add = sum.version();
  if (slot.touched_known) slot.touched.push_back(rows.indices().clone());
}

}  // namespace

// A gradient that somebody else sees too must not be changed through this leaf, so it is copied.
void accumulate_leaf(TensorState& leaf, Tensor dense) {
  if (leaf.slot == nullptr) leaf.slot = new GradientSlot;
  GradientSlot& slot = *leaf.slot;
  slot.touched_known = false;
  if (slot.gradient.defined()) {
    slot.gradient.add(dense);
  } else {
    slot.gradient = is_exclusive(dense) ? std::move(dense) : dense.clone();
  }
}

void accumulate_leaf(TensorState& leaf, Gradient gradient) {
  if (!gradient.is_sparse() && !gradient.is_pending_dense()) {
    Tensor dense = gradient.dense();
    gradient = Gradient();
    return accumulate_leaf(leaf, std::move(dense));
  }
  if (leaf.slot == nullptr) leaf.slot = new GradientSlot;
  GradientSlot& slot = *leaf.slot;
  const bool onto_dense = slot.gradient.defined() && !slot.gradient.is_sparse();
  if (gradient.is_pending_dense() && (onto_dense || !slot.gradient.defined())) {
    return accumulate_rows(slot, gradient.source_rows());
  }
  slot.touched_known = false;
  slot.gradient = std::move(slot.gradient).plus(std::move(gradient));
}

}  // namespace detail

bool InputGradients::wants(std::size_t i) const {
  return i < node_.edge_count && (node_.edges[i].node != nullptr || node_.edges[i].leaf != nullptr);
}

void InputGradients::add(std::size_t i, Tensor gradient) {
  if (!wants(i) || !gradient.defined()) return;
  if (detecting_anomalies) check_gradient(node_.op, i, gradient);
  const detail::Node::Edge& edge = node_.edges[i];
  if (edge.leaf != nullptr) {
    detail::check_fits(gradient, edge.leaf->shape, edge.leaf->dtype, node_.op);
    detail::accumulate_leaf(*edge.leaf, std::move(gradient));
    return;
  }
  detail::Node::Output& target = edge.node->outputs[edge.output];
  detail::check_fits(gradient, target.shape, target.dtype, node_.op);
  detail::accumulate(target.gradient, std::move(gradient));
}

void InputGradients::add(std::size_t i, Gradient gradient) {
  if (!wants(i) || !gradient.defined()) return;
  const detail::Node::Edge& edge = node_.edges[i];
  const bool rows = gradient.is_sparse() || gradient.is_pending_dense();
  if (edge.leaf == nullptr || !rows) {
    // Rows that flow into another op become dense on the way.
    Tensor dense = gradient.to_dense();
    gradient = Gradient();
    return add(i, std::move(dense));
  }
  detail::check_fits(gradient, edge.leaf->shape, edge.leaf->dtype, node_.op);
  if (detecting_anomalies) check_gradient(node_.op, i, gradient.source_rows().values());
  detail::accumulate_leaf(*edge.leaf, std::move(gradient));
}

// --- Tensor's part of the tape

void Tensor::set_grad(Gradient gradient) {
  if (!gradient.defined()) return zero_grad();
  if (!requires_grad() || !is_leaf()) throw ValueError("set_grad: the tensor is not a leaf that requires a gradient");
  detail::check_fits(gradient, shape(), dtype(), "set_grad");
  if (state_->slot == nullptr) state_->slot = new detail::GradientSlot;
  state_->slot->touched_known = false;
  state_->slot->gradient = std::move(gradient);
}

void Tensor::zero_grad(bool set_to_none) {
  detail::GradientSlot* slot = defined() ? state_->slot : nullptr;
  if (slot == nullptr || !slot->gradient.defined()) return;
  if (!set_to_none) {
    const auto zeros_like = [](const Gradient& gradient) -> Gradient {
      if (!gradient.is_sparse()) return zeros(gradient.dense().shape(), gradient.dense().options());
      const RowSparse& rows = gradient.rows();
      const Tensor no_rows = empty({0}, {DType::int64, rows.device()});
      const Tensor no_values = empty({0, rows.dim()}, {rows.dtype(), rows.device()});
      return RowSparse::from_rows(no_rows, no_values, rows.rows());
    };
    slot->gradient = zeros_like(slot->gradient);
    slot->touched_known = false;
    return;
  }
  if (slot->touched_known && !slot->gradient.is_sparse()) {
    Tensor dense = slot->gradient.dense();
    slot->gradient = Gradient();
    if (detail::is_exclusive(dense) && dense.version() == slot->version_at_add) {
      for (const Tensor& rows : slot->touched) {
        launch(dense.device(), ZeroRows{.table = detail::view(dense),
                                        .dim = dense.size(1),
                                        .rows = detail::view(rows).as<const std::int64_t>(),
                                        .count = rows.numel()});
      }
      slot->spare = std::move(dense);
    }
  }
  slot->gradient = Gradient();
  slot->touched.clear();
  slot->touched_known = false;
}

void Tensor::backward() const {
  if (!defined()) throw ValueError("backward: the tensor is undefined");
  if (numel() != 1) {
    throw ValueError(fmt::format("backward: the tensor of shape {} has {} elements; give the gradient of each",
                                 shape().to_string(), numel()));
  }
  backward(ones(shape(), options()));
}

namespace {

// The nodes that still have to run, highest number first. A node's inputs have lower numbers, so when it is its turn
// all gradients it will ever get have arrived.
class Queue {
 public:
  Queue() : heap_(std::move(spare())) { heap_.clear(); }
  ~Queue() {
    for (detail::Node* node : heap_) abandon(node);
    spare() = std::move(heap_);
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  Queue(Queue&&) = delete;
  Queue& operator=(Queue&&) = delete;

  void push(detail::Node* node) {
    if (std::exchange(node->queued, true)) return;
    ++node->references;
    heap_.push_back(node);
    std::push_heap(heap_.begin(), heap_.end(), lower);
  }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  detail::Node* pop() {
    std::pop_heap(heap_.begin(), heap_.end(), lower);
    detail::Node* node = heap_.back();
    heap_.pop_back();
    return node;
  }
  // Forgets what arrived at a node and lets go of it.
  static void abandon(detail::Node* node) {
    for (std::uint32_t i = 0; i < node->output_count; ++i) node->outputs[i].gradient = Tensor();
    node->queued = false;
    detail::release_node(node);
  }

 private:
  static bool lower(const detail::Node* a, const detail::Node* b) { return a->sequence < b->sequence; }
  // Keeps its capacity from one backward to the next.
  static std::vector<detail::Node*>& spare() {
    thread_local std::vector<detail::Node*> heap;
    return heap;
  }
  std::vector<detail::Node*> heap_;
};

struct RunningOp {
  explicit RunningOp(const char* op) : before(std::exchange(running_op, op)) {}
  ~RunningOp() { running_op = before; }
  RunningOp(const RunningOp&) = delete;
  RunningOp& operator=(const RunningOp&) = delete;
  RunningOp(RunningOp&&) = delete;
  RunningOp& operator=(RunningOp&&) = delete;
  const char* before;
};

void run_node(detail::Node& node) {
  const LayerScope layer(node.layer);
  if (node.released) {
    throw ValueError(fmt::format(
        "backward: the graph of {} was run back before, and what it needs is gone; run the forward again", node.op));
  }
  Tensor few[3];
  std::vector<Tensor> many;
  std::span<Tensor> gradients(few, node.output_count);
  if (node.output_count > 3) {
    many.resize(node.output_count);
    gradients = many;
  }
  for (std::size_t i = 0; i < gradients.size(); ++i) gradients[i] = std::move(node.outputs[i].gradient);
  const RunningOp named(node.op);
  InputGradients inputs(node);
  node.run(OutputGradients(gradients), inputs);
}

}  // namespace

void Tensor::backward(const Tensor& gradient) const {
  if (!defined()) throw ValueError("backward: the tensor is undefined");
  if (!gradient.defined()) throw ValueError("backward: the gradient is undefined");
  if (!requires_grad()) {
    throw ValueError(
        fmt::format("backward: the tensor of shape {} does not require a gradient: no op on the tape made it "
                    "(double backward is not supported)",
                    shape().to_string()));
  }
  detail::check_fits(gradient, shape(), dtype(), "the whole graph");
  const NoGrad guard;
  if (detecting_anomalies && first_nan(gradient) >= 0) throw ValueError("backward: the gradient given holds NaN");
  if (state_->node == nullptr) return detail::accumulate_leaf(*state_, gradient);
  Queue queue;
  detail::accumulate(state_->node->outputs[state_->output_index].gradient, gradient);
  queue.push(state_->node);
  while (!queue.empty()) {
    detail::Node* node = queue.pop();
    try {
      run_node(*node);
    } catch (...) {
      // What it had handed on already is forgotten; a node that is queued is cleared with the queue.
      for (std::uint32_t i = 0; i < node->edge_count; ++i) {
        detail::Node* input = node->edges[i].node;
        if (input == nullptr || input->queued) continue;
        for (std::uint32_t k = 0; k < input->output_count; ++k) input->outputs[k].gradient = Tensor();
      }
      Queue::abandon(node);  // may destroy it
      throw;
    }
    for (std::uint32_t i = 0; i < node->edge_count; ++i) {
      detail::Node* input = node->edges[i].node;
      if (input == nullptr) continue;
      const bool reached = std::any_of(input->outputs, input->outputs + input->output_count,
                                       [](const detail::Node::Output& output) { return output.gradient.defined(); });
      if (reached) queue.push(input);
    }
    node->release();
    node->queued = false;
    for (std::uint32_t i = 0; i < node->edge_count; ++i) detail::drop_edge(node->edges[i]);
    detail::release_node(node);
  }
}

}  // namespace embergrad

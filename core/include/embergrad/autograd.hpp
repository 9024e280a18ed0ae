/// @file
/// The tape: how ops are recorded and run back.
///
/// An op computes its output, then hands `record` what backward needs, as a closure. The output owns the node, the node
/// owns its inputs' nodes; what a closure saves is shape, storage and version, never a node. `backward()` runs the
/// reachable nodes in falling order of their numbers, each once, and releases them. A graph belongs to one thread at a
/// time. Reverse mode, first derivatives; a backward through gradients (double backward) is refused.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include <embergrad/row_sparse.hpp>
#include <embergrad/tensor.hpp>

namespace embergrad {

/// True unless this thread is under NoGrad.
[[nodiscard]] bool grad_enabled();

/// While one lives, ops of this thread are not recorded (`torch.no_grad()`).
class NoGrad {
 public:
  /// Recording stops here …
  NoGrad();
  /// … and goes on here, if it was on before.
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;
  NoGrad(NoGrad&&) = delete;
  NoGrad& operator=(NoGrad&&) = delete;

 private:
  bool before_;
};

/// Calls `body` without recording and returns its result.
template <class Body>
decltype(auto) no_grad(Body&& body) {
  const NoGrad guard;
  return std::forward<Body>(body)();
}

/// While one lives, ops of this thread are watched for the first NaN (`torch.autograd.detect_anomaly()`, which watches
/// backward alone). A recorded op whose output holds one, and a backward that hands one on, throw a ValueError that
/// names op, layer (where LayerScope knows it) and position, and tells whether an input held one before. Reads every
/// result once more: for looking into a problem.
class DetectAnomaly {
 public:
  /// Watching starts here …
  DetectAnomaly();
  /// … and ends here, unless it was on before.
  ~DetectAnomaly();
  DetectAnomaly(const DetectAnomaly&) = delete;
  DetectAnomaly& operator=(const DetectAnomaly&) = delete;
  DetectAnomaly(DetectAnomaly&&) = delete;
  DetectAnomaly& operator=(DetectAnomaly&&) = delete;

 private:
  bool before_;
};

/// Calls `body` under DetectAnomaly and returns its result.
template <class Body>
decltype(auto) detect_anomaly(Body&& body) {
  const DetectAnomaly guard;
  return std::forward<Body>(body)();
}

/// Names one input of `record` without copying its handle.
class TensorRef {
 public:
  /// Of a tensor that outlives the call of `record`.
  TensorRef(const Tensor& tensor) : tensor_(&tensor) {}  // NOLINT(google-explicit-constructor)
  /// The tensor.
  [[nodiscard]] const Tensor& get() const { return *tensor_; }

 private:
  const Tensor* tensor_;
};

/// What backward needs of a tensor: its storage, shape and version. `get()` throws if the elements were changed in
/// place since.
class Saved {
 public:
  /// Nothing: for an optional argument that was not given.
  Saved() = default;
  /// Of any tensor, the op's output included. Undefined stays undefined.
  explicit Saved(const Tensor& tensor);
  /// The same, cheaper, for an input of the op: keeps the handle itself. Never for its output, which owns the node that
  /// owns the closure.
  [[nodiscard]] static Saved input(const Tensor& tensor) {
    Saved saved;
    saved.tensor_ = tensor;
    saved.version_ = tensor.defined() ? tensor.version() : 0;
    return saved;
  }
  /// The tensor, off the tape. Error that names the op if it was changed in place after the op.
  [[nodiscard]] const Tensor& get() const {
    if (tensor_.defined() && tensor_.version() != version_) throw_changed();
    return tensor_;
  }
  /// False for an argument that was not given.
  [[nodiscard]] bool defined() const { return tensor_.defined(); }

 private:
  [[noreturn]] void throw_changed() const;
  Tensor tensor_;
  std::uint64_t version_ = 0;
};

/// Where a backward closure finds the gradients that flow into its outputs.
class OutputGradients {
 public:
  /// For the tape: one gradient per output.
  explicit OutputGradients(std::span<const Tensor> gradients) : gradients_(gradients) {}
  /// The gradient of output i; undefined if nothing flowed there, which counts as zero.
  [[nodiscard]] const Tensor& operator[](std::size_t i) const { return gradients_[i]; }
  /// Number of outputs.
  [[nodiscard]] std::size_t size() const { return gradients_.size(); }

 private:
  std::span<const Tensor> gradients_;
};

/// Where a backward closure leaves the gradients of its inputs.
class InputGradients {
 public:
  /// For the tape: the inputs of a recorded op.
  explicit InputGradients(detail::Node& node) : node_(node) {}
  /// True if input i wants a gradient: what isn't wanted needn't be computed.
  [[nodiscard]] bool wants(std::size_t i) const;
  /// @{
  /// Adds to the gradient of input i; ignored if it isn't wanted. ShapeError if it doesn't fit the input.
  void add(std::size_t i, Gradient gradient);
  void add(std::size_t i, Tensor gradient);
  /// @}

 private:
  detail::Node& node_;
};

namespace detail {

/// One recorded op. Lives in pooled memory; counted by one thread at a time.
struct Node {
  struct Edge;
  struct Output;

  virtual void run(const OutputGradients& outputs, InputGradients& inputs) = 0;
  /// Forgets what was saved; the node stays as a mark that backward ran.
  virtual void release() = 0;

  std::uint64_t sequence = 0;
  const char* op = "";
  const char* layer = "";
  std::int32_t references = 0;
  std::uint32_t edge_count = 0;
  std::uint32_t output_count = 0;
  std::size_t bytes = 0;
  bool released = false;
  bool queued = false;
  Edge* edges = nullptr;
  Output* outputs = nullptr;
  Node* next = nullptr;  // in the list of nodes to destroy

 protected:
  Node() = default;
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  friend void destroy(Node* node) noexcept;
};

template <class Backward>
struct NodeOf final : Node {
  explicit NodeOf(Backward&& closure) { new (static_cast<void*>(storage)) Backward(std::move(closure)); }
  ~NodeOf() override { release(); }
  void run(const OutputGradients& outputs_of, InputGradients& inputs) override {
    Backward& closure = *std::launder(reinterpret_cast<Backward*>(storage));
    if constexpr (std::is_invocable_v<Backward&, const OutputGradients&, InputGradients&>) {
      closure(outputs_of, inputs);
    } else if constexpr (std::is_invocable_v<Backward&, const Tensor&, InputGradients&>) {
      closure(outputs_of[0], inputs);
    } else {
      inputs.add(0, closure(outputs_of[0]));
    }
  }
  void release() override {
    if (!released) std::launder(reinterpret_cast<Backward*>(storage))->~Backward();
    released = true;
  }
  alignas(Backward) unsigned char storage[sizeof(Backward)];
};

[[nodiscard]] void* allocate_node(std::size_t node_bytes, std::size_t inputs, std::size_t outputs);
void attach_node(Node* node, std::size_t node_bytes, const char* op, std::span<const TensorRef> inputs,
                 std::span<Tensor> outputs);
[[nodiscard]] bool any_requires_grad(std::span<const TensorRef> inputs);
/// True if the op goes on the tape. Under DetectAnomaly looks at the outputs first.
[[nodiscard]] bool begin_record(const char* op, std::span<const Tensor> outputs, std::span<const TensorRef> inputs);

template <class Backward>
void record_all(const char* op, std::span<Tensor> outputs, std::span<const TensorRef> inputs, Backward&& backward) {
  if (!begin_record(op, outputs, inputs)) return;
  using Closure = std::remove_cvref_t<Backward>;
  using Made = NodeOf<Closure>;
  static_assert(alignof(Made) <= 64);
  void* place = allocate_node(sizeof(Made), inputs.size(), outputs.size());
  attach_node(new (place) Made(Closure(std::forward<Backward>(backward))), sizeof(Made), op, inputs, outputs);
}

}  // namespace detail

/// Puts an op on the tape: `output` was computed from `inputs`, and `backward` knows the derivative. Ops of one's own
/// use it as the library's do:
/// @code
/// Tensor cube(const Tensor& x) {
///   Tensor y = no_grad([&] { return x * x * x; });
///   return record("cube", y, {x}, [x = Saved(x)](const Tensor& grad) { return 3.0 * x.get() * x.get() * grad; });
/// }
/// @endcode
/// @param op  a name that outlives the graph (a literal); errors say it
/// @param output  a fresh tensor, not a view of an input unless backward treats it so
/// @param inputs  the tensors that may want a gradient
/// @param backward  one of: `Gradient(const Tensor& grad)` for one input; `void(const Tensor& grad, InputGradients&)`;
///     `void(const OutputGradients&, InputGradients&)`. Runs under no_grad, at most once. It must not hold `output`.
/// @return `output`, on the tape if recording is on and any input requires a gradient
template <class Backward>
Tensor record(const char* op, Tensor output, std::initializer_list<TensorRef> inputs, Backward&& backward) {
  detail::record_all(op, std::span(&output, 1), std::span(inputs.begin(), inputs.size()),
                     std::forward<Backward>(backward));
  return output;
}
/// The same for inputs whose number is known at run time.
template <class Backward>
Tensor record(const char* op, Tensor output, std::span<const TensorRef> inputs, Backward&& backward) {
  detail::record_all(op, std::span(&output, 1), inputs, std::forward<Backward>(backward));
  return output;
}
/// The same for an op with several outputs, which are put on the tape in place.
template <class Backward>
void record(const char* op, std::span<Tensor> outputs, std::span<const TensorRef> inputs, Backward&& backward) {
  detail::record_all(op, outputs, inputs, std::forward<Backward>(backward));
}

}  // namespace embergrad

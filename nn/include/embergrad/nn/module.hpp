/// @file
/// Module: what layers and models have in common.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <embergrad/device.hpp>
#include <embergrad/dtype.hpp>
#include <embergrad/options.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/tensor.hpp>

namespace embergrad::nn {

class Module;

namespace detail {

/// Where a layer stands in its model. Threads that walk one model at the same time agree on it.
class LayerName {
 public:
  LayerName() = default;
  ~LayerName() = default;
  LayerName(const LayerName& other) : name_(other.get()) {}
  LayerName(LayerName&& other) noexcept : name_(other.get()) {}
  LayerName& operator=(const LayerName& other) {
    name_.store(other.get(), std::memory_order_relaxed);
    return *this;
  }
  LayerName& operator=(LayerName&& other) noexcept {
    name_.store(other.get(), std::memory_order_relaxed);
    return *this;
  }
  /// Lives as long as the process.
  [[nodiscard]] const char* get() const { return name_.load(std::memory_order_relaxed); }
  /// Takes the path of a walk, unless the present one ends in it: walks of a part know less.
  void meet(const std::string& path);

 private:
  std::atomic<const char*> name_{""};
};

}  // namespace detail

/// Walks the parts of a module. `Module::members` calls it once per part with the part's name; the walk itself decides
/// what happens with them. Derive from it for walks of one's own.
class Visitor {
 public:
  Visitor() = default;
  virtual ~Visitor() = default;
  Visitor(const Visitor&) = delete;
  Visitor& operator=(const Visitor&) = delete;
  Visitor(Visitor&&) = delete;
  Visitor& operator=(Visitor&&) = delete;

  /// Names a tensor. An undefined one is left out. ValueError for a name that is empty or holds a dot.
  void operator()(std::string_view name, Tensor& parameter);
  /// Names a module inside; its own parts are named `name.part`.
  void operator()(std::string_view name, Module& child);
  /// Names several parts: `name.0`, `name.1`, …
  template <class Part>
  void operator()(std::string_view name, std::vector<Part>& parts) {
    const Level level(*this, name);
    for (std::size_t i = 0; i < parts.size(); ++i) (*this)(std::to_string(i), parts[i]);
  }
  /// Names a part that may be missing.
  template <class Part>
  void operator()(std::string_view name, std::optional<Part>& part) {
    if (part.has_value()) (*this)(name, *part);
  }
  /// Names a module that is held by pointer, if there is one.
  template <std::derived_from<Module> Child>
  void operator()(std::string_view name, std::unique_ptr<Child>& child) {
    if (child != nullptr) (*this)(name, *child);
  }

 protected:
  /// Called for every tensor with its full name, such as `lstm.weight_ih_l0`.
  virtual void on_parameter(const std::string& path, Tensor& parameter) = 0;
  /// Called for every module inside; goes on to its parts unless overridden.
  virtual void on_module(const std::string& path, Module& child);

 private:
  // Extends the path while it lives.
  class Level {
   public:
    Level(Visitor& visitor, std::string_view name);
    ~Level() { path_.resize(length_); }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    Level(Level&&) = delete;
    Level& operator=(Level&&) = delete;

   private:
    std::string& path_;
    std::size_t length_;
  };
  std::string path_;
};

/// Base of layers and models (`torch.nn.Module`). A model is a struct that holds its layers as members and names them:
/// @code
/// struct Classifier : nn::Module {
///   nn::Linear hidden{20, 30};
///   nn::Linear out{30, 2};
///   void members(nn::Visitor& visit) override {
///     visit("hidden", hidden);
///     visit("out", out);
///   }
///   Tensor forward(const Tensor& x) { return out(relu(hidden(x))); }
/// };
/// @endcode
/// Nothing is registered: all functions below walk `members`. So a model can be copied (the copy shares the tensors, as
/// handles do, but has its own training flags), moved, assigned and kept in vectors; `clone` copies the tensors too.
/// Walks follow the order in which the parts are named.
class Module {
 public:
  virtual ~Module() = default;

  /// Names the parts. Tensors are parameters; integer tensors are saved and loaded, but are none.
  virtual void members(Visitor& visit) = 0;

  /// The floating tensors, each once, also if it is tied and has several names: what an optimizer takes. Frozen ones
  /// (`requires_grad` false) are among them; they get no gradient and are left alone.
  [[nodiscard]] std::vector<Tensor> parameters() const;
  /// The same with their names; a tied tensor has its first.
  [[nodiscard]] std::vector<std::pair<std::string, Tensor>> named_parameters() const;
  /// All tensors under all their names, as PyTorch names them: what is saved. The handles are the module's own, so
  /// later changes are seen. ValueError if two parts have one name.
  [[nodiscard]] StateDict state_dict() const;
  /// Copies tensors in by name, converting dtype. Strict: missing names, unexpected ones and shapes that differ are
  /// reported together (ValueError or ShapeError), and nothing is changed then.
  void load_state_dict(const StateDict& state);

  /// Moves all tensors, in all handles on them: optimizers follow. Gradients are dropped. DeviceError if the device is
  /// not there.
  Module& to(Device device);
  /// Converts the floating tensors, in all handles on them: optimizers follow. Gradients are dropped.
  Module& to(DType dtype);
  /// Says whether this module and all inside are training (dropout acts) or evaluated.
  Module& train(bool mode = true);
  /// `train(false)`
  Module& eval() { return train(false); }
  /// True in training, as a new module is; false after `eval()`.
  [[nodiscard]] bool is_training() const { return training_; }
  /// Drops the gradients of all parameters; without `set_to_none`, those that are there become zeros.
  void zero_grad(bool set_to_none = true);
  /// Freezes (false) or unfreezes all parameters.
  Module& set_requires_grad(bool requires_grad = true);

  /// Where this layer stands in its model, such as `encoder.0`, once a walk (`parameters`, `state_dict`, `eval`, …) has
  /// met it; "" before. Errors inside a LayerScope of that name say it: the library's layers open one in their forward.
  [[nodiscard]] const char* layer_name() const { return layer_name_.get(); }

  /// One line without the parts inside, such as `Linear(20, 30)`; the type's name unless overridden.
  [[nodiscard]] virtual std::string describe() const;

 protected:
  Module() = default;
  Module(const Module&) = default;
  Module(Module&&) = default;
  Module& operator=(const Module&) = default;
  Module& operator=(Module&&) = default;

 private:
  friend class Visitor;
  bool training_ = true;
  detail::LayerName layer_name_;
};

/// The module and all inside, one line each:
/// @code{.txt}
/// LstmTagger(
///   (word_embeddings): Embedding(10000, 64, padding_idx=0)
///   (lstm): LSTM(64, 128, bidirectional=True)
///   (hidden2tag): Linear(256, 17)
/// )
/// @endcode
std::ostream& operator<<(std::ostream& out, const Module& module);

namespace detail {
/// Gives a module copies of its tensors: one for each, however many names it has.
void unshare(Module& module);
}  // namespace detail

/// A copy with tensors of its own: same values, same `requires_grad`, same frozen rows, no gradients. Tensors that were
/// tied are tied in the copy; those that merely share storage are not.
template <std::derived_from<Module> M>
[[nodiscard]] M clone(const M& module) {
  M copy(module);
  detail::unshare(copy);
  return copy;
}

}  // namespace embergrad::nn

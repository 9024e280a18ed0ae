/// @file
/// Containers: Sequential and ModuleList.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <embergrad/nn/module.hpp>

namespace embergrad::nn {

namespace detail {
template <class Layer>
concept Called = requires(Layer& layer, const Tensor& x) {
  { layer(x) } -> std::convertible_to<Tensor>;
};
template <class Layer>
concept Forwarded = requires(Layer& layer, const Tensor& x) {
  { layer.forward(x) } -> std::convertible_to<Tensor>;
};
}  // namespace detail

/// Layers one after the other (`torch.nn.Sequential`): modules with a call or a `forward` from Tensor to Tensor, and
/// plain functions. Named "0", "1", … as they stand; functions count.
/// @code
/// nn::Sequential net(nn::Linear(20, 30), [](const Tensor& x) { return relu(x); }, nn::Linear(30, 2));
/// @endcode
/// A copy shares the tensors, but has layers, and so training flags, of its own.
class Sequential : public Module {
 public:
  /// No layers: gives its input.
  Sequential() = default;
  /// Takes the layers over.
  template <class... Layers>
  requires(sizeof...(Layers) > 0 && (!std::same_as<Layers, Sequential> || ...)) explicit Sequential(Layers... layers) {
    (append(std::move(layers)), ...);
  }
  /// Layers of its own on the same tensors.
  Sequential(const Sequential& other) : Module(other) {
    for (const auto& slot : other.slots_) slots_.push_back(slot->copy());
  }
  Sequential(Sequential&&) = default;
  /// Takes the layers of `other`, or of its copy.
  Sequential& operator=(Sequential other) noexcept {
    Module::operator=(other);
    slots_ = std::move(other.slots_);
    return *this;
  }
  ~Sequential() override = default;

  /// Adds a layer at the end.
  template <class Layer>
  requires(detail::Called<Layer> || detail::Forwarded<Layer>) Sequential& append(Layer layer) {
    slots_.push_back(std::make_unique<SlotOf<Layer>>(std::move(layer)));
    return *this;
  }

  /// Runs all layers.
  [[nodiscard]] Tensor operator()(Tensor input) {
    for (const auto& slot : slots_) input = slot->call(input);
    return input;
  }

  /// Number of layers.
  [[nodiscard]] std::size_t size() const { return slots_.size(); }
  /// Layer i, if it is of this type; else null.
  template <class Layer>
  [[nodiscard]] Layer* get(std::size_t i) {
    auto* slot = i < slots_.size() ? dynamic_cast<SlotOf<Layer>*>(slots_[i].get()) : nullptr;
    return slot == nullptr ? nullptr : &slot->layer;
  }

  void members(Visitor& visit) override {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (Module* module = slots_[i]->module()) visit(std::to_string(i), *module);
    }
  }

 private:
  struct Slot {
    Slot() = default;
    virtual ~Slot() = default;
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    Slot(Slot&&) = delete;
    Slot& operator=(Slot&&) = delete;
    virtual Tensor call(const Tensor& input) = 0;
    virtual Module* module() = 0;
    [[nodiscard]] virtual std::unique_ptr<Slot> copy() const = 0;
  };
  template <class Layer>
  struct SlotOf final : Slot {
    explicit SlotOf(Layer given) : layer(std::move(given)) {}
    Tensor call(const Tensor& input) override {
      if constexpr (detail::Called<Layer>) {
        return layer(input);
      } else {
        return layer.forward(input);
      }
    }
    Module* module() override {
      if constexpr (std::derived_from<Layer, Module>) {
        return &layer;
      } else {
        return nullptr;
      }
    }
    [[nodiscard]] std::unique_ptr<Slot> copy() const override { return std::make_unique<SlotOf>(layer); }
    Layer layer;
  };

  std::vector<std::unique_ptr<Slot>> slots_;
};

/// Modules of one type in a row (`torch.nn.ModuleList`), named "0", "1", …
template <std::derived_from<Module> M>
class ModuleList : public Module {
 public:
  /// No modules.
  ModuleList() = default;
  /// Takes the modules over.
  explicit ModuleList(std::vector<M> modules) : modules_(std::move(modules)) {}

  /// Adds a module at the end.
  void push_back(M module) { modules_.push_back(std::move(module)); }
  /// Makes a module at the end.
  template <class... Arguments>
  M& emplace_back(Arguments&&... arguments) {
    return modules_.emplace_back(std::forward<Arguments>(arguments)...);
  }
  /// Number of modules.
  [[nodiscard]] std::size_t size() const { return modules_.size(); }
  /// True if there are none.
  [[nodiscard]] bool empty() const { return modules_.empty(); }
  /// @{
  /// Module i, in [0, size); not checked.
  [[nodiscard]] M& operator[](std::size_t i) { return modules_[i]; }
  [[nodiscard]] const M& operator[](std::size_t i) const { return modules_[i]; }
  /// @}
  /// @{
  /// Walks the modules.
  [[nodiscard]] auto begin() { return modules_.begin(); }
  [[nodiscard]] auto end() { return modules_.end(); }
  [[nodiscard]] auto begin() const { return modules_.begin(); }
  [[nodiscard]] auto end() const { return modules_.end(); }
  /// @}

  void members(Visitor& visit) override {
    for (std::size_t i = 0; i < modules_.size(); ++i) visit(std::to_string(i), modules_[i]);
  }

 private:
  std::vector<M> modules_;
};

}  // namespace embergrad::nn

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn/module.hpp>

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <ostream>
#include <set>
#include <typeinfo>

namespace embergrad::nn {

// --- names

void detail::LayerName::meet(const std::string& path) {
  const std::string_view now = get();
  const bool known = now.ends_with(path) && (now.size() == path.size() || now[now.size() - path.size() - 1] == '.');
  if (known) return;
  // Names are few, and tapes and threads hold on to them: they are never freed.
  static std::mutex guard;
  static std::set<std::string>& names = *new std::set<std::string>;
  const std::lock_guard lock(guard);
  name_.store(names.insert(path).first->c_str(), std::memory_order_relaxed);
}

// --- Visitor

Visitor::Level::Level(Visitor& visitor, std::string_view name) : path_(visitor.path_), length_(visitor.path_.size()) {
  if (name.empty() || name.find('.') != std::string_view::npos) {
    throw ValueError(fmt::format("Module: a part's name must not be empty or hold a dot, but is \"{}\"", name));
  }
  if (!path_.empty()) path_ += '.';
  path_ += name;
}

void Visitor::operator()(std::string_view name, Tensor& parameter) {
  if (!parameter.defined()) return;
  const Level level(*this, name);
  on_parameter(path_, parameter);
}

void Visitor::operator()(std::string_view name, Module& child) {
  const Level level(*this, name);
  child.layer_name_.meet(path_);
  on_module(path_, child);
}

void Visitor::on_module(const std::string&, Module& child) { child.members(*this); }

namespace {

// Calls a function for every tensor.
template <class Body>
class EachTensor final : public Visitor {
 public:
  explicit EachTensor(Body body) : body_(std::move(body)) {}

 private:
  void on_parameter(const std::string& path, Tensor& parameter) override { body_(path, parameter); }
  Body body_;
};

template <class Body>
void each_tensor(Module& module, Body body) {
  EachTensor<Body> visit(std::move(body));
  module.members(visit);
}

// For walks that only read: `members` hands out references, but changes nothing itself.
template <class Body>
void each_tensor(const Module& module, Body body) {
  each_tensor(const_cast<Module&>(module), std::move(body));
}

// A leaf like `like` in what isn't elements.
Tensor leaf_like(const Tensor& elements, const Tensor& like) {
  Tensor leaf = elements.detach();
  leaf.set_requires_grad(like.requires_grad());
  for (const std::int64_t row : embergrad::detail::frozen_rows(like)) embergrad::detail::freeze_row(leaf, row);
  return leaf;
}

// The type's name without namespaces.
std::string type_name(const Module& module) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(typeid(module).name(), nullptr, nullptr, &status), std::free);
  if (name == nullptr) return "Module";
  const std::string_view full(name.get());
  // What stands before the template arguments decides where the name begins.
  const std::size_t end = std::min(full.find('<'), full.size());
  const std::size_t colon = full.rfind(':', end);
  return std::string(full.substr(colon == std::string_view::npos || colon > end ? 0 : colon + 1));
}

class Printer final : public Visitor {
 public:
  explicit Printer(std::ostream& out) : out_(out) {}

  void print(Module& module) {
    const bool outer_has_parts = std::exchange(has_parts_, false);
    ++depth_;
    out_ << module.describe();
    module.members(*this);
    --depth_;
    if (has_parts_) {
      indent();
      out_ << ')';
    }
    has_parts_ = outer_has_parts;
  }

 private:
  void on_parameter(const std::string&, Tensor&) override {}
  void on_module(const std::string& path, Module& child) override {
    if (!std::exchange(has_parts_, true)) out_ << '(';
    indent();
    out_ << '(' << path.substr(prefix_) << "): ";
    const std::size_t outer = std::exchange(prefix_, path.size() + 1);
    print(child);
    prefix_ = outer;
  }
  void indent() { out_ << '\n' << std::string(2 * depth_, ' '); }

  std::ostream& out_;
  std::size_t depth_ = 0;
  std::size_t prefix_ = 0;
  bool has_parts_ = false;
};

}  // namespace

// --- Module

std::vector<std::pair<std::string, Tensor>> Module::named_parameters() const {
  std::vector<std::pair<std::string, Tensor>> found;
  each_tensor(*this, [&](const std::string& path, Tensor& tensor) {
    const auto same = [&](const auto& entry) { return entry.second.state() == tensor.state(); };
    if (is_floating(tensor.dtype()) && std::ranges::none_of(found, same)) found.emplace_back(path, tensor);
  });
  return found;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> found;
  each_tensor(*this, [&](const std::string&, Tensor& tensor) {
    const auto same = [&](const Tensor& other) { return other.state() == tensor.state(); };
    if (is_floating(tensor.dtype()) && std::ranges::none_of(found, same)) found.push_back(tensor);
  });
  return found;
}

StateDict Module::state_dict() const {
  StateDict state;
  each_tensor(*this, [&](const std::string& path, Tensor& tensor) {
    if (state.contains(path)) throw ValueError(fmt::format("state_dict: two parts are named \"{}\"", path));
    state.set(path, tensor);
  });
  return state;
}

void Module::load_state_dict(const StateDict& state) { load_into(state_dict(), state); }

Module& Module::to(Device device) {
  each_tensor(*this, [&](const std::string&, Tensor& tensor) {
    if (tensor.device() != device) embergrad::detail::adopt(tensor, no_grad([&] { return tensor.to(device); }));
  });
  return *this;
}

Module& Module::to(DType dtype) {
  if (!is_floating(dtype)) {
    throw DTypeError(fmt::format("Module::to: dtype must be floating, but is {}", name_of(dtype)));
  }
  each_tensor(*this, [&](const std::string&, Tensor& tensor) {
    if (tensor.dtype() == dtype || !is_floating(tensor.dtype())) return;
    embergrad::detail::adopt(tensor, no_grad([&] { return tensor.to(dtype); }));
  });
  return *this;
}

Module& Module::train(bool mode) {
  class Walk final : public Visitor {
   public:
    explicit Walk(bool training) : training_(training) {}
    void on_parameter(const std::string&, Tensor&) override {}
    void on_module(const std::string&, Module& child) override {
      child.training_ = training_;
      child.members(*this);
    }

   private:
    bool training_;
  };
  training_ = mode;
  Walk walk(mode);
  members(walk);
  return *this;
}

void Module::zero_grad(bool set_to_none) {
  each_tensor(*this, [&](const std::string&, Tensor& tensor) { tensor.zero_grad(set_to_none); });
}

Module& Module::set_requires_grad(bool requires_grad) {
  each_tensor(*this, [&](const std::string&, Tensor& tensor) {
    if (is_floating(tensor.dtype())) tensor.set_requires_grad(requires_grad);
  });
  return *this;
}

std::string Module::describe() const { return type_name(*this); }

std::ostream& operator<<(std::ostream& out, const Module& module) {
  // Printing reads; `members` can't be const, as it names parts for walks that write.
  Printer(out).print(const_cast<Module&>(module));
  return out;
}

void detail::unshare(Module& module) {
  std::vector<std::pair<Tensor, Tensor>> copies;
  each_tensor(module, [&](const std::string&, Tensor& tensor) {
    const auto known =
        std::ranges::find_if(copies, [&](const auto& pair) { return pair.first.state() == tensor.state(); });
    if (known != copies.end()) {
      tensor = known->second;
      return;
    }
    const Tensor copy = no_grad([&] { return leaf_like(tensor.clone(), tensor); });
    copies.emplace_back(tensor, copy);
    tensor = copy;
  });
}

}  // namespace embergrad::nn

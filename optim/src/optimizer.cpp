#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/optim/optimizer.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <set>
#include <utility>

#include "src/tensor_state.hpp"

namespace embergrad::optim {
namespace {

constexpr std::int64_t layout_version = 1;

std::string options_text(const char* name, const std::vector<double>& values, bool is_flag) {
  if (is_flag) return fmt::format("{}={}", name, values[0] != 0 ? "True" : "False");
  if (values.size() == 1) return fmt::format("{}={}", name, values[0]);
  return fmt::format("{}=({})", name, fmt::join(values, ", "));
}

}  // namespace

// --- groups

void Optimizer::add_group(const std::vector<Tensor>& parameters) {
  const std::size_t group = group_sizes_.size();
  std::vector<const void*> known;
  known.reserve(entries_.size() + parameters.size());
  for (const Entry& entry : entries_) known.push_back(entry.parameter.state());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& parameter = parameters[i];
    const auto place = [&] { return fmt::format("{}: parameter {} of group {}", name(), i, group); };
    if (!parameter.defined()) throw ValueError(fmt::format("{} is undefined", place()));
    if (parameter.dtype() > DType::float64) {
      throw DTypeError(fmt::format("{} must be float32 or float64, but is {}", place(), name_of(parameter.dtype())));
    }
    if (!parameter.is_leaf()) {
      throw ValueError(fmt::format("{} must be a leaf, but is the result of an op on the tape", place()));
    }
    known.push_back(parameter.state());
  }
  std::ranges::sort(known);
  if (std::ranges::adjacent_find(known) != known.end()) {
    throw ValueError(
        fmt::format("{}: a parameter of group {} is given twice, there or in an earlier group", name(), group));
  }
  for (const Tensor& parameter : parameters) {
    Entry& entry = entries_.emplace_back();
    entry.parameter = parameter;
    entry.group = group;
  }
  group_sizes_.push_back(parameters.size());
}

void Optimizer::check_not_empty() const {
  if (entries_.empty())
    throw ValueError(fmt::format("{}: there must be at least one parameter, but there is none", name()));
}

void Optimizer::check_group(std::size_t group) const {
  if (group >= group_sizes_.size()) {
    throw IndexError(fmt::format("{}: group is {}, but there are {}", name(), group, group_sizes_.size()));
  }
}

std::vector<Tensor> Optimizer::parameters(std::size_t group) const {
  check_group(group);
  std::vector<Tensor> found;
  for (const Entry& entry : entries_) {
    if (entry.group == group) found.push_back(entry.parameter);
  }
  return found;
}

double Optimizer::lr(std::size_t group) const {
  check_group(group);
  return group_options(group).front().values.front();
}

void Optimizer::set_lr(double lr, std::size_t group) {
  check_group(group);
  if (!(std::isfinite(lr) && lr >= 0)) {
    throw ValueError(fmt::format("{}: lr must be finite and not negative, but is {}", name(), lr));
  }
  std::vector<Option> options = group_options(group);
  options.front().values.front() = lr;
  take_options(group, options, true);
}

// --- steps

void Optimizer::zero_grad() {
  for (Entry& entry : entries_) entry.parameter.zero_grad();
}

void Optimizer::step() {
  const NoGrad guard;
  for (std::size_t i = 0; i < entries_.size(); ++i) prepare(i);
  for (Entry& entry : entries_) {
    if (entry.parameter.grad().defined()) apply(entry);
  }
}

// All that can fail: checks, and memory for new state.
void Optimizer::prepare(std::size_t index) {
  Entry& entry = entries_[index];
  const Tensor& parameter = entry.parameter;
  const Gradient& gradient = parameter.grad();
  if (!gradient.defined()) return;
  const auto place = [&] { return fmt::format("{}: parameter {}", name(), index); };
  if (gradient.is_sparse()) {
    throw ValueError(fmt::format("{} has a sparse gradient; sparse gradients are not supported", place()));
  }
  if (parameter.dtype() > DType::float64) {
    throw DTypeError(
        fmt::format("{} must be float32 or float64, but has become {}", place(), name_of(parameter.dtype())));
  }
  const Tensor& grad = gradient.dense();
  if (grad.shape() != parameter.shape()) {
    throw ShapeError(fmt::format("{} has shape {}, but its gradient has {}", place(), parameter.shape().to_string(),
                                 grad.shape().to_string()));
  }
  if (grad.dtype() != parameter.dtype()) {
    throw DTypeError(
        fmt::format("{} is {}, but its gradient is {}", place(), name_of(parameter.dtype()), name_of(grad.dtype())));
  }
  if (grad.device() != parameter.device()) {
    throw DeviceError(fmt::format("{} is on {}, but its gradient on {}", place(), parameter.device().to_string(),
                                  grad.device().to_string()));
  }
  for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
    const Tensor& slot = entry.slots[s];
    Tensor& spare = entry.spares[s];
    spare = {};
    if (!needs_slot(entry.group, s)) continue;
    if (!slot.defined()) {
      spare = zeros_like(parameter);
    } else if (slot.shape() != parameter.shape()) {
      throw ShapeError(fmt::format("{} has shape {}, but its {} has {}", place(), parameter.shape().to_string(),
                                   layout_.slots[s], slot.shape().to_string()));
    } else if (slot.dtype() != parameter.dtype() || slot.device() != parameter.device()) {
      // The parameter was converted or moved; its state follows.
      spare = slot.to(parameter.dtype()).to(parameter.device());
    }
  }
}

void Optimizer::apply(Entry& entry) {
  Tensor& parameter = entry.parameter;
  const Tensor& grad = parameter.grad().dense();
  const bool first = !entry.slots[0].defined();
  for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
    if (entry.spares[s].defined()) entry.slots[s] = std::exchange(entry.spares[s], {});
  }
  if (layout_.counts_steps) ++entry.steps;
  embergrad::detail::begin_change(name(), parameter);

  // The list of frozen rows belongs to the storage, whose rows begin before those of a view with an offset.
  const std::int64_t rows = parameter.dim() == 0 ? 1 : parameter.size(0);
  const std::int64_t width = rows == 0 ? 0 : parameter.numel() / rows;
  const std::int64_t row_offset = width == 0 ? 0 : parameter.state()->offset / width;
  std::int64_t begin = 0;
  const auto run_to = [&](std::int64_t end) {
    if (end > begin) update({entry, grad, first, begin, end - begin});
  };
  for (const std::int64_t frozen : embergrad::detail::frozen_rows(parameter)) {
    const std::int64_t row = frozen - row_offset;
    if (row < 0 || row >= rows) continue;
    run_to(row * width);
    begin = (row + 1) * width;
  }
  run_to(parameter.numel());
}

// --- state

Tensor Optimizer::step_tensor(const Entry& entry) const { return tensor(static_cast<double>(entry.steps)); }

Tensor Optimizer::state(std::size_t parameter, std::string_view wanted) const {
  if (parameter >= entries_.size()) {
    throw IndexError(fmt::format("{}: parameter is {}, but there are {}", name(), parameter, entries_.size()));
  }
  const Entry& entry = entries_[parameter];
  if (layout_.counts_steps && wanted == "step") return entry.steps == 0 ? Tensor() : step_tensor(entry);
  for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
    if (wanted == layout_.slots[s]) return entry.slots[s];
  }
  throw ValueError(fmt::format("{}: there is no state named \"{}\"; there is {}{}", name(), wanted,
                               layout_.counts_steps ? "step, " : "", fmt::join(layout_.slots, ", ")));
}

StateDict Optimizer::state_dict() const {
  StateDict state;
  state.set(fmt::format("optimizer.{}", name()), tensor(layout_version));
  std::size_t next = 0;
  for (std::size_t g = 0; g < group_sizes_.size(); ++g) {
    std::vector<std::int64_t> indices(group_sizes_[g]);
    for (std::int64_t& index : indices) index = static_cast<std::int64_t>(next++);
    state.set(fmt::format("param_groups.{}.params", g), tensor(indices));
    for (const Option& option : group_options(g)) {
      const Shape shape = option.values.size() == 1 ? Shape{} : Shape{static_cast<std::int64_t>(option.values.size())};
      state.set(fmt::format("param_groups.{}.{}", g, option.name), tensor(option.values, shape));
    }
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (entry.steps > 0) state.set(fmt::format("state.{}.step", i), step_tensor(entry));
    for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
      if (entry.slots[s].defined()) state.set(fmt::format("state.{}.{}", i, layout_.slots[s]), entry.slots[s]);
    }
  }
  return state;
}

void Optimizer::load_state_dict(const StateDict& source) {
  std::vector<std::string> problems;
  std::set<std::string> known;
  const auto find = [&](const std::string& key) -> const Tensor* {
    known.insert(key);
    if (!source.contains(key)) return nullptr;
    if (source.at(key).defined()) return &source.at(key);
    problems.push_back(fmt::format("{} is undefined", key));
    return nullptr;
  };

  const std::string type_key = fmt::format("optimizer.{}", name());
  if (!source.contains(type_key)) {
    std::string other = "of no optimizer";
    for (const auto& [key, value] : source) {
      if (key.starts_with("optimizer.")) other = fmt::format("of {}", key.substr(key.find('.') + 1));
    }
    throw ValueError(fmt::format("{}: load_state_dict: the state is {}, not of {}", name(), other, name()));
  }
  if (const Tensor* version = find(type_key); version != nullptr) {
    if (version->numel() != 1 || version->item<std::int64_t>() != layout_version) {
      problems.push_back(fmt::format("{} must be {}, the version of the layout", type_key, layout_version));
    }
  }

  std::vector<std::vector<Option>> options(group_sizes_.size());
  std::size_t next = 0;
  for (std::size_t g = 0; g < group_sizes_.size(); ++g) {
    const std::string indices_key = fmt::format("param_groups.{}.params", g);
    const Tensor* indices = find(indices_key);
    std::vector<std::int64_t> expected(group_sizes_[g]);
    for (std::int64_t& index : expected) index = static_cast<std::int64_t>(next++);
    if (indices == nullptr) {
      problems.push_back(fmt::format("{} is missing", indices_key));
    } else if (indices->to_vector<std::int64_t>() != expected) {
      problems.push_back(
          fmt::format("group {} must have {} parameters, but has {}", g, expected.size(), indices->numel()));
    }
    options[g] = group_options(g);
    bool complete = true;
    for (Option& option : options[g]) {
      const std::string key = fmt::format("param_groups.{}.{}", g, option.name);
      const Tensor* values = find(key);
      complete = complete && values != nullptr;
      if (values == nullptr) {
        problems.push_back(fmt::format("{} is missing", key));
      } else if (values->numel() != static_cast<std::int64_t>(option.values.size())) {
        problems.push_back(fmt::format("{} must have {} numbers, but has shape {}", key, option.values.size(),
                                       values->shape().to_string()));
        complete = false;
      } else {
        option.values = values->to_vector<double>();
      }
    }
    if (!complete) continue;
    for (const std::string& problem : take_options(g, options[g], false)) {
      problems.push_back(fmt::format("group {}: {}", g, problem));
    }
  }

  std::vector<Entry> entries(entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries[i];
    entry.parameter = entries_[i].parameter;
    entry.group = entries_[i].group;
    const Shape& shape = entry.parameter.shape();
    const std::string prefix = fmt::format("state.{}.", i);
    for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
      const Tensor* slot = find(prefix + layout_.slots[s]);
      if (slot == nullptr) continue;
      if (slot->shape() != shape) {
        problems.push_back(fmt::format("{}{} must have shape {}, but has {}", prefix, layout_.slots[s],
                                       shape.to_string(), slot->shape().to_string()));
      } else if (!is_floating(slot->dtype())) {
        problems.push_back(
            fmt::format("{}{} must be floating, but is {}", prefix, layout_.slots[s], name_of(slot->dtype())));
      } else {
        entry.slots[s] =
            no_grad([&] { return slot->detach().to(entry.parameter.dtype()).to(entry.parameter.device()).clone(); });
      }
    }
    if (!layout_.counts_steps) continue;
    const Tensor* step = find(prefix + "step");
    if (step != nullptr) {
      const double steps = step->numel() == 1 ? step->item() : -1;
      if (!(steps >= 0 && steps == std::floor(steps) && steps < 0x1p62)) {
        problems.push_back(fmt::format("{}step must be one whole number that is not negative", prefix));
      } else {
        entry.steps = static_cast<std::int64_t>(steps);
      }
    }
    const bool has_first = source.contains(prefix + layout_.slots[0]);
    const bool has_second = source.contains(prefix + layout_.slots[1]);
    const bool has_any = has_first || has_second || step != nullptr || source.contains(prefix + layout_.slots[2]);
    if (has_any && !(has_first && has_second && step != nullptr)) {
      problems.push_back(
          fmt::format("{}step, {} and {} must be there together", prefix, layout_.slots[0], layout_.slots[1]));
    }
  }

  std::vector<std::string> unexpected;
  for (const auto& [key, value] : source) {
    if (!known.contains(key)) unexpected.push_back(key);
  }
  if (!unexpected.empty()) problems.push_back(fmt::format("unexpected: {}", fmt::join(unexpected, ", ")));
  if (!problems.empty()) {
    throw ValueError(fmt::format("{}: load_state_dict: {}", name(), fmt::join(problems, "; ")));
  }
  for (std::size_t g = 0; g < options.size(); ++g) take_options(g, options[g], true);
  entries_ = std::move(entries);
}

// --- printing

void Optimizer::print(std::ostream& out) const {
  out << name();
  for (std::size_t g = 0; g < group_sizes_.size(); ++g) {
    std::int64_t elements = 0;
    for (const Entry& entry : entries_) elements += entry.group == g ? entry.parameter.numel() : 0;
    out << fmt::format("\n  group {}: {} parameters, {} elements", g, group_sizes_[g], elements);
    for (const Option& option : group_options(g)) {
      out << ", " << options_text(option.name, option.values, option.is_flag);
    }
  }
}

std::ostream& operator<<(std::ostream& out, const Optimizer& optimizer) {
  optimizer.print(out);
  return out;
}

}  // namespace embergrad::optim

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/optim/optimizer_of.hpp>
#include <embergrad/warning.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>
#include <set>
#include <utility>

#include "kernels/update.hpp"
#include "norm_terms.hpp"
#include "row_clock.hpp"
#include "src/index_watch.hpp"
#include "src/row_sparse.hpp"
#include "src/tensor_state.hpp"
#include "step_plan.hpp"
#include "views.hpp"

namespace embergrad::optim {
namespace {

constexpr std::int64_t layout_version = 2;  // 1 knew no `updates`

// True if a table has become longer than a slot made for it, which should have another shape now.
bool has_grown(const Shape& slot, const Shape& wanted, std::int64_t dim) {
  if (dim != 2 || slot.rank() != wanted.rank() || slot[0] >= wanted[0]) return false;
  return slot.rank() == 1 || slot[1] == wanted[1];
}

std::string options_text(const char* name, const std::vector<double>& values, std::span<const char* const> words) {
  if (!words.empty()) return fmt::format("{}={}", name, words[static_cast<std::size_t>(values[0])]);
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
    if (!is_floating(parameter.dtype())) {
      throw DTypeError(fmt::format("{} must be floating, but is {}", place(), name_of(parameter.dtype())));
    }
    if (!parameter.is_leaf()) {
      throw ValueError(fmt::format("{} must be a leaf, but is the result of an op on the tape", place()));
    }
    if (layout_.one_per_row && parameter.dim() != 2) {
      throw ShapeError(fmt::format("{} must have rank 2, but has shape {}", place(), parameter.shape().to_string()));
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
  initial_lrs_.emplace_back();
}

Shape Optimizer::slot_shape(const Tensor& parameter) const {
  return layout_.one_per_row ? Shape{parameter.size(0)} : parameter.shape();
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

void Optimizer::check_no_problems(std::size_t group, const std::vector<std::string>& problems) const {
  if (!problems.empty()) throw ValueError(fmt::format("{}: group {}: {}", name(), group, fmt::join(problems, "; ")));
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
  return *find_number(group, "lr");
}

void Optimizer::set_lr(double lr, std::size_t group) {
  check_group(group);
  if (!(std::isfinite(lr) && lr >= 0)) {
    throw ValueError(fmt::format("{}: lr must be finite and not negative, but is {}", name(), lr));
  }
  set_number(group, "lr", lr);
}

void Optimizer::set_number(std::size_t group, std::string_view name, double value) {
  // The options are this object's own, which is not const here.
  *const_cast<double*>(find_number(group, name)) = value;
}

std::optional<double> Optimizer::initial_lr(std::size_t group) const {
  check_group(group);
  return initial_lrs_[group];
}

// --- steps

void Optimizer::zero_grad(bool set_to_none) {
  for (Entry& entry : entries_) entry.parameter.zero_grad(set_to_none);
}

bool Optimizer::step() {
  const NoGrad guard;
  for (const Entry& entry : entries_) embergrad::detail::report_watched_indices(entry.parameter.device());
  try {
    for (std::size_t i = 0; i < entries_.size(); ++i) prepare(i);
  } catch (...) {
    drop_what_is_prepared();
    throw;
  }
  if (skip_nonfinite_ && has_nonfinite_gradient()) {
    drop_what_is_prepared();
    ++skipped_;
    return false;
  }
  for (Entry& entry : entries_) {
    if (entry.parameter.grad().defined()) apply(entry);
  }
  for (const Entry& entry : entries_) warn_of_replay(entry);
  return true;
}

void Optimizer::drop_what_is_prepared() {
  for (Entry& entry : entries_) {
    entry.dense_grad = {};
    entry.spares = {};
  }
}

bool Optimizer::has_nonfinite_gradient() const {
  std::vector<Tensor> all;
  for (const Entry& entry : entries_) {
    const Gradient& gradient = entry.parameter.grad();
    if (gradient.defined()) all.push_back(gradient.is_sparse() ? gradient.rows().values() : gradient.dense());
  }
  return !std::isfinite(detail::norm_terms(all, INFINITY).item());
}

Optimizer::Way Optimizer::way_of(const Entry& entry, const detail::StepPlan& plan) const {
  const Gradient& gradient = entry.parameter.grad();
  if (!gradient.defined()) return Way::none;
  if (!gradient.is_sparse()) return Way::dense;
  const Updates mode = updates(entry.group);
  if (mode == Updates::dense || (mode == Updates::exact && entry.is_shared)) return Way::dense;
  if (mode == Updates::touched_only || std::holds_alternative<detail::NoTime>(plan.time)) return Way::rows;
  if (std::holds_alternative<detail::WholeTable>(plan.time)) return Way::dense;
  return entry.parameter.numel() == 0 ? Way::rows : Way::deferred_rows;
}

// Two parameters with one storage move the same rows, each in its own way: no span describes both. True if that comes
// to light now, and then both take all rows at every step.
bool Optimizer::meets_its_like(std::size_t index, Way way) {
  Entry& entry = entries_[index];
  const bool begins = way == Way::deferred_rows && entry.deferral == nullptr;
  const auto clock = embergrad::detail::deferral_of(*entry.parameter.state()->storage);
  const bool deferred = clock != nullptr && (entry.deferral == nullptr || entry.deferral->clock != clock);
  if (!begins && !deferred) return false;
  bool found = false;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& other = entries_[i];
    if (i == index || !other.parameter.shares_storage_with(entry.parameter)) continue;
    if (other.deferral == nullptr && !other.parameter.grad().defined()) continue;
    entry.is_shared = other.is_shared = true;
    if (other.deferral != nullptr) other.deferral->end();
    other.deferral.reset();
    prepare(i);
    found = true;
  }
  return found;
}

// Brings a table up to date that another optimizer defers, who loses it.
void Optimizer::take_over(const Tensor& parameter) {
  embergrad::detail::Storage& storage = *parameter.state()->storage;
  if (embergrad::detail::deferral_of(storage) == nullptr) return;
  embergrad::detail::settle_rows(parameter);
  embergrad::detail::defer_rows(storage, nullptr);
  if (std::exchange(has_warned_of_owner_, true)) return;
  embergrad::detail::warn(fmt::format("{}: a table of shape {} was stepped by another optimizer; its rows were brought "
                                      "up to date",
                                      name(), parameter.shape().to_string())
                              .c_str());
}

// A slot as long as its parameter, which may have grown since the last step.
Tensor Optimizer::up_to_size(const Entry& entry, std::size_t slot) const {
  const Tensor& present = entry.slots[slot];
  const Shape wanted = slot_shape(entry.parameter);
  if (!present.defined() || !has_grown(present.shape(), wanted, entry.parameter.dim())) return present;
  const NoGrad guard;
  Tensor longer = full(wanted, slot_start(entry.group, slot), present.options());
  narrow(longer, 0, 0, present.size(0)).copy_from(present);
  return longer;
}

// Whether idle rows of a parameter would live through their steps one by one.
bool Optimizer::replays(const Entry& entry) const {
  if (entry.parameter.dim() != 2 || updates(entry.group) != Updates::exact) return false;
  const detail::StepPlan next = plan(entry, entry.steps + 1, false);
  if (std::holds_alternative<detail::NoTime>(next.time) || std::holds_alternative<detail::WholeTable>(next.time)) {
    return false;
  }
  return detail::make_history(next, entry.parameter.dtype(), entry.steps)->replays();
}

void Optimizer::warn_of_replay(const Entry& entry) {
  if (entry.deferral == nullptr || !entry.deferral->clock->replays()) return;
  if (std::exchange(has_warned_of_replay_, true)) return;
  const char* const advice =
      layout_.name == std::string_view("Adam") ? "; AdamW's decay costs only the rows of a batch" : "";
  embergrad::detail::warn(
      fmt::format("{}: under these options idle rows live through their steps one by one: updates = "
                  "exact costs as much as dense training of the table of shape {}{}",
                  name(), entry.parameter.shape().to_string(), advice)
          .c_str());
}

// All that can fail: checks, and memory for new state.
void Optimizer::prepare(std::size_t index) {
  Entry& entry = entries_[index];
  const Tensor& parameter = entry.parameter;
  const Gradient& gradient = parameter.grad();
  entry.dense_grad = {};
  if (!gradient.defined()) return;
  const auto place = [&] { return fmt::format("{}: parameter {}", name(), index); };
  const bool sparse = gradient.is_sparse();
  if (!sparse && layout_.sparse_alone) {
    throw ValueError(
        fmt::format("{} has a dense gradient, but {} takes sparse ones alone; Adam takes both", place(), name()));
  }
  if (!is_floating(parameter.dtype())) {
    throw DTypeError(fmt::format("{} must be floating, but has become {}", place(), name_of(parameter.dtype())));
  }
  const Shape shape = sparse ? Shape{gradient.rows().rows(), gradient.rows().dim()} : gradient.dense().shape();
  const DType dtype = sparse ? gradient.rows().dtype() : gradient.dense().dtype();
  const Device device = sparse ? gradient.rows().device() : gradient.dense().device();
  if (shape != parameter.shape()) {
    throw ShapeError(fmt::format("{} has shape {}, but its gradient has {}", place(), parameter.shape().to_string(),
                                 shape.to_string()));
  }
  const DType computed = embergrad::detail::gradient_dtype(parameter.dtype());
  if (dtype != computed) {
    throw DTypeError(
        fmt::format("{} is {}, but its gradient is {}", place(), name_of(parameter.dtype()), name_of(dtype)));
  }
  if (device != parameter.device()) {
    throw DeviceError(fmt::format("{} is on {}, but its gradient on {}", place(), parameter.device().to_string(),
                                  device.to_string()));
  }
  const detail::StepPlan planned = plan(entry, entry.steps + 1, !entry.slots[0].defined());
  if (std::holds_alternative<detail::OwnTime>(planned.time) && !parameter.device().is_cpu()) {
    throw DeviceError(fmt::format("{} is on {}, but rules from outside the library run on the CPU alone", place(),
                                  parameter.device().to_string()));
  }
  const Way way = way_of(entry, planned);
  if (meets_its_like(index, way)) return prepare(index);
  if (way == Way::deferred_rows) {
    const auto* adam = std::get_if<detail::AdamTime>(&planned.time);
    const auto* rmsprop = std::get_if<detail::RmspropTime>(&planned.time);
    const double least_eps = computed == DType::float64 ? 0 : 1e-15;
    const double eps = adam != nullptr ? adam->eps : rmsprop != nullptr ? rmsprop->eps : INFINITY;
    if (eps <= least_eps) {
      throw ValueError(
          fmt::format("{} has a sparse gradient, and eps is {}, but updates = exact needs eps above {}: rows "
                      "without a gradient would be divided by nothing",
                      place(), eps, least_eps));
    }
    if (item_size(parameter.dtype()) == 2) {
      throw DTypeError(fmt::format(
          "{} is {} and has a sparse gradient, but updates = exact needs float32 or float64: idle rows move "
          "by less than 16 bits hold; use touched_only or dense",
          place(), name_of(parameter.dtype())));
    }
    if (static_cast<std::size_t>(parameter.numel()) * item_size(parameter.dtype()) !=
        parameter.state()->storage->bytes) {
      throw ValueError(
          fmt::format("{} is a part of a larger storage and has a sparse gradient, but updates = exact defers whole "
                      "tables; use touched_only or dense",
                      place()));
    }
  }
  // Whatever follows finds a table and state that are up to date, unless this step goes on deferring them.
  if (way != Way::deferred_rows || (entry.deferral != nullptr && !entry.deferral->holds(parameter))) {
    if (entry.deferral != nullptr) entry.deferral->end();
    entry.deferral.reset();
  }
  if (entry.deferral == nullptr) {
    take_over(parameter);
    if (way == Way::deferred_rows) entry.deferral = std::make_shared<detail::Deferral>(parameter);
  }
  if (sparse) static_cast<void>(gradient.rows().values());  // summed here, where memory may run out
  if (sparse && way == Way::dense) entry.dense_grad = gradient.to_dense();
  if (way == Way::rows || way == Way::deferred_rows) {
    static_cast<void>(embergrad::detail::frozen_rows_for_kernels(*parameter.state()->storage));
  }
  if (way == Way::deferred_rows) entry.deferral->clock->prepare(planned, entry.steps, gradient.rows().count());
  for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
    const Tensor& slot = entry.slots[s];
    Tensor& spare = entry.spares[s];
    spare = {};
    if (!needs_slot(entry.group, s)) continue;
    const Shape wanted = slot_shape(parameter);
    if (!slot.defined()) {
      spare = full(wanted, slot_start(entry.group, s), {computed, parameter.device()});
    } else if (has_grown(slot.shape(), wanted, parameter.dim())) {
      spare = up_to_size(entry, s);
    } else if (slot.shape() != wanted) {
      throw ShapeError(fmt::format("{} has shape {}, but its {} has {}", place(), parameter.shape().to_string(),
                                   layout_.slots[s], slot.shape().to_string()));
    } else if (slot.dtype() != computed || slot.device() != parameter.device()) {
      // The parameter was converted or moved; its state follows.
      spare = slot.to(computed).to(parameter.device());
    }
  }
}

detail::StepPlan Optimizer::plan(const Entry& entry, std::int64_t step, bool /*first*/) const {
  return {.time = detail::OwnTime{.rule = row_rule(entry.group), .step = step}};
}

void Optimizer::apply(Entry& entry) {
  Tensor& parameter = entry.parameter;
  const Gradient& gradient = parameter.grad();
  const detail::StepPlan planned = plan(entry, entry.steps + 1, !entry.slots[0].defined());
  for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
    if (entry.spares[s].defined()) entry.slots[s] = std::exchange(entry.spares[s], {});
  }
  const Way way = way_of(entry, planned);
  const bool by_rows = way == Way::rows || way == Way::deferred_rows;
  const Tensor grad = by_rows                      ? gradient.rows().values()
                      : entry.dense_grad.defined() ? std::exchange(entry.dense_grad, {})
                                                   : gradient.dense();
  if (way == Way::deferred_rows) {
    entry.deferral->clock->begin(planned, entry.slots, entry.steps);
  }
  ++entry.steps;
  for (std::size_t s = 0; s < layout_.slots.size(); ++s) entry.in_use[s] = needs_slot(entry.group, s);
  entry.number = planned.number;
  embergrad::detail::begin_row_change(name(), parameter);

  // The list of frozen rows belongs to the storage, whose rows begin before those of a view with an offset. What is no
  // table, and has no frozen rows, is one row.
  const bool is_table =
      parameter.dim() >= 2 || (parameter.dim() == 1 && !embergrad::detail::frozen_rows(parameter).empty());
  const std::int64_t rows = is_table ? parameter.size(0) : 1;
  const std::int64_t width = rows == 0 ? 0 : parameter.numel() / rows;
  const std::int64_t row_offset = width == 0 ? 0 : parameter.state()->offset / width;
  const std::span<const std::int64_t> frozen_rows =
      is_table ? embergrad::detail::frozen_rows(parameter) : std::span<const std::int64_t>{};
  const std::int64_t* held =
      by_rows ? embergrad::detail::view(gradient.rows().indices()).as<const std::int64_t>() : nullptr;
  // All held rows, whose frozen ones kernels leave out; or the whole up to `end`, then past the frozen row there.
  std::int64_t begin = 0;
  const auto run_to = [&](std::int64_t end) {
    if (end <= begin || width == 0) return;
    const std::int64_t first_element = begin * width;
    const std::int64_t count = (end - begin) * width;
    if (way == Way::deferred_rows) {
      entry.deferral->clock->step(planned, held, end, part(grad, first_element, count));
      return;
    }
    OptimizerStep step = planned.request();
    step.param = by_rows ? embergrad::detail::unsettled_view(parameter) : part(parameter, first_element, count);
    step.grad = part(grad, first_element, count);
    step.rows = {.rows = held, .count = end - begin, .dim = width};
    if (by_rows) {
      step.rows.frozen = embergrad::detail::frozen_rows_for_kernels(*parameter.state()->storage, row_offset);
    }
    for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
      const Tensor& slot = entry.slots[s];
      if (!slot.defined()) continue;
      const std::int64_t slot_width = layout_.one_per_row ? 1 : width;
      step.slots[s] = by_rows ? embergrad::detail::unsettled_view(slot)
                              : part(slot, begin * slot_width, (end - begin) * slot_width);
    }
    launch(parameter.device(), step);
  };
  const std::int64_t count = by_rows ? gradient.rows().count() : rows;
  for (const std::int64_t frozen : by_rows ? std::span<const std::int64_t>{} : frozen_rows) {
    const std::int64_t row = frozen - row_offset;
    if (row < 0 || row >= rows) continue;
    run_to(row);
    begin = row + 1;
  }
  run_to(count);
  if (way == Way::deferred_rows) entry.deferral->clock->end(planned, held, count);
}

// --- rows that are behind

void Optimizer::settle_all() {
  for (const Entry& entry : entries_) {
    if (entry.deferral != nullptr) entry.deferral->clock->settle_all();
  }
}

void Optimizer::set_updates(std::size_t group, Updates updates) {
  check_group(group);
  take_updates(group, updates);
  for (Entry& entry : entries_) {
    if (entry.group != group || entry.deferral == nullptr) continue;
    entry.deferral->end();
    entry.deferral.reset();
  }
}

std::vector<std::int64_t> Optimizer::last_steps(std::size_t parameter) const {
  const Entry& entry = checked_entry(parameter);
  return entry.deferral == nullptr ? std::vector<std::int64_t>{} : entry.deferral->clock->last_steps(entry.steps);
}

std::int64_t Optimizer::history_bytes() const {
  std::int64_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.deferral == nullptr ? 0 : entry.deferral->clock->bytes();
  return bytes;
}

const char* name_of(Updates updates) { return detail::updates_words[static_cast<std::size_t>(updates)]; }

// --- state

const Optimizer::Entry& Optimizer::checked_entry(std::size_t parameter) const {
  if (parameter >= entries_.size()) {
    throw IndexError(fmt::format("{}: parameter is {}, but there are {}", name(), parameter, entries_.size()));
  }
  return entries_[parameter];
}

std::size_t Optimizer::slot_named(std::string_view wanted) const {
  const auto found = std::ranges::find(layout_.slots, wanted);
  if (found != layout_.slots.end()) return static_cast<std::size_t>(found - layout_.slots.begin());
  std::vector<std::string> names;
  if (layout_.counts_steps) names.emplace_back("step");
  if (layout_.number != nullptr) names.emplace_back(layout_.number);
  names.insert(names.end(), layout_.slots.begin(), layout_.slots.end());
  throw ValueError(
      fmt::format("{}: there is no state named \"{}\"; there is {}", name(), wanted, fmt::join(names, ", ")));
}

Tensor Optimizer::state(std::size_t parameter, std::string_view wanted) const {
  const Entry& entry = checked_entry(parameter);
  if (layout_.counts_steps && wanted == "step") {
    return entry.steps == 0 ? Tensor() : tensor(static_cast<double>(entry.steps));
  }
  if (layout_.number != nullptr && wanted == layout_.number) {
    return entry.steps == 0 ? Tensor() : tensor(double{entry.number});
  }
  const std::size_t slot = slot_named(wanted);
  if (entry.deferral != nullptr) entry.deferral->clock->settle_all();
  return up_to_size(entry, slot);
}

Tensor Optimizer::state_of_row(std::size_t parameter, std::int64_t row, std::string_view wanted) const {
  const Entry& entry = checked_entry(parameter);
  const std::size_t slot = slot_named(wanted);
  if (entry.parameter.dim() != 2) {
    throw ShapeError(fmt::format("{}: state_of_row: parameter {} must have rank 2, but has shape {}", name(), parameter,
                                 entry.parameter.shape().to_string()));
  }
  if (row < 0 || row >= entry.parameter.size(0)) {
    throw IndexError(fmt::format("{}: state_of_row: row is {}, but parameter {} has {} rows", name(), row, parameter,
                                 entry.parameter.size(0)));
  }
  if (!entry.slots[slot].defined()) return {};
  const NoGrad guard;
  if (entry.deferral != nullptr && entry.deferral->clock->pending() && row < entry.slots[slot].size(0))
    return entry.deferral->clock->slot_of_row(row, slot);
  const Tensor all = up_to_size(entry, slot);
  return narrow(all, 0, row, 1).reshape({all.numel() / all.size(0)}).clone();
}

Optimizer::Keys Optimizer::numbers() const {
  Keys keys{.parameters = {}, .are_names = false};
  for (std::size_t i = 0; i < entries_.size(); ++i) keys.parameters.push_back(std::to_string(i));
  return keys;
}

Optimizer::Keys Optimizer::names_in(NamedTensors parameters) const {
  // A handle of the same elements will do, if there is not the very same.
  std::map<const void*, const std::string*> handles;
  std::map<const void*, std::vector<const StateDict::Entry*>> elements;
  for (const StateDict::Entry& entry : parameters) {
    if (!entry.second.defined()) continue;
    handles.try_emplace(entry.second.state(), &entry.first);
    elements[entry.second.state()->data].push_back(&entry);
  }
  Keys keys{.parameters = {}, .are_names = true};
  std::vector<std::string> problems;
  std::map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Tensor& parameter = entries_[i].parameter;
    const std::string* found = nullptr;
    if (const auto handle = handles.find(parameter.state()); handle != handles.end()) found = handle->second;
    if (found == nullptr) {
      for (const StateDict::Entry* entry : elements[parameter.state()->data]) {
        if (found == nullptr && entry->second.shares_storage_with(parameter) &&
            entry->second.shape() == parameter.shape()) {
          found = &entry->first;
        }
      }
    }
    if (found == nullptr) {
      problems.push_back(fmt::format("parameter {}, of shape {}, has no name", i, parameter.shape().to_string()));
      continue;
    }
    const auto [place, added] = known.try_emplace(*found, i);
    if (!added) problems.push_back(fmt::format("parameters {} and {} are both named {}", place->second, i, *found));
    keys.parameters.push_back(*found);
  }
  if (!problems.empty()) throw ValueError(fmt::format("{}: {}", name(), fmt::join(problems, "; ")));
  return keys;
}

StateDict Optimizer::state_dict() const { return state_dict(numbers()); }
StateDict Optimizer::state_dict(NamedTensors parameters) const { return state_dict(names_in(parameters)); }

StateDict Optimizer::state_dict(const Keys& keys) const {
  StateDict state;
  state.set(fmt::format("optimizer.{}", name()), tensor(layout_version));
  std::size_t next = 0;
  for (std::size_t g = 0; g < group_sizes_.size(); ++g) {
    std::vector<std::int64_t> indices(group_sizes_[g]);
    for (std::int64_t& index : indices) index = static_cast<std::int64_t>(next++);
    if (!keys.are_names) state.set(fmt::format("param_groups.{}.params", g), tensor(indices));
    for (const Option& option : group_options(g)) {
      const Shape shape = option.values.size() == 1 ? Shape{} : Shape{static_cast<std::int64_t>(option.values.size())};
      state.set(fmt::format("param_groups.{}.{}", g, option.name), tensor(option.values, shape));
    }
    if (initial_lrs_[g]) {
      state.set(fmt::format("param_groups.{}.initial_lr", g), tensor(*initial_lrs_[g], {DType::float64, {}}));
    }
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (entry.deferral != nullptr) entry.deferral->clock->settle_all();
    const std::string prefix = fmt::format("state.{}.", keys.parameters[i]);
    if (keys.are_names) state.set(prefix + "group", tensor(static_cast<std::int64_t>(entry.group)));
    if (entry.steps > 0 && layout_.counts_steps) {
      state.set(prefix + "step", tensor(entry.steps));  // float32 does not hold every number
    }
    if (entry.steps > 0 && layout_.number != nullptr) {
      state.set(prefix + layout_.number, tensor(double{entry.number}));
    }
    for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
      if (entry.slots[s].defined()) state.set(prefix + layout_.slots[s], up_to_size(entry, s));
    }
  }
  return state;
}

void Optimizer::load_state_dict(const StateDict& state) { restore(check_state(state, numbers())); }
void Optimizer::load_state_dict(const StateDict& state, NamedTensors parameters) {
  restore(check_state(state, names_in(parameters)));
}

Optimizer::Restored Optimizer::check_state(const StateDict& source, const Keys& keys) const {
  std::vector<std::string> problems;
  std::set<std::string> known;
  const auto find = [&](const std::string& key) -> const Tensor* {
    known.insert(key);
    if (!source.contains(key)) return nullptr;
    if (source.at(key).defined()) return &source.at(key);
    problems.push_back(fmt::format("{} is undefined", key));
    return nullptr;
  };
  // One whole number, or none.
  const auto whole = [](const Tensor& number) -> std::optional<std::int64_t> {
    if (number.dtype() != DType::int64 || number.numel() != 1) return std::nullopt;
    return number.item<std::int64_t>();
  };

  const std::string type_key = fmt::format("optimizer.{}", name());
  if (!source.contains(type_key)) {
    std::string other = "of no optimizer";
    for (const auto& [key, value] : source) {
      if (key.starts_with("optimizer.")) other = fmt::format("of {}", key.substr(key.find('.') + 1));
    }
    throw ValueError(fmt::format("{}: load_state_dict: the state is {}, not of {}", name(), other, name()));
  }
  const Tensor* version = find(type_key);
  const std::int64_t layout = version == nullptr ? 0 : whole(*version).value_or(0);
  if (layout < 1 || layout > layout_version) {
    problems.push_back(fmt::format("{} must be at most {}, the version of the layout", type_key, layout_version));
  }

  Restored restored{.entries = std::vector<Entry>(entries_.size()),
                    .options = std::vector<std::vector<Option>>(group_sizes_.size()),
                    .initial_lrs = initial_lrs_};
  std::size_t next = 0;
  for (std::size_t g = 0; g < group_sizes_.size(); ++g) {
    if (!keys.are_names) {
      const std::string indices_key = fmt::format("param_groups.{}.params", g);
      const Tensor* indices = find(indices_key);
      std::vector<std::int64_t> expected(group_sizes_[g]);
      for (std::int64_t& index : expected) index = static_cast<std::int64_t>(next++);
      if (indices == nullptr) {
        problems.push_back(fmt::format("{} is missing", indices_key));
      } else if (indices->dtype() != DType::int64 || indices->to_vector<std::int64_t>() != expected) {
        problems.push_back(
            fmt::format("group {} must have {} parameters, but has {}", g, expected.size(), indices->numel()));
      }
    }
    if (const Tensor* initial = find(fmt::format("param_groups.{}.initial_lr", g)); initial != nullptr) {
      const double lr = initial->numel() == 1 ? initial->item() : -1;
      if (!(std::isfinite(lr) && lr >= 0)) {
        problems.push_back(fmt::format("param_groups.{}.initial_lr must be one number, finite and not negative", g));
      }
      restored.initial_lrs[g] = lr;
    }
    restored.options[g] = group_options(g);
    bool complete = true;
    for (Option& option : restored.options[g]) {
      const std::string key = fmt::format("param_groups.{}.{}", g, option.name);
      const Tensor* values = find(key);
      const bool is_updates = std::string_view(option.name) == "updates";
      if (values == nullptr && is_updates && layout == 1) continue;
      const std::vector<double> here = option.values;
      complete = complete && values != nullptr;
      if (values == nullptr) {
        problems.push_back(fmt::format("{} is missing", key));
      } else if (values->numel() != static_cast<std::int64_t>(option.values.size())) {
        problems.push_back(fmt::format("{} must have {} numbers, but has shape {}", key, option.values.size(),
                                       values->shape().to_string()));
        complete = false;
      } else {
        option.values = values->to_vector<double>();
        const double word = option.values[0];
        const bool is_word = word >= 0 && word < static_cast<double>(option.words.size()) && word == std::floor(word);
        if (!option.words.empty() && !is_word) {
          problems.push_back(fmt::format("{} is {}, which stands for nothing", key, word));
          complete = false;
        } else if (is_updates && option.values != here) {
          problems.push_back(fmt::format("group {}: updates is {} there, but {} here; set_updates changes it", g,
                                         option.words[static_cast<std::size_t>(word)],
                                         option.words[static_cast<std::size_t>(here[0])]));
        }
      }
    }
    if (!complete) continue;
    for (const std::string& problem : problems_of(restored.options[g])) {
      problems.push_back(fmt::format("group {}: {}", g, problem));
    }
  }

  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = restored.entries[i];
    entry.parameter = entries_[i].parameter;
    entry.group = entries_[i].group;
    const Shape shape = slot_shape(entry.parameter);
    const DType computed = embergrad::detail::gradient_dtype(entry.parameter.dtype());
    const std::string prefix = fmt::format("state.{}.", keys.parameters[i]);
    if (keys.are_names) {
      const Tensor* group = find(prefix + "group");
      if (group == nullptr) {
        problems.push_back(fmt::format("{}group is missing", prefix));
      } else if (whole(*group) != static_cast<std::int64_t>(entry.group)) {
        problems.push_back(fmt::format("{}group must be {}", prefix, entry.group));
      }
    }
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
        entry.slots[s] = no_grad([&] { return slot->detach().to(computed).to(entry.parameter.device()).clone(); });
      }
    }
    if (!layout_.counts_steps) continue;
    const Tensor* step = find(prefix + "step");
    if (step != nullptr) {
      const double steps = step->numel() == 1 ? step->item() : -1;
      if (!(steps >= 0 && steps == std::floor(steps) && steps < 0x1p53)) {
        problems.push_back(fmt::format("{}step must be one whole number that is not negative", prefix));
      } else {
        entry.steps = static_cast<std::int64_t>(steps);
      }
    }
    bool has_any = step != nullptr;
    bool has_all = step != nullptr;
    std::vector<std::string> together{"step"};
    if (layout_.number != nullptr) {
      const Tensor* number = find(prefix + layout_.number);
      together.emplace_back(layout_.number);
      has_any = has_any || number != nullptr;
      has_all = has_all && number != nullptr;
      const double value = number == nullptr ? 1 : number->numel() == 1 ? number->item() : -1;
      entry.number = static_cast<float>(value);
      if (!(value >= 0 && value <= 1)) {
        problems.push_back(fmt::format("{}{} must be one number in [0, 1]", prefix, layout_.number));
      }
    }
    for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
      const bool has_slot = source.contains(prefix + layout_.slots[s]);
      has_any = has_any || has_slot;
      if (s >= layout_.always) continue;
      has_all = has_all && has_slot;
      together.emplace_back(layout_.slots[s]);
    }
    if (has_any && !has_all) {
      problems.push_back(fmt::format("{}{} must be there together", prefix, fmt::join(together, ", ")));
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
  return restored;
}

void Optimizer::restore(Restored restored) {
  for (std::size_t g = 0; g < restored.options.size(); ++g) take_options(g, restored.options[g]);
  entries_ = std::move(restored.entries);
  for (Entry& entry : entries_) {
    for (std::size_t s = 0; s < layout_.slots.size(); ++s) {
      entry.in_use[s] = entry.slots[s].defined() && needs_slot(entry.group, s);
    }
  }
  initial_lrs_ = std::move(restored.initial_lrs);
}

// --- printing

void Optimizer::print(std::ostream& out) const {
  out << name();
  for (std::size_t g = 0; g < group_sizes_.size(); ++g) {
    std::int64_t elements = 0;
    for (const Entry& entry : entries_) elements += entry.group == g ? entry.parameter.numel() : 0;
    out << fmt::format("\n  group {}: {} parameters, {} elements", g, group_sizes_[g], elements);
    for (const Option& option : group_options(g)) {
      out << ", " << options_text(option.name, option.values, option.words);
    }
    const auto is_replayed = [&](const Entry& entry) { return entry.group == g && replays(entry); };
    if (std::ranges::any_of(entries_, is_replayed)) out << " (idle rows replayed)";
  }
}

std::ostream& operator<<(std::ostream& out, const Optimizer& optimizer) {
  optimizer.print(out);
  return out;
}

}  // namespace embergrad::optim

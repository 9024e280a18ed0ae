// Definition of OptimizerOf.
#pragma once

#include <embergrad/error.hpp>
#include <embergrad/optim/optimizer.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace embergrad::optim {

// What a type of options brings: its fields in order, and what is wrong with them.
//   template <class Options, class Body> static void each(Options& options, const Body& body);  // body(name, field)
//   static std::vector<std::string> problems(const Options& options);
template <class Options>
struct OptionsOf;

// Lists a field that must be finite and not negative.
inline void check_not_negative(std::vector<std::string>& problems, const char* name, double value) {
  if (!(std::isfinite(value) && value >= 0)) {
    problems.push_back(fmt::format("{} must be finite and not negative, but is {}", name, value));
  }
}

// A field as numbers, and back.
inline std::vector<double> numbers_of(double field) { return {field}; }
inline std::vector<double> numbers_of(bool field) { return {field ? 1.0 : 0.0}; }
inline std::vector<double> numbers_of(Updates field) { return {static_cast<double>(field)}; }
inline void set_field(double& field, const std::vector<double>& numbers) { field = numbers[0]; }
inline void set_field(bool& field, const std::vector<double>& numbers) { field = numbers[0] != 0; }
inline void set_field(Updates& field, const std::vector<double>& numbers) {
  field = static_cast<Updates>(static_cast<int>(numbers[0]));
}
// The number that a schedule changes.
inline const double* number_in(const double& field) { return &field; }
inline const double* number_in(const bool&) { return nullptr; }
inline const double* number_in(const Updates&) { return nullptr; }
// What its numbers stand for.
inline constexpr const char* flag_words[] = {"False", "True"};
inline const char* const updates_words[] = {name_of(Updates::exact), name_of(Updates::touched_only),
                                            name_of(Updates::dense)};
template <class Field>
std::span<const char* const> words_of() {
  if constexpr (std::is_same_v<Field, bool>) {
    return flag_words;
  } else if constexpr (std::is_same_v<Field, Updates>) {
    return updates_words;
  } else {
    return {};
  }
}

template <class Options>
OptimizerOf<Options>::OptimizerOf(const Layout& layout, const std::vector<Group>& groups) : Optimizer(layout) {
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::vector<std::string> problems = OptionsOf<Options>::problems(groups[i].options);
    if (!problems.empty()) throw ValueError(fmt::format("{}: group {}: {}", name(), i, fmt::join(problems, "; ")));
  }
  for (const Group& group : groups) {
    add_group(group.params);
    options_.push_back(group.options);
  }
  check_not_empty();
}

template <class Options>
const Options& OptimizerOf<Options>::options(std::size_t group) const {
  check_group(group);
  return options_[group];
}

template <class Options>
void OptimizerOf<Options>::set_options(std::size_t group, const Options& options) {
  check_group(group);
  std::vector<std::string> problems = OptionsOf<Options>::problems(options);
  if (const Updates now = options_[group].updates; options.updates != now) {
    problems.push_back(fmt::format("updates is {} and would become {}; set_updates changes it", name_of(now),
                                   name_of(options.updates)));
  }
  if (!problems.empty()) throw ValueError(fmt::format("{}: group {}: {}", name(), group, fmt::join(problems, "; ")));
  options_[group] = options;
}

template <class Options>
std::vector<Optimizer::Option> OptimizerOf<Options>::group_options(std::size_t group) const {
  std::vector<Option> found;
  OptionsOf<Options>::each(options_[group], [&]<class Field>(const char* field_name, const Field& field) {
    found.push_back({field_name, numbers_of(field), words_of<Field>()});
  });
  return found;
}

template <class Options>
const double* OptimizerOf<Options>::find_number(std::size_t group, std::string_view name) const {
  const double* found = nullptr;
  OptionsOf<Options>::each(options_[group], [&](const char* field_name, const auto& field) {
    if (name == field_name) found = number_in(field);
  });
  return found;
}

template <class Options>
std::vector<std::string> OptimizerOf<Options>::problems_of(const std::vector<Option>& options) const {
  Options taken;
  std::size_t i = 0;
  OptionsOf<Options>::each(taken, [&](const char*, auto& field) { set_field(field, options[i++].values); });
  return OptionsOf<Options>::problems(taken);
}

template <class Options>
void OptimizerOf<Options>::take_options(std::size_t group, const std::vector<Option>& options) {
  std::size_t i = 0;
  OptionsOf<Options>::each(options_[group], [&](const char*, auto& field) { set_field(field, options[i++].values); });
}

}  // namespace embergrad::optim

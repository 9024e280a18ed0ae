/// @file
/// Definition of OptimizerOf: what all optimizers do with their options.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/optim/betas.hpp>
#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

namespace detail {

// A type of options: its fields in order, and what is wrong with them. Options from outside say so themselves.
template <class Options>
struct OptionsOf {
  template <class Given, class Body>
  static void each(Given& options, const Body& body) {  // body(name, field)
    Options::fields(options, body);
    body("updates", options.updates);
  }
  static std::vector<std::string> problems(const Options& options) {
    if constexpr (requires { Options::problems(options); }) {
      return Options::problems(options);
    } else {
      return {};
    }
  }
};

// A field as numbers, and back.
inline std::vector<double> numbers_of(double field) { return {field}; }
inline std::vector<double> numbers_of(bool field) { return {field ? 1.0 : 0.0}; }
inline std::vector<double> numbers_of(Updates field) { return {static_cast<double>(field)}; }
inline std::vector<double> numbers_of(const Betas& field) { return {field.beta1, field.beta2}; }
inline void set_field(double& field, const std::vector<double>& numbers) { field = numbers[0]; }
inline void set_field(bool& field, const std::vector<double>& numbers) { field = numbers[0] != 0; }
inline void set_field(Updates& field, const std::vector<double>& numbers) {
  field = static_cast<Updates>(static_cast<int>(numbers[0]));
}
inline void set_field(Betas& field, const std::vector<double>& numbers) { field = {numbers[0], numbers[1]}; }
// The number that a schedule changes.
inline const double* number_in(const double& field) { return &field; }
inline const double* number_in(const Betas& field) { return &field.beta1; }
inline const double* number_in(const bool&) { return nullptr; }
inline const double* number_in(const Updates&) { return nullptr; }
// What its numbers stand for.
inline constexpr const char* flag_words[] = {"False", "True"};
inline constexpr const char* updates_words[] = {"exact", "touched_only", "dense"};
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

}  // namespace detail

template <class Options>
OptimizerOf<Options>::OptimizerOf(const Layout& layout, const std::vector<Group>& groups) : Optimizer(layout) {
  for (std::size_t i = 0; i < groups.size(); ++i) {
    check_no_problems(i, detail::OptionsOf<Options>::problems(groups[i].options));
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
  std::vector<std::string> problems = detail::OptionsOf<Options>::problems(options);
  if constexpr (has_updates) {
    if (const Updates now = options_[group].updates; options.updates != now) {
      problems.push_back(std::string("updates is ") + name_of(now) + " and would become " + name_of(options.updates) +
                         "; set_updates changes it");
    }
  }
  check_no_problems(group, problems);
  options_[group] = options;
}

template <class Options>
Updates OptimizerOf<Options>::updates(std::size_t group) const {
  if constexpr (has_updates) {
    return options(group).updates;
  } else {
    check_group(group);
    return Updates::touched_only;
  }
}

template <class Options>
void OptimizerOf<Options>::take_updates(std::size_t group, Updates updates) {
  if constexpr (has_updates) {
    options_[group].updates = updates;
  } else if (updates != Updates::touched_only) {
    check_no_problems(group, {std::string("updates is touched_only always, and can't become ") + name_of(updates)});
  }
}

template <class Options>
std::vector<Optimizer::Option> OptimizerOf<Options>::group_options(std::size_t group) const {
  std::vector<Option> found;
  detail::OptionsOf<Options>::each(options_[group], [&]<class Field>(const char* field_name, const Field& field) {
    found.push_back({field_name, detail::numbers_of(field), detail::words_of<Field>()});
  });
  return found;
}

template <class Options>
const double* OptimizerOf<Options>::find_number(std::size_t group, std::string_view name) const {
  const double* found = nullptr;
  detail::OptionsOf<Options>::each(options_[group], [&](const char* field_name, const auto& field) {
    if (name == field_name) found = detail::number_in(field);
  });
  return found;
}

template <class Options>
std::vector<std::string> OptimizerOf<Options>::problems_of(const std::vector<Option>& options) const {
  Options taken;
  std::size_t i = 0;
  detail::OptionsOf<Options>::each(taken,
                                   [&](const char*, auto& field) { detail::set_field(field, options[i++].values); });
  return detail::OptionsOf<Options>::problems(taken);
}

template <class Options>
void OptimizerOf<Options>::take_options(std::size_t group, const std::vector<Option>& options) {
  std::size_t i = 0;
  detail::OptionsOf<Options>::each(options_[group],
                                   [&](const char*, auto& field) { detail::set_field(field, options[i++].values); });
}

}  // namespace embergrad::optim

/// @file
/// The option --device: on which device a program computes.
#pragma once

#include <charconv>
#include <embergrad/device.hpp>
#include <embergrad/error.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace common {

/// The choice of a program that is given none.
inline constexpr const char* usual_device = "cpu";
/// Takes the GPU where there is one.
inline constexpr const char* auto_device = "auto";
/// What --device takes, in words.
inline constexpr const char* device_choices = "cpu, cuda, cuda:N or auto";

/// The device that a choice names, whether it is there or not: `auto` names the first GPU. Nothing for no choice.
[[nodiscard]] inline std::optional<embergrad::Device> named_device(std::string_view choice) {
  using embergrad::Device;
  if (choice == "cpu") return Device::cpu();
  if (choice == "cuda" || choice == auto_device) return Device::cuda();
  constexpr std::string_view prefix = "cuda:";
  if (!choice.starts_with(prefix)) return std::nullopt;
  choice.remove_prefix(prefix.size());
  int index = 0;
  const auto [end, error] = std::from_chars(choice.data(), choice.data() + choice.size(), index);
  if (error != std::errc() || end != choice.data() + choice.size() || index < 0 || choice.front() == '-') {
    return std::nullopt;
  }
  return Device::cuda(index);
}

/// What keeps a device from being used, in the library's words; empty if nothing does.
[[nodiscard]] inline std::string problem_with(embergrad::Device device) {
  try {
    embergrad::synchronize(device);
    return {};
  } catch (const embergrad::Error& error) {
    const std::string text = error.what();
    constexpr std::string_view op = "synchronize: ";  // nobody asked for that
    return text.starts_with(op) ? text.substr(op.size()) : text;
  }
}

/// Where a program computes.
struct FoundDevice {
  embergrad::Device device = {};
  std::string problem = {};  ///< why the device can't be used; with `auto`, why it is the CPU
  bool usable = true;
};

/// Looks for the device of a choice that `named_device` knows.
[[nodiscard]] inline FoundDevice find_device(std::string_view choice) {
  const embergrad::Device device = named_device(choice).value();
  std::string problem = problem_with(device);
  if (problem.empty()) return {.device = device};
  if (choice == auto_device) return {.device = embergrad::Device::cpu(), .problem = std::move(problem)};
  return {.device = device, .problem = std::move(problem), .usable = false};
}

}  // namespace common

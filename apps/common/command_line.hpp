/// @file
/// What the command lines of the programs share: checks of values, the layout of help, how errors are told.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "device_choice.hpp"
#include "files.hpp"

namespace common {

inline constexpr int bad_usage = 2;

// --- checks of values; CLI11's own take 0x10, 010 (as 8), nan and half a number

template <class Number>
CLI::Validator number(const std::string& what, bool (*accepts)(Number)) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        Number value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size() || !accepts(value)) {
          return fmt::format("{} is not {}", shown(text), what);
        }
        text = fmt::format("{}", value);
        return {};
      },
      "");
}

template <int64_t least, int64_t most = std::numeric_limits<int64_t>::max()>
CLI::Validator whole() {
  const bool open = most == std::numeric_limits<int64_t>::max();
  return number<int64_t>(
      open ? fmt::format("a whole number from {} up", least) : fmt::format("a whole number from {} to {}", least, most),
      [](int64_t value) { return value >= least && value <= most; });
}

inline CLI::Validator any_seed() {
  return number<uint64_t>("a whole number from 0 to 2^64 - 1", [](uint64_t) { return true; });
}
inline CLI::Validator share() {
  return number<double>("a number from 0 to below 1", [](double value) { return value >= 0 && value < 1; });
}
inline CLI::Validator positive() {
  return number<double>("a number above 0", [](double value) { return value > 0 && std::isfinite(value); });
}
inline CLI::Validator not_negative() {
  return number<double>("a number from 0 up", [](double value) { return value >= 0 && std::isfinite(value); });
}

/// One of some names, each of which stands for a value of an enum.
template <class Enum>
CLI::Validator one_of(std::vector<std::pair<std::string, Enum>> names) {
  return CLI::Validator(
      [names = std::move(names)](std::string& text) -> std::string {
        std::string all;
        for (const auto& [name, value] : names) {
          if (text == name) {
            text = std::to_string(static_cast<int>(value));
            return {};
          }
          all += (all.empty() ? "" : ", ") + name;
        }
        return fmt::format("{} is none of {}", shown(text), all);
      },
      "");
}

[[noreturn]] inline void refuse(const std::string& option, const std::string& reason) {
  throw CLI::ValidationError(option, reason);
}

// --- help

/// CLI11's layout without its doubled blank lines, and with descriptions broken to fit a terminal.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(name_width); }

  std::string make_group(std::string group, bool is_positional,
                         std::vector<const CLI::Option*> options) const override {
    std::string text = "\n" + group + ":\n";
    for (const CLI::Option* option : options) text += make_option(option, is_positional);
    return text;
  }
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string text = CLI::Formatter::make_help(app, std::move(name), mode);
    for (std::size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;) text.erase(at, 1);
    return text;
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::istringstream words(option->get_description());
    std::string text;
    std::size_t column = 0;
    for (std::string word; words >> word;) {
      const bool fits = column == 0 || column + 1 + word.size() <= line_width - name_width;
      if (column > 0) text += fits ? " " : "\n";
      column = fits && column > 0 ? column + 1 + word.size() : word.size();
      text += word;
    }
    return text;
  }

 private:
  static constexpr std::size_t name_width = 26;
  static constexpr std::size_t line_width = 80;
};

// One thread by default: steps of the usual sizes are too short for several to help much, and on a busy machine they
// wait for each other.
inline void add_threads(CLI::App& command, int& threads, const char* group) {
  command.add_option("--threads", threads, "Threads to use; they change the time, not the result (1)")
      ->transform(whole<1, 1024>())
      ->type_name("N")
      ->group(group);
}

// --- the device

/// Adds --device; `use_device` takes what it leaves in `choice`.
inline CLI::Option* add_device(CLI::App& command, std::string& choice, const char* group) {
  return command
      .add_option("--device", choice,
                  fmt::format("Where to compute: cpu; cuda or cuda:N, a GPU; or auto, a GPU if there is one ({})",
                              usual_device))
      ->check(CLI::Validator(
          [](std::string& text) {
            return named_device(text) ? std::string() : fmt::format("{} is none of {}", shown(text), device_choices);
          },
          ""))
      ->type_name("NAME")
      ->group(group);
}

/// The device that --device chose. Refuses one that can't be used; where `auto` finds no GPU, says why on a line of
/// standard error.
inline embergrad::Device use_device(const char* program, const std::string& choice) {
  const FoundDevice found = find_device(choice);
  if (!found.usable) refuse("--device", found.problem);
  if (!found.problem.empty()) {
    fmt::print(stderr, "{}: --device auto: computing on the CPU: {}\n", program, shown(found.problem));
  }
  return found.device;
}

/// Says what went wrong on one line of standard error; the exit status.
inline int fail(const char* program, int status, const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "{}: {}\n", program, shown(message));
  return status;
}

/// What all programs have; before commands are added, as they inherit it.
inline void set_up(CLI::App& app) {
  app.set_version_flag("--version", app.get_name() + " " EMBERGRAD_VERSION, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.require_subcommand(0, 1);
  app.failure_message(CLI::FailureMessage::simple);
  app.formatter(std::make_shared<HelpFormatter>());
  app.footer(fmt::format("\n{} COMMAND --help tells more.", app.get_name()));
}

/// Reads the command line, whose callbacks do the work; the exit status. `status`: what they leave. `commands`: those
/// of which one must be given; null if none need be.
inline int run(CLI::App& app, int argc, char** argv, const char* commands, const int& status) try {
  const char* const program = app.get_name().c_str();
  try {
    app.parse(argc, argv);
    if (commands != nullptr && app.get_subcommands().empty()) {
      return fail(program, bad_usage, fmt::format("a command is missing: {}; see --help", commands));
    }
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return fail(program, bad_usage, error.what());
  }
  return status;
} catch (const std::bad_alloc&) {
  return fail(app.get_name().c_str(), 1, "out of memory");
} catch (const std::exception& error) {
  return fail(app.get_name().c_str(), 1, error.what());
}

}  // namespace common

/// @file
/// JSON out of files that anybody may have written.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace embergrad::detail {

/// How many objects and arrays may lie inside each other.
inline constexpr int deepest_json = 64;

/// The value of a text; discarded if it is no JSON or nests deeper than `deepest_json`: nlohmann reads and frees values
/// of any depth, but copies, compares and prints them by recursion.
[[nodiscard]] inline nlohmann::json parse_untrusted_json(const std::string& text) {
  bool too_deep = false;
  const auto shallow = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json&) {
    const bool opens =
        event == nlohmann::json::parse_event_t::object_start || event == nlohmann::json::parse_event_t::array_start;
    too_deep |= opens && depth >= deepest_json;
    return !too_deep;
  };
  nlohmann::json value = nlohmann::json::parse(text, shallow, false);
  return too_deep ? nlohmann::json(nlohmann::json::value_t::discarded) : value;
}

}  // namespace embergrad::detail

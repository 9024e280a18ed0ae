#include "notes.hpp"

#include <fmt/format.h>

#include <embergrad/error.hpp>

#include "files.hpp"

namespace common {

using nlohmann::json;

void Hash::add(std::string_view text) {
  const auto mix = [this](unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001B3U; };
  for (const char byte : text) mix(static_cast<unsigned char>(byte));
  mix(0xFF);  // in no UTF-8 text
}

std::string Hash::text() const { return fmt::format("{:016x}", value_); }

Notes::Notes(const embergrad::Metadata& metadata, const std::string& path, std::string_view program)
    : metadata_(metadata), path_(path) {
  if (text("program") != program) refuse(fmt::format("it is of {}", shown(text("program"))));
}

void Notes::refuse(const std::string& reason) const {
  throw embergrad::FormatError(fmt::format("{}: not a resume file of this program: {}", path_, reason));
}

const std::string& Notes::text(const char* key) const {
  const auto place = metadata_.find(key);
  if (place == metadata_.end()) refuse(fmt::format("its metadata have no {}", key));
  return place->second;
}

json Notes::object(const char* key) const {
  // What nests deeper than these notes do is left out, so that showing a value stays cheap.
  const auto flat = [](int depth, json::parse_event_t, json&) { return depth <= 3; };
  json value = json::parse(text(key), flat, false);
  if (!value.is_object()) refuse(fmt::format("its {} are no JSON object", key));
  return value;
}

int64_t Notes::whole(const json& position, const char* name, int64_t least, int64_t most) const {
  const json value = position.value(name, json());
  // A number too large for int64 is an unsigned one in JSON.
  const bool fits = value.is_number_integer() && value >= least && value <= most;
  if (!fits) refuse(fmt::format("its position has {} {}", name, shown_value(value)));
  return value.get<int64_t>();
}

std::string shown_value(const json& value) {
  return value.is_null() ? "unset" : shown(fmt::format("{:.60}", value.dump()));
}

std::vector<std::string> differences(const json& then, const json& now) {
  std::vector<std::string> found;
  // What only one of them has hangs on another option: --epochs counts only with a --schedule.
  for (const auto& [name, value] : now.items()) {
    const json before = then.value(name, value);
    if (before != value) {
      found.push_back(fmt::format("{} was {} and is {}", name, shown_value(before), shown_value(value)));
    }
  }
  for (const auto& [name, value] : then.items()) {
    if (found.empty() && !now.contains(name)) {
      found.push_back(fmt::format("{} was {} and is not known here", shown(name), shown_value(value)));
    }
  }
  return found;
}

}  // namespace common

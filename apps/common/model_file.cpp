#include "model_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <embergrad/error.hpp>
#include <utility>

namespace common {

namespace eg = embergrad;
using eg::text::Vocabulary;
using nlohmann::json;

ModelFile::ModelFile(const std::string& path, std::string_view format, std::string_view version)
    : path_(path), file_(eg::load(path)) {
  if (text("embergrad.format") != format) {
    refuse(fmt::format("its format is not {}, but {:.40}", format, json(text("embergrad.format")).dump()));
  }
  if (text("embergrad.version") != version) {
    refuse(fmt::format("this program reads version {} of its format, but the file has {:.40}", version,
                       json(text("embergrad.version")).dump()));
  }
  options_ = parsed("options");
  if (!options_.is_object()) refuse("its options are not a JSON object");
}

void ModelFile::refuse(const std::string& reason) const {
  throw eg::FormatError(fmt::format("{}: not a model of this program: {}", path_, reason));
}

const std::string& ModelFile::text(const std::string& key) const {
  const auto place = file_.metadata.find(key);
  if (place == file_.metadata.end()) refuse(fmt::format("its metadata have no {}", key));
  return place->second;
}

json ModelFile::parsed(const std::string& key) const {
  json value = eg::detail::parse_untrusted_json(text(key));
  if (value.is_discarded()) refuse(fmt::format("its {} are not JSON", key));
  return value;
}

Vocabulary ModelFile::vocabulary(const std::string& key, bool has_specials) const {
  const json list = parsed(key);
  if (!list.is_array()) refuse(fmt::format("its {} are not a JSON array", key));
  std::vector<std::string> strings;
  strings.reserve(list.size());
  for (const json& one : list) {
    if (!one.is_string()) refuse(fmt::format("among its {} is {:.40}, not a string", key, one.dump()));
    strings.push_back(one.get<std::string>());
  }
  try {
    return Vocabulary(std::move(strings), has_specials);
  } catch (const eg::Error& error) {
    refuse(fmt::format("its {}: {}", key, error.what()));
  }
}

const json& ModelFile::option(const char* name) const {
  const auto place = options_.find(name);
  if (place == options_.end()) refuse(fmt::format("its options have no {}", name));
  return *place;
}

int64_t ModelFile::whole(const char* name, int64_t least, int64_t most) const {
  const json& value = option(name);
  if (!value.is_number_integer() || value < least || value > most) {
    refuse(fmt::format("its option {} is {:.40}, not a whole number from {} to {}", name, value.dump(), least, most));
  }
  return value.get<int64_t>();
}

double ModelFile::share(const char* name) const {
  const json& value = option(name);
  if (!value.is_number() || !(value >= 0) || !(value < 1)) {
    refuse(fmt::format("its option {} is {:.40}, not a number from 0 to below 1", name, value.dump()));
  }
  return value.get<double>();
}

bool ModelFile::flag(const char* name) const {
  const json& value = option(name);
  if (!value.is_boolean()) refuse(fmt::format("its option {} is neither true nor false", name));
  return value.get<bool>();
}

std::size_t ModelFile::one_of(const char* name, const std::vector<std::string>& names) const {
  const json& value = option(name);
  const auto place = std::find(names.begin(), names.end(), value);
  if (place == names.end()) {
    refuse(fmt::format("its option {} is {:.40}, none of {}", name, value.dump(), fmt::join(names, ", ")));
  }
  return static_cast<std::size_t>(place - names.begin());
}

void ModelFile::check_shape(const std::string& name, const eg::Shape& shape) const {
  if (!file_.tensors.contains(name)) refuse(fmt::format("there is no tensor {}", name));
  const eg::Shape& got = file_.tensors.at(name).shape();
  if (got != shape) {
    refuse(
        fmt::format("{} has shape {}, but vocabularies and options say {}", name, got.to_string(), shape.to_string()));
  }
}

void ModelFile::load_into(eg::nn::Module& network) const {
  try {
    network.load_state_dict(file_.tensors);
  } catch (const eg::Error& error) {
    refuse(error.what());
  }
}

}  // namespace common

/// @file
/// What programs note in a checkpoint beside tensors: which program, with which options and data.
#pragma once

#include <cstdint>
#include <embergrad/safetensors.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace common {

/// Tells data from other data: FNV-1a, 64 bits.
class Hash {
 public:
  void add(std::string_view text);
  [[nodiscard]] std::string text() const;

 private:
  uint64_t value_ = 0xCBF29CE484222325U;
};

/// The notes of one file, a FormatError that names it where they make no sense.
class Notes {
 public:
  /// Both must outlive the object. Throws if `program` is not the one that wrote them.
  Notes(const embergrad::Metadata& metadata, const std::string& path, std::string_view program);

  [[noreturn]] void refuse(const std::string& reason) const;
  [[nodiscard]] const std::string& text(const char* key) const;
  [[nodiscard]] nlohmann::json object(const char* key) const;
  /// A whole number in the object `position`.
  [[nodiscard]] int64_t whole(const nlohmann::json& position, const char* name, int64_t least, int64_t most) const;

 private:
  const embergrad::Metadata& metadata_;
  const std::string& path_;
};

/// A value as messages show it.
[[nodiscard]] std::string shown_value(const nlohmann::json& value);

/// "NAME was X and is Y" for each option that differs in two JSON objects.
[[nodiscard]] std::vector<std::string> differences(const nlohmann::json& then, const nlohmann::json& now);

}  // namespace common

/// @file
/// Reading the model files of the programs: safetensors whose metadata say what the tensors mean.
#pragma once

#include <cstdint>
#include <embergrad/nn/module.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace common {

/// The metadata and tensors of one file. Whatever does not fit together is a FormatError that names the file.
class ModelFile {
 public:
  /// Reads the file. IoError; FormatError unless it says that it has this format and version.
  ModelFile(const std::string& path, std::string_view format, std::string_view version);

  /// Throws FormatError "path: not a model of this program: reason".
  [[noreturn]] void refuse(const std::string& reason) const;

  /// A text of the metadata.
  [[nodiscard]] const std::string& text(const std::string& key) const;
  /// A JSON array of strings in the metadata, as a vocabulary.
  [[nodiscard]] embergrad::text::Vocabulary vocabulary(const std::string& key, bool has_specials) const;

  /// The members of the JSON object `options` in the metadata: a whole number from `least` to `most`,
  [[nodiscard]] int64_t whole(const char* name, int64_t least, int64_t most) const;
  /// a number from 0 to below 1,
  [[nodiscard]] double share(const char* name) const;
  /// true or false,
  [[nodiscard]] bool flag(const char* name) const;
  /// one of some strings; its place among them.
  [[nodiscard]] std::size_t one_of(const char* name, const std::vector<std::string>& names) const;

  /// A tensor of this name and shape is there. Asked before a network is made, so that nothing large is made for a file
  /// that only claims to be large.
  void check_shape(const std::string& name, const embergrad::Shape& shape) const;
  /// Puts the tensors into a network whose names and shapes they have to be.
  void load_into(embergrad::nn::Module& network) const;

 private:
  [[nodiscard]] nlohmann::json parsed(const std::string& key) const;
  [[nodiscard]] const nlohmann::json& option(const char* name) const;

  std::string path_;
  embergrad::Loaded file_;
  nlohmann::json options_;
};

}  // namespace common

/// @file
/// Saving and loading: the safetensors format.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <embergrad/tensor.hpp>

namespace embergrad {

/// Named tensors, in the order they were put in.
class StateDict {
 public:
  /// A name and its tensor.
  using Entry = std::pair<std::string, Tensor>;

  /// Adds a tensor or replaces the one of that name.
  void set(std::string name, Tensor tensor);
  /// The tensor of that name. ValueError if there is none.
  [[nodiscard]] const Tensor& at(std::string_view name) const;
  /// True if there is a tensor of that name.
  [[nodiscard]] bool contains(std::string_view name) const;
  /// Number of tensors.
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  /// @{
  /// Walks the entries: `for (const auto& [name, tensor] : state)`.
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }
  /// @}

 private:
  std::vector<Entry> entries_;
  std::map<std::string, std::size_t, std::less<>> places_;
};

/// Free text beside the tensors.
using Metadata = std::map<std::string, std::string>;

/// Writes tensors and metadata to a safetensors file (F64 F32 F16 BF16 I64 I32). The file is written beside `path`
/// under a temporary name, synced and renamed, so `path` holds the old content or the new, never a part. Tensors that
/// share one storage, offset and shape are stored once; the others' names are noted in the metadata key
/// `embergrad.tied`. IoError with the system's reason.
void save(const std::string& path, const StateDict& tensors, const Metadata& metadata = {});

/// What `load` gives.
struct Loaded {
  StateDict tensors;  ///< in the order of the file's header
  Metadata metadata;  ///< the file's `__metadata__`
};

/// Reads a safetensors file onto the CPU. Tied tensors share storage again. FormatError names what is wrong with the
/// file, and a tensor whose dtype is none of the six above; nothing in the file is believed before it is checked.
[[nodiscard]] Loaded load(const std::string& path);

/// Copies tensors into others by name, converting dtype: `target[name].copy_from(source[name])`. Strict: names missing
/// from `source`, names unexpected in it and shapes that differ are all reported in one ShapeError or ValueError, and
/// nothing is changed then.
void load_into(const StateDict& target, const StateDict& source);

}  // namespace embergrad

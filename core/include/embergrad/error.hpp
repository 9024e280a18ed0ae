/// @file
/// The typed errors of embergrad. Every message tells layer (where known), op, argument, expected and got, for
/// example `embedding: input[3, 7] is 50012, but weight has 50000 rows`.
#pragma once

#include <stdexcept>
#include <string>

namespace embergrad {

/// While one lives, errors and anomaly reports of this thread name this layer. Layers open one in their forward; the
/// innermost counts.
class LayerScope {
 public:
  /// @param name  where the layer stands in its model, such as `encoder.0`; must outlive the tape. Empty: changes
  ///     nothing
  explicit LayerScope(const char* name);
  ~LayerScope();
  LayerScope(const LayerScope&) = delete;
  LayerScope& operator=(const LayerScope&) = delete;
  LayerScope(LayerScope&&) = delete;
  LayerScope& operator=(LayerScope&&) = delete;

 private:
  const char* before_;
};

/// The layer whose LayerScope is open on this thread, or "".
[[nodiscard]] const char* current_layer();

namespace detail {
/// The message with the current layer's name before it.
[[nodiscard]] std::string in_layer(const std::string& message);
}  // namespace detail

/// Base of every error that embergrad throws on purpose.
class Error : public std::runtime_error {
 public:
  /// `message`, with the current layer's name before it.
  explicit Error(const std::string& message) : std::runtime_error(detail::in_layer(message)) {}

  /// The class's own name, such as "ShapeError": what a log or a test harness prints.
  [[nodiscard]] virtual const char* name() const noexcept { return "Error"; }
};

/// Shapes that don't fit each other or the op.
class ShapeError : public Error {
 public:
  using Error::Error;
  [[nodiscard]] const char* name() const noexcept override { return "ShapeError"; }
};

/// A position, row, class or dimension that is out of range.
class IndexError : public Error {
 public:
  using Error::Error;
  [[nodiscard]] const char* name() const noexcept override { return "IndexError"; }
};

/// An option or argument whose value makes no sense.
class ValueError : public Error {
 public:
  using Error::Error;
  [[nodiscard]] const char* name() const noexcept override { return "ValueError"; }
};

/// An element type that the op does not take.
class DTypeError : public Error {
 public:
  using Error::Error;
  [[nodiscard]] const char* name() const noexcept override { return "DTypeError"; }
};

/// A device that is not there, or tensors on different devices.
class DeviceError : public Error {
 public:
  using Error::Error;
  [[nodiscard]] const char* name() const noexcept override { return "DeviceError"; }
};

/// A file whose content is not what its format demands. Text files: `file:line: reason`.
class FormatError : public Error {
 public:
  using Error::Error;
  [[nodiscard]] const char* name() const noexcept override { return "FormatError"; }
};

/// The operating system refused to read or write a file.
class IoError : public Error {
 public:
  using Error::Error;
  [[nodiscard]] const char* name() const noexcept override { return "IoError"; }
};

/// Memory that could not be had; the message tells how much was wanted.
class OutOfMemory : public Error {
 public:
  using Error::Error;
  [[nodiscard]] const char* name() const noexcept override { return "OutOfMemory"; }
};

}  // namespace embergrad

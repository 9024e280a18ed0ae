/// @file
/// The typed errors of embergrad. Every message tells layer (where known), op, argument, expected and got, for
/// example `embedding: input[3, 7] is 50012, but weight has 50000 rows`.
#pragma once

#include <stdexcept>
#include <string>

namespace embergrad {

/// Base of every error that embergrad throws on purpose.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}

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

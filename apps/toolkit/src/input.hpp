/// @file
/// A file that is open for reading, without a buffer.
#pragma once

#include <cstddef>
#include <string>

namespace embergrad::text {

/// Closes the file on every way out.
class Input {
 public:
  /// Throws IoError with the operating system's reason.
  explicit Input(std::string path);
  ~Input();
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  /// Up to `most` bytes to `to`; how many they are, 0 at the end alone. Throws IoError.
  std::size_t read(char* to, std::size_t most);

  /// What the system says of the file's size. Only a hint: pipes and /proc say 0, and a file may grow.
  [[nodiscard]] std::size_t size_hint() const;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  int number_;
};

}  // namespace embergrad::text

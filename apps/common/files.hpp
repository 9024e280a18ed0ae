/// @file
/// What the programs share about files and messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace common {

/// The name that stands for standard input.
inline constexpr std::string_view standard_input = "-";

/// All bytes of a file or of standard input. Throws IoError.
[[nodiscard]] std::string read_input(const std::string& path);

/// How a file is called in messages.
[[nodiscard]] std::string name_of_input(const std::string& path);

/// "1 word", "2 words": the plural is made with an s.
[[nodiscard]] std::string count(int64_t number, std::string_view noun);

/// Text from data, made fit for a terminal: control characters become `?`.
[[nodiscard]] std::string shown(std::string_view text);

/// Throws IoError unless a file of this name can be made here: the folder is there and may be written to, and no file
/// has the name already, unless `force`. So a long run does not end in front of a closed door.
void check_output(const std::string& path, bool force);

/// A file of the command line.
struct NamedFile {
  std::string name;  ///< what names it in messages: its option
  std::string path;
};

/// Throws ValueError if a file to write is another one to write or to read, also by another spelling or through links.
void check_distinct(const std::vector<NamedFile>& outputs, const std::vector<NamedFile>& inputs);

/// Keeps other processes from writing a file as long as it lives: it holds a lock on `FILE.lock`, which is removed at
/// the end. What a killed process left of it locks nothing.
class FileLock {
 public:
  /// Throws IoError if another process has it.
  explicit FileLock(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  std::string name_;
  int file_ = -1;
};

/// Puts `bytes` under `path` whole or not at all: written to a temporary file beside it, synced, renamed. Throws
/// IoError.
void write_file(const std::string& path, std::string_view bytes);

}  // namespace common

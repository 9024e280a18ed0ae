/// @file
/// The files of a training run: which it reads and writes, and what of them has to be refused before anything is done.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace common {

/// What the command line names.
struct RunFiles {
  std::string model = {};
  std::optional<std::string> log = {};
  std::vector<std::string> train = {};  ///< none: the embedded data
  std::optional<std::string> dev = {};
  std::optional<std::string> test = {};
  std::optional<std::string> vectors = {};  ///< word vectors to start from
  bool force = false;                       ///< files that are there are replaced
  bool resume = false;                      ///< files that are there are gone on with
};

/// Where a run leaves what it needs to go on.
[[nodiscard]] std::string resume_file(const RunFiles& files);

/// Refuses files that are given for two things. ValueError
void check_names(const RunFiles& files);

/// Refuses to write over files that may be precious, and what can't be written or gone on with. IoError
void check_outputs(const RunFiles& files);

/// Drops the lines at the end of a log that tell of `epoch` and later ones, or were cut off: these epochs are trained
/// once more. Throws IoError.
void cut_log(const std::string& path, int64_t epoch);

}  // namespace common

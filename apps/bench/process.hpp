/// @file
/// Running this program once more.
#pragma once

#include <string>
#include <vector>

namespace embergrad::bench {

/// What a process left behind.
struct ProcessResult {
  std::string output;  ///< what it wrote to standard output
  bool ok = false;     ///< whether it ended by itself with status 0
};

/// Runs this program with other arguments, in this process's environment, and waits for its end. Its standard error is
/// this one's. Throws IoError if it can't be started.
[[nodiscard]] ProcessResult run_self(const std::vector<std::string>& arguments);

}  // namespace embergrad::bench

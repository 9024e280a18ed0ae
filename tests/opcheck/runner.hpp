// opcheck: answers cases of other programs. The form of a case and of its result is fixed by opcheck's page.
#pragma once

#include <string>

#include <embergrad/device.hpp>
#include <embergrad/safetensors.hpp>

namespace embergrad::opcheck {

// The answer to a case: tensors and metadata, or the class and message of the error that refused it.
struct CaseResult {
  StateDict tensors = {};
  Metadata metadata = {};
  std::string error_class = {};  // empty: no error
  std::string error_message = {};

  [[nodiscard]] bool is_error() const { return !error_class.empty(); }
};

// Runs the case that a loaded file holds. Every exception is an answer: an op or argument that isn't known is
// "Unsupported", errors of embergrad go by their own name, any other exception by "Error".
[[nodiscard]] CaseResult run_case(const Loaded& file, Device device = {});

// Loads the file first; one that can't be loaded is answered too.
[[nodiscard]] CaseResult run_file(const std::string& path, Device device = {});

}  // namespace embergrad::opcheck

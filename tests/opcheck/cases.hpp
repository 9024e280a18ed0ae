// Cases that are not read from a file.
#pragma once

#include <string>
#include <vector>

#include "opcheck/runner.hpp"

namespace embergrad::test {

inline opcheck::CaseResult run(const std::string& json, const std::vector<StateDict::Entry>& tensors) {
  Loaded file;
  file.metadata["case"] = json;
  for (const auto& [name, tensor] : tensors) file.tensors.set(name, tensor);
  return opcheck::run_case(file);
}

}  // namespace embergrad::test

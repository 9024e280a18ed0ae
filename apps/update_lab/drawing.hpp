/// @file
/// What is made of the results: tables, plots, advice, the report.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "results.hpp"

namespace lab {

/// The results as people look at them.
struct Drawing {
  std::string table;                         ///< for the terminal
  std::vector<std::string> advice;           ///< which mode to use, one line for each setting
  std::map<std::string, std::string> files;  ///< names and bytes: the plots and the report
};

/// @param facts  of the manifest: what the report tells about program, machine and task
[[nodiscard]] Drawing draw(const std::vector<Record>& records, const nlohmann::ordered_json& facts);

inline constexpr const char* report_file = "report.html";

}  // namespace lab

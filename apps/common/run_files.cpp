#include "run_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <embergrad/error.hpp>
#include <embergrad/text/lines.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "files.hpp"
#include "untrusted_json.hpp"

namespace common {
namespace {

using nlohmann::json;

/// Whether a line of a log is of `epoch` or a later one, or the beginning of a line.
bool is_due(std::string_view line, int64_t epoch) {
  const json value = embergrad::detail::parse_untrusted_json(line);
  if (value.is_object()) {
    const json found = value.value("epoch", json());
    return found.is_number_integer() && found >= epoch;
  }
  constexpr std::string_view start = R"({"epoch":)";
  return value.is_discarded() && !line.empty() && (line.starts_with(start) || start.starts_with(line));
}

}  // namespace

std::string resume_file(const RunFiles& files) { return files.model + ".resume"; }

void check_names(const RunFiles& files) {
  std::vector<NamedFile> outputs = {{"--model", files.model}, {"the resume file", resume_file(files)}};
  if (files.log) outputs.push_back({"--log", *files.log});
  std::vector<NamedFile> inputs;
  for (const std::string& path : files.train) inputs.push_back({"--train", path});
  if (files.dev) inputs.push_back({"--dev", *files.dev});
  if (files.test) inputs.push_back({"--test", *files.test});
  if (files.vectors) inputs.push_back({"--vectors", *files.vectors});
  check_distinct(outputs, inputs);
}

void check_outputs(const RunFiles& files) {
  const std::string resume = resume_file(files);
  const std::filesystem::file_status status = std::filesystem::status(resume);
  if (files.resume && !std::filesystem::exists(status)) {
    throw embergrad::IoError(fmt::format(
        "--resume: {} is not there: no run on {} was started, or it is another --model", resume, files.model));
  }
  if (files.resume && std::filesystem::is_directory(status)) {
    throw embergrad::IoError(fmt::format("--resume: {} is a folder, not a resume file", resume));
  }
  check_output(files.model, files.force || files.resume);
  if (!files.resume && !files.force && std::filesystem::exists(status)) {
    throw embergrad::IoError(fmt::format("{}: exists already; --resume goes on with it, --force replaces it", resume));
  }
  check_output(resume, true);
  if (files.log) check_output(*files.log, files.force || files.resume);
}

void cut_log(const std::string& path, int64_t epoch) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return;
  const std::string log = embergrad::text::read_file(path);
  std::size_t keep = 0;
  for (std::size_t at = 0; at < log.size();) {
    const std::size_t end = std::min(log.find('\n', at), log.size());
    const std::size_t next = std::min(end + 1, log.size());
    if (!is_due(std::string_view(log).substr(at, end - at), epoch)) keep = next;
    at = next;
  }
  if (keep == log.size()) return;
  std::filesystem::resize_file(path, keep, error);
  if (error) throw embergrad::IoError(fmt::format("{}: cannot write: {}", path, error.message()));
}

}  // namespace common

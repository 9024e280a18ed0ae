// opcheck [--device cpu|cuda|cuda:N|auto] CASES_DIR RESULTS_DIR
#include <algorithm>
#include <common/device_choice.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <embergrad/device.hpp>
#include <embergrad/error.hpp>

#include "opcheck/runner.hpp"

namespace fs = std::filesystem;

namespace {

constexpr const char* usage = "usage: opcheck [--device cpu|cuda|cuda:N|auto] CASES_DIR RESULTS_DIR\n";

struct Options {
  embergrad::Device device;
  fs::path cases;
  fs::path results;
};

// Explains itself and returns false if the arguments are wrong.
bool parse(const std::vector<std::string>& arguments, Options& options) {
  std::vector<std::string> places;
  std::string device = common::usual_device;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--device" && i + 1 < arguments.size()) {
      device = arguments[++i];
    } else if (argument.starts_with("--device=")) {
      device = argument.substr(std::string_view("--device=").size());
    } else if (argument.starts_with("-")) {
      std::fprintf(stderr, "opcheck: unknown option %s\n%s", argument.c_str(), usage);
      return false;
    } else {
      places.push_back(argument);
    }
  }
  if (places.size() != 2) {
    std::fprintf(stderr, "opcheck: expected two directories, got %zu\n%s", places.size(), usage);
    return false;
  }
  if (!common::named_device(device)) {
    std::fprintf(stderr, "opcheck: --device is %s, expected %s\n", device.c_str(), common::device_choices);
    return false;
  }
  const common::FoundDevice found = common::find_device(device);
  if (!found.usable) {
    std::fprintf(stderr, "opcheck: --device: %s\n", found.problem.c_str());
    return false;
  }
  if (!found.problem.empty()) {
    std::fprintf(stderr, "opcheck: --device auto: computing on the CPU: %s\n", found.problem.c_str());
  }
  options.device = found.device;
  options.cases = places[0];
  options.results = places[1];
  std::error_code error;
  if (!fs::is_directory(options.cases, error)) {
    std::fprintf(stderr, "opcheck: %s is not a directory\n", options.cases.c_str());
    return false;
  }
  fs::create_directories(options.results, error);
  if (error || !fs::is_directory(options.results, error)) {
    std::fprintf(stderr, "opcheck: cannot make the directory %s\n", options.results.c_str());
    return false;
  }
  if (fs::equivalent(options.cases, options.results, error)) {
    std::fprintf(stderr, "opcheck: results would overwrite the cases\n");
    return false;
  }
  return true;
}

void write_error(const fs::path& path, const embergrad::opcheck::CaseResult& result) {
  std::ofstream file(path, std::ios::binary);
  file << result.error_class << '\n' << result.error_message << '\n';
  file.close();
  if (!file) throw embergrad::IoError(path.string() + ": cannot write");
}

// One answer stands there afterwards, not one of an earlier run beside it.
void answer(const fs::path& path, const Options& options) {
  const fs::path base = options.results / path.stem();
  fs::path tensors = base;
  tensors += ".safetensors";
  fs::path error = base;
  error += ".error";
  fs::remove(tensors);
  fs::remove(error);
  const auto result = embergrad::opcheck::run_file(path.string(), options.device);
  if (result.is_error()) {
    write_error(error, result);
  } else {
    embergrad::save(tensors.string(), result.tensors, result.metadata);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(std::vector<std::string>(argv + 1, argv + argc), options)) return 2;
  int status = 0;
  std::vector<fs::path> cases;
  try {
    for (const auto& entry : fs::directory_iterator(options.cases)) {
      if (entry.path().extension() == ".safetensors") cases.push_back(entry.path());
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "opcheck: %s\n", error.what());
    return 2;
  }
  std::sort(cases.begin(), cases.end());
  for (const fs::path& path : cases) {
    try {
      answer(path, options);
    } catch (const std::exception& error) {  // the answer could not be written; the next ones may be
      std::fprintf(stderr, "opcheck: %s\n", error.what());
      status = 1;
    }
  }
  return status;
}

/// @file
/// What the program can do: one function a command, which returns the exit status and throws embergrad::Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <common/device_choice.hpp>

#include "setting.hpp"

namespace lab {

inline constexpr const char* program_name = "embergrad-lab";

/// The experiment. Of what is given several times the grid is made; what is not given has one value, which may depend
/// on task and optimizer.
struct LabOptions {
  static constexpr int64_t usual_rows = 20'000;
  static constexpr int64_t usual_dim = 32;
  static constexpr int64_t usual_lookups = 256;
  static constexpr int64_t usual_lines = 32;
  static constexpr int64_t usual_steps = 2000;
  static constexpr int64_t tagger_sentences = 8;
  static constexpr int64_t tagger_dim = 64;
  static constexpr int64_t tagger_steps = 300;

  Task task = Task::regression;
  std::vector<std::string> optimizers = {"sgd", "adam"};
  std::vector<Updates> updates = {};
  std::vector<double> lr = {};
  std::vector<double> momentum = {};
  std::vector<double> weight_decay = {};
  std::vector<double> beta2 = {};
  std::vector<Schedule> schedules = {};
  std::vector<std::string> traces = {};
  std::vector<int64_t> rows = {};
  std::vector<int64_t> dim = {};
  std::vector<double> touched = {};
  std::vector<int64_t> batch = {};
  std::vector<int64_t> steps = {};
  std::vector<uint64_t> seeds = {};
  bool no_sweep = false;
  int threads = 1;
  std::string device = common::usual_device;  ///< as named on the command line
  std::string out = "update-lab";
  bool force = false;
  bool quiet = false;
  std::vector<std::string> command = {};  ///< the command line
};
int run_lab(const LabOptions& options);

/// `report`
struct ReportOptions {
  std::string folder;
  bool quiet = false;
};
int report(const ReportOptions& options);

}  // namespace lab

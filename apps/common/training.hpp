/// @file
/// What the training runs of the programs do alike.
#pragma once

#include <chrono>
#include <cstdint>
#include <embergrad/nn/module.hpp>
#include <embergrad/report/json_lines.hpp>
#include <embergrad/report/progress.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train_options.hpp"

namespace common {

// --- data

/// Places of what is trained on and of what is set aside to measure on, both in a shuffled order.
struct Division {
  std::vector<int64_t> train;
  std::vector<int64_t> dev;
};

/// Divides the training data by --dev-fraction and --seed. Nothing if none are set aside; `found` says so then.
/// ValueError if they should, but there is one alone.
/// @param noun  "sentence"
[[nodiscard]] std::optional<Division> set_aside(int64_t all, std::string_view noun, const TrainOptions& options,
                                                std::vector<std::string>& found);

/// ValueError for --patience without anything to measure on.
void check_patience(const TrainOptions& options, bool has_dev, std::string_view items);

// --- going on

/// The members under the names of the command line: `min_count` as `--min-count`.
[[nodiscard]] nlohmann::json by_options(const nlohmann::json& members);

/// ValueError unless nothing differs from the run that wrote the resume file.
void check_same_run(const std::string& resume_file, const std::vector<std::string>& differences);
/// ValueError if the run has more epochs behind it than it is to have.
void check_epochs(const std::string& resume_file, int64_t done, int64_t epochs);

// --- an epoch

/// A clock that can be stopped, so that a progress line tells the rate of training alone.
class Stopwatch {
 public:
  void stop() { stopped_ = now(); }
  [[nodiscard]] double seconds() const { return stopped_ > 0 ? stopped_ : now(); }

 private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  double stopped_ = 0;
};

/// The progress line of an epoch. The watch must outlive it.
[[nodiscard]] embergrad::report::ProgressOptions epoch_progress(int64_t epoch, int64_t epochs, int64_t total,
                                                                const char* unit, const Stopwatch& watch);

/// A line of --log.
struct EpochRecord {
  int64_t epoch;
  int64_t step;                    ///< of all epochs
  double loss;                     ///< mean of the epoch
  std::optional<double> accuracy;  ///< on what was set aside
  double lr;
  double seconds;  ///< of training
};
void write(embergrad::report::JsonLines& log, const EpochRecord& record);

// --- what is said

[[nodiscard]] int64_t parameter_count(const embergrad::nn::Module& network);

/// How the training ended.
struct Outcome {
  bool by_patience;
  int64_t best_epoch;
  int64_t epochs;                       ///< that were asked for
  std::optional<double> best_accuracy;  ///< on what was set aside
};
void print_outcome(const TrainOptions& options, const Outcome& outcome);

/// Where the model is, and how large.
void print_model_file(const std::string& model);

}  // namespace common

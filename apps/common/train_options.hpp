/// @file
/// The options that `train` of every program has, and how they stand on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "device_choice.hpp"
#include "run_files.hpp"

namespace common {

/// The share of the training data that is set aside unless --dev-fraction says another.
inline constexpr double usual_dev_fraction = 0.1;

/// What is not given has a default that depends on something else.
struct TrainOptions : RunFiles {
  std::optional<double> dev_fraction = {};
  bool quiet = false;
  std::optional<int64_t> epochs = {};
  std::optional<int64_t> batch = {};
  std::optional<double> lr = {};
  int64_t patience = 0;
  uint64_t seed = 1;
  int threads = 1;
  std::string device = usual_device;  ///< as named on the command line
};

/// What a program learns from, in the words of its help.
struct TrainWords {
  std::string_view items;     ///< "sentences"
  std::string_view embedded;  ///< what there is without --train: "a small embedded corpus"
  std::string_view own_dev;   ///< "the embedded corpus has its own"
};

/// @{
/// Options in the order in which help shows them, in one group each.
/// --train, --dev, --dev-fraction, --test
void add_data_options(CLI::App& command, TrainOptions& options, const TrainWords& words, const char* group);
/// --model, --force, --resume
void add_model_options(CLI::App& command, TrainOptions& options, const char* group);
/// --log, with what help says of it, --quiet
void add_report_options(CLI::App& command, TrainOptions& options, const char* log_help, const char* group);
/// --epochs, --batch, with what help says of their defaults
void add_step_options(CLI::App& command, TrainOptions& options, const TrainWords& words,
                      const std::string& usual_epochs, const std::string& usual_batch, const char* group);
/// --patience, --seed, --threads, --device
void add_run_options(CLI::App& command, TrainOptions& options, const char* group);
/// @}

/// Refuses options that don't go together.
void check_together(const TrainOptions& options, const TrainWords& words);

}  // namespace common

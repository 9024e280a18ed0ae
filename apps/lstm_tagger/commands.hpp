/// @file
/// What the program can do: one function a command, which returns the exit status and throws embergrad::Error.
#pragma once

#include <common/train_options.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "model.hpp"

namespace tagger {

inline constexpr const char* program_name = "embergrad-tagger";

enum class OptimizerKind { adam, adamw, sgd };

/// How the learning rate goes on, from step to step.
enum class ScheduleKind {
  constant,
  linear,    ///< down to 0
  cosine,    ///< down to 0
  onecycle,  ///< up to `lr` and down again
};

/// `train`
struct TrainOptions : common::TrainOptions {
  static constexpr int64_t usual_epochs = 5;
  static constexpr int64_t usual_batch = 32;
  static constexpr int64_t sample_epochs = 15;  ///< with the embedded corpus, as sample_batch
  static constexpr int64_t sample_batch = 8;
  static constexpr double adam_lr = 1e-3;
  static constexpr double sgd_lr = 0.1;
  static constexpr double adamw_weight_decay = 1e-2;

  TrainOptions() { model = "tagger.safetensors"; }

  int64_t min_count = 2;
  std::optional<int64_t> save_every = {};
  std::optional<int64_t> stop_after = {};

  NetworkOptions network = {};  ///< but for its embedding_dim
  std::optional<int64_t> embedding_dim = {};
  bool freeze_vectors = false;  ///< words found in `vectors` keep them
  Initialisation initialisation = Initialisation::own;

  OptimizerKind optimizer = OptimizerKind::adam;
  ScheduleKind schedule = ScheduleKind::constant;
  std::optional<double> momentum = {};
  std::optional<double> weight_decay = {};
  std::optional<double> clip = {};
};
int train(const TrainOptions& options);

/// `eval`
struct EvalOptions {
  std::string model;
  std::string file;
  int threads = 1;
  std::string device = common::usual_device;  ///< as named on the command line
};
int eval(const EvalOptions& options);

enum class Format { conllu, text };

/// `tag`
struct TagOptions {
  std::string model;
  std::string file = "-";
  Format format = Format::conllu;
  std::optional<std::string> output = {};  ///< none: standard output
  bool force = false;
  bool quiet = false;
  int threads = 1;
  std::string device = common::usual_device;  ///< as named on the command line
};
int tag(const TagOptions& options);

}  // namespace tagger

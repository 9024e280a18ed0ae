/// @file
/// What the program can do: one function a command, which returns the exit status and throws embergrad::Error.
#pragma once

#include <common/train_options.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "model.hpp"

namespace classify {

inline constexpr const char* program_name = "embergrad-classify";

enum class OptimizerKind { adagrad, adam, sgd };

/// Where texts and labels stand in a CSV file.
struct Columns {
  std::string text = "text";
  std::string label = "category";
};

/// `train`
struct TrainOptions : common::TrainOptions {
  static constexpr int64_t usual_epochs = 10;
  static constexpr int64_t usual_batch = 32;
  static constexpr int64_t usual_dim = 64;
  static constexpr int64_t usual_buckets = 65536;
  static constexpr int64_t sample_dim = 32;  ///< with the embedded data, as sample_buckets
  static constexpr int64_t sample_buckets = 2048;
  static constexpr double adagrad_lr = 0.2;
  static constexpr double adam_lr = 1e-2;
  static constexpr double sgd_lr = 20;

  TrainOptions() { model = "classifier.safetensors"; }

  Columns columns = {};
  int64_t min_count = 1;

  std::optional<int64_t> dim = {};
  std::optional<int64_t> buckets = {};
  NetworkOptions network = {};   ///< `dim` as above
  FeatureOptions features = {};  ///< `buckets` as above
  OptimizerKind optimizer = OptimizerKind::adagrad;
};
int train(const TrainOptions& options);

/// `eval`
struct EvalOptions {
  std::string model;
  std::string file;
  Columns columns = {};
  int threads = 1;
  std::string device = common::usual_device;  ///< as named on the command line
};
int eval(const EvalOptions& options);

/// `predict`
struct PredictOptions {
  std::string model;
  std::string file = "-";
  int64_t top = 1;
  int threads = 1;
  std::string device = common::usual_device;  ///< as named on the command line
};
int predict(const PredictOptions& options);

}  // namespace classify

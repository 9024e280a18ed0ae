/// @file
/// The classifier: its network and its file.
#pragma once

#include <cstdint>
#include <embergrad/embergrad.hpp>
#include <embergrad/text/collate.hpp>
#include <embergrad/text/metrics.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "features.hpp"

namespace classify {

/// The shape of the network.
struct NetworkOptions {
  static constexpr int64_t most_width = 65536;  ///< of `dim`

  int64_t dim = 64;      ///< of the vector of a text
  double dropout = 0.3;  ///< of that vector, in training
  embergrad::BagMode mode = embergrad::BagMode::mean;
  embergrad::Device device = {};  ///< where the weights are made; no part of the model's file
};

/// How a bag becomes a vector: "sum", "mean" or "max".
[[nodiscard]] const char* mode_name(embergrad::BagMode mode);

/// The options of both as a JSON object.
[[nodiscard]] std::string to_json(const NetworkOptions& network, const FeatureOptions& features);

/// Bags of ids to scores of classes: EmbeddingBag, Linear. The log-softmax is in the loss.
struct BagClassifier : embergrad::nn::Module {
  embergrad::nn::EmbeddingBag embedding;
  embergrad::nn::Linear fc;
  embergrad::nn::Dropout dropout;

  /// @param sparse  the table's gradient has only the rows that a batch names; not every optimizer takes that
  BagClassifier(const NetworkOptions& options, int64_t rows, int64_t classes, bool sparse);

  void members(embergrad::nn::Visitor& visit) override;
  embergrad::Tensor forward(const embergrad::text::BagBatch& batch);
  [[nodiscard]] std::string describe() const override { return "BagClassifier"; }
};

/// A network with what gives its numbers a meaning.
struct Classifier {
  NetworkOptions options;
  Features features;
  embergrad::text::Vocabulary labels;
  BagClassifier network;
};

/// Writes a model file: safetensors with the weights under PyTorch's names, words, labels and options as metadata.
/// @param training  JSON: how the model came to be; for people, never read again
/// @param path  replaced whole or not at all. IoError
void save_classifier(const std::string& path, const Classifier& classifier, const std::string& training);

/// Reads a model file. IoError; FormatError that names the file for one that is not whole and consistent.
[[nodiscard]] Classifier load_classifier(const std::string& path, embergrad::Device device = {});

/// A class and its probability.
struct Guess {
  int64_t label = 0;
  double probability = 0;
};

/// Called after each batch with the number of its texts.
using TextsDone = std::function<void(int64_t)>;

/// For each text the `top` most probable classes (all, if there are fewer), most probable first.
[[nodiscard]] std::vector<std::vector<Guess>> predict(Classifier& classifier, std::span<const std::string_view> texts,
                                                      int64_t top = 1, const TextsDone& done = {});

/// Compares `predict` with the right classes.
[[nodiscard]] embergrad::text::ClassificationReport evaluate(Classifier& classifier,
                                                             std::span<const std::string_view> texts,
                                                             std::span<const std::string_view> labels,
                                                             const TextsDone& done = {});

}  // namespace classify

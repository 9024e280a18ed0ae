#include "model.hpp"

#include <algorithm>
#include <common/model_file.hpp>
#include <nlohmann/json.hpp>
#include <utility>

namespace classify {
namespace {

namespace eg = embergrad;
using eg::text::Vocabulary;
using nlohmann::json;

constexpr const char* format_name = "embergrad-classify";
constexpr const char* format_version = "1";
constexpr std::size_t texts_at_once = 256;

const std::vector<std::string>& mode_names() {
  static const std::vector<std::string> names = {"sum", "mean", "max"};
  return names;
}

}  // namespace

const char* mode_name(eg::BagMode mode) { return mode_names()[static_cast<std::size_t>(mode)].c_str(); }

std::string to_json(const NetworkOptions& network, const FeatureOptions& features) {
  return json{{"dim", network.dim},
              {"dropout", network.dropout},
              {"mode", mode_name(network.mode)},
              {"word_ngrams", features.word_ngrams},
              {"min_chars", features.min_chars},
              {"max_chars", features.max_chars},
              {"buckets", features.buckets}}
      .dump();
}

// --- BagClassifier

BagClassifier::BagClassifier(const NetworkOptions& options, int64_t rows, int64_t classes, bool sparse)
    : embedding({.num_embeddings = rows,
                 .embedding_dim = options.dim,
                 .mode = options.mode,
                 .sparse = sparse,
                 .device = options.device}),
      fc({.in_features = options.dim, .out_features = classes, .device = options.device}),
      dropout(options.dropout) {}

void BagClassifier::members(eg::nn::Visitor& visit) {
  visit("embedding", embedding);
  visit("fc", fc);
  visit("dropout", dropout);
}

eg::Tensor BagClassifier::forward(const eg::text::BagBatch& batch) {
  return fc(dropout(embedding(batch.input, batch.offsets)));
}

// --- model files

void save_classifier(const std::string& path, const Classifier& classifier, const std::string& training) {
  eg::save(path, classifier.network.state_dict(),
           {{"embergrad.format", format_name},
            {"embergrad.version", format_version},
            {"words", json(classifier.features.words().words()).dump()},
            {"labels", json(classifier.labels.words()).dump()},
            {"options", to_json(classifier.options, classifier.features.options())},
            {"training", training}});
}

Classifier load_classifier(const std::string& path, eg::Device device) {
  const common::ModelFile file(path, format_name, format_version);
  const NetworkOptions network_options{.dim = file.whole("dim", 1, NetworkOptions::most_width),
                                       .dropout = file.share("dropout"),
                                       .mode = static_cast<eg::BagMode>(file.one_of("mode", mode_names())),
                                       .device = device};
  const FeatureOptions feature_options{.word_ngrams = file.whole("word_ngrams", 1, FeatureOptions::most_words),
                                       .min_chars = file.whole("min_chars", 0, eg::text::CharNgrams::most_characters),
                                       .max_chars = file.whole("max_chars", 0, eg::text::CharNgrams::most_characters),
                                       .buckets = file.whole("buckets", 1, FeatureOptions::most_buckets)};
  if (feature_options.max_chars > 0 && feature_options.max_chars < feature_options.min_chars) {
    file.refuse("its option max_chars is below min_chars");
  }
  Features features(file.vocabulary("words", false), feature_options);
  Vocabulary labels = file.vocabulary("labels", false);
  if (labels.size() == 0) file.refuse("it knows no labels");

  file.check_shape("embedding.weight", {features.rows(), network_options.dim});
  file.check_shape("fc.weight", {labels.size(), network_options.dim});
  BagClassifier network(network_options, features.rows(), labels.size(), false);
  file.load_into(network);
  network.eval();
  return {network_options, std::move(features), std::move(labels), std::move(network)};
}

// --- predictions

std::vector<std::vector<Guess>> predict(Classifier& classifier, std::span<const std::string_view> texts, int64_t top,
                                        const TextsDone& done) {
  const eg::NoGrad guard;
  classifier.network.eval();
  const auto kept = static_cast<std::size_t>(std::min(top, classifier.labels.size()));
  std::vector<std::vector<Guess>> all;
  all.reserve(texts.size());
  while (!texts.empty()) {
    const auto batch = texts.first(std::min(texts.size(), texts_at_once));
    texts = texts.subspan(batch.size());
    std::vector<std::vector<int64_t>> ids;
    ids.reserve(batch.size());
    for (const std::string_view text : batch) ids.push_back(classifier.features.ids(text));
    eg::text::Bags bags = eg::text::bags(ids);
    const eg::Tensor scores =
        classifier.network.forward({.input = std::move(bags.input), .offsets = std::move(bags.offsets), .labels = {}})
            .to(eg::Device::cpu());
    const auto best = eg::topk(eg::softmax(scores, 1), static_cast<int64_t>(kept));
    const auto* label = best.indices.data<int64_t>();
    const auto* probability = best.values.data<float>();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      std::vector<Guess>& guesses = all.emplace_back();
      for (std::size_t k = 0; k < kept; ++k) guesses.push_back({.label = *label++, .probability = *probability++});
    }
    if (done) done(static_cast<int64_t>(batch.size()));
  }
  return all;
}

eg::text::ClassificationReport evaluate(Classifier& classifier, std::span<const std::string_view> texts,
                                        std::span<const std::string_view> labels, const TextsDone& done) {
  const std::vector<std::vector<Guess>> guesses = predict(classifier, texts, 1, done);
  eg::text::ClassificationReport report;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    report.add(labels[i], classifier.labels.name(guesses[i].front().label));
  }
  return report;
}

}  // namespace classify

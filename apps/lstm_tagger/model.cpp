#include "model.hpp"

#include <fmt/format.h>

#include <cmath>
#include <common/model_file.hpp>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>
#include <utility>

namespace tagger {
namespace {

namespace eg = embergrad;
using eg::text::Batch;
using eg::text::Corpus;
using eg::text::Vocabulary;
using nlohmann::json;

constexpr const char* format_name = "embergrad-tagger";
constexpr const char* format_version = "1";

// When tagging, a batch has so many words at most; training has the batches that the user asked for.
constexpr int64_t most_words = 32768;
constexpr int64_t sentences_at_once = 32;

eg::nn::LSTMOptions lstm_options(const NetworkOptions& options) {
  return {.input_size = options.embedding_dim,
          .hidden_size = options.hidden,
          .num_layers = options.layers,
          .dropout = options.layers > 1 ? options.dropout : 0.0,
          .bidirectional = options.bidirectional,
          .device = options.device};
}

/// What the LSTM gives for a word.
int64_t width(const NetworkOptions& options) { return options.hidden * (options.bidirectional ? 2 : 1); }

/// Where each sentence's words begin in `corpus.words()`.
std::vector<int64_t> starts_of(const Corpus& corpus) {
  const std::vector<int64_t> lengths = corpus.lengths();
  std::vector<int64_t> starts(lengths.size());
  std::exclusive_scan(lengths.begin(), lengths.end(), starts.begin(), int64_t{0});
  return starts;
}

}  // namespace

std::string to_json(const NetworkOptions& options) {
  return json{{"embedding_dim", options.embedding_dim},
              {"hidden", options.hidden},
              {"layers", options.layers},
              {"dropout", options.dropout},
              {"bidirectional", options.bidirectional}}
      .dump();
}

// --- LstmTagger

LstmTagger::LstmTagger(const NetworkOptions& options, int64_t words, int64_t tags)
    : word_embeddings({.num_embeddings = words,
                       .embedding_dim = options.embedding_dim,
                       .padding_idx = Vocabulary::pad_id,
                       .sparse = options.sparse,
                       .device = options.device}),
      lstm(lstm_options(options)),
      hidden2tag({.in_features = width(options), .out_features = tags, .device = options.device}),
      dropout(options.dropout) {}

void LstmTagger::members(eg::nn::Visitor& visit) {
  visit("word_embeddings", word_embeddings);
  visit("lstm", lstm);
  visit("hidden2tag", hidden2tag);
  visit("dropout", dropout);
}

eg::nn::PackedSequence LstmTagger::forward(const eg::nn::PackedSequence& sentences) {
  return hidden2tag(dropout(lstm(dropout(word_embeddings(sentences))).output));
}

void LstmTagger::initialise() {
  namespace init = eg::nn::init;
  const double bound = 0.5 * std::sqrt(3.0 / static_cast<double>(word_embeddings.embedding_dim()));
  init::uniform(word_embeddings.weight, -bound, bound);
  const int64_t hidden = lstm.hidden_size();
  for (const auto& [name, parameter] : lstm.named_parameters()) {
    if (parameter.dim() == 2) {
      init::xavier_uniform(parameter);
    } else {
      init::zeros(parameter);
      // Gates stand in the order i, f, g, o. Each has two biases, which add up; one of them opens the forget gate.
      if (name.starts_with("bias_ih")) init::ones(eg::narrow(parameter.detach(), 0, hidden, hidden));
    }
  }
  init::xavier_uniform(hidden2tag.weight);
  init::zeros(hidden2tag.bias);
}

// --- model files

void save_tagger(const std::string& path, const Tagger& tagger, const std::string& training) {
  eg::save(path, tagger.network.state_dict(),
           {{"embergrad.format", format_name},
            {"embergrad.version", format_version},
            {"words", json(tagger.words.words()).dump()},
            {"tags", json(tagger.tags.words()).dump()},
            {"options", to_json(tagger.options)},
            {"training", training}});
}

Tagger load_tagger(const std::string& path, eg::Device device) {
  const common::ModelFile file(path, format_name, format_version);
  const NetworkOptions options{.embedding_dim = file.whole("embedding_dim", 1, NetworkOptions::most_width),
                               .hidden = file.whole("hidden", 1, NetworkOptions::most_width),
                               .layers = file.whole("layers", 1, NetworkOptions::most_layers),
                               .dropout = file.share("dropout"),
                               .bidirectional = file.flag("bidirectional"),
                               .device = device};
  Vocabulary words = file.vocabulary("words", true);
  Vocabulary tags = file.vocabulary("tags", false);
  if (tags.size() == 0) file.refuse("it knows no tags");

  file.check_shape("word_embeddings.weight", {words.size(), options.embedding_dim});
  file.check_shape("lstm.weight_hh_l0", {4 * options.hidden, options.hidden});
  file.check_shape(fmt::format("lstm.weight_hh_l{}", options.layers - 1), {4 * options.hidden, options.hidden});
  file.check_shape("hidden2tag.weight", {tags.size(), width(options)});
  LstmTagger network(options, words.size(), tags.size());
  file.load_into(network);
  network.eval();
  return {options, std::move(words), std::move(tags), std::move(network)};
}

// --- tagging

std::vector<int64_t> predict(Tagger& tagger, const Corpus& corpus, const WordsDone& done) {
  const eg::NoGrad guard;
  tagger.network.eval();
  const std::vector<int64_t> starts = starts_of(corpus);
  std::vector<int64_t> found(static_cast<std::size_t>(corpus.word_count()));
  for (const Batch& batch :
       batches(corpus, tagger.words,
               {.sentences = sentences_at_once, .shuffle = false, .sort_all = true, .most_words = most_words})) {
    const eg::Tensor best = eg::argmax(tagger.network.forward(batch.words).values(), 1).to(eg::Device::cpu());
    const int64_t* tag = best.data<int64_t>();
    int64_t word = 0;
    for (const int64_t alive : batch.words.batch_sizes()) {
      for (const int64_t sequence : batch.words.order().first(static_cast<std::size_t>(alive))) {
        const int64_t sentence = batch.sentences[static_cast<std::size_t>(sequence)];
        found[static_cast<std::size_t>(starts[static_cast<std::size_t>(sentence)] + word)] = *tag++;
      }
      ++word;
    }
    if (done) done(batch.word_count);
  }
  return found;
}

std::vector<std::vector<std::string>> tag(Tagger& tagger, const Corpus& corpus, const WordsDone& done) {
  const std::vector<int64_t> found = predict(tagger, corpus, done);
  std::span<const int64_t> rest = found;
  std::vector<std::vector<std::string>> tags;
  tags.reserve(static_cast<std::size_t>(corpus.size()));
  for (const int64_t length : corpus.lengths()) {
    tags.push_back(tagger.tags.names(rest.first(static_cast<std::size_t>(length))));
    rest = rest.subspan(static_cast<std::size_t>(length));
  }
  return tags;
}

eg::text::TaggingReport evaluate(Tagger& tagger, const Corpus& corpus, const WordsDone& done) {
  const std::vector<int64_t> found = predict(tagger, corpus, done);
  eg::text::TaggingReport report;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const eg::text::Word& word = corpus.words()[i];
    report.add(word.tag, tagger.tags.name(found[i]), tagger.words.contains(word.form));
  }
  return report;
}

}  // namespace tagger

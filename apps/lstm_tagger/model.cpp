#include "model.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>
#include <utility>

#include "untrusted_json.hpp"

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
          .bidirectional = options.bidirectional};
}

/// What the LSTM gives for a word.
int64_t width(const NetworkOptions& options) { return options.hidden * (options.bidirectional ? 2 : 1); }

// --- the model file

/// Reads the metadata and tensors of one file and refuses what does not fit together.
class ModelReader {
 public:
  explicit ModelReader(const std::string& path) : path_(path), file_(eg::load(path)) {}

  Tagger read() {
    if (text("embergrad.format") != format_name) {
      refuse(fmt::format("its format is not {}, but {:.40}", format_name, json(text("embergrad.format")).dump()));
    }
    if (text("embergrad.version") != format_version) {
      refuse(fmt::format("this program reads version {} of its format, but the file has {:.40}", format_version,
                         json(text("embergrad.version")).dump()));
    }
    const NetworkOptions options = network_options();
    Vocabulary words = vocabulary("words", true);
    Vocabulary tags = vocabulary("tags", false);
    if (tags.size() == 0) refuse("it knows no tags");

    // The sizes follow from tensors that are there, so nothing large is made for a file that only claims to be.
    check_shape("word_embeddings.weight", {words.size(), options.embedding_dim});
    check_shape("lstm.weight_hh_l0", {4 * options.hidden, options.hidden});
    check_shape(fmt::format("lstm.weight_hh_l{}", options.layers - 1), {4 * options.hidden, options.hidden});
    check_shape("hidden2tag.weight", {tags.size(), width(options)});
    LstmTagger network(options, words.size(), tags.size());
    try {
      network.load_state_dict(file_.tensors);
    } catch (const eg::Error& error) {
      refuse(error.what());
    }
    network.eval();
    return {options, std::move(words), std::move(tags), std::move(network)};
  }

 private:
  [[noreturn]] void refuse(const std::string& reason) const {
    throw eg::FormatError(fmt::format("{}: not a model of this program: {}", path_, reason));
  }

  const std::string& text(const std::string& key) const {
    const auto place = file_.metadata.find(key);
    if (place == file_.metadata.end()) refuse(fmt::format("its metadata have no {}", key));
    return place->second;
  }

  json parsed(const std::string& key) const {
    json value = eg::detail::parse_untrusted_json(text(key));
    if (value.is_discarded()) refuse(fmt::format("its {} are not JSON", key));
    return value;
  }

  NetworkOptions network_options() const {
    const json all = parsed("options");
    if (!all.is_object()) refuse("its options are not a JSON object");
    const auto option = [&](const char* name) {
      const auto place = all.find(name);
      if (place == all.end()) refuse(fmt::format("its options have no {}", name));
      return *place;
    };
    const auto size = [&](const char* name, int64_t most) {
      const json value = option(name);
      if (!value.is_number_integer() || value < 1 || value > most) {
        refuse(fmt::format("its option {} is {:.40}, not a whole number from 1 to {}", name, value.dump(), most));
      }
      return value.get<int64_t>();
    };
    NetworkOptions options;
    options.embedding_dim = size("embedding_dim", NetworkOptions::most_width);
    options.hidden = size("hidden", NetworkOptions::most_width);
    options.layers = size("layers", NetworkOptions::most_layers);
    const json dropout = option("dropout");
    if (!dropout.is_number() || !(dropout >= 0) || !(dropout < 1)) {
      refuse(fmt::format("its option dropout is {:.40}, not a number from 0 to below 1", dropout.dump()));
    }
    options.dropout = dropout.get<double>();
    const json bidirectional = option("bidirectional");
    if (!bidirectional.is_boolean()) refuse("its option bidirectional is neither true nor false");
    options.bidirectional = bidirectional.get<bool>();
    return options;
  }

  Vocabulary vocabulary(const char* key, bool has_specials) const {
    const json list = parsed(key);
    if (!list.is_array()) refuse(fmt::format("its {} are not a JSON array", key));
    std::vector<std::string> strings;
    strings.reserve(list.size());
    for (const json& one : list) {
      if (!one.is_string()) refuse(fmt::format("among its {} is {:.40}, not a string", key, one.dump()));
      strings.push_back(one.get<std::string>());
    }
    try {
      return Vocabulary(std::move(strings), has_specials);
    } catch (const eg::Error& error) {
      refuse(fmt::format("its {}: {}", key, error.what()));
    }
  }

  void check_shape(const std::string& name, const eg::Shape& shape) const {
    if (!file_.tensors.contains(name)) refuse(fmt::format("there is no tensor {}", name));
    const eg::Shape& got = file_.tensors.at(name).shape();
    if (got != shape) {
      refuse(fmt::format("{} has shape {}, but vocabularies and options say {}", name, got.to_string(),
                         shape.to_string()));
    }
  }

  std::string path_;
  eg::Loaded file_;
};

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
    : word_embeddings(
          {.num_embeddings = words, .embedding_dim = options.embedding_dim, .padding_idx = Vocabulary::pad_id}),
      lstm(lstm_options(options)),
      hidden2tag({.in_features = width(options), .out_features = tags}),
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

Tagger load_tagger(const std::string& path) { return ModelReader(path).read(); }

// --- tagging

std::vector<int64_t> predict(Tagger& tagger, const Corpus& corpus, const WordsDone& done) {
  const eg::NoGrad guard;
  tagger.network.eval();
  const std::vector<int64_t> starts = starts_of(corpus);
  std::vector<int64_t> found(static_cast<std::size_t>(corpus.word_count()));
  for (const Batch& batch :
       batches(corpus, tagger.words,
               {.sentences = sentences_at_once, .shuffle = false, .sort_all = true, .most_words = most_words})) {
    const eg::Tensor best = eg::argmax(tagger.network.forward(batch.words).values(), 1);
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

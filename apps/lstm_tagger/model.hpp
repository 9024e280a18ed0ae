/// @file
/// The tagger: its network and its file.
#pragma once

#include <cstdint>
#include <embergrad/embergrad.hpp>
#include <embergrad/text/batches.hpp>
#include <embergrad/text/corpus.hpp>
#include <embergrad/text/metrics.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <functional>
#include <string>
#include <vector>

namespace tagger {

/// The shape of the network.
struct NetworkOptions {
  static constexpr int64_t most_width = 65536;  ///< of `embedding_dim` and `hidden`
  static constexpr int64_t most_layers = 100;

  int64_t embedding_dim = 100;
  int64_t hidden = 128;  ///< in each direction
  int64_t layers = 1;
  double dropout = 0;  ///< of the word vectors, between layers and of the LSTM's output, in training
  bool bidirectional = true;
  bool sparse = false;            ///< the word table gets sparse gradients; no part of the model's file
  embergrad::Device device = {};  ///< where the weights are made; no part of the model's file
};

/// The options as a JSON object.
[[nodiscard]] std::string to_json(const NetworkOptions& options);

/// How weights start.
enum class Initialisation {
  own,      ///< see LstmTagger::initialise
  pytorch,  ///< the layers' own defaults
};

/// Words to scores of tags: embedding, LSTM, linear map. The log-softmax is in the loss; the best tag is the same
/// without it.
struct LstmTagger : embergrad::nn::Module {
  embergrad::nn::Embedding word_embeddings;
  embergrad::nn::LSTM lstm;
  embergrad::nn::Linear hidden2tag;
  embergrad::nn::Dropout dropout;

  /// `words` and `tags` are sizes of vocabularies.
  LstmTagger(const NetworkOptions& options, int64_t words, int64_t tags);

  /// Draws all weights anew in the program's own way, which learns faster than the layers' defaults: matrices from
  /// Glorot's uniform distribution, biases 0, those of forget gates 1, word vectors uniform and of length about 1/2.
  /// (Half of what Glorot's rule gives a vector; of the scales 1/4, 1/2, 1, 2 it did best on both a large treebank and
  /// the embedded corpus.)
  void initialise();

  void members(embergrad::nn::Visitor& visit) override;
  embergrad::nn::PackedSequence forward(const embergrad::nn::PackedSequence& sentences);
  [[nodiscard]] std::string describe() const override { return "LstmTagger"; }
};

/// A network with the vocabularies that give its numbers a meaning.
struct Tagger {
  NetworkOptions options;
  embergrad::text::Vocabulary words;
  embergrad::text::Vocabulary tags;
  LstmTagger network;
};

/// Writes a model file: safetensors with the weights under PyTorch's names, vocabularies and options as metadata.
/// @param training  JSON: how the model came to be; for people, never read again
/// @param path  replaced whole or not at all. IoError
void save_tagger(const std::string& path, const Tagger& tagger, const std::string& training);

/// Reads a model file. IoError; FormatError that names the file for one that is not whole and consistent.
[[nodiscard]] Tagger load_tagger(const std::string& path, embergrad::Device device = {});

/// Called after each batch with the number of its words.
using WordsDone = std::function<void(int64_t)>;

/// The tags (ids) that the network finds best, for `corpus.words()`. Memory beside the result is bounded, unless a
/// single sentence is long.
[[nodiscard]] std::vector<int64_t> predict(Tagger& tagger, const embergrad::text::Corpus& corpus,
                                           const WordsDone& done = {});

/// The tags as the writers take them: for each sentence those of its words.
[[nodiscard]] std::vector<std::vector<std::string>> tag(Tagger& tagger, const embergrad::text::Corpus& corpus,
                                                        const WordsDone& done = {});

/// Compares `predict` with the tags in `corpus`.
[[nodiscard]] embergrad::text::TaggingReport evaluate(Tagger& tagger, const embergrad::text::Corpus& corpus,
                                                      const WordsDone& done = {});

}  // namespace tagger

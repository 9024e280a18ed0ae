#include <embergrad/embergrad.hpp>
#include <embergrad/text/batches.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/vocabulary.hpp>

#include <iostream>

namespace eg = embergrad;

struct LstmTagger : eg::nn::Module {
  eg::nn::Embedding word_embeddings;
  eg::nn::LSTM lstm;
  eg::nn::Linear hidden2tag;

  LstmTagger(int64_t words, int64_t tags)
      : word_embeddings({.num_embeddings = words, .embedding_dim = 64, .padding_idx = 0}),
        lstm({.input_size = 64, .hidden_size = 128, .bidirectional = true}),
        hidden2tag({.in_features = 256, .out_features = tags}) {}

  void members(eg::nn::Visitor& visit) override {
    visit("word_embeddings", word_embeddings);
    visit("lstm", lstm);
    visit("hidden2tag", hidden2tag);
  }
  eg::nn::PackedSequence forward(const eg::nn::PackedSequence& sentences) {
    return hidden2tag(lstm(word_embeddings(sentences)).output);
  }
};

int main() {
  const auto corpus = eg::text::read_conllu("train.conllu");
  const auto words = eg::text::Vocabulary::of_words(corpus, {.min_count = 2});
  const auto tags = eg::text::Vocabulary::of_tags(corpus);

  eg::manual_seed(1);
  LstmTagger model(words.size(), tags.size());
  eg::optim::AdamW optimizer(model.parameters(), {.lr = 1e-2, .weight_decay = 1e-2});

  for (int64_t epoch = 1; epoch <= 3; ++epoch) {
    double total = 0;
    for (const auto& batch : eg::text::batches(corpus, words, tags, {.sentences = 32, .seed = 1, .epoch = epoch})) {
      const auto loss = eg::nn::cross_entropy(model.forward(batch.words), batch.tags);
      optimizer.zero_grad();
      loss.backward();
      eg::optim::clip_grad_norm(model.parameters(), 5.0);
      optimizer.step();
      total += loss.item() * static_cast<double>(batch.word_count);
    }
    std::cout << "epoch " << epoch << ": loss " << total / static_cast<double>(corpus.word_count()) << "\n";
  }
  eg::save("tagger.safetensors", model.state_dict());
}

// The same weights give the same numbers as PyTorch: a tagger's logits, loss, gradients and ten steps of training,
// stored by golden/tagger.py.
#include <embergrad/embergrad.hpp>

#include <boost/test/unit_test.hpp>
#include <string>

#include "support/compare.hpp"

using namespace embergrad;
using test::close_to;

namespace {

struct Tagger : nn::Module {
  nn::Embedding word_embeddings;
  nn::LSTM lstm;
  nn::Linear hidden2tag;

  Tagger(std::int64_t words, std::int64_t dim, std::int64_t hidden, std::int64_t tags)
      : word_embeddings({.num_embeddings = words, .embedding_dim = dim, .padding_idx = 0}),
        lstm({.input_size = dim, .hidden_size = hidden, .bidirectional = true}),
        hidden2tag({.in_features = 2 * hidden, .out_features = tags}) {}
  void members(nn::Visitor& visit) override {
    visit("word_embeddings", word_embeddings);
    visit("lstm", lstm);
    visit("hidden2tag", hidden2tag);
  }
  nn::PackedSequence forward(const nn::PackedSequence& words) {
    return hidden2tag(lstm(word_embeddings(words)).output);
  }
};

// What the stored file and the program agree to, relative and absolute: sums in another order, and for parameters after
// ten Adam steps its amplification of tiny gradients.
struct Bounds {
  test::Tolerance pass, after;
};

void check_file(const std::string& name, DType dtype, Bounds bounds) {
  const StateDict stored = load(EMBERGRAD_TEST_GOLDEN "/" + name).tensors;
  const Tensor table = stored.at("model.word_embeddings.weight");
  const Tensor out = stored.at("model.hidden2tag.weight");
  Tagger model(table.size(0), table.size(1), out.size(1) / 2, out.size(0));
  model.to(dtype);
  StateDict weights;
  for (const auto& [key, tensor] : stored) {
    if (key.starts_with("model.")) weights.set(key.substr(6), tensor);
  }
  model.load_state_dict(weights);

  const nn::PackPaddedOptions batch_first{.batch_first = true};
  const nn::PackedSequence words = nn::pack_padded_sequence(stored.at("input"), stored.at("lengths"), batch_first);
  const nn::PackedSequence tags = nn::pack_padded_sequence(stored.at("target"), stored.at("lengths"), batch_first);
  const nn::PackedSequence logits = model.forward(words);
  BOOST_TEST(close_to("logits", logits.values(), stored.at("logits"), bounds.pass));
  const Tensor loss = nn::cross_entropy(logits, tags);
  BOOST_TEST(close_to("loss", loss, stored.at("loss").reshape({}), bounds.pass));
  loss.backward();
  for (const auto& [key, parameter] : model.named_parameters()) {
    BOOST_TEST(close_to("grad." + key, parameter.grad().dense(), stored.at("grad." + key), bounds.pass));
  }

  model.zero_grad();
  optim::Adam optimizer(model.parameters(), {.lr = 1e-2});
  const Tensor losses = stored.at("losses").reshape({-1});
  for (std::int64_t step = 0; step < losses.numel(); ++step) {
    const Tensor now = nn::cross_entropy(model.forward(words), tags);
    BOOST_TEST(close_to("losses", now, losses[step].reshape({}), bounds.after), "step " << step);
    optimizer.zero_grad();
    now.backward();
    optimizer.step();
  }
  for (const auto& [key, parameter] : model.named_parameters()) {
    BOOST_TEST(close_to("after." + key, parameter.detach(), stored.at("after." + key), bounds.after));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parity)

BOOST_AUTO_TEST_CASE(tagger_float32) {
  check_file("tagger_f32.safetensors", DType::float32, {{1e-4, 1e-6}, {2e-4, 2e-4}});
}

BOOST_AUTO_TEST_CASE(tagger_float64) {
  check_file("tagger_f64.safetensors", DType::float64, {{1e-9, 1e-12}, {1e-8, 1e-9}});
}

BOOST_AUTO_TEST_SUITE_END()

// One model, many threads: under no_grad they read it at the same time and get the bits of one thread.
#include <fmt/format.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <embergrad/embergrad.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/compare.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::Tensor;
using eg::test::equal_to;

namespace {

struct Tagger : nn::Module {
  nn::Embedding words{{.num_embeddings = 50, .embedding_dim = 12, .padding_idx = 0}};
  nn::Dropout dropout{0.5};
  nn::LSTM lstm{{.input_size = 12, .hidden_size = 16, .num_layers = 2, .bidirectional = true}};
  nn::Linear out{32, 7};

  void members(nn::Visitor& visit) override {
    visit("words", words);
    visit("dropout", dropout);
    visit("lstm", lstm);
    visit("out", out);
  }
  nn::PackedSequence forward(const nn::PackedSequence& sentences) const {
    return out(lstm(dropout(words(sentences))).output);
  }
};

std::vector<nn::PackedSequence> batches() {
  std::vector<nn::PackedSequence> all;
  for (std::int64_t k = 0; k < 6; ++k) {
    std::vector<std::vector<std::int64_t>> ids;
    for (std::int64_t b = 0; b <= 3 * k; ++b) {
      ids.emplace_back();
      for (std::int64_t t = 0; t < 1 + (7 * b + k) % 11; ++t) ids.back().push_back((13 * t + 5 * b + k) % 50);
    }
    all.push_back(nn::pack_ids(ids));
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(concurrency)

BOOST_AUTO_TEST_CASE(forward_of_one_model_from_many_threads) {
  eg::manual_seed(5);
  Tagger model;
  model.eval();
  const std::vector<nn::PackedSequence> inputs = batches();
  std::vector<Tensor> expected;
  {
    const eg::NoGrad guard;
    for (const nn::PackedSequence& input : inputs) expected.push_back(model.forward(input).values());
  }
  constexpr std::size_t count = 8;
  std::vector<std::vector<Tensor>> got(count);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      const eg::NoGrad guard;
      for (int round = 0; round < 3; ++round) {
        got[i].clear();
        for (const nn::PackedSequence& input : inputs) got[i].push_back(model.forward(input).values());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      BOOST_TEST(equal_to(fmt::format("thread {}, batch {}", i, k), got[i][k], expected[k]));
    }
  }
}

// Results made on one thread are read and dropped on others; walks that only read may run beside each other.
BOOST_AUTO_TEST_CASE(handles_cross_threads_and_walks_run_side_by_side) {
  eg::manual_seed(6);
  const Tagger model;
  const std::vector<nn::PackedSequence> inputs = batches();
  std::atomic<std::size_t> parameters = 0;
  std::vector<std::vector<Tensor>> made(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < made.size(); ++i) {
    threads.emplace_back([&, i] {
      const eg::NoGrad guard;
      parameters += model.parameters().size();
      parameters += model.state_dict().size();
      for (const nn::PackedSequence& input : inputs) made[i].push_back(model.words(input).values());
    });
  }
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(parameters == 4 * 2 * model.parameters().size());
  threads.clear();
  for (std::size_t i = 0; i < made.size(); ++i) {
    threads.emplace_back([&, i] {
      const eg::NoGrad guard;
      for (Tensor& tensor : made[(i + 1) % made.size()]) tensor = tensor + 1.0;
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Every thread has a tape of its own: models that share nothing train side by side.
BOOST_AUTO_TEST_CASE(models_of_their_own_train_side_by_side) {
  const std::vector<nn::PackedSequence> inputs = batches();
  const auto train = [&] {
    eg::Generator generator(7);
    nn::Embedding words({.num_embeddings = 50, .embedding_dim = 6}, generator);
    nn::LSTM lstm({.input_size = 6, .hidden_size = 5}, generator);
    std::vector<Tensor> all = lstm.parameters();
    all.push_back(words.weight);
    eg::optim::Adam optimizer(all, {.lr = 0.01});
    for (const nn::PackedSequence& input : inputs) {
      optimizer.zero_grad();
      lstm(words(input)).output.values().sum().backward();
      optimizer.step();
    }
    return words.weight;
  };
  const Tensor expected = train();
  std::vector<Tensor> got(4);
  std::vector<std::thread> threads;
  for (Tensor& each : got) threads.emplace_back([&] { each = train(); });
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& each : got) BOOST_TEST(equal_to("table", each, expected));
}

BOOST_AUTO_TEST_SUITE_END()

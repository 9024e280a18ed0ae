// Training steps whose host never waits for its GPU, by the counts of the emulated runtime.
#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/embergrad.hpp>

#include "device/on_gpu.hpp"
#include "emulated/counts.hpp"

namespace eg = embergrad;
namespace nn = embergrad::nn;
using eg::Device;
using eg::DType;
using eg::Tensor;
using eg::optim::Updates;
using eg::test::Draw;
using eg::test::gpu;

namespace {

// How often the host waits in each of some steps, the first of which may set things up.
std::vector<std::int64_t> waits_of_steps(const std::function<void()>& step) {
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 4; ++i) {
    const std::int64_t before = eg::emulated::counts().waits;
    step();
    waits.push_back(eg::emulated::counts().waits - before);
  }
  return waits;
}

void expect(const std::string& what, const std::vector<std::int64_t>& waits, std::int64_t each) {
  for (std::size_t i = 1; i < waits.size(); ++i) {
    BOOST_TEST(waits[i] == each, what << ": " << waits[i] << " waits in step " << i << ", expected " << each);
  }
}

const std::pair<const char*, Updates> modes[] = {
    {"dense", Updates::dense}, {"touched_only", Updates::touched_only}, {"exact", Updates::exact}};

struct Tagger {
  Tagger(bool sparse, Updates updates)
      : embedding({.num_embeddings = 40, .embedding_dim = 8, .padding_idx = 0, .sparse = sparse}),
        lstm({.input_size = 8, .hidden_size = 6, .bidirectional = true}),
        linear(12, 5) {
    embedding.to(gpu);
    lstm.to(gpu);
    linear.to(gpu);
    std::vector<Tensor> all = embedding.parameters();
    for (const Tensor& parameter : lstm.parameters()) all.push_back(parameter);
    for (const Tensor& parameter : linear.parameters()) all.push_back(parameter);
    optimizer = std::make_unique<eg::optim::AdamW>(all, eg::optim::AdamWOptions{.lr = 0.01, .updates = updates});
  }

  // Three sentences; `made_there`: the host has not seen the words.
  void step(bool made_there = false) {
    const Tensor tags = draw.integers({10}, 0, 4).to(gpu);
    Tensor words = draw.integers({3, 5}, 1, 39).to(gpu);
    if (made_there) words = words + 0;
    const nn::PackedSequence packed =
        nn::pack_padded_sequence(embedding(words), {5, 3, 2}, {.batch_first = true, .enforce_sorted = true});
    const Tensor loss = eg::cross_entropy(linear(lstm(packed).output.values()), tags);
    loss.backward();
    (void)eg::optim::clip_grad_norm(optimizer->parameters(0), 1.0);
    optimizer->step();
    optimizer->zero_grad();
  }

  Draw draw{3};
  nn::Embedding embedding;
  nn::LSTM lstm;
  nn::Linear linear;
  std::unique_ptr<eg::optim::AdamW> optimizer;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(waits)

BOOST_AUTO_TEST_CASE(a_tagger) {
  for (const bool sparse : {false, true}) {
    for (const auto& [mode, updates] : modes) {
      Tagger tagger(sparse, updates);
      expect(std::string(sparse ? "sparse, " : "dense, ") + mode, waits_of_steps([&] { tagger.step(); }), 0);
    }
  }
}

// Once in step(), for bad indices; and for each number of distinct rows: of the gradient, and of a lookup in a table
// whose rows are behind.
BOOST_AUTO_TEST_CASE(indices_made_there) {
  for (const auto& [mode, updates] : modes) {
    Tagger tagger(true, updates);
    expect(mode, waits_of_steps([&] { tagger.step(true); }), updates == Updates::exact ? 3 : 2);
  }
}

// One gradient of two lookups, clipped by value.
BOOST_AUTO_TEST_CASE(two_lookups_of_one_table) {
  Draw draw(5);
  nn::Embedding embedding({.num_embeddings = 40, .embedding_dim = 3, .sparse = true});
  embedding.to(gpu);
  eg::optim::AdamW optimizer(embedding.parameters(), {.lr = 0.1});
  const auto waits = waits_of_steps([&] {
    const Tensor one = embedding(draw.integers({6}, 0, 39).to(gpu)).sum();
    (one + eg::square(embedding(draw.integers({9}, 0, 39).to(gpu))).sum()).backward();
    eg::optim::clip_grad_value(embedding.parameters(), 0.5);
    optimizer.step();
    optimizer.zero_grad();
  });
  expect("two lookups", waits, 0);
}

BOOST_AUTO_TEST_CASE(bags) {
  Draw draw(4);
  nn::EmbeddingBag bag({.num_embeddings = 30, .embedding_dim = 5, .mode = eg::BagMode::mean, .sparse = true});
  bag.to(gpu);
  eg::optim::SGD optimizer(bag.parameters(), {.lr = 0.1, .momentum = 0.9});
  const auto waits = waits_of_steps([&] {
    const Tensor offsets = eg::tensor({0, 4, 4, 9}).to(gpu);
    bag(draw.integers({12}, 0, 29).to(gpu), offsets).sum().backward();
    optimizer.step();
    optimizer.zero_grad();
  });
  expect("bags", waits, 0);
}

BOOST_AUTO_TEST_SUITE_END()

// Training steps whose host never waits for its GPU, by the counts of the emulated runtime.
#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <embergrad/embergrad.hpp>

#include "device/on_gpu.hpp"
#include "emulated/counts.hpp"

namespace eg = embergrad;
namespace nn = embergrad::nn;
using eg::Device;
using eg::DType;
using eg::Tensor;
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

struct Tagger {
  Tagger(bool sparse, eg::optim::Updates updates)
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

  void step(bool made_there) {
    const std::vector<std::int64_t> lengths = {5, 3, 2};
    Tensor words = draw.integers({10}, 1, 39).to(gpu);
    const Tensor tags = draw.integers({10}, 0, 4).to(gpu);
    if (made_there) words = words + 0;
    const nn::PackedSequence packed{.data = embedding(words), .batch_sizes = {3, 3, 2, 1, 1}};
    const Tensor loss = eg::cross_entropy(linear(lstm(packed).output.data), tags);
    loss.backward();
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
    for (const auto updates : {eg::optim::Updates::dense, eg::optim::Updates::touched_only, eg::optim::Updates::exact}) {
      const std::string what = std::string(sparse ? "sparse, " : "dense, ") + std::to_string(static_cast<int>(updates));
      Tagger tagger(sparse, updates);
      expect(what, waits_of_steps([&] { tagger.step(false); }), 0);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

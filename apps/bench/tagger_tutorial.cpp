#include <array>
#include <embergrad/embergrad.hpp>

#include "measure.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

struct Tagger : nn::Module {
  nn::Embedding embedding{9, 6};
  nn::LSTM lstm{6, 6};
  nn::Linear linear{6, 3};

  void members(nn::Visitor& visit) override {
    visit("embedding", embedding);
    visit("lstm", lstm);
    visit("linear", linear);
  }
  [[nodiscard]] Tensor forward(const Tensor& words) const {
    const Tensor h = lstm(embedding(words).view({words.size(0), 1, -1})).output;
    return log_softmax(linear(h.view({words.size(0), -1})), 1);
  }
};

struct Sentence {
  Tensor words;
  Tensor tags;
};

nlohmann::ordered_json run(const Settings& settings, bool train) {
  manual_seed(1);
  const std::array<Sentence, 2> sentences = {Sentence{tensor({0, 1, 2, 3, 4}), tensor({0, 1, 2, 0, 1})},
                                             Sentence{tensor({5, 6, 7, 8}), tensor({1, 2, 0, 1})}};
  Tagger model;
  model.to(settings.device);
  optim::SGD optimizer(model.parameters(), {.lr = 0.1});
  std::size_t turn = 0;
  double sum = 0;
  Shown shown;

  const auto train_one = [&] {
    const Sentence& sentence = sentences[turn++ & 1];
    optimizer.zero_grad();
    const Tensor loss = nll_loss(model.forward(sentence.words), sentence.tags.to(settings.device));
    loss.backward();
    optimizer.step();
    sum = loss.item();
  };
  const auto tag_one = [&] {
    const Sentence& sentence = sentences[turn++ & 1];
    const NoGrad guard;
    shown(model.forward(sentence.words));
  };

  const MeasureOptions options{
      .repeat = settings.repeat, .device = settings.device, .check = [&] { return sum + shown.value(); }};
  auto result = train ? measure(options, train_one) : measure(options, tag_one);
  result["unit"] = "sentence";
  result["sentences_per_s"] = 1 / result["median"].get<double>();
  return result;
}

}  // namespace

std::vector<Workload> tagger_tutorial() {
  return {
      {.name = "tagger_tutorial/train", .run = [](const Settings& s) { return run(s, true); }},
      {.name = "tagger_tutorial/infer", .run = [](const Settings& s) { return run(s, false); }},
  };
}

}  // namespace embergrad::bench

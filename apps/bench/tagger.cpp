#include <fmt/format.h>

#include <embergrad/embergrad.hpp>
#include <embergrad/text/batches.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <utility>

#include "measure.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

struct Tagger : nn::Module {
  nn::Embedding emb;
  nn::LSTM lstm;
  nn::Linear out;

  Tagger(int64_t words, int64_t tags, Device device)
      : emb({.num_embeddings = words, .embedding_dim = 100, .device = device}),
        lstm({.input_size = 100, .hidden_size = 128, .bidirectional = true, .device = device}),
        out({.in_features = 256, .out_features = tags, .device = device}) {}

  void members(nn::Visitor& visit) override {
    visit("emb", emb);
    visit("lstm", lstm);
    visit("out", out);
  }
  [[nodiscard]] nn::PackedSequence forward(const nn::PackedSequence& words) const {
    return out(lstm(emb(words)).output);
  }
};

/// The treebank as numbers.
struct Data {
  text::Corpus train;
  text::Corpus dev;
  text::Vocabulary words;
  text::Vocabulary tags;

  explicit Data(const std::string& directory)
      : train(text::read_conllu(directory + "/train.conllu")),
        dev(text::read_conllu(directory + "/dev.conllu")),
        words(text::Vocabulary::of_words(train, {.min_count = 2})),
        tags(text::Vocabulary::of_tags(train)) {}
};

/// Batches that are kept, as building them is no part of what is measured.
struct Pool {
  std::vector<text::Batch> batches;
  int64_t tokens = 0;

  void add(text::Batch batch) {
    tokens += batch.word_count;
    batches.push_back(std::move(batch));
  }
  [[nodiscard]] double size() const { return static_cast<double>(batches.size()); }
  [[nodiscard]] std::string unit() const { return fmt::format("batch of 32 (mean of {})", batches.size()); }
  [[nodiscard]] double tokens_per_s(const nlohmann::ordered_json& result) const {
    return static_cast<double>(tokens) / size() / result["median"].get<double>();
  }
};

/// The first 40 batches of an epoch, and what trains on them.
struct Training {
  Data data;
  Pool pool;
  Tagger model;
  optim::Adam optimizer;

  explicit Training(const Settings& settings)
      : data(settings.ewt), model(seeded(data, settings.device)), optimizer(model.parameters(), {.lr = 1e-3}) {
    constexpr std::size_t most_batches = 40;
    for (const auto& batch :
         text::batches(data.train, data.words, data.tags, {.sentences = 32, .seed = 1, .epoch = 1})) {
      pool.add(batch);
      if (pool.batches.size() == most_batches) break;
    }
  }
  [[nodiscard]] Tensor loss_of(const text::Batch& batch) const {
    return nn::cross_entropy(model.forward(batch.words), batch.tags.to(model.out.weight.device()));
  }
  /// One step; its loss.
  Tensor step(const text::Batch& batch) {
    optimizer.zero_grad();
    Tensor loss = loss_of(batch);
    loss.backward();
    optimizer.step();
    return loss;
  }

 private:
  static Tagger seeded(const Data& data, Device device) {
    manual_seed(1);
    return {data.words.size(), data.tags.size(), device};
  }
};

nlohmann::ordered_json train(const Settings& settings) {
  Training training(settings);
  const Pool& pool = training.pool;
  const auto first_loss = [&] { return no_grad([&] { return training.loss_of(pool.batches.front()).item(); }); };
  const auto weight_sum = [&] {
    return no_grad([&] { return sum(training.model.out.weight.to(DType::float64)).item(); });
  };

  const double loss_before = first_loss();
  const MeasureOptions how{.repeat = settings.repeat,
                           .units = pool.size(),
                           .warm_up_seconds = 0,
                           .device = settings.device,
                           .check = weight_sum};
  auto result = measure(how, [&] {
    for (const text::Batch& batch : pool.batches) static_cast<void>(training.step(batch));
  });
  result["unit"] = pool.unit();
  result["tokens_per_s"] = pool.tokens_per_s(result);
  result["tokens"] = pool.tokens;
  result["vocab"] = training.data.words.size();
  result["tags"] = training.data.tags.size();
  // Of the first batch: that training trains.
  result["loss_before"] = loss_before;
  result["loss_after"] = first_loss();
  return result;
}

StateDict losses(const Settings& settings) {
  Training training(settings);
  return trajectory(training.model, std::ssize(training.pool.batches),
                    [&](int64_t i) { return training.step(training.pool.batches[static_cast<std::size_t>(i)]); });
}

nlohmann::ordered_json infer(const Settings& settings) {
  const Data data(settings.ewt);
  Pool pool;
  for (const auto& batch :
       text::batches(data.dev, data.words, data.tags, {.sentences = 32, .shuffle = false, .sort_all = true})) {
    pool.add(batch);
  }
  manual_seed(1);
  const Tagger model(data.words.size(), data.tags.size(), settings.device);
  int64_t correct = 0;

  auto result = measure({.repeat = settings.repeat,
                         .units = pool.size(),
                         .warm_up_seconds = 0,
                         .device = settings.device,
                         .check = [&] { return static_cast<double>(correct); }},
                        [&] {
                          const NoGrad guard;
                          for (const text::Batch& batch : pool.batches) {
                            correct += nn::accuracy(model.forward(batch.words), batch.tags).correct;
                          }
                        });
  result["unit"] = pool.unit();
  result["tokens_per_s"] = pool.tokens_per_s(result);
  result["tokens"] = pool.tokens;
  return result;
}

}  // namespace

std::vector<Workload> tagger() {
  return {
      {.name = "tagger_train/packed", .reads_ewt = true, .run = train, .losses = losses},
      {.name = "tagger_infer/packed", .reads_ewt = true, .run = infer},
  };
}

}  // namespace embergrad::bench

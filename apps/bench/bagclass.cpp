#include <fmt/format.h>

#include <algorithm>
#include <embergrad/embergrad.hpp>
#include <embergrad/text/collate.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/lines.hpp>
#include <embergrad/text/order.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "measure.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

struct BagClassifier : nn::Module {
  nn::EmbeddingBag bag;
  nn::Linear out;

  BagClassifier(int64_t words, int64_t labels, Device device)
      : bag({.num_embeddings = words, .embedding_dim = 100, .mode = BagMode::mean, .sparse = true, .device = device}),
        out({.in_features = 100, .out_features = labels, .device = device}) {
    nn::init::uniform(bag.weight, -0.01, 0.01);
  }

  void members(nn::Visitor& visit) override {
    visit("bag", bag);
    visit("out", out);
  }
  [[nodiscard]] Tensor forward(const text::BagBatch& batch) const { return out(bag(batch.input, batch.offsets)); }
};

/// The genre of each sentence: what stands in its sent_id before the first dash.
std::vector<std::string_view> genres_of(const text::Corpus& corpus) {
  constexpr std::string_view mark = "# sent_id = ";
  std::vector<std::string_view> genres;
  text::Lines lines(corpus.source(), "train.conllu");
  while (const auto line = lines.next()) {
    if (!line->text.starts_with(mark)) continue;
    const std::string_view id = line->text.substr(mark.size());
    genres.push_back(id.substr(0, id.find('-')));
  }
  if (genres.size() != static_cast<std::size_t>(corpus.size())) {
    throw FormatError(fmt::format("train.conllu: {} lines '{}…' for {} sentences", genres.size(), mark, corpus.size()));
  }
  return genres;
}

std::string lowercase(std::string_view form) {
  std::string small(form);
  for (char& c : small) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return small;
}

/// The treebank as bags and classes.
struct Data {
  std::vector<text::Sample> samples;
  int64_t words = 0;
  int64_t labels = 0;

  explicit Data(const std::string& directory) {
    const text::Corpus corpus = text::read_conllu(directory + "/train.conllu");
    const std::vector<std::string_view> genres = genres_of(corpus);
    std::vector<std::string> forms;
    forms.reserve(static_cast<std::size_t>(corpus.word_count()));
    for (const text::Word& word : corpus.words()) forms.push_back(lowercase(word.form));
    const auto vocabulary = text::Vocabulary::of_words(std::vector<std::string_view>(forms.begin(), forms.end()));
    const auto classes = text::Vocabulary::of_labels(genres);
    words = vocabulary.size() - 1;  // the workload has no padding: the unknown word is 0
    labels = classes.size();

    auto form = forms.begin();
    for (std::size_t s = 0; s < genres.size(); ++s) {
      text::Sample& sample = samples.emplace_back();
      sample.label = classes.id(genres[s]);
      for (std::size_t w = 0; w < corpus[static_cast<int64_t>(s)].size(); ++w) {
        sample.ids.push_back(vocabulary.id(*form++) - 1);
      }
    }
  }
};

/// The first 200 batches of an epoch, and what trains on them.
struct Training {
  Data data;
  std::vector<text::BagBatch> pool;
  int64_t words = 0;
  BagClassifier model;
  optim::SGD optimizer;

  Training(const Settings& settings, int64_t sentences)
      : data(settings.ewt), model(seeded(data, settings.device)), optimizer(model.parameters(), {.lr = 0.5}) {
    constexpr int64_t batches = 200;
    const std::vector<int64_t> order = text::permutation(static_cast<int64_t>(data.samples.size()), 1);
    std::span<const int64_t> rest = order;
    for (int64_t b = 0; b < batches && !rest.empty(); ++b) {
      const auto which = rest.first(std::min(rest.size(), static_cast<std::size_t>(sentences)));
      rest = rest.subspan(which.size());
      pool.push_back(text::collate_bags(data.samples, which));
      words += pool.back().input.numel();
    }
  }
  /// One step; its loss.
  Tensor step(const text::BagBatch& batch) {
    optimizer.zero_grad();
    Tensor loss = nn::cross_entropy(model.forward(batch), batch.labels.to(model.out.weight.device()));
    loss.backward();
    optimizer.step();
    return loss;
  }

 private:
  static BagClassifier seeded(const Data& data, Device device) {
    manual_seed(1);
    return {data.words, data.labels, device};
  }
};

nlohmann::ordered_json train(const Settings& settings, int64_t sentences) {
  Training training(settings, sentences);
  const auto weight_sum = [&] {
    return no_grad([&] { return sum(training.model.out.weight.to(DType::float64)).item(); });
  };
  const auto units = static_cast<double>(training.pool.size());
  const MeasureOptions how{
      .repeat = settings.repeat, .units = units, .warm_up_seconds = 0, .device = settings.device, .check = weight_sum};
  auto result = measure(how, [&] {
    for (const text::BagBatch& batch : training.pool) static_cast<void>(training.step(batch));
  });
  result["unit"] = fmt::format("batch of {}", sentences);
  result["words_per_s"] = static_cast<double>(training.words) / units / result["median"].get<double>();
  result["vocab"] = training.data.words;
  return result;
}

StateDict losses(const Settings& settings, int64_t sentences) {
  Training training(settings, sentences);
  return trajectory(training.model, std::ssize(training.pool),
                    [&](int64_t i) { return training.step(training.pool[static_cast<std::size_t>(i)]); });
}

Workload with_batches_of(int64_t sentences) {
  return {.name = fmt::format("bagclass_train/b{}", sentences),
          .reads_ewt = true,
          .run = [=](const Settings& s) { return train(s, sentences); },
          .losses = [=](const Settings& s) { return losses(s, sentences); }};
}

}  // namespace

std::vector<Workload> bagclass() { return {with_batches_of(32), with_batches_of(1)}; }

}  // namespace embergrad::bench

#include <fmt/format.h>

#include <algorithm>
#include <embergrad/embergrad.hpp>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "draw.hpp"
#include "measure.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

using nlohmann::ordered_json;
using optim::Updates;

std::vector<Tensor> as_tensors(const std::vector<std::vector<int64_t>>& lists) {
  std::vector<Tensor> all;
  all.reserve(lists.size());
  for (const std::vector<int64_t>& list : lists) all.push_back(tensor(list));
  return all;
}

// --- EmbeddingBag

struct BagCase {
  const char* name;
  int64_t rows, dim, bags, per_bag;
};
constexpr BagCase bag_cases[] = {{"100k-d64", 100'000, 64, 4096, 20},
                                 {"1m-d128", 1'000'000, 128, 16384, 32},
                                 {"10m-d128", 10'000'000, 128, 65536, 32},
                                 {"10m-d32", 10'000'000, 32, 65536, 32}};

/// How a table is trained.
struct BagTraining {
  const char* name;
  bool sparse;         ///< the gradient
  int64_t row_passes;  ///< a step reads and writes so many arrays of touched rows; 0: of all rows, as Adam does
  std::unique_ptr<optim::Optimizer> (*make)(const std::vector<Tensor>& parameters);
};

template <Updates updates>
std::unique_ptr<optim::Optimizer> adam(const std::vector<Tensor>& parameters) {
  return std::make_unique<optim::Adam>(parameters, optim::AdamOptions{.lr = 1e-3, .updates = updates});
}

constexpr BagTraining bag_trainings[] = {
    {"train-sgd-sparse", true, 1,
     [](const std::vector<Tensor>& parameters) -> std::unique_ptr<optim::Optimizer> {
       return std::make_unique<optim::SGD>(parameters, optim::SGDOptions{.lr = 0.01});
     }},
    {"train-sparseadam", true, 3,
     [](const std::vector<Tensor>& parameters) -> std::unique_ptr<optim::Optimizer> {
       return std::make_unique<optim::SparseAdam>(parameters, optim::SparseAdamOptions{.lr = 1e-3});
     }},
    {"train-adam-touched_only", true, 3, adam<Updates::touched_only>},
    {"train-adam-exact", true, 3, adam<Updates::exact>},
    {"train-adam-dense", false, 0, adam<Updates::dense>},
};

/// The inputs of a case: four batches in turn.
struct BagInputs {
  std::vector<Tensor> batches;
  Tensor offsets;
  int64_t checksum, distinct;

  BagInputs(const BagCase& c, bool skewed) {
    const int64_t total = c.bags * c.per_bag;
    std::vector<std::vector<int64_t>> rows;
    for (uint64_t set = 0; set < 4; ++set) rows.push_back(draw_spread_rows(1000 + set, c.rows, skewed, total));
    checksum = checksum_of(rows.front());
    distinct = distinct_count(rows.front());
    batches = as_tensors(rows);
    offsets = arange(0, total, c.per_bag, {DType::int64, {}});
  }
};

/// Least bytes of a forward: a row for each lookup, the output, the indices as int64.
int64_t forward_bytes(const BagCase& c) {
  const int64_t total = c.bags * c.per_bag;
  return 4 * c.dim * (total + c.bags) + 8 * total;
}

nn::EmbeddingBag bag_layer(const Settings& settings, const BagCase& c, BagMode mode, bool sparse) {
  manual_seed(0);
  return nn::EmbeddingBag(
      {.num_embeddings = c.rows, .embedding_dim = c.dim, .mode = mode, .sparse = sparse, .device = settings.device});
}

void tell(ordered_json& result, const BagInputs& inputs, int64_t bytes) {
  result["unit"] = "step";
  result["bytes"] = bytes;
  result["check"] = {{"distinct", inputs.distinct}, {"checksum", inputs.checksum}};
  result["GB_per_s"] = static_cast<double>(bytes) / result["median"].get<double>() / 1e9;
}

/// `indices` on the device: a forward alone has nothing to check them for beforehand.
ordered_json bag_forward(const Settings& settings, const BagCase& c, BagMode mode, bool skewed) {
  const BagInputs inputs(c, skewed);
  const nn::EmbeddingBag layer = bag_layer(settings, c, mode, false);
  Shown shown;
  std::size_t next = 0;
  auto result =
      measure({.repeat = settings.repeat, .device = settings.device, .check = [&] { return shown.value(); }}, [&] {
        const NoGrad guard;
        shown(layer(inputs.batches[next++ % inputs.batches.size()], inputs.offsets));
      });
  tell(result, inputs, forward_bytes(c));
  return result;
}

ordered_json bag_train(const Settings& settings, const BagCase& c, const BagTraining& how, bool skewed) {
  const BagInputs inputs(c, skewed);
  nn::EmbeddingBag layer = bag_layer(settings, c, BagMode::sum, how.sparse);
  const auto optimizer = how.make(layer.parameters());
  const Tensor gradient = randn({c.bags, c.dim}, {DType::float32, settings.device});
  const Tensor shown = narrow(inputs.batches.front(), 0, 0, 100);
  const auto check = [&] {
    const NoGrad guard;
    return embedding(shown, layer.weight).to(DType::float64).sum().item();
  };
  std::size_t next = 0;
  auto result = measure({.repeat = settings.repeat, .device = settings.device, .check = check}, [&] {
    optimizer->zero_grad();
    layer(inputs.batches[next++ % inputs.batches.size()], inputs.offsets).backward(gradient);
    optimizer->step();
  });
  const int64_t total = c.bags * c.per_bag;
  const int64_t step = how.row_passes > 0 ? 2 * 4 * c.dim * inputs.distinct * how.row_passes : 7 * 4 * c.dim * c.rows;
  tell(result, inputs, forward_bytes(c) + 4 * c.dim * total + step);
  return result;
}

// --- LSTM

struct LstmCase {
  const char* name;
  int64_t steps, batch, input, hidden, layers;
  bool bidirectional;
};
constexpr LstmCase lstm_cases[] = {
    {"t128-b64-h256", 128, 64, 256, 256, 1, false},      {"t128-b64-h512", 128, 64, 512, 512, 1, false},
    {"t64-b32-h256-bi", 64, 32, 128, 256, 1, true},      {"t256-b16-h128", 256, 16, 128, 128, 1, false},
    {"t128-b128-h1024", 128, 128, 1024, 1024, 1, false}, {"t128-b64-h512-l2-bi", 128, 64, 512, 512, 2, true}};

ordered_json lstm_run(const Settings& settings, const LstmCase& c, bool packed, bool backward) {
  manual_seed(0);
  const nn::LSTM layer({.input_size = c.input,
                        .hidden_size = c.hidden,
                        .num_layers = c.layers,
                        .bidirectional = c.bidirectional,
                        .device = settings.device});
  std::vector<Tensor> parameters = layer.parameters();
  const std::vector<int64_t> lengths = packed ? draw_lengths(77, c.batch, c.steps, Lengths::spread)
                                              : std::vector<int64_t>(static_cast<std::size_t>(c.batch), c.steps);
  const int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  const int64_t directions = c.bidirectional ? 2 : 1;
  const int64_t width = directions * c.hidden;

  // Packing is no part of the step: the packed rows are the leaf.
  std::vector<Tensor> leaves;
  std::vector<nn::PackedSequence> packs;
  for (int set = 0; set < 2; ++set) {
    const Tensor padded = randn({c.steps, c.batch, c.input}, {DType::float32, settings.device});
    if (packed) packs.push_back(nn::pack_padded_sequence(padded, lengths));
    leaves.push_back(packed ? packs.back().values().detach() : padded);
    leaves.back().set_requires_grad(backward);
    if (packed) packs.back() = packs.back().with_values(leaves.back());
  }
  const Tensor gradient =
      randn(packed ? Shape{tokens, width} : Shape{c.steps, c.batch, width}, {DType::float32, settings.device});
  std::size_t next = 0;
  Shown shown;
  const auto forward = [&](std::size_t set) {
    return packed ? layer(packs[set]).output.values() : layer(leaves[set]).output;
  };
  const MeasureOptions how{
      .repeat = settings.repeat, .device = settings.device, .check = [&] { return shown.value(); }};
  auto result = measure(how, [&] {
    const std::size_t set = next++ % 2;
    if (!backward) {
      const NoGrad guard;
      return shown(forward(set));
    }
    for (Tensor& parameter : parameters) parameter.zero_grad();
    leaves[set].zero_grad();
    forward(set).backward(gradient);
    shown(leaves[set].grad().dense());
  });
  double flop = 0;
  for (int64_t i = 0; i < c.layers; ++i) {
    flop += static_cast<double>(2 * tokens * 4 * c.hidden * ((i == 0 ? c.input : width) + c.hidden) * directions);
  }
  if (backward) flop *= 3;
  result["unit"] = "step";
  result["tokens"] = tokens;
  result["GFLOPs"] = flop / result["median"].get<double>() / 1e9;
  return result;
}

// --- a tagger

struct TaggerCase {
  const char* name;
  int64_t words, dim, hidden, tags, sentences;
};
constexpr TaggerCase tagger_cases[] = {{"b32-h256", 20'000, 128, 256, 18, 32},
                                       {"b128-h256", 20'000, 128, 256, 18, 128},
                                       {"b32-h256-v1m", 1'000'000, 128, 256, 18, 32},
                                       {"b32-h512", 20'000, 128, 512, 18, 32}};

struct Tagger : nn::Module {
  nn::Embedding embed;
  nn::LSTM rnn;
  nn::Linear out;

  Tagger(const TaggerCase& c, bool sparse, Device device)
      : embed({.num_embeddings = c.words, .embedding_dim = c.dim, .sparse = sparse, .device = device}),
        rnn({.input_size = c.dim, .hidden_size = c.hidden, .bidirectional = true, .device = device}),
        out({.in_features = 2 * c.hidden, .out_features = c.tags, .device = device}) {}

  void members(nn::Visitor& visit) override {
    visit("embed", embed);
    visit("rnn", rnn);
    visit("out", out);
  }
  [[nodiscard]] nn::PackedSequence forward(const nn::PackedSequence& words) const {
    return out(rnn(embed(words)).output);
  }
};

struct TaggerBatch {
  nn::PackedSequence words;
  Tensor tags;
};

/// Eight batches in turn, on the host.
std::vector<TaggerBatch> tagger_batches(const TaggerCase& c) {
  std::vector<TaggerBatch> all;
  for (uint64_t set = 0; set < 8; ++set) {
    const std::vector<int64_t> lengths = draw_lengths(500 + set, c.sentences, 80, Lengths::treebank);
    const int64_t steps = lengths.front();
    const std::vector<int64_t> ids = draw_spread_rows(600 + set, c.words, true, steps * c.sentences);
    const nn::PackedSequence words = nn::pack_padded_sequence(tensor(ids, {steps, c.sentences}), lengths);
    const int64_t tokens = words.values().size(0);
    all.push_back({.words = words, .tags = tensor(draw_spread_rows(700 + set, c.tags, false, tokens))});
  }
  return all;
}

enum class TaggerOptimizer { dense, exact, sparse_adam };

ordered_json tagger_train(const Settings& settings, const TaggerCase& c, TaggerOptimizer kind) {
  manual_seed(0);
  const std::vector<TaggerBatch> batches = tagger_batches(c);
  Tagger model(c, kind != TaggerOptimizer::dense, settings.device);
  std::vector<std::unique_ptr<optim::Optimizer>> optimizers;
  if (kind == TaggerOptimizer::sparse_adam) {
    std::vector<Tensor> rest = model.rnn.parameters();
    for (const Tensor& parameter : model.out.parameters()) rest.push_back(parameter);
    optimizers.push_back(
        std::make_unique<optim::SparseAdam>(model.embed.parameters(), optim::SparseAdamOptions{.lr = 1e-3}));
    optimizers.push_back(adam<Updates::dense>(rest));
  } else {
    optimizers.push_back(kind == TaggerOptimizer::dense ? adam<Updates::dense>(model.parameters())
                                                        : adam<Updates::exact>(model.parameters()));
  }
  Shown shown;
  std::size_t next = 0;
  const MeasureOptions how{
      .repeat = settings.repeat, .device = settings.device, .check = [&] { return shown.value(); }};
  auto result = measure(how, [&] {
    const TaggerBatch& batch = batches[next++ % batches.size()];
    for (const auto& optimizer : optimizers) optimizer->zero_grad();
    const Tensor loss = cross_entropy(model.forward(batch.words).values(), batch.tags.to(settings.device));
    loss.backward();
    for (const auto& optimizer : optimizers) optimizer->step();
    shown(loss);
  });
  int64_t tokens = 0;
  for (const TaggerBatch& batch : batches) tokens += batch.tags.numel();
  result["unit"] = "step";
  result["tokens"] = tokens / std::ssize(batches);
  result["tokens_per_s"] =
      static_cast<double>(tokens) / static_cast<double>(batches.size()) / result["median"].get<double>();
  return result;
}

}  // namespace

std::vector<Workload> gpu_sizes() {
  std::vector<Workload> all;
  const auto add = [&](std::string name, std::function<ordered_json(const Settings&)> run) {
    all.push_back({.name = std::move(name), .for_gpus = true, .run = std::move(run)});
  };
  for (const BagCase& c : bag_cases) {
    for (const bool skewed : {false, true}) {
      const std::string name = fmt::format("embeddingbag/{}/{}/", c.name, skewed ? "zipf-1.05" : "uniform");
      for (const auto& [mode, mode_name] :
           {std::pair(BagMode::sum, "sum"), {BagMode::mean, "mean"}, {BagMode::max, "max"}}) {
        add(name + "forward-" + mode_name,
            [&c, mode = mode, skewed](const Settings& s) { return bag_forward(s, c, mode, skewed); });
      }
      for (const BagTraining& how : bag_trainings) {
        add(name + how.name, [&c, &how, skewed](const Settings& s) { return bag_train(s, c, how, skewed); });
      }
    }
  }
  for (const LstmCase& c : lstm_cases) {
    for (const bool packed : {false, true}) {
      for (const bool backward : {false, true}) {
        add(fmt::format("lstm/{}/{}/fp32/{}", c.name, packed ? "packed" : "fixed",
                        backward ? "forward-backward" : "forward-inference"),
            [&c, packed, backward](const Settings& s) { return lstm_run(s, c, packed, backward); });
      }
    }
  }
  for (const TaggerCase& c : tagger_cases) {
    for (const auto& [kind, kind_name] : {std::pair(TaggerOptimizer::dense, "adam-dense"),
                                          {TaggerOptimizer::exact, "adam-exact"},
                                          {TaggerOptimizer::sparse_adam, "sparseadam+adam"}}) {
      add(fmt::format("tagger/{}/{}/fp32/train-step", c.name, kind_name),
          [&c, kind = kind](const Settings& s) { return tagger_train(s, c, kind); });
    }
  }
  return all;
}

}  // namespace embergrad::bench

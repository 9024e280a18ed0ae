#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <embergrad/report/progress.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/order.hpp>
#include <filesystem>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "files.hpp"
#include "interrupt.hpp"
#include "sample.hpp"

namespace tagger {
namespace {

namespace eg = embergrad;
using eg::text::Batch;
using eg::text::Corpus;
using eg::text::TaggingReport;
using eg::text::Vocabulary;

constexpr double default_dev_fraction = 0.1;
constexpr int64_t special_words = 2;  // padding and the unknown word

// --- what depends on other options

/// The options with every default filled in.
struct Plan {
  int64_t epochs;
  int64_t batch;
  double lr;
  double momentum;
  double weight_decay;
};

Plan plan_of(const TrainOptions& options) {
  const bool sample = options.train.empty();
  const bool sgd = options.optimizer == OptimizerKind::sgd;
  const double usual_lr = sgd ? TrainOptions::sgd_lr : TrainOptions::adam_lr;
  return {.epochs = options.epochs.value_or(sample ? TrainOptions::sample_epochs : TrainOptions::usual_epochs),
          .batch = options.batch.value_or(sample ? TrainOptions::sample_batch : TrainOptions::usual_batch),
          .lr = options.lr.value_or(usual_lr),
          .momentum = options.momentum.value_or(0.0),
          .weight_decay = options.weight_decay.value_or(
              options.optimizer == OptimizerKind::adamw ? TrainOptions::adamw_weight_decay : 0.0)};
}

const char* name_of(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::adam:
      return "Adam";
    case OptimizerKind::adamw:
      return "AdamW";
    case OptimizerKind::sgd:
      return "SGD";
  }
  return "?";
}

std::unique_ptr<eg::optim::Optimizer> make_optimizer(const TrainOptions& options, const Plan& plan,
                                                     const std::vector<eg::Tensor>& parameters) {
  switch (options.optimizer) {
    case OptimizerKind::adam:
      return std::make_unique<eg::optim::Adam>(
          parameters, eg::optim::AdamOptions{.lr = plan.lr, .weight_decay = plan.weight_decay});
    case OptimizerKind::adamw:
      return std::make_unique<eg::optim::AdamW>(
          parameters, eg::optim::AdamWOptions{.lr = plan.lr, .weight_decay = plan.weight_decay});
    case OptimizerKind::sgd:
      return std::make_unique<eg::optim::SGD>(
          parameters,
          eg::optim::SGDOptions{.lr = plan.lr, .momentum = plan.momentum, .weight_decay = plan.weight_decay});
  }
  throw eg::ValueError("train: no such optimizer");
}

/// How the model came to be, for the model file. What does not change the weights (threads) is not in it.
std::string history(const TrainOptions& options, const Plan& plan, int64_t epochs_done) {
  return nlohmann::json{{"epochs", epochs_done},
                        {"batch", plan.batch},
                        {"seed", options.seed},
                        {"init", options.initialisation == Initialisation::own ? "default" : "pytorch"},
                        {"optimizer", name_of(options.optimizer)},
                        {"lr", plan.lr},
                        {"momentum", plan.momentum},
                        {"weight_decay", plan.weight_decay},
                        {"clip", options.clip.value_or(0.0)},
                        {"min_count", options.min_count}}
      .dump();
}

// --- data

struct Data {
  Corpus train;
  Corpus dev;  // empty: nothing was set aside
  Corpus test;
  std::vector<std::string> found;  // what to say of it, line by line
};

/// Cuts the development part off the training sentences: the last ones of a shuffled order.
void set_aside(Data& data, double fraction, bool asked_for, uint64_t seed) {
  const int64_t all = data.train.size();
  const auto wanted = static_cast<int64_t>(std::llround(fraction * static_cast<double>(all)));
  if (fraction == 0.0 || (all == 1 && !asked_for)) {
    data.found.push_back(fmt::format("dev         none{}: the model of the last epoch is kept",
                                     fraction == 0.0 ? "" : ", as 1 sentence is too few to set some aside"));
    return;
  }
  if (all == 1) throw eg::ValueError("--dev-fraction: of 1 sentence none can be set aside");
  const auto cut = static_cast<std::size_t>(all - std::clamp<int64_t>(wanted, 1, all - 1));
  std::vector<int64_t> order = eg::text::permutation(all, seed);
  // Both parts stay in the order of the file, so that only what is in them depends on the seed.
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(cut));
  std::sort(order.begin() + static_cast<std::ptrdiff_t>(cut), order.end());
  const std::span<const int64_t> sentences = order;
  data.dev = data.train.select(sentences.subspan(cut));
  data.train = data.train.select(sentences.first(cut));
  data.found.push_back(
      fmt::format("dev         set aside of these: {}; left for training: {}", counts(data.dev), counts(data.train)));
}

Data read_data(const TrainOptions& options) {
  Data data;
  const auto read = [&](const char* what, const std::string& path) {
    Corpus corpus = eg::text::read_conllu(path);
    data.found.push_back(fmt::format("{:<12}{}: {}", what, shown(path), counts(corpus)));
    return corpus;
  };
  if (options.train.empty()) {
    data.train = eg::text::parse_conllu(std::string(sample_train), "embedded train.conllu");
    data.dev = eg::text::parse_conllu(std::string(sample_dev), "embedded dev.conllu");
    data.found.push_back(fmt::format("train       embedded corpus: {}", counts(data.train)));
    data.found.push_back(fmt::format("dev         embedded corpus: {}", counts(data.dev)));
  }
  for (const std::string& path : options.train) data.train.append(read("train", path));
  if (options.dev) data.dev = read("dev", *options.dev);
  if (!options.train.empty() && !options.dev) {
    set_aside(data, options.dev_fraction.value_or(default_dev_fraction), options.dev_fraction.has_value(),
              options.seed);
  }
  if (options.test) data.test = read("test", *options.test);
  return data;
}

int64_t types_of(const Corpus& corpus) {
  std::unordered_set<std::string_view> types;
  for (const eg::text::Word& word : corpus.words()) types.insert(word.form);
  return static_cast<int64_t>(types.size());
}

/// The share of words that the vocabulary lacks.
std::string unknown_rate(const Corpus& corpus, const Vocabulary& words) {
  const auto all = corpus.words();
  const auto unknown =
      std::count_if(all.begin(), all.end(), [&](const eg::text::Word& word) { return !words.contains(word.form); });
  return fmt::format("{:.2f}%, {} of {}", 100.0 * static_cast<double>(unknown) / static_cast<double>(all.size()),
                     unknown, all.size());
}

std::string list_of(const Vocabulary& tags) {
  constexpr int64_t most = 40;
  std::string text = count(tags.size(), "tag") + ":";
  for (int64_t i = 0; i < std::min(tags.size(), most); ++i) text += " " + shown(tags.name(i));
  if (tags.size() > most) text += fmt::format(" and {} more", tags.size() - most);
  return text;
}

int64_t parameter_count(const Tagger& tagger) {
  int64_t n = 0;
  for (const eg::Tensor& parameter : tagger.network.parameters()) n += parameter.numel();
  return n;
}

// --- training

/// A clock that can be stopped, so that a progress line tells the rate of training alone.
class Stopwatch {
 public:
  void stop() { stopped_ = now(); }
  [[nodiscard]] double seconds() const { return stopped_ > 0 ? stopped_ : now(); }

 private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  double stopped_ = 0;
};

/// Losses have few digits before the point, unless training goes astray.
std::string shown_loss(double loss) {
  return loss < 1e4 ? fmt::format("loss {:.4f}", loss) : fmt::format("loss {:.3g}", loss);
}

struct Outcome {
  int64_t best_epoch = 0;  // 0: no epoch was finished
  int64_t best_correct = -1;
  double best_accuracy = 0;
  bool stopped_early = false;
};

class Training {
 public:
  Training(const TrainOptions& options, const Plan& plan, const Data& data, Tagger& tagger)
      : options_(options),
        plan_(plan),
        data_(data),
        tagger_(tagger),
        parameters_(tagger.network.parameters()),
        optimizer_(make_optimizer(options, plan, parameters_)) {}

  /// Trains until the last epoch, `patience` or an interrupt. The best model is in its file when it comes back.
  Outcome run() {
    for (int64_t epoch = 1; epoch <= plan_.epochs; ++epoch) {
      if (!run_epoch(epoch)) {
        if (outcome_.best_epoch == 0) save(epoch - 1);
        break;
      }
      if (options_.patience > 0 && epoch - outcome_.best_epoch >= options_.patience) {
        outcome_.stopped_early = epoch < plan_.epochs;
        break;
      }
    }
    return outcome_;
  }

 private:
  void save(int64_t epochs_done) const { save_tagger(options_.model, tagger_, history(options_, plan_, epochs_done)); }

  /// One step; the loss.
  double step(const Batch& batch) {
    const eg::Tensor loss = eg::nn::cross_entropy(tagger_.network.forward(batch.words), batch.tags);
    const double value = loss.item();
    if (!std::isfinite(value)) {
      throw eg::Error("the loss is no number any more: training diverged; a smaller --lr or --clip helps");
    }
    optimizer_->zero_grad();
    loss.backward();
    if (options_.clip) eg::optim::clip_grad_norm(parameters_, *options_.clip);
    optimizer_->step();
    return value;
  }

  /// Trains and evaluates one epoch; false if it was interrupted.
  bool run_epoch(int64_t epoch) {
    Stopwatch watch;
    std::optional<eg::report::Progress> progress;
    if (!options_.quiet) {
      progress.emplace(eg::report::ProgressOptions{.label = fmt::format("epoch {}/{}", epoch, plan_.epochs),
                                                   .total = data_.train.word_count(),
                                                   .unit = "words",
                                                   .out = stdout,
                                                   .clock = [&watch] { return watch.seconds(); }});
    }
    tagger_.network.train();
    double loss = 0;
    int64_t words = 0;
    for (const Batch& batch : eg::text::batches(data_.train, tagger_.words, tagger_.tags,
                                                {.sentences = plan_.batch, .seed = options_.seed, .epoch = epoch})) {
      if (interrupted() != 0) return false;
      loss += step(batch) * static_cast<double>(batch.word_count);
      words += batch.word_count;
      if (!progress) continue;
      progress->advance(batch.word_count, shown_loss(loss / static_cast<double>(words)));
    }
    watch.stop();

    std::string note = shown_loss(loss / static_cast<double>(words));
    bool best = true;
    if (!data_.dev.empty()) {
      const TaggingReport report = evaluate(tagger_, data_.dev);
      note += fmt::format("  dev {:.4f}", report.accuracy());
      if (const auto unknown = report.unknown_accuracy()) note += fmt::format("  unknown {:.4f}", *unknown);
      best = report.correct() > outcome_.best_correct;
      if (best) {
        outcome_.best_correct = report.correct();
        outcome_.best_accuracy = report.accuracy();
        note += "  best";
      }
    }
    if (best) {
      outcome_.best_epoch = epoch;
      save(epoch);
    }
    if (progress) progress->finish(note);
    return true;
  }

  const TrainOptions& options_;
  const Plan& plan_;
  const Data& data_;
  Tagger& tagger_;
  std::vector<eg::Tensor> parameters_;
  std::unique_ptr<eg::optim::Optimizer> optimizer_;
  Outcome outcome_;
};

// --- what is said

void introduce(const TrainOptions& options, const Plan& plan, const Data& data, const Tagger& tagger) {
  for (const std::string& line : data.found) fmt::print("{}\n", line);
  const bool has_dev = !data.dev.empty();
  const NetworkOptions& network = tagger.options;
  fmt::print("vocabulary  {} seen {} or more in training, of {}\n", count(tagger.words.size() - special_words, "form"),
             count(options.min_count, "time"), types_of(data.train));
  fmt::print("unknown     {} {} words are not in it\n", unknown_rate(has_dev ? data.dev : data.train, tagger.words),
             has_dev ? "dev" : "training");
  fmt::print("tags        {}\n", list_of(tagger.tags));
  fmt::print("network     embedding {}, {}LSTM {} in {}{}: {} parameters\n", network.embedding_dim,
             network.bidirectional ? "bidirectional " : "", network.hidden, count(network.layers, "layer"),
             network.dropout > 0 ? fmt::format(", dropout {}", network.dropout) : "", parameter_count(tagger));
  fmt::print("training    {}, batches of {}, {} with learning rate {}, seed {}, {}\n\n", count(plan.epochs, "epoch"),
             count(plan.batch, "sentence"), name_of(options.optimizer), plan.lr, options.seed,
             count(eg::num_threads(), "thread"));
}

/// A sentence of the development part, tagged: not too short to tell something, not too long for a line.
void show_example(Tagger& tagger, const Corpus& dev) {
  const auto fits = [](eg::text::Sentence sentence) { return sentence.size() >= 8 && sentence.size() <= 14; };
  const auto place = std::find_if(dev.begin(), dev.end(), fits);
  if (place == dev.end()) return;
  const auto sentence = static_cast<int64_t>(std::distance(dev.begin(), place));
  const Corpus one = dev.select(std::span(&sentence, 1));
  const std::vector<std::string> tags = tag(tagger, one).front();
  fmt::print("\n");
  for (std::size_t i = 0; i < tags.size(); ++i) fmt::print("{}{}/{}", i == 0 ? "" : " ", one.words()[i].form, tags[i]);
  fmt::print("\n");
}

void conclude(const TrainOptions& options, const Plan& plan, const Data& data, const Outcome& outcome) {
  if (!options.quiet) fmt::print("\n");
  if (outcome.stopped_early && !options.quiet) {
    fmt::print("stopped after {} without a better dev accuracy\n", count(options.patience, "epoch"));
  }
  if (!data.dev.empty()) {
    fmt::print("best epoch {} of {}: dev accuracy {:.4f}\n", outcome.best_epoch, plan.epochs, outcome.best_accuracy);
  }
  Tagger best = load_tagger(options.model);
  if (options.test) {
    const TaggingReport report = evaluate(best, data.test);
    fmt::print("test accuracy {:.4f}{}\n", report.accuracy(),
               report.unknown_accuracy() ? fmt::format(", on unknown words {:.4f}", *report.unknown_accuracy()) : "");
  }
  fmt::print("model in {} ({:.1f} MB)\n", shown(options.model),
             static_cast<double>(std::filesystem::file_size(options.model)) / 1e6);
  if (options.train.empty() && !options.quiet) show_example(best, data.dev);
}

int stopped(const TrainOptions& options, const Outcome& outcome) {
  if (outcome.best_epoch == 0) {
    fmt::print(
        stderr,
        "embergrad-tagger: interrupted before the end of the first epoch; the weights as they are now are in {}\n",
        shown(options.model));
  } else {
    fmt::print(stderr, "embergrad-tagger: interrupted; the best model so far (epoch {}) is in {}\n", outcome.best_epoch,
               shown(options.model));
  }
  return 128 + interrupted();
}

}  // namespace

int train(const TrainOptions& options) {
  check_output(options.model, options.force);
  eg::set_num_threads(options.threads);
  const Plan plan = plan_of(options);
  const Data data = read_data(options);
  if (options.patience > 0 && data.dev.empty()) {
    throw eg::ValueError("--patience: there are no sentences to measure on, see --dev and --dev-fraction");
  }

  eg::manual_seed(options.seed);
  Vocabulary words = Vocabulary::of_words(data.train, {.min_count = options.min_count});
  Vocabulary tags = Vocabulary::of_tags(data.train);
  LstmTagger network(options.network, words.size(), tags.size());
  if (options.initialisation == Initialisation::own) network.initialise();
  Tagger tagger{options.network, std::move(words), std::move(tags), std::move(network)};
  if (!options.quiet) {
    introduce(options, plan, data, tagger);
    std::fflush(stdout);
  }

  note_interrupts();
  const Outcome outcome = Training(options, plan, data, tagger).run();
  if (interrupted() != 0) return stopped(options, outcome);
  conclude(options, plan, data, outcome);
  return 0;
}

}  // namespace tagger

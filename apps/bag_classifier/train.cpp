#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <common/command_line.hpp>
#include <common/files.hpp>
#include <common/interrupt.hpp>
#include <common/notes.hpp>
#include <common/run_files.hpp>
#include <common/training.hpp>
#include <cstdio>
#include <embergrad/report/early_stopping.hpp>
#include <embergrad/report/json_lines.hpp>
#include <embergrad/report/progress.hpp>
#include <embergrad/text/batches.hpp>
#include <embergrad/text/csv.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "sample.hpp"

namespace classify {
namespace {

namespace eg = embergrad;
using common::count;
using common::shown;
using eg::text::Vocabulary;
using nlohmann::json;

// --- what depends on other options

/// The options with every default filled in.
struct Plan {
  int64_t epochs;
  int64_t batch;
  double lr;
  NetworkOptions network;
  FeatureOptions features;
};

Plan plan_of(const TrainOptions& options) {
  const bool sample = options.train.empty();
  const auto usual = [&](int64_t usually, int64_t with_sample) { return sample ? with_sample : usually; };
  double lr = TrainOptions::adagrad_lr;
  if (options.optimizer == OptimizerKind::adam) lr = TrainOptions::adam_lr;
  if (options.optimizer == OptimizerKind::sgd) lr = TrainOptions::sgd_lr;
  Plan plan{.epochs = options.epochs.value_or(TrainOptions::usual_epochs),
            .batch = options.batch.value_or(TrainOptions::usual_batch),
            .lr = options.lr.value_or(lr),
            .network = options.network,
            .features = options.features};
  plan.network.dim = options.dim.value_or(usual(TrainOptions::usual_dim, TrainOptions::sample_dim));
  plan.features.buckets = options.buckets.value_or(usual(TrainOptions::usual_buckets, TrainOptions::sample_buckets));
  return plan;
}

const char* name_of(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::adagrad:
      return "Adagrad";
    case OptimizerKind::adam:
      return "Adam";
    case OptimizerKind::sgd:
      return "SGD";
  }
  return "?";
}

/// Adam moves every row at every step, so its gradient may as well be dense.
bool takes_sparse(OptimizerKind kind) { return kind != OptimizerKind::adam; }

std::unique_ptr<eg::optim::Optimizer> make_optimizer(OptimizerKind kind, double lr,
                                                     const std::vector<eg::Tensor>& parameters) {
  switch (kind) {
    case OptimizerKind::adagrad:
      return std::make_unique<eg::optim::Adagrad>(parameters, eg::optim::AdagradOptions{.lr = lr});
    case OptimizerKind::adam:
      return std::make_unique<eg::optim::Adam>(parameters, eg::optim::AdamOptions{.lr = lr});
    case OptimizerKind::sgd:
      return std::make_unique<eg::optim::SGD>(parameters, eg::optim::SGDOptions{.lr = lr});
  }
  throw eg::ValueError("train: no such optimizer");
}

/// What determines the weights, beside the data and the shape of the network.
json recipe(const TrainOptions& options, const Plan& plan) {
  return {{"batch", plan.batch},
          {"seed", options.seed},
          {"optimizer", name_of(options.optimizer)},
          {"lr", plan.lr},
          {"min_count", options.min_count}};
}

// --- data

/// Texts and labels, and what the views point into.
struct Texts {
  std::vector<eg::text::LabelledTexts> files = {};
  std::vector<std::string_view> texts = {};
  std::vector<std::string_view> labels = {};

  void append(eg::text::LabelledTexts file) {
    texts.insert(texts.end(), file.texts.begin(), file.texts.end());
    labels.insert(labels.end(), file.labels.begin(), file.labels.end());
    files.push_back(std::move(file));
  }
  [[nodiscard]] bool empty() const { return texts.empty(); }
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(texts.size()); }
  [[nodiscard]] std::string counts() const { return count(size(), "text"); }
  [[nodiscard]] std::string hash() const {
    common::Hash hash;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      hash.add(texts[i]);
      hash.add(labels[i]);
    }
    return fmt::format("{} ({})", counts(), hash.text());
  }
};

struct Data {
  Texts train;
  Texts dev;  // empty: nothing was set aside
  Texts test;
  std::vector<std::string> found;  // what to say of it, line by line
};

/// Cuts the development part off the training texts.
void set_aside(Data& data, const TrainOptions& options) {
  const auto division = common::set_aside(data.train.size(), "text", options, data.found);
  if (!division) return;
  const Texts whole = std::move(data.train);
  data.train = {.files = whole.files};
  const auto take = [&](const std::vector<int64_t>& places, Texts& part) {
    for (const int64_t place : places) {
      part.texts.push_back(whole.texts[static_cast<std::size_t>(place)]);
      part.labels.push_back(whole.labels[static_cast<std::size_t>(place)]);
    }
  };
  take(division->train, data.train);
  take(division->dev, data.dev);
  data.found.push_back(
      fmt::format("dev         set aside of these: {}; left for training: {}", data.dev.counts(), data.train.counts()));
}

Data read_data(const TrainOptions& options) {
  Data data;
  const eg::text::LabelledCsvOptions columns{.text = options.columns.text, .label = options.columns.label};
  const auto read = [&](const char* what, const std::string& path, Texts& part) {
    part.append(eg::text::read_labelled_csv(path, columns));
    data.found.push_back(fmt::format("{:<12}{}: {}", what, shown(path), count(part.files.back().size(), "text")));
  };
  if (options.train.empty()) {
    data.train.append(eg::text::parse_labelled_csv(std::string(sample_train), "embedded train.csv"));
    data.dev.append(eg::text::parse_labelled_csv(std::string(sample_dev), "embedded dev.csv"));
    data.found.push_back(fmt::format("train       embedded data: {}", data.train.counts()));
    data.found.push_back(fmt::format("dev         embedded data: {}", data.dev.counts()));
  }
  for (const std::string& path : options.train) read("train", path, data.train);
  if (options.dev) read("dev", *options.dev, data.dev);
  if (!options.train.empty() && !options.dev) set_aside(data, options);
  if (options.test) read("test", *options.test, data.test);
  return data;
}

/// The words of some texts that occur often enough.
Vocabulary vocabulary_of(const Texts& data, int64_t min_count) {
  std::vector<std::string> all;
  for (const std::string_view text : data.texts) {
    for (std::string& word : words_of(text)) all.push_back(std::move(word));
  }
  const std::vector<std::string_view> views(all.begin(), all.end());
  const Vocabulary words = Vocabulary::of_words(views, {.min_count = min_count});
  constexpr std::ptrdiff_t specials = 2;  // no text is padded, and an unknown word has no id
  return Vocabulary({words.words().begin() + specials, words.words().end()}, false);
}

std::vector<eg::text::Sample> samples_of(const Classifier& classifier, const Texts& data) {
  std::vector<eg::text::Sample> samples;
  samples.reserve(data.texts.size());
  for (std::size_t i = 0; i < data.texts.size(); ++i) {
    samples.push_back({.ids = classifier.features.ids(data.texts[i]), .label = classifier.labels.id(data.labels[i])});
  }
  return samples;
}

// --- training

enum class Ending { complete, patience, interrupted };

class Training {
 public:
  Training(const TrainOptions& options, const Plan& plan, const Data& data, Classifier& classifier)
      : options_(options),
        plan_(plan),
        data_(data),
        classifier_(classifier),
        samples_(samples_of(classifier, data.train)),
        lengths_(eg::text::lengths_of(samples_)),
        optimizer_(make_optimizer(options.optimizer, plan.lr, classifier.network.parameters())),
        best_(classifier) {
    best_.network = eg::nn::clone(classifier.network);
    best_.network.to(eg::Device::cpu());  // a GPU's memory is for what trains
  }

  /// Takes over where the run that wrote the resume file stands, and puts its best model back into the model file.
  /// ValueError if that is another run.
  void resume() {
    const std::string path = common::resume_file(options_);
    const eg::optim::Checkpoint checkpoint(path);
    const common::Notes notes(checkpoint.metadata(), path, program_name);
    common::check_same_run(path, common::differences(notes.object("origin"), origin()));
    const json position = notes.object("position");
    const int64_t epoch = notes.whole(position, "epoch", 1, INT64_MAX - 1);
    const int64_t steps = notes.whole(position, "steps", 0, INT64_MAX - 1);
    common::check_epochs(path, epoch, plan_.epochs);
    try {
      stopping_.load_state(notes.text("best"));
      best_.network.load_state_dict(checkpoint.own());
    } catch (const eg::Error& error) {
      notes.refuse(fmt::format("best model: {}", error.what()));
    }
    checkpoint.restore(parts());
    epoch_ = epoch;
    steps_ = steps;
    save_best();
    if (options_.log) common::cut_log(*options_.log, epoch + 1);
  }

  /// Trains until the last epoch, `patience` or an interrupt. The best model is in its file then.
  Ending run() {
    if (options_.log) log_.emplace(*options_.log, eg::report::JsonLinesOptions{.append = options_.resume});
    while (epoch_ < plan_.epochs) {
      if (options_.patience > 0 && stopping_.waited() >= options_.patience) return Ending::patience;
      if (!run_epoch()) {
        if (best_epoch() == 0) save_classifier(options_.model, classifier_, history(0));
        return Ending::interrupted;
      }
    }
    return Ending::complete;
  }

  /// Epochs that are done.
  [[nodiscard]] int64_t epoch() const { return epoch_; }
  [[nodiscard]] int64_t best_epoch() const { return stopping_.best_step(); }
  [[nodiscard]] double best_accuracy() const { return stopping_.best().value_or(0); }

 private:
  /// With what the run begins, by the names of the command line.
  [[nodiscard]] json origin() const {
    json all = recipe(options_, plan_);
    all.update(json::parse(to_json(plan_.network, plan_.features)));
    json named = common::by_options(all);
    named.erase("--min-chars");
    named.erase("--max-chars");
    const FeatureOptions& features = plan_.features;
    named["--char-ngrams"] =
        features.max_chars == 0 ? "0" : fmt::format("{}..{}", features.min_chars, features.max_chars);
    named["the training data"] = data_.train.hash();
    named["the dev data"] = data_.dev.hash();
    return named;
  }
  [[nodiscard]] std::string history(int64_t epochs) const {
    json all = recipe(options_, plan_);
    all["epochs"] = epochs;
    return all.dump();
  }
  [[nodiscard]] eg::optim::CheckpointParts parts() const {
    return {.model = classifier_.network.state_dict(), .optimizers = {{"optimizer", optimizer_.get()}}};
  }
  void save_best() const { save_classifier(options_.model, best_, history(best_epoch())); }
  void save_resume() const {
    eg::optim::save_checkpoint(common::resume_file(options_), parts(),
                               {{"program", program_name},
                                {"origin", origin().dump()},
                                {"position", json{{"epoch", epoch_}, {"steps", steps_}}.dump()},
                                {"best", stopping_.state()}},
                               best_.network.state_dict());
  }

  /// One step; the loss.
  double step(const eg::text::BagBatch& batch) {
    const eg::Tensor loss =
        eg::nn::cross_entropy(classifier_.network.forward(batch), batch.labels.to(plan_.network.device));
    const double value = loss.item();
    if (!std::isfinite(value)) {
      throw eg::Error("the loss is no number any more: training diverged; a smaller --lr helps");
    }
    optimizer_->zero_grad();
    loss.backward();
    optimizer_->step();
    return value;
  }

  /// Trains an epoch and evaluates it. False if it was interrupted.
  bool run_epoch() {
    const int64_t epoch = epoch_ + 1;
    common::Stopwatch watch;
    const double start = watch.seconds();
    std::optional<eg::report::Progress> progress;
    if (!options_.quiet) {
      progress.emplace(common::epoch_progress(epoch, plan_.epochs, data_.train.size(), "texts", watch));
    }
    classifier_.network.train();
    double total = 0;
    int64_t texts = 0;
    for (const std::vector<int64_t>& which :
         eg::text::batch_order(lengths_, {.sentences = plan_.batch, .seed = options_.seed, .epoch = epoch})) {
      if (common::interrupted() != 0) return false;
      const auto size = static_cast<int64_t>(which.size());
      total += step(eg::text::collate_bags(samples_, which)) * static_cast<double>(size);
      texts += size;
      ++steps_;
      if (progress) progress->advance(size, fmt::format("loss {:.4g}", total / static_cast<double>(texts)));
    }
    watch.stop();
    epoch_ = epoch;

    const double loss = total / static_cast<double>(texts);
    std::string note = fmt::format("loss {:.4g}", loss);
    std::optional<double> accuracy;
    double score = static_cast<double>(epoch);  // without dev texts the last epoch is the best
    if (!data_.dev.empty()) {
      score = evaluate(classifier_, data_.dev.texts, data_.dev.labels).accuracy();
      accuracy = score;
      note += fmt::format("  dev {:.4f}", score);
    }
    if (stopping_.update(score, epoch)) {
      best_.network.load_state_dict(classifier_.network.state_dict());
      save_best();
      if (!data_.dev.empty()) note += "  best";
    }
    save_resume();
    if (progress) progress->finish(note);
    if (log_) {
      common::write(*log_, {.epoch = epoch,
                            .step = steps_,
                            .loss = loss,
                            .accuracy = accuracy,
                            .lr = optimizer_->lr(),
                            .seconds = watch.seconds() - start});
    }
    return true;
  }

  const TrainOptions& options_;
  const Plan& plan_;
  const Data& data_;
  Classifier& classifier_;
  std::vector<eg::text::Sample> samples_;
  std::vector<int64_t> lengths_;
  std::unique_ptr<eg::optim::Optimizer> optimizer_;
  eg::report::EarlyStopping stopping_{{.mode = eg::report::StoppingMode::max}};
  Classifier best_;
  int64_t epoch_ = 0;  // that are done
  int64_t steps_ = 0;
  std::optional<eg::report::JsonLines> log_;
};

// --- what is said

void introduce(const TrainOptions& options, const Plan& plan, const Data& data, const Classifier& classifier) {
  for (const std::string& line : data.found) fmt::print("{}\n", line);
  const FeatureOptions& features = plan.features;
  std::string ngrams = features.word_ngrams > 1 ? fmt::format(", n-grams of up to {} words", features.word_ngrams) : "";
  if (features.max_chars > 0) {
    ngrams += fmt::format(", n-grams of {} to {} characters", features.min_chars, features.max_chars);
  }
  fmt::print("features    {} seen {} or more in training{}{}\n", count(classifier.features.words().size(), "word"),
             count(options.min_count, "time"), ngrams,
             ngrams.empty() ? "" : fmt::format(", in {}", count(features.buckets, "bucket")));
  fmt::print("labels      {}\n", count(classifier.labels.size(), "label"));
  fmt::print("network     {} of vectors of size {}{}: {} parameters\n", mode_name(plan.network.mode), plan.network.dim,
             plan.network.dropout > 0 ? fmt::format(", dropout {}", plan.network.dropout) : "",
             common::parameter_count(classifier.network));
  fmt::print("training    {}, batches of {}, {} with learning rate {}, seed {}, {}, on {}\n",
             count(plan.epochs, "epoch"), count(plan.batch, "text"), name_of(options.optimizer), plan.lr, options.seed,
             count(eg::num_threads(), "thread"), plan.network.device.to_string());
}

/// Some of the development texts, classified.
void show_examples(Classifier& classifier, const Texts& dev) {
  constexpr std::size_t most = 2;
  const auto texts = std::span(dev.texts).first(std::min(most, dev.texts.size()));
  const auto guesses = predict(classifier, texts);
  fmt::print("\n");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Guess& guess = guesses[i].front();
    fmt::print("{}: {} ({:.2f})\n", shown(texts[i]), shown(classifier.labels.name(guess.label)), guess.probability);
  }
}

void conclude(const TrainOptions& options, const Plan& plan, const Data& data, Ending ending,
              const Training& training) {
  common::print_outcome(options,
                        {.by_patience = ending == Ending::patience,
                         .best_epoch = training.best_epoch(),
                         .epochs = plan.epochs,
                         .best_accuracy = data.dev.empty() ? std::nullopt : std::optional(training.best_accuracy())});
  Classifier best = load_classifier(options.model, plan.network.device);
  if (options.test) {
    const auto report = evaluate(best, data.test.texts, data.test.labels);
    fmt::print("test accuracy {:.4f}, macro F1 {:.4f}\n", report.accuracy(), report.macro_f1());
  }
  common::print_model_file(options.model);
  if (options.train.empty() && !options.quiet) show_examples(best, data.dev);
}

int stopped(const TrainOptions& options, const Training& training) {
  const std::string model = shown(options.model);
  const std::string what =
      training.best_epoch() == 0
          ? fmt::format(" before the end of the first epoch; the weights as they are now are in {}", model)
          : fmt::format("; the best model so far (epoch {}) is in {}; --resume goes on behind epoch {}",
                        training.best_epoch(), model, training.epoch());
  fmt::print(stderr, "{}: interrupted{}\n", program_name, what);
  return 128 + common::interrupted();
}

}  // namespace

int train(const TrainOptions& options) {
  common::check_output(options.model, true);
  common::check_names(options);
  const common::FileLock lock(options.model);
  common::check_outputs(options);
  const eg::Device device = common::use_device(program_name, options.device);
  eg::set_num_threads(options.threads);
  Plan plan = plan_of(options);
  plan.network.device = device;
  const Data data = read_data(options);
  common::check_patience(options, !data.dev.empty(), "texts");

  eg::manual_seed(options.seed);
  Features features(vocabulary_of(data.train, options.min_count), plan.features);
  Vocabulary labels = Vocabulary::of_labels(data.train.labels);
  BagClassifier network(plan.network, features.rows(), labels.size(), takes_sparse(options.optimizer));
  Classifier classifier{plan.network, std::move(features), std::move(labels), std::move(network)};
  Training training(options, plan, data, classifier);
  if (options.resume) training.resume();
  if (!options.quiet) {
    introduce(options, plan, data, classifier);
    if (options.resume) {
      fmt::print("resumed     {}: {} behind it\n", shown(common::resume_file(options)),
                 count(training.epoch(), "epoch"));
    }
    fmt::print("\n");
    std::fflush(stdout);
  }

  common::note_interrupts();
  const Ending ending = training.run();
  if (ending == Ending::interrupted) return stopped(options, training);
  conclude(options, plan, data, ending, training);
  return 0;
}

}  // namespace classify

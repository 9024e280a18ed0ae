#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <common/command_line.hpp>
#include <common/files.hpp>
#include <common/interrupt.hpp>
#include <common/run_files.hpp>
#include <common/training.hpp>
#include <cstdio>
#include <embergrad/report/early_stopping.hpp>
#include <embergrad/report/json_lines.hpp>
#include <embergrad/report/progress.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/vectors.hpp>
#include <filesystem>
#include <iterator>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "files.hpp"
#include "resume.hpp"
#include "sample.hpp"

namespace tagger {
namespace {

namespace eg = embergrad;
using common::count;
using common::shown;
using eg::text::Batch;
using eg::text::Corpus;
using eg::text::TaggingReport;
using eg::text::Vocabulary;

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

const char* name_of(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::constant:
      return "constant";
    case ScheduleKind::linear:
      return "linear";
    case ScheduleKind::cosine:
      return "cosine";
    case ScheduleKind::onecycle:
      return "onecycle";
  }
  return "?";
}

/// Nothing for a constant learning rate.
std::unique_ptr<eg::optim::LRScheduler> make_scheduler(const TrainOptions& options, const Plan& plan,
                                                       eg::optim::Optimizer& optimizer, int64_t batches) {
  if (options.schedule == ScheduleKind::constant) return nullptr;
  int64_t steps = 0;
  if (__builtin_mul_overflow(plan.epochs, batches, &steps)) throw eg::ValueError("--epochs: too many for --schedule");
  switch (options.schedule) {
    case ScheduleKind::constant:
      break;
    case ScheduleKind::linear:
      return std::make_unique<eg::optim::LinearLR>(
          optimizer, eg::optim::LinearLROptions{.start_factor = 1, .end_factor = 0, .total_iters = steps});
    case ScheduleKind::cosine:
      return std::make_unique<eg::optim::CosineAnnealingLR>(optimizer,
                                                            eg::optim::CosineAnnealingLROptions{.T_max = steps});
    case ScheduleKind::onecycle:
      return std::make_unique<eg::optim::OneCycleLR>(
          optimizer, eg::optim::OneCycleLROptions{.max_lr = plan.lr, .total_steps = steps});
  }
  throw eg::ValueError("train: no such schedule");
}

/// The name of a file, which need not be UTF-8.
nlohmann::json json_of(const std::string& name) {
  return nlohmann::json::parse(nlohmann::json(name).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

/// What determines the weights, beside the data and the network. What is no part of a run (threads, device) is not in
/// it.
nlohmann::json recipe(const TrainOptions& options, const Plan& plan) {
  return {{"batch", plan.batch},
          {"seed", options.seed},
          {"init", options.initialisation == Initialisation::own ? "default" : "pytorch"},
          {"optimizer", name_of(options.optimizer)},
          {"lr", plan.lr},
          {"schedule", name_of(options.schedule)},
          {"momentum", plan.momentum},
          {"weight_decay", plan.weight_decay},
          {"clip", options.clip.value_or(0.0)},
          {"vectors",
           options.vectors ? json_of(std::filesystem::path(*options.vectors).filename().string()) : nlohmann::json()},
          {"freeze_vectors", options.freeze_vectors ? nlohmann::json(true) : nlohmann::json()},
          {"min_count", options.min_count}};
}

/// How the model came to be, for the model file.
std::string history(const TrainOptions& options, const Plan& plan, int64_t epochs_done) {
  nlohmann::json all = recipe(options, plan);
  all["epochs"] = epochs_done;
  return all.dump();
}

// --- data

struct Data {
  Corpus train;
  Corpus dev;  // empty: nothing was set aside
  Corpus test;
  std::vector<std::string> found;  // what to say of it, line by line
};

/// Cuts the development part off the training sentences.
void set_aside(Data& data, const TrainOptions& options) {
  auto division = common::set_aside(data.train.size(), "sentence", options, data.found);
  if (!division) return;
  // Both parts stay in the order of the file, so that only what is in them depends on the seed.
  std::sort(division->train.begin(), division->train.end());
  std::sort(division->dev.begin(), division->dev.end());
  data.dev = data.train.select(division->dev);
  data.train = data.train.select(division->train);
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
  if (!options.train.empty() && !options.dev) set_aside(data, options);
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

/// With what a run begins, by the names of the command line.
Origin origin_of(const TrainOptions& options, const Plan& plan, const Data& data, const NetworkOptions& network) {
  nlohmann::json all = recipe(options, plan);
  all.update(nlohmann::json::parse(to_json(network)));
  // A schedule ends with the last epoch.
  if (options.schedule != ScheduleKind::constant) all["epochs"] = plan.epochs;
  nlohmann::json named = common::by_options(all);
  named["--unidirectional"] = !network.bidirectional;
  named.erase("--bidirectional");
  // Data that differ are found by their hash; this tells why they do.
  named["--dev-fraction"] = options.train.empty() || options.dev
                                ? nlohmann::json()
                                : nlohmann::json(options.dev_fraction.value_or(common::usual_dev_fraction));
  const nlohmann::json parts = {{"training", nlohmann::json::parse(data_json(data.train))},
                                {"dev", nlohmann::json::parse(data_json(data.dev))}};
  return {.options = named.dump(), .data = parts.dump()};
}

// --- word vectors

/// The size of word vectors; `vectors` is open unless the run is resumed.
int64_t embedding_dim(const TrainOptions& options, const std::optional<eg::text::VectorFile>& vectors) {
  if (vectors) {
    if (options.embedding_dim.value_or(vectors->dim()) == vectors->dim()) return vectors->dim();
    throw eg::ValueError(fmt::format("--embedding-dim: {}, but the vectors in {} have {} numbers",
                                     *options.embedding_dim, shown(*options.vectors), vectors->dim()));
  }
  if (options.embedding_dim) return *options.embedding_dim;
  const int64_t usual = options.network.embedding_dim;
  return options.vectors ? noted_embedding_dim(eg::optim::Checkpoint(common::resume_file(options))).value_or(usual)
                         : usual;
}

/// What is said of the vectors that were found.
std::string found_vectors(const TrainOptions& options, const eg::text::VectorReport& report) {
  std::ostringstream text;
  text << report;
  std::string lines = text.str();
  if (const auto end = lines.find('\n'); end != std::string::npos) lines.insert(end + 1, 12, ' ');
  return fmt::format("vectors     {}{}: {}", shown(*options.vectors), options.freeze_vectors ? ", frozen" : "", lines);
}

/// In a resume file: the rows of the word table that are frozen, beside the best model.
constexpr const char* frozen_rows_name = "frozen_rows";

eg::StateDict without_frozen_rows(const eg::StateDict& own) {
  eg::StateDict rest;
  for (const auto& [name, tensor] : own) {
    if (name != frozen_rows_name) rest.set(name, tensor);
  }
  return rest;
}

/// @param path  for messages
/// @param words  size of the vocabulary
std::vector<int64_t> frozen_rows(const eg::StateDict& own, const std::string& path, int64_t words) {
  const auto refuse = [&](const char* reason) {
    throw eg::FormatError(fmt::format("{}: not a resume file of this program: {}", path, reason));
  };
  if (!own.contains(frozen_rows_name)) refuse("there are no frozen_rows");
  const eg::Tensor& rows = own.at(frozen_rows_name);
  if (rows.dtype() != eg::DType::int64 || rows.dim() != 1) refuse("its frozen_rows are no list of int64");
  std::vector<int64_t> all = rows.to_vector<int64_t>();
  if (std::any_of(all.begin(), all.end(), [&](int64_t row) { return row < 0 || row >= words; })) {
    refuse("its frozen_rows are beyond the vocabulary");
  }
  return all;
}

// --- training

/// Losses have few digits before the point, unless training goes astray.
std::string shown_loss(double loss) {
  return loss < 1e4 ? fmt::format("loss {:.4f}", loss) : fmt::format("loss {:.3g}", loss);
}

enum class Ending {
  complete,
  patience,     ///< too many epochs without a better one
  interrupted,  ///< by a signal
  step_limit,   ///< --stop-after
};

class Training {
 public:
  Training(const TrainOptions& options, const Plan& plan, const Data& data, Tagger& tagger)
      : options_(options),
        plan_(plan),
        data_(data),
        tagger_(tagger),
        device_(tagger.options.device),
        batches_((data.train.size() - 1) / plan.batch + 1),
        parameters_(tagger.network.parameters()),
        optimizer_(make_optimizer(options, plan, parameters_)),
        scheduler_(make_scheduler(options, plan, *optimizer_, batches_)),
        origin_(origin_of(options, plan, data, tagger.options)),
        best_(tagger),
        stopping_({.patience = options.patience > 0 ? options.patience : std::numeric_limits<int64_t>::max(),
                   .mode = eg::report::StoppingMode::max}) {
    best_.network = eg::nn::clone(tagger.network);
    best_.network.to(eg::Device::cpu());  // a GPU's memory is for what trains
  }

  /// From here on these rows of the word table stay as they are, also when the run is resumed.
  void freeze(std::vector<int64_t> rows) {
    frozen_ = std::move(rows);
    tagger_.network.word_embeddings.freeze_rows(frozen_);
  }

  /// Writes the resume file before anything else, so that from here on --resume can go on, whatever happens.
  void begin() {
    save_resume();
    is_new_ = true;
    open_log();
  }

  /// Takes over where the run that wrote the resume file stands, and puts its best model back into the model file.
  /// ValueError if that is another run.
  void resume() {
    const std::string path = common::resume_file(options_);
    const eg::optim::Checkpoint checkpoint(path);
    const Position position = read_position(checkpoint, path, origin_, batches_);
    common::check_epochs(path, position.epoch - (position.batches == 0 ? 1 : 0), plan_.epochs);
    if (position.best_epoch > 0) {
      try {
        best_.network.load_state_dict(without_frozen_rows(checkpoint.own()));
      } catch (const eg::Error& error) {
        throw eg::FormatError(fmt::format("{}: not a resume file of this program: best model: {}", path, error.what()));
      }
    }
    if (options_.freeze_vectors) freeze(frozen_rows(checkpoint.own(), path, tagger_.words.size()));
    checkpoint.restore(parts());
    position_ = position;
    if (!data_.dev.empty()) stopping_.load_state(stopping_state(position_, options_.patience));
    if (position_.best_epoch > 0) save_best();
    if (options_.log) common::cut_log(*options_.log, position_.epoch);
    open_log();
  }

  /// Trains until the last epoch, `patience`, `stop_after` or an interrupt. The best model is in its file then.
  Ending run() try {
    for (; position_.epoch <= plan_.epochs; finish_epoch()) {
      if (stopping_.should_stop() && position_.batches == 0) return Ending::patience;
      const Ending ending = run_epoch();
      if (ending == Ending::complete) continue;
      if (position_.best_epoch == 0) save_tagger(options_.model, tagger_, history(options_, plan_, 0));
      save_resume();
      return ending;
    }
    return Ending::complete;
  } catch (...) {
    if (is_new_) forget();
    throw;
  }

  [[nodiscard]] const Position& position() const { return position_; }

 private:
  [[nodiscard]] eg::optim::CheckpointParts parts() const {
    eg::optim::CheckpointParts all{.model = tagger_.network.state_dict(),
                                   .optimizers = {{"optimizer", optimizer_.get()}}};
    if (scheduler_) all.schedulers["scheduler"] = scheduler_.get();
    return all;
  }
  void save_best() const { save_tagger(options_.model, best_, history(options_, plan_, position_.best_epoch)); }
  void save_resume() {
    eg::StateDict own = position_.best_epoch > 0 ? best_.network.state_dict() : eg::StateDict();
    if (options_.freeze_vectors) own.set(frozen_rows_name, eg::tensor(frozen_));
    eg::optim::save_checkpoint(common::resume_file(options_), parts(), resume_notes(origin_, position_), own);
    is_new_ = false;
  }
  void open_log() {
    if (options_.log) log_.emplace(*options_.log, eg::report::JsonLinesOptions{.append = options_.resume});
  }
  /// Removes what `begin` made, as there is nothing in it to go on with.
  void forget() const noexcept {
    std::error_code none;
    std::filesystem::remove(common::resume_file(options_), none);
    const bool is_file = options_.log && std::filesystem::symlink_status(*options_.log, none).type() ==
                                             std::filesystem::file_type::regular;
    if (is_file && std::filesystem::file_size(*options_.log, none) == 0) std::filesystem::remove(*options_.log, none);
  }

  /// One step; the loss.
  double step(const Batch& batch) {
    const eg::Tensor loss = eg::nn::cross_entropy(tagger_.network.forward(batch.words), batch.tags.to(device_));
    const double value = loss.item();
    if (!std::isfinite(value)) {
      throw eg::Error("the loss is no number any more: training diverged; a smaller --lr or --clip helps");
    }
    optimizer_->zero_grad();
    loss.backward();
    if (options_.clip) eg::optim::clip_grad_norm(parameters_, *options_.clip);
    optimizer_->step();
    if (scheduler_) scheduler_->step();
    return value;
  }

  [[nodiscard]] std::string mean_loss() const {
    return shown_loss(position_.loss / static_cast<double>(position_.words));
  }

  /// Trains what is left of the epoch, and evaluates it.
  Ending run_epoch() {
    common::Stopwatch watch;
    const double start = watch.seconds();
    std::optional<eg::report::Progress> progress;
    if (!options_.quiet) {
      progress.emplace(common::epoch_progress(position_.epoch, plan_.epochs, data_.train.word_count() - position_.words,
                                              "words", watch));
    }
    tagger_.network.train();
    for (const Batch& batch : eg::text::batches(
             data_.train, tagger_.words, tagger_.tags,
             {.sentences = plan_.batch, .seed = options_.seed, .epoch = position_.epoch, .skip = position_.batches})) {
      if (common::interrupted() != 0) return Ending::interrupted;
      if (options_.stop_after && position_.steps >= *options_.stop_after) return Ending::step_limit;
      position_.loss += step(batch) * static_cast<double>(batch.word_count);
      position_.words += batch.word_count;
      ++position_.batches;
      ++position_.steps;
      if (options_.save_every && position_.steps % *options_.save_every == 0) save_resume();
      if (progress) progress->advance(batch.word_count, mean_loss());
    }
    watch.stop();

    std::string note = mean_loss();
    std::optional<double> accuracy;
    bool best = true;
    if (!data_.dev.empty()) {
      const TaggingReport report = evaluate(tagger_, data_.dev);
      accuracy = report.accuracy();
      note += fmt::format("  dev {:.4f}", report.accuracy());
      if (const auto unknown = report.unknown_accuracy()) note += fmt::format("  unknown {:.4f}", *unknown);
      best = stopping_.update(static_cast<double>(report.correct()), position_.epoch);
      if (best) {
        position_.best_correct = report.correct();
        position_.best_accuracy = report.accuracy();
        note += "  best";
      }
    }
    if (best) {
      position_.best_epoch = position_.epoch;
      best_.network.load_state_dict(tagger_.network.state_dict());
      save_best();
    }
    if (progress) progress->finish(note);
    if (log_) {
      common::write(*log_, {.epoch = position_.epoch,
                            .step = position_.steps,
                            .loss = position_.loss / static_cast<double>(position_.words),
                            .accuracy = accuracy,
                            .lr = optimizer_->lr(),
                            .seconds = watch.seconds() - start});
    }
    return Ending::complete;
  }

  /// On to the next epoch.
  void finish_epoch() {
    ++position_.epoch;
    position_.batches = 0;
    position_.loss = 0;
    position_.words = 0;
    save_resume();
  }

  const TrainOptions& options_;
  const Plan& plan_;
  const Data& data_;
  Tagger& tagger_;
  eg::Device device_;
  int64_t batches_;  // in an epoch
  std::vector<eg::Tensor> parameters_;
  std::unique_ptr<eg::optim::Optimizer> optimizer_;
  std::unique_ptr<eg::optim::LRScheduler> scheduler_;
  Origin origin_;
  Position position_;
  Tagger best_;
  eg::report::EarlyStopping stopping_;
  std::vector<int64_t> frozen_;  // of the word table
  std::optional<eg::report::JsonLines> log_;
  bool is_new_ = false;  // the resume file holds nothing but the beginning
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
             network.dropout > 0 ? fmt::format(", dropout {}", network.dropout) : "",
             common::parameter_count(tagger.network));
  fmt::print("training    {}, batches of {}, {} with learning rate {}{}, seed {}, {}, on {}\n",
             count(plan.epochs, "epoch"), count(plan.batch, "sentence"), name_of(options.optimizer), plan.lr,
             options.schedule == ScheduleKind::constant ? "" : fmt::format(" ({})", name_of(options.schedule)),
             options.seed, count(eg::num_threads(), "thread"), network.device.to_string());
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

void conclude(const TrainOptions& options, const Plan& plan, const Data& data, Ending ending, const Position& position,
              eg::Device device) {
  common::print_outcome(options,
                        {.by_patience = ending == Ending::patience,
                         .best_epoch = position.best_epoch,
                         .epochs = plan.epochs,
                         .best_accuracy = data.dev.empty() ? std::nullopt : std::optional(position.best_accuracy)});
  Tagger best = load_tagger(options.model, device);
  if (options.test) {
    const TaggingReport report = evaluate(best, data.test);
    fmt::print("test accuracy {:.4f}{}\n", report.accuracy(),
               report.unknown_accuracy() ? fmt::format(", on unknown words {:.4f}", *report.unknown_accuracy()) : "");
  }
  common::print_model_file(options.model);
  if (options.train.empty() && !options.quiet) show_example(best, data.dev);
}

int stopped(const TrainOptions& options, Ending ending, const Position& position) {
  const std::string model = shown(options.model);
  const std::string what =
      position.best_epoch == 0
          ? fmt::format("before the end of the first epoch; the weights as they are now are in {}", model)
          : fmt::format("the best model so far (epoch {}) is in {}", position.best_epoch, model);
  if (ending == Ending::step_limit) {
    if (!options.quiet) fmt::print("\n");
    fmt::print("stopped after {}{} {}; --resume goes on\n", count(position.steps, "step"),
               position.best_epoch == 0 ? "," : ";", what);
    return 0;
  }
  fmt::print(stderr, "{}: interrupted{} {}; --resume goes on\n", program_name, position.best_epoch == 0 ? "" : ";",
             what);
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
  const Plan plan = plan_of(options);
  std::optional<eg::text::VectorFile> vectors;
  if (options.vectors && !options.resume) vectors.emplace(*options.vectors);
  NetworkOptions network_options = options.network;
  network_options.embedding_dim = embedding_dim(options, vectors);
  network_options.device = device;
  Data data = read_data(options);
  common::check_patience(options, !data.dev.empty(), "sentences");

  eg::manual_seed(options.seed);
  Vocabulary words = Vocabulary::of_words(data.train, {.min_count = options.min_count});
  Vocabulary tags = Vocabulary::of_tags(data.train);
  LstmTagger network(network_options, words.size(), tags.size());
  if (options.initialisation == Initialisation::own) network.initialise();
  eg::text::VectorReport found;
  if (vectors) {
    found = vectors->read(words, network.word_embeddings.weight);
    vectors.reset();
    data.found.push_back(found_vectors(options, found));
  }
  Tagger tagger{network_options, std::move(words), std::move(tags), std::move(network)};
  Training training(options, plan, data, tagger);
  common::note_interrupts();
  if (options.resume) {
    training.resume();
  } else {
    if (options.freeze_vectors) training.freeze(found.found);
    training.begin();
  }
  if (!options.quiet) {
    introduce(options, plan, data, tagger);
    if (options.resume) {
      fmt::print("resumed     {}: {} behind it\n", shown(common::resume_file(options)),
                 count(training.position().steps, "step"));
    }
    fmt::print("\n");
    std::fflush(stdout);
  }

  const Ending ending = training.run();
  if (ending == Ending::interrupted || ending == Ending::step_limit) {
    return stopped(options, ending, training.position());
  }
  conclude(options, plan, data, ending, training.position(), network_options.device);
  return 0;
}

}  // namespace tagger

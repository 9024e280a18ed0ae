#include "learner.hpp"

#include <algorithm>
#include <cstddef>
#include <embergrad/text/batches.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/order.hpp>
#include <lstm_tagger/model.hpp>
#include <lstm_tagger/sample.hpp>
#include <utility>

namespace lab {
namespace {

namespace eg = embergrad;
using eg::Generator;
using eg::Tensor;

constexpr double noise = 0.5;
// Seeds of the streams that one seed stands for.
constexpr uint64_t target_stream = 1;
constexpr uint64_t noise_stream = 2;

Generator stream(uint64_t seed, uint64_t which) { return Generator(eg::text::mix(seed, which)); }

// --- regression

class Regression final : public Lesson {
 public:
  Regression(const Setting& setting, std::shared_ptr<const Trace> trace, uint64_t seed, eg::Device device)
      : Lesson(device), setting_(setting), trace_(std::move(trace)), shares_(trace_->shares()), seed_(seed) {
    Generator generator = stream(seed, target_stream);
    targets_ = eg::randn({setting.rows, setting.dim}, {}, generator);
    constexpr int64_t most_numbers = int64_t{1} << 24;
    constexpr int64_t most_steps = 128;
    const auto numbers = static_cast<int64_t>(trace_->lookups(1, seed).size()) * setting.dim;
    kept_.resize(static_cast<std::size_t>(std::clamp<int64_t>(most_numbers / numbers, 1, most_steps)));
  }

  [[nodiscard]] std::unique_ptr<Learner> learner() override;
  void go_to(int64_t step) override {
    now_ = &kept_[static_cast<std::size_t>(step) % kept_.size()];
    if (now_->step == step) return;
    const eg::NoGrad guard;
    now_->step = step;
    now_->lookups = trace_->lookups(step, seed_);
    now_->input = eg::tensor(now_->lookups);
    Generator generator = stream(seed_, noise_stream);
    generator.set_state(generator.seed(), static_cast<uint64_t>(step));
    const auto count = static_cast<int64_t>(now_->lookups.size());
    now_->output =
        (eg::embedding(now_->input, targets_) + eg::randn({count, setting_.dim}, {}, generator) * noise).to(device());
  }
  [[nodiscard]] const std::vector<int64_t>& lookups() const override { return now_->lookups; }
  [[nodiscard]] int64_t kept() const override { return static_cast<int64_t>(kept_.size()); }
  [[nodiscard]] double loss_unit() const override { return static_cast<double>(setting_.dim); }

 private:
  class Table;
  /// The data of a step.
  struct Step {
    int64_t step = 0;
    std::vector<int64_t> lookups;
    Tensor input;
    Tensor output;  // what it should give
  };

  Setting setting_;
  std::shared_ptr<const Trace> trace_;
  std::vector<double> shares_;
  uint64_t seed_;
  Tensor targets_;
  std::vector<Step> kept_;
  Step* now_ = nullptr;
};

class Regression::Table final : public Learner {
 public:
  explicit Table(const Regression& lesson)
      : lesson_(lesson),
        embedding_({.num_embeddings = lesson.setting_.rows,
                    .embedding_dim = lesson.setting_.dim,
                    .sparse = true,
                    .device = lesson.device()}) {}

  [[nodiscard]] std::vector<Tensor> parameters() override { return embedding_.parameters(); }
  [[nodiscard]] const Tensor& table() const override { return embedding_.weight; }
  [[nodiscard]] Tensor loss() override {
    const auto dim = static_cast<double>(lesson_.setting_.dim);
    return eg::mse_loss(embedding_(lesson_.now_->input), lesson_.now_->output) * dim;
  }
  [[nodiscard]] Evaluation evaluate() override {
    const eg::NoGrad guard;
    const Tensor table = embedding_.weight.clone().to(eg::Device::cpu());  // settled, while the table stays as it is
    const float* w = table.data<float>();
    const float* t = lesson_.targets_.data<float>();
    double loss = 0;
    for (const double share : lesson_.shares_) {
      double row = 0;
      for (int64_t i = 0; i < table.size(1); ++i, ++w, ++t) {
        const double difference = static_cast<double>(*w) - static_cast<double>(*t);
        row += difference * difference;
      }
      loss += share * row;
    }
    return {.loss = loss / static_cast<double>(table.size(1))};
  }

 private:
  const Regression& lesson_;
  eg::nn::Embedding embedding_;
};

std::unique_ptr<Learner> Regression::learner() {
  eg::manual_seed(seed_);
  return std::make_unique<Table>(*this);
}

// --- the tagger

/// The embedded corpus as numbers.
struct Sample {
  eg::text::Corpus train = eg::text::parse_conllu(std::string(tagger::sample_train), "sample");
  eg::text::Corpus dev = eg::text::parse_conllu(std::string(tagger::sample_dev), "sample");
  eg::text::Vocabulary words = eg::text::Vocabulary::of_words(train, {.min_count = 1});
  eg::text::Vocabulary tags = eg::text::Vocabulary::of_tags(train);
};
const Sample& sample() {
  static const Sample once;
  return once;
}

class Tagging final : public Lesson {
 public:
  Tagging(const Setting& setting, uint64_t seed, eg::Device device) : Lesson(device), setting_(setting), seed_(seed) {}

  [[nodiscard]] std::unique_ptr<Learner> learner() override;
  void go_to(int64_t step) override {
    const auto count = static_cast<int64_t>(sample().train.size());
    const int64_t steps = (count + setting_.batch - 1) / setting_.batch;  // of an epoch
    const int64_t epoch = (step - 1) / steps + 1;
    if (epoch != epoch_) {
      epoch_ = epoch;
      batches_.clear();
      for (const eg::text::Batch& batch :
           eg::text::batches(sample().train, sample().words, sample().tags,
                             {.sentences = setting_.batch, .seed = seed_, .epoch = epoch})) {
        batches_.push_back(batch);
      }
    }
    batch_ = &batches_[static_cast<std::size_t>((step - 1) % steps)];
    lookups_ = batch_->words.values().to_vector<int64_t>();
  }
  [[nodiscard]] const std::vector<int64_t>& lookups() const override { return lookups_; }
  [[nodiscard]] int64_t kept() const override { return 1; }
  [[nodiscard]] double loss_unit() const override { return 1; }

 private:
  class Network;

  Setting setting_;
  uint64_t seed_;
  int64_t epoch_ = 0;
  std::vector<eg::text::Batch> batches_;  // of that epoch
  const eg::text::Batch* batch_ = nullptr;
  std::vector<int64_t> lookups_;
};

class Tagging::Network final : public Learner {
 public:
  explicit Network(const Tagging& lesson)
      : lesson_(lesson),
        network_({.embedding_dim = lesson.setting_.dim, .hidden = 64, .sparse = true, .device = lesson.device()},
                 sample().words.size(), sample().tags.size()) {
    network_.initialise();
  }

  [[nodiscard]] std::vector<Tensor> parameters() override { return network_.parameters(); }
  [[nodiscard]] const Tensor& table() const override { return network_.word_embeddings.weight; }
  [[nodiscard]] Tensor loss() override { return loss_of(*lesson_.batch_); }
  [[nodiscard]] Evaluation evaluate() override {
    const eg::NoGrad guard;
    double loss = 0;
    double words = 0;
    double correct = 0;
    for (const eg::text::Batch& batch : eg::text::batches(sample().dev, sample().words, sample().tags,
                                                          {.shuffle = false, .ignore_unknown_tags = true})) {
      const eg::nn::PackedSequence scores = network_.forward(batch.words);
      const auto count = static_cast<double>(batch.word_count);
      loss += eg::nn::cross_entropy(scores, batch.tags.to(lesson_.device())).item() * count;
      correct += static_cast<double>(eg::nn::accuracy(scores, batch.tags).correct);
      words += count;
    }
    return {.loss = loss / words, .accuracy = correct / words};
  }

 private:
  [[nodiscard]] Tensor loss_of(const eg::text::Batch& batch) {
    return eg::nn::cross_entropy(network_.forward(batch.words), batch.tags.to(lesson_.device()));
  }

  const Tagging& lesson_;
  tagger::LstmTagger network_;
};

std::unique_ptr<Learner> Tagging::learner() {
  eg::manual_seed(seed_);
  return std::make_unique<Network>(*this);
}

}  // namespace

std::unique_ptr<Lesson> make_regression(const Setting& setting, std::shared_ptr<const Trace> trace, uint64_t seed,
                                        eg::Device device) {
  return std::make_unique<Regression>(setting, std::move(trace), seed, device);
}

std::unique_ptr<Lesson> make_tagging(const Setting& setting, uint64_t seed, eg::Device device) {
  return std::make_unique<Tagging>(setting, seed, device);
}

int64_t tagger_rows() { return sample().words.size(); }

std::string objective_of(Task task) {
  if (task == Task::tagger) {
    return "The network of embergrad-tagger (embedding, bidirectional LSTM of 64, linear layer) learns the "
           "part-of-speech tags of its embedded corpus. A step minimises the mean cross entropy of the tags of its "
           "sentences' words. The loss shown is the cross entropy on the embedded development part.";
  }
  return "A table w learns a target vector for each row. A step minimises the mean over its lookups r of "
         "|w_r − (t_r + e)|²; t_r, drawn once, and the start of w_r are of N(0, 1), the noise e, new in each lookup, "
         "is of N(0, 0.5²). The loss shown is the mean of (w − t)² over the columns of a row, without noise, each row "
         "weighted by its share of the trace's lookups.";
}

}  // namespace lab

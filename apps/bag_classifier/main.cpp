#include <fmt/format.h>

#include <common/command_line.hpp>
#include <common/train_options.hpp>
#include <string>

#include "commands.hpp"

namespace {

using common::whole;

constexpr common::TrainWords words = {
    .items = "texts", .embedded = "small embedded data", .own_dev = "the embedded data have their own"};

void add_columns(CLI::App& command, classify::Columns& columns, const char* group) {
  command.add_option("--text-column", columns.text, "Name of the column of texts (text)")
      ->type_name("NAME")
      ->group(group);
  command.add_option("--label-column", columns.label, "Name of the column of labels (category)")
      ->type_name("NAME")
      ->group(group);
}

/// "3..5", or "0" for none.
CLI::Validator char_range(classify::FeatureOptions& features) {
  return CLI::Validator(
      [&features](std::string& text) -> std::string {
        if (text == "0") {
          features.max_chars = 0;
          return {};
        }
        const std::size_t dots = text.find("..");
        std::string least = text.substr(0, dots);
        std::string most = dots == std::string::npos ? "" : text.substr(dots + 2);
        const CLI::Validator size = whole<1, embergrad::text::CharNgrams::most_characters>();
        if (!size(least).empty() || !size(most).empty() || std::stoll(least) > std::stoll(most)) {
          return fmt::format("{} is neither 0 nor a range such as 3..5, of 1 to {}", common::shown(text),
                             embergrad::text::CharNgrams::most_characters);
        }
        features.min_chars = std::stoll(least);
        features.max_chars = std::stoll(most);
        return {};
      },
      "");
}

void add_train(CLI::App& app, classify::TrainOptions& o, int& status) {
  using classify::OptimizerKind;
  using classify::TrainOptions;
  using embergrad::BagMode;
  CLI::App& c = *app.add_subcommand("train", "Train a classifier from CSV files");
  c.footer(
      "\nDefaults stand in brackets. After each epoch the model is measured on the dev\n"
      "texts; the best one is kept in the model file. Ctrl-C stops after the present\n"
      "batch and keeps the best so far; a second Ctrl-C ends the program at once.\n\n"
      "After each epoch all that the run needs to go on is put into FILE.resume beside\n"
      "the model file. The same command with --resume goes on behind the last whole\n"
      "epoch and comes to the same model, to the bit. Only --epochs, --patience, --test,\n"
      "--log, --threads, --device and --quiet may change.\n\n"
      "  embergrad-classify train\n"
      "  embergrad-classify train --train a.csv --dev b.csv --model m.safetensors");

  const char* group = "Data";
  common::add_data_options(c, o, words, group);
  add_columns(c, o.columns, group);

  group = "Result";
  common::add_model_options(c, o, group);
  common::add_report_options(
      c, o,
      "Write a line of JSON for each epoch: epoch, step, loss, accuracy (on the dev texts), lr, seconds (of "
      "training); --resume appends",
      group);

  group = "Features";
  c.add_option("--min-count", o.min_count, "Words seen less often have no vector of their own, only n-grams (1)")
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);
  c.add_option("--word-ngrams", o.features.word_ngrams, "Words of the longest word n-grams; 1: words alone (2)")
      ->transform(whole<1, classify::FeatureOptions::most_words>())
      ->type_name("N")
      ->group(group);
  c.add_option_function<std::string>(
       "--char-ngrams", [](const std::string&) {}, "Characters of the character n-grams of each word; 0: none (3..5)")
      ->check(char_range(o.features))
      ->type_name("A..B")
      ->group(group);
  c.add_option("--buckets", o.buckets,
               fmt::format("Vectors that all n-grams share, by their hash ({}; embedded data: {})",
                           TrainOptions::usual_buckets, TrainOptions::sample_buckets))
      ->transform(whole<1, classify::FeatureOptions::most_buckets>())
      ->type_name("N")
      ->group(group);

  group = "Network";
  c.add_option(
       "--dim", o.dim,
       fmt::format("Size of vectors ({}; embedded data: {})", TrainOptions::usual_dim, TrainOptions::sample_dim))
      ->transform(whole<1, classify::NetworkOptions::most_width>())
      ->type_name("N")
      ->group(group);
  c.add_option("--mode", o.network.mode, "How the vectors of a text become one: sum, mean or max (mean)")
      ->transform(common::one_of<BagMode>({{"sum", BagMode::sum}, {"mean", BagMode::mean}, {"max", BagMode::max}}))
      ->type_name("NAME")
      ->group(group);
  c.add_option("--dropout", o.network.dropout, "Share of elements dropped from the vector of a text, in training (0.3)")
      ->transform(common::share())
      ->type_name("P")
      ->group(group);

  group = "Training";
  common::add_step_options(c, o, words, fmt::format("{}", TrainOptions::usual_epochs),
                           fmt::format("{}", TrainOptions::usual_batch), group);
  c.add_option("--optimizer", o.optimizer,
               "adagrad or sgd, which change only the vectors that a step uses, or adam, which changes all (adagrad)")
      ->transform(common::one_of<OptimizerKind>(
          {{"adagrad", OptimizerKind::adagrad}, {"adam", OptimizerKind::adam}, {"sgd", OptimizerKind::sgd}}))
      ->type_name("NAME")
      ->group(group);
  c.add_option("--lr", o.lr,
               fmt::format("Learning rate ({}; adam: {}; sgd: {})", TrainOptions::adagrad_lr, TrainOptions::adam_lr,
                           TrainOptions::sgd_lr))
      ->transform(common::positive())
      ->type_name("X")
      ->group(group);
  common::add_run_options(c, o, group);

  c.callback([&o, &status] {
    common::check_together(o, words);
    status = classify::train(o);
  });
}

void add_eval(CLI::App& app, classify::EvalOptions& o, int& status) {
  CLI::App& c = *app.add_subcommand("eval", "Compare a classifier with the labels of a CSV file");
  c.add_option("--model", o.model, "Model file that train wrote")->required()->type_name("FILE");
  c.add_option("file", o.file, "CSV with labels; - is standard input")->required()->type_name("FILE");
  add_columns(c, o.columns, "Options");
  common::add_threads(c, o.threads, "Options");
  common::add_device(c, o.device, "Options");
  c.callback([&o, &status] { status = classify::eval(o); });
}

void add_predict(CLI::App& app, classify::PredictOptions& o, int& status) {
  CLI::App& c = *app.add_subcommand("predict", "Classify the lines of a file");
  c.footer(
      "\nEach line is a text. For each a line comes back: the label, a tab and its\n"
      "probability; with --top, the next labels and probabilities behind it.\n\n"
      "  echo 'My card is lost' | embergrad-classify predict --model m.safetensors");
  c.add_option("--model", o.model, "Model file that train wrote")->required()->type_name("FILE");
  c.add_option("file", o.file, "File with a text a line; - or none is standard input")->type_name("FILE");
  c.add_option("--top", o.top, "Labels to give, most probable first (1)")->transform(whole<1>())->type_name("K");
  common::add_threads(c, o.threads, "Options");
  common::add_device(c, o.device, "Options");
  c.callback([&o, &status] { status = classify::predict(o); });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Text classification with bags of words and n-grams", classify::program_name);
  common::set_up(app);
  int status = 0;
  classify::TrainOptions train;
  classify::EvalOptions eval;
  classify::PredictOptions predict;
  add_train(app, train, status);
  add_eval(app, eval, status);
  add_predict(app, predict, status);
  return common::run(app, argc, argv, "train, eval or predict", status);
}

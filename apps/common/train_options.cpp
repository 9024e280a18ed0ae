#include "train_options.hpp"

#include <fmt/format.h>

#include "command_line.hpp"

namespace common {
namespace {

std::string capitalised(std::string_view words) {
  std::string text(words);
  text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

}  // namespace

void add_data_options(CLI::App& c, TrainOptions& o, const TrainWords& words, const char* group) {
  const std::string items = capitalised(words.items);
  c.add_option("--train", o.train,
               fmt::format("{} to learn from; may be given several times ({})", items, words.embedded))
      ->type_name("FILE")
      ->group(group)
      ->expected(1)
      ->take_all();
  c.add_option("--dev", o.dev, fmt::format("{} to measure each epoch on", items))->type_name("FILE")->group(group);
  c.add_option("--dev-fraction", o.dev_fraction,
               fmt::format("Without --dev: share of the training {}, drawn by --seed, to set aside for that; 0: none "
                           "({})",
                           words.items, usual_dev_fraction))
      ->transform(share())
      ->type_name("X")
      ->group(group);
  c.add_option("--test", o.test, fmt::format("{} to measure the best model on at the end", items))
      ->type_name("FILE")
      ->group(group);
}

void add_model_options(CLI::App& c, TrainOptions& o, const char* group) {
  c.add_option("--model", o.model, fmt::format("Model file to write ({})", o.model))->type_name("FILE")->group(group);
  c.add_flag("--force", o.force, "Replace the model file, its resume file and the log if they are there")->group(group);
  c.add_flag("--resume", o.resume, "Go on with the run that FILE.resume, beside the model file, comes from")
      ->group(group);
}

void add_report_options(CLI::App& c, TrainOptions& o, const char* log_help, const char* group) {
  c.add_option("--log", o.log, log_help)->type_name("FILE")->group(group);
  c.add_flag("--quiet", o.quiet, "Only say how it ended")->group(group);
}

void add_step_options(CLI::App& c, TrainOptions& o, const TrainWords& words, const std::string& usual_epochs,
                      const std::string& usual_batch, const char* group) {
  c.add_option("--epochs", o.epochs, fmt::format("Times to go through the training {} ({})", words.items, usual_epochs))
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);
  c.add_option("--batch", o.batch, fmt::format("{} per step ({})", capitalised(words.items), usual_batch))
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);
}

void add_run_options(CLI::App& c, TrainOptions& o, const char* group) {
  c.add_option("--patience", o.patience, "Stop after so many epochs without a better dev accuracy; 0: never (0)")
      ->transform(whole<0>())
      ->type_name("N")
      ->group(group);
  c.add_option("--seed", o.seed, "Starts all random numbers; the same seed gives the same model (1)")
      ->transform(any_seed())
      ->type_name("N")
      ->group(group);
  add_threads(c, o.threads, group);
  add_device(c, o.device, group);
}

void check_together(const TrainOptions& o, const TrainWords& words) {
  const std::string needs_train = fmt::format("needs --train; {}", words.own_dev);
  if (o.train.empty() && o.dev) refuse("--dev", needs_train);
  if (o.train.empty() && o.dev_fraction) refuse("--dev-fraction", needs_train);
  if (o.dev && o.dev_fraction) refuse("--dev-fraction", "not together with --dev");
  if (o.force && o.resume) refuse("--force", "not together with --resume");
  if (o.dev_fraction == 0.0 && o.patience > 0) {
    refuse("--patience", fmt::format("needs development {} to measure on, but --dev-fraction is 0", words.items));
  }
}

}  // namespace common

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <embergrad/error.hpp>
#include <exception>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "files.hpp"

namespace {

constexpr int bad_usage = 2;
constexpr const char* program = "embergrad-tagger";

// --- checks of values; CLI11's own take 0x10, 010 (as 8), nan and half a number

template <class Number>
CLI::Validator number(const std::string& what, bool (*accepts)(Number)) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        Number value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size() || !accepts(value)) {
          return fmt::format("{} is not {}", tagger::shown(text), what);
        }
        text = fmt::format("{}", value);
        return {};
      },
      "");
}

template <int64_t least, int64_t most = std::numeric_limits<int64_t>::max()>
CLI::Validator whole() {
  const bool open = most == std::numeric_limits<int64_t>::max();
  return number<int64_t>(
      open ? fmt::format("a whole number from {} up", least) : fmt::format("a whole number from {} to {}", least, most),
      [](int64_t value) { return value >= least && value <= most; });
}

CLI::Validator any_seed() {
  return number<uint64_t>("a whole number from 0 to 2^64 - 1", [](uint64_t) { return true; });
}
CLI::Validator share() {
  return number<double>("a number from 0 to below 1", [](double value) { return value >= 0 && value < 1; });
}
CLI::Validator positive() {
  return number<double>("a number above 0", [](double value) { return value > 0 && std::isfinite(value); });
}
CLI::Validator not_negative() {
  return number<double>("a number from 0 up", [](double value) { return value >= 0 && std::isfinite(value); });
}

/// One of some names, each of which stands for a value of an enum.
template <class Enum>
CLI::Validator one_of(std::vector<std::pair<std::string, Enum>> names) {
  return CLI::Validator(
      [names = std::move(names)](std::string& text) -> std::string {
        std::string all;
        for (const auto& [name, value] : names) {
          if (text == name) {
            text = std::to_string(static_cast<int>(value));
            return {};
          }
          all += (all.empty() ? "" : ", ") + name;
        }
        return fmt::format("{} is none of {}", tagger::shown(text), all);
      },
      "");
}

[[noreturn]] void refuse(const std::string& option, const std::string& reason) {
  throw CLI::ValidationError(option, reason);
}

bool ends_with_any(const std::string& text, std::initializer_list<const char*> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](const char* ending) { return text.ends_with(ending); });
}

// --- help

/// CLI11's layout without its doubled blank lines, and with descriptions broken to fit a terminal.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(name_width); }

  std::string make_group(std::string group, bool is_positional,
                         std::vector<const CLI::Option*> options) const override {
    std::string text = "\n" + group + ":\n";
    for (const CLI::Option* option : options) text += make_option(option, is_positional);
    return text;
  }
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string text = CLI::Formatter::make_help(app, std::move(name), mode);
    for (std::size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;) text.erase(at, 1);
    return text;
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::istringstream words(option->get_description());
    std::string text;
    std::size_t column = 0;
    for (std::string word; words >> word;) {
      const bool fits = column == 0 || column + 1 + word.size() <= line_width - name_width;
      if (column > 0) text += fits ? " " : "\n";
      column = fits && column > 0 ? column + 1 + word.size() : word.size();
      text += word;
    }
    return text;
  }

 private:
  static constexpr std::size_t name_width = 26;
  static constexpr std::size_t line_width = 80;
};

// --- commands

// One thread by default: steps of the usual sizes are too short for several to help much, and on a busy machine they
// wait for each other.
void add_threads(CLI::App& command, int& threads, const char* group) {
  command.add_option("--threads", threads, "Threads to use; they change the time, not the result (1)")
      ->transform(whole<1, 1024>())
      ->type_name("N")
      ->group(group);
}

void add_train(CLI::App& app, tagger::TrainOptions& o, bool& unidirectional, int& status) {
  using tagger::TrainOptions;
  CLI::App& c = *app.add_subcommand("train", "Train a tagger from CoNLL-U files");
  c.footer(
      "\nDefaults stand in brackets. After each epoch the model is measured on the dev\n"
      "sentences; the best one is kept in the model file. Ctrl-C stops after the present\n"
      "batch and keeps the best so far; a second Ctrl-C ends the program at once.\n\n"
      "At the start, after each epoch, and when it is stopped, all that the run needs to\n"
      "go on is put into FILE.resume beside the model file. The same command with\n"
      "--resume goes on from there and comes to the same model, to the bit. Only\n"
      "--epochs (without --schedule), --patience, --test, --log, --save-every,\n"
      "--stop-after, --threads and --quiet may change.\n\n"
      "  embergrad-tagger train\n"
      "  embergrad-tagger train --train a.conllu --dev b.conllu --model m.safetensors");

  const char* group = "Data";
  c.add_option("--train", o.train, "Sentences to learn from; may be given several times (a small embedded corpus)")
      ->type_name("FILE")
      ->group(group)
      ->expected(1)
      ->take_all();
  CLI::Option* dev =
      c.add_option("--dev", o.dev, "Sentences to measure each epoch on")->type_name("FILE")->group(group);
  CLI::Option* fraction =
      c.add_option(
           "--dev-fraction", o.dev_fraction,
           "Without --dev: share of the training sentences, drawn by --seed, to set aside for that; 0: none (0.1)")
          ->transform(share())
          ->type_name("X")
          ->group(group);
  c.add_option("--test", o.test, "Sentences to measure the best model on at the end")->type_name("FILE")->group(group);
  c.add_option("--min-count", o.min_count, "Words seen less often share the vector of unknown words (2)")
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);

  group = "Result";
  c.add_option("--model", o.model, "Model file to write (tagger.safetensors)")->type_name("FILE")->group(group);
  CLI::Option* force =
      c.add_flag("--force", o.force, "Replace the model file, its resume file and the log if they are there")
          ->group(group);
  CLI::Option* resume =
      c.add_flag("--resume", o.resume, "Go on with the run that FILE.resume, beside the model file, comes from")
          ->group(group);
  c.add_option("--save-every", o.save_every, "Write FILE.resume after so many steps, too, not only after each epoch")
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);
  c.add_option("--stop-after", o.stop_after, "Write FILE.resume and stop after so many steps, counted from the start")
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);
  c.add_option("--log", o.log,
               "Write a line of JSON for each epoch: epoch, step, loss, accuracy (on the dev sentences), lr (then), "
               "seconds (of training); --resume goes on in it")
      ->type_name("FILE")
      ->group(group);
  c.add_flag("--quiet", o.quiet, "Only say how it ended")->group(group);

  group = "Network";
  constexpr int64_t widest = tagger::NetworkOptions::most_width;
  c.add_option("--embedding-dim", o.network.embedding_dim, "Size of word vectors (100)")
      ->transform(whole<1, widest>())
      ->type_name("N")
      ->group(group);
  c.add_option("--hidden", o.network.hidden, "Size of the LSTM's state in each direction (128)")
      ->transform(whole<1, widest>())
      ->type_name("N")
      ->group(group);
  c.add_option("--layers", o.network.layers, "Layers of the LSTM (1)")
      ->transform(whole<1, tagger::NetworkOptions::most_layers>())
      ->type_name("N")
      ->group(group);
  c.add_flag("--unidirectional", unidirectional, "Read left to right only")->group(group);
  c.add_option("--dropout", o.network.dropout,
               "Share of elements dropped from word vectors, between layers and from the LSTM's output (0)")
      ->transform(share())
      ->type_name("P")
      ->group(group);
  c.add_option("--init", o.initialisation,
               "How weights start: default (Glorot, forget gates open) or pytorch (as its layers do) (default)")
      ->transform(one_of<tagger::Initialisation>(
          {{"default", tagger::Initialisation::own}, {"pytorch", tagger::Initialisation::pytorch}}))
      ->type_name("NAME")
      ->group(group);

  group = "Training";
  c.add_option("--epochs", o.epochs,
               fmt::format("Times to go through the training sentences ({}; embedded corpus: {})",
                           TrainOptions::usual_epochs, TrainOptions::sample_epochs))
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);
  c.add_option("--batch", o.batch,
               fmt::format("Sentences per step ({}; embedded corpus: {})", TrainOptions::usual_batch,
                           TrainOptions::sample_batch))
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);
  c.add_option("--optimizer", o.optimizer, "adam, adamw or sgd (adam)")
      ->transform(one_of<tagger::OptimizerKind>({{"adam", tagger::OptimizerKind::adam},
                                                 {"adamw", tagger::OptimizerKind::adamw},
                                                 {"sgd", tagger::OptimizerKind::sgd}}))
      ->type_name("NAME")
      ->group(group);
  c.add_option("--lr", o.lr, fmt::format("Learning rate ({}; sgd: {})", TrainOptions::adam_lr, TrainOptions::sgd_lr))
      ->transform(positive())
      ->type_name("X")
      ->group(group);
  c.add_option(
       "--schedule", o.schedule,
       "How the learning rate goes on: constant; linear or cosine, down to 0; or onecycle, up to --lr and down, "
       "momentum against it (constant)")
      ->transform(one_of<tagger::ScheduleKind>({{"constant", tagger::ScheduleKind::constant},
                                                {"linear", tagger::ScheduleKind::linear},
                                                {"cosine", tagger::ScheduleKind::cosine},
                                                {"onecycle", tagger::ScheduleKind::onecycle}}))
      ->type_name("NAME")
      ->group(group);
  CLI::Option* momentum =
      c.add_option("--momentum", o.momentum, "Momentum, for sgd (0)")->transform(share())->type_name("X")->group(group);
  c.add_option("--weight-decay", o.weight_decay,
               fmt::format("Pull of the weights towards 0 (0; adamw: {})", TrainOptions::adamw_weight_decay))
      ->transform(not_negative())
      ->type_name("X")
      ->group(group);
  c.add_option("--clip", o.clip, "Largest norm of the gradient, which is scaled down to it (no limit)")
      ->transform(positive())
      ->type_name("X")
      ->group(group);
  c.add_option("--patience", o.patience, "Stop after so many epochs without a better dev accuracy; 0: never (0)")
      ->transform(whole<0>())
      ->type_name("N")
      ->group(group);
  c.add_option("--seed", o.seed, "Starts all random numbers; the same seed gives the same model (1)")
      ->transform(any_seed())
      ->type_name("N")
      ->group(group);
  add_threads(c, o.threads, group);

  c.callback([&o, &status, &unidirectional, dev, fraction, momentum, force, resume] {
    o.network.bidirectional = !unidirectional;
    if (o.train.empty() && *dev) refuse("--dev", "needs --train; the embedded corpus has its own");
    if (o.train.empty() && *fraction) refuse("--dev-fraction", "needs --train; the embedded corpus has its own");
    if (*dev && *fraction) refuse("--dev-fraction", "not together with --dev");
    if (*momentum && o.optimizer != tagger::OptimizerKind::sgd) refuse("--momentum", "only --optimizer sgd has it");
    if (*momentum && o.schedule == tagger::ScheduleKind::onecycle) refuse("--momentum", "onecycle chooses it itself");
    if (*force && *resume) refuse("--force", "not together with --resume");
    if (*fraction && *o.dev_fraction == 0 && o.patience > 0) {
      refuse("--patience", "needs development sentences to measure on, but --dev-fraction is 0");
    }
    status = tagger::train(o);
  });
}

void add_eval(CLI::App& app, tagger::EvalOptions& o, int& status) {
  CLI::App& c = *app.add_subcommand("eval", "Compare a tagger with the tags of a CoNLL-U file");
  c.add_option("--model", o.model, "Model file that train wrote")->required()->type_name("FILE");
  c.add_option("file", o.file, "CoNLL-U with tags; - is standard input")->required()->type_name("FILE");
  add_threads(c, o.threads, "Options");
  c.callback([&o, &status] { status = tagger::eval(o); });
}

void add_tag(CLI::App& app, tagger::TagOptions& o, int& status) {
  CLI::App& c = *app.add_subcommand("tag", "Tag the words of a file");
  c.footer(
      "\nCoNLL-U comes back with the tag column filled and everything else as it was.\n"
      "Text, one sentence a line and words separated by spaces, comes back as word/TAG.\n\n"
      "  embergrad-tagger tag --model m.safetensors in.conllu > out.conllu\n"
      "  echo 'It rains .' | embergrad-tagger tag --model m.safetensors --format text");
  c.add_option("--model", o.model, "Model file that train wrote")->required()->type_name("FILE");
  c.add_option("file", o.file, "File to tag; - or none is standard input")->type_name("FILE");
  CLI::Option* format =
      c.add_option("--format", o.format,
                   "conllu or text (by the file's name: .conllu, .conll, .txt; needed where that does not tell)")
          ->transform(one_of<tagger::Format>({{"conllu", tagger::Format::conllu}, {"text", tagger::Format::text}}))
          ->type_name("NAME");
  CLI::Option* output = c.add_option("--output", o.output, "File to write (standard output)")->type_name("FILE");
  CLI::Option* force = c.add_flag("--force", o.force, "Replace the output file if it is there");
  c.add_flag("--quiet", o.quiet, "Say nothing of progress on standard error");
  add_threads(c, o.threads, "Options");
  c.callback([&o, &status, format, output, force] {
    if (*force && !*output) refuse("--force", "needs --output");
    if (!*format) {
      if (ends_with_any(o.file, {".conllu", ".conll"})) {
        o.format = tagger::Format::conllu;
      } else if (o.file.ends_with(".txt")) {
        o.format = tagger::Format::text;
      } else {
        refuse("--format", fmt::format("needed, as {} does not tell it", tagger::shown(tagger::name_of_input(o.file))));
      }
    }
    status = tagger::tag(o);
  });
}

/// A message on one line of standard error.
int fail(int status, const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "{}: {}\n", program, tagger::shown(message));
  return status;
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Part-of-speech tagging with a bidirectional LSTM", program);
  app.set_version_flag("--version", std::string(program) + " " EMBERGRAD_VERSION, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.require_subcommand(0, 1);
  app.failure_message(CLI::FailureMessage::simple);
  app.formatter(std::make_shared<HelpFormatter>());
  app.footer("\nembergrad-tagger COMMAND --help tells more.");

  int status = 0;
  tagger::TrainOptions train;
  tagger::EvalOptions eval;
  tagger::TagOptions tag;
  bool unidirectional = false;
  add_train(app, train, unidirectional, status);
  add_eval(app, eval, status);
  add_tag(app, tag, status);
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) return fail(bad_usage, "a command is missing: train, eval or tag; see --help");
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return fail(bad_usage, error.what());
  }
  return status;
} catch (const std::bad_alloc&) {
  return fail(1, "out of memory");
} catch (const std::exception& error) {
  return fail(1, error.what());
}

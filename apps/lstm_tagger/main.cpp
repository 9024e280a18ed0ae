#include <fmt/format.h>

#include <algorithm>
#include <common/command_line.hpp>
#include <common/train_options.hpp>
#include <initializer_list>
#include <string>

#include "commands.hpp"

namespace {

using common::add_threads;
using common::not_negative;
using common::one_of;
using common::positive;
using common::refuse;
using common::share;
using common::whole;

constexpr common::TrainWords words = {
    .items = "sentences", .embedded = "a small embedded corpus", .own_dev = "the embedded corpus has its own"};

bool ends_with_any(const std::string& text, std::initializer_list<const char*> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](const char* ending) { return text.ends_with(ending); });
}

// --- commands

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
      "--stop-after, --threads, --device and --quiet may change.\n\n"
      "  embergrad-tagger train\n"
      "  embergrad-tagger train --train a.conllu --dev b.conllu --model m.safetensors");

  const char* group = "Data";
  common::add_data_options(c, o, words, group);
  c.add_option("--min-count", o.min_count, "Words seen less often share the vector of unknown words (2)")
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);

  group = "Result";
  common::add_model_options(c, o, group);
  c.add_option("--save-every", o.save_every, "Write FILE.resume after so many steps, too, not only after each epoch")
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);
  c.add_option("--stop-after", o.stop_after, "Write FILE.resume and stop after so many steps, counted from the start")
      ->transform(whole<1>())
      ->type_name("N")
      ->group(group);
  common::add_report_options(
      c, o,
      "Write a line of JSON for each epoch: epoch, step, loss, accuracy (on the dev sentences), lr (then), "
      "seconds (of training); --resume goes on in it",
      group);

  group = "Network";
  constexpr int64_t widest = tagger::NetworkOptions::most_width;
  c.add_option("--embedding-dim", o.embedding_dim, "Size of word vectors (100; with --vectors: theirs)")
      ->transform(whole<1, widest>())
      ->type_name("N")
      ->group(group);
  c.add_option("--vectors", o.vectors,
               "Word vectors to start from: of GloVe, of word2vec (text or binary), or fastText's .vec; --resume "
               "does without the file")
      ->type_name("FILE")
      ->group(group);
  c.add_flag("--freeze-vectors", o.freeze_vectors, "Words found in --vectors keep their vectors; all others learn")
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
  common::add_step_options(
      c, o, words, fmt::format("{}; embedded corpus: {}", TrainOptions::usual_epochs, TrainOptions::sample_epochs),
      fmt::format("{}; embedded corpus: {}", TrainOptions::usual_batch, TrainOptions::sample_batch), group);
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
  common::add_run_options(c, o, group);

  c.callback([&o, &status, &unidirectional] {
    o.network.bidirectional = !unidirectional;
    common::check_together(o, words);
    if (o.momentum && o.optimizer != tagger::OptimizerKind::sgd) refuse("--momentum", "only --optimizer sgd has it");
    if (o.momentum && o.schedule == tagger::ScheduleKind::onecycle) refuse("--momentum", "onecycle chooses it itself");
    if (o.freeze_vectors && !o.vectors) refuse("--freeze-vectors", "needs --vectors");
    status = tagger::train(o);
  });
}

void add_eval(CLI::App& app, tagger::EvalOptions& o, int& status) {
  CLI::App& c = *app.add_subcommand("eval", "Compare a tagger with the tags of a CoNLL-U file");
  c.add_option("--model", o.model, "Model file that train wrote")->required()->type_name("FILE");
  c.add_option("file", o.file, "CoNLL-U with tags; - is standard input")->required()->type_name("FILE");
  add_threads(c, o.threads, "Options");
  common::add_device(c, o.device, "Options");
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
  common::add_device(c, o.device, "Options");
  c.callback([&o, &status, format, output, force] {
    if (*force && !*output) refuse("--force", "needs --output");
    if (!*format) {
      if (ends_with_any(o.file, {".conllu", ".conll"})) {
        o.format = tagger::Format::conllu;
      } else if (o.file.ends_with(".txt")) {
        o.format = tagger::Format::text;
      } else {
        refuse("--format", fmt::format("needed, as {} does not tell it", common::shown(common::name_of_input(o.file))));
      }
    }
    status = tagger::tag(o);
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Part-of-speech tagging with a bidirectional LSTM", tagger::program_name);
  common::set_up(app);
  int status = 0;
  tagger::TrainOptions train;
  tagger::EvalOptions eval;
  tagger::TagOptions tag;
  bool unidirectional = false;
  add_train(app, train, unidirectional, status);
  add_eval(app, eval, status);
  add_tag(app, tag, status);
  return common::run(app, argc, argv, "train, eval or tag", status);
}

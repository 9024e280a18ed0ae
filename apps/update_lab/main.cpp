#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <common/command_line.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"

namespace {

using common::refuse;
using common::whole;
using lab::LabOptions;
using lab::Schedule;
using lab::Task;
using lab::Updates;

/// "3", or "1..5" for all from 1 to 5.
CLI::Validator seeds(std::vector<uint64_t>& all) {
  return CLI::Validator(
      [&all](std::string& text) -> std::string {
        constexpr uint64_t most = 1000;
        const std::size_t dots = text.find("..");
        std::string first = text.substr(0, dots);
        std::string last = dots == std::string::npos ? first : text.substr(dots + 2);
        const CLI::Validator seed = common::any_seed();
        if (!seed(first).empty() || !seed(last).empty()) {
          return fmt::format("{} is neither a whole number from 0 up nor a range such as 1..5", common::shown(text));
        }
        const uint64_t from = std::stoull(first);
        const uint64_t to = std::stoull(last);
        if (to < from || to - from >= most) {
          return fmt::format("{} is no range from a smaller to a larger number, of {} at most", common::shown(text),
                             most);
        }
        for (uint64_t i = 0; i <= to - from; ++i) all.push_back(from + i);
        return {};
      },
      "");
}

/// An option that may be given several times.
template <class T>
CLI::Option* add_several(CLI::App& app, const char* name, std::vector<T>& values, const std::string& description,
                         const CLI::Validator& check, const char* type, const char* group) {
  return app.add_option(name, values, description)
      ->transform(check)
      ->type_name(type)
      ->group(group)
      ->expected(1)
      ->take_all();
}

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const lab::OptimizerKind& kind : lab::optimizer_kinds()) names.emplace_back(kind.name);
  return names;
}

CLI::Validator share_above_0() {
  return common::number<double>("a number above 0 and at most 1", [](double value) { return value > 0 && value <= 1; });
}

/// Refuses an option that no chosen optimizer has.
void check_has(const CLI::Option* option, const LabOptions& o, std::optional<double> lab::OptimizerKind::*usual) {
  const auto has = [&](const std::string& name) { return (lab::kind_of(name).*usual).has_value(); };
  if (*option && std::none_of(o.optimizers.begin(), o.optimizers.end(), has)) {
    refuse(option->get_name(), fmt::format("{}: no such option", fmt::join(o.optimizers, ", ")));
  }
}

void add_lab(CLI::App& c, LabOptions& o, int& status) {
  c.footer(
      "\nDefaults stand in brackets. Options that are given several times make a grid: all\n"
      "combinations are run, each in every mode of --updates and with every seed.\n"
      "Ctrl-C stops after the present step and writes what was measured; a second\n"
      "Ctrl-C ends the program at once.\n\n"
      "DIR gets results.csv (one number a line), manifest.json (program, machine,\n"
      "command), the plots as SVG files, and report.html, which holds it all.\n\n"
      "  embergrad-lab\n"
      "  embergrad-lab --optimizer adamw --rows 10000 --rows 1000000 --out rows\n"
      "  embergrad-lab --task tagger --schedule onecycle --out tagger\n"
      "  embergrad-lab report rows");
  const char* group = "What is trained";
  c.add_option(
       "--task", o.task,
       "regression of row targets, or tagger: the network of embergrad-tagger on its embedded corpus (regression)")
      ->transform(common::one_of<Task>({{"regression", Task::regression}, {"tagger", Task::tagger}}))
      ->type_name("NAME")
      ->group(group);
  CLI::Option* trace = add_several(
      c, "--trace", o.traces,
      "Which rows steps look up: zipf, or a file with a line of row numbers for each bag or sentence (zipf)",
      CLI::Validator([](std::string&) { return std::string(); }, ""), "FILE", group);
  CLI::Option* rows =
      add_several(c, "--rows", o.rows,
                  fmt::format("Rows of the table ({}; of a trace file: as many as it needs)", LabOptions::usual_rows),
                  whole<1, 1'000'000'000>(), "N", group);
  add_several(c, "--dim", o.dim,
              fmt::format("Width of a row ({}; tagger: {})", LabOptions::usual_dim, LabOptions::tagger_dim),
              whole<1, 65536>(), "N", group);
  CLI::Option* batch = add_several(
      c, "--batch", o.batch,
      fmt::format("In a step: lookups of the Zipf trace ({}), lines of a trace file ({}), sentences of the tagger ({})",
                  LabOptions::usual_lookups, LabOptions::usual_lines, LabOptions::tagger_sentences),
      whole<1, 100'000'000>(), "N", group);
  CLI::Option* touched =
      add_several(c, "--touched", o.touched,
                  "Instead of --batch: share of the rows that a step looks up, once each, drawn by the Zipf law",
                  share_above_0(), "X", group);
  add_several(c, "--steps", o.steps,
              fmt::format("Steps of a run ({}; tagger: {})", LabOptions::usual_steps, LabOptions::tagger_steps),
              whole<1, 1'000'000'000>(), "N", group);
  c.add_option_function<std::vector<std::string>>(
       "--seeds", [](const auto&) {}, "Seeds of data and weights, such as 1..5 (1..3)")
      ->check(seeds(o.seeds))
      ->type_name("A..B")
      ->group(group)
      ->expected(1)
      ->take_all();

  group = "How";
  add_several(c, "--optimizer", o.optimizers, fmt::format("{} (sgd and adam)", fmt::join(optimizer_names(), ", ")),
              CLI::IsMember(optimizer_names()).description(""), "NAME", group);
  add_several(c, "--updates", o.updates,
              "exact, touched_only or dense; the other modes are measured against dense (all)",
              common::one_of<Updates>(
                  {{"exact", Updates::exact}, {"touched_only", Updates::touched_only}, {"dense", Updates::dense}}),
              "NAME", group);
  add_several(c, "--lr", o.lr, "Learning rate (by optimizer and task)", common::positive(), "X", group);
  CLI::Option* momentum =
      add_several(c, "--momentum", o.momentum, "Momentum, of optimizers that have it (by optimizer)",
                  common::not_negative(), "X", group);
  CLI::Option* decay = add_several(c, "--weight-decay", o.weight_decay, "Weight decay (by optimizer)",
                                   common::not_negative(), "X", group);
  CLI::Option* beta2 =
      add_several(c, "--beta2", o.beta2, "Decay of the second moment, of optimizers that have it (by optimizer)",
                  common::share(), "X", group);
  add_several(c, "--schedule", o.schedules,
              "Learning rate over the steps: constant, linear or cosine (down to 0), or onecycle (constant)",
              common::one_of<Schedule>({{"constant", Schedule::constant},
                                        {"linear", Schedule::linear},
                                        {"cosine", Schedule::cosine},
                                        {"onecycle", Schedule::onecycle}}),
              "NAME", group);
  c.add_flag("--no-sweep", o.no_sweep,
             "Leave out the sweeps over rows and touched share that find the break-even point")
      ->group(group);
  common::add_threads(c, o.threads, group);
  common::add_device(c, o.device, group);

  group = "Result";
  c.add_option("--out", o.out, "Folder for what comes out (update-lab)")->type_name("DIR")->group(group);
  c.add_flag("--force", o.force, "Replace what another experiment left there")->group(group);
  c.add_flag("--quiet", o.quiet, "Only say where the report is")->group(group);

  c.callback([&c, &o, &status, trace, rows, batch, touched, momentum, decay, beta2] {
    if (!c.get_subcommands().empty()) return;
    if (o.task == Task::tagger) {
      if (*trace) refuse("--trace", "goes with --task regression; the tagger's trace is its corpus");
      if (*rows) refuse("--rows", "goes with --task regression; the tagger has a row for each form of its corpus");
      if (*touched) refuse("--touched", "goes with --task regression; the tagger's steps are sentences: --batch");
    }
    if (*batch && *touched) refuse("--touched", "not together with --batch");
    for (const std::string& each : o.traces) {
      if (each.empty()) refuse("--trace", "the name of the file is empty");
      if (each != lab::zipf_trace && *touched)
        refuse("--touched", "goes with the Zipf trace; a file has its own lines");
    }
    check_has(momentum, o, &lab::OptimizerKind::momentum);
    check_has(decay, o, &lab::OptimizerKind::weight_decay);
    check_has(beta2, o, &lab::OptimizerKind::beta2);
    status = lab::run_lab(o);
  });
}

void add_report(CLI::App& app, lab::ReportOptions& o, int& status) {
  CLI::App& c = *app.add_subcommand("report", "Draw plots and report of a folder anew, without training");
  c.add_option("dir", o.folder, "Folder with results.csv and manifest.json")->required()->type_name("DIR");
  c.add_flag("--quiet", o.quiet, "Only say where the report is");
  c.callback([&app, &o, &status] {
    for (const CLI::Option* option : app.get_options()) {
      if (*option) refuse(option->get_name(), "does not go with report");
    }
    status = lab::report(o);
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compares exact, touched_only and dense updates of an embedding", lab::program_name);
  common::set_up(app);
  embergrad::set_warning_handler(nullptr);  // what steps cost is measured here
  int status = 0;
  LabOptions options;
  options.command.assign(argv, argv + argc);
  lab::ReportOptions report;
  add_report(app, report, status);
  add_lab(app, options, status);
  return common::run(app, argc, argv, nullptr, status);
}

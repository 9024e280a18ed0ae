#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <common/command_line.hpp>
#include <common/files.hpp>
#include <common/interrupt.hpp>
#include <common/machine.hpp>
#include <cstdio>
#include <ctime>
#include <embergrad/report/progress.hpp>
#include <embergrad/text/lines.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "commands.hpp"
#include "drawing.hpp"
#include "experiment.hpp"
#include "untrusted_json.hpp"

namespace lab {
namespace {

namespace eg = embergrad;
namespace fs = std::filesystem;
using common::count;
using common::shown;
using nlohmann::ordered_json;

constexpr const char* results_file = "results.csv";
constexpr const char* manifest_file = "manifest.json";

std::string in(const std::string& folder, const std::string& name) { return (fs::path(folder) / name).string(); }

// --- the grid

/// What was given, or the usual value.
template <class T>
std::vector<T> or_usual(const std::vector<T>& given, T usual) {
  return given.empty() ? std::vector<T>{usual} : given;
}

/// The values of an option that an optimizer may lack.
std::vector<std::optional<double>> values_of(const std::vector<double>& given, const std::optional<double>& usual) {
  if (!usual || given.empty()) return {usual};
  return {given.begin(), given.end()};
}

using TraceFiles = std::map<std::string, std::shared_ptr<const TraceFile>>;

/// Rows of the table for one trace.
std::vector<int64_t> rows_for(const LabOptions& options, const std::string& trace, const TraceFiles& files) {
  if (options.task == Task::tagger) return {tagger_rows()};
  if (trace == zipf_trace) return or_usual(options.rows, LabOptions::usual_rows);
  const int64_t needed = files.at(trace)->rows();
  for (const int64_t rows : options.rows) {
    if (rows < needed)
      throw eg::ValueError(fmt::format("--rows: {} are too few for {}, which has {}", rows, trace, needed));
  }
  return or_usual(options.rows, needed);
}

/// All settings of the grid, in the order of the options as the help names them.
std::vector<Setting> grid_of(const LabOptions& options, const std::vector<std::string>& optimizers,
                             const TraceFiles& files) {
  const bool tagger = options.task == Task::tagger;
  std::vector<Setting> all;
  Setting s{.task = options.task};
  // One option after the other, the first one slowest.
  const auto each = [](const auto& values, auto& place, const auto& next) {
    for (const auto& value : values) {
      place = value;
      next();
    }
  };
  const auto add = [&] { all.push_back(s); };
  const auto by_schedule = [&] { each(or_usual(options.schedules, Schedule::constant), s.schedule, add); };
  const auto by_options = [&] {
    const OptimizerKind& kind = kind_of(s.optimizer);
    each(or_usual(options.lr, tagger ? kind.tagger_lr : kind.lr), s.lr, [&] {
      each(values_of(options.momentum, kind.momentum), s.momentum, [&] {
        each(values_of(options.weight_decay, kind.weight_decay), s.weight_decay,
             [&] { each(values_of(options.beta2, kind.beta2), s.beta2, by_schedule); });
      });
    });
  };
  const auto by_steps = [&] {
    each(or_usual(options.steps, tagger ? LabOptions::tagger_steps : LabOptions::usual_steps), s.steps,
         [&] { each(optimizers, s.optimizer, by_options); });
  };
  const auto by_batch = [&] {
    s.batch = 0;
    s.touched.reset();
    if (!options.touched.empty()) return each(options.touched, s.touched, by_steps);
    int64_t usual = s.trace == zipf_trace ? LabOptions::usual_lookups : LabOptions::usual_lines;
    if (tagger) usual = LabOptions::tagger_sentences;
    each(or_usual(options.batch, usual), s.batch, by_steps);
  };
  each(or_usual<std::string>(options.traces, tagger ? tagger_trace : zipf_trace), s.trace, [&] {
    each(rows_for(options, s.trace, files), s.rows, [&] {
      each(or_usual(options.dim, tagger ? LabOptions::tagger_dim : LabOptions::usual_dim), s.dim, by_batch);
    });
  });
  return all;
}

/// Drops what was given twice.
template <class T>
std::vector<T> distinct(const std::vector<T>& values) {
  std::vector<T> once;
  for (const T& value : values) {
    if (std::find(once.begin(), once.end(), value) == once.end()) once.push_back(value);
  }
  return once;
}

/// Lets the library look at the options of every run before any of them begins.
std::vector<std::string> check_settings(const std::vector<Setting>& settings, const std::vector<Updates>& updates) {
  std::vector<std::string> summaries;
  for (const Setting& setting : settings) {
    const std::vector<Updates> modes = modes_of(setting, updates);
    if (modes.empty()) throw eg::ValueError(fmt::format("--updates: {} knows touched_only alone", setting.optimizer));
    if (setting.task == Task::tagger && kind_of(setting.optimizer).tables_alone) {
      throw eg::ValueError(fmt::format("--optimizer: {} takes tables alone, but the tagger has other parameters, too",
                                       setting.optimizer));
    }
    for (const Updates mode : modes) {
      eg::Tensor parameter = eg::zeros({1, 1});
      std::ostringstream summary;
      const auto optimizer = make_optimizer({parameter.set_requires_grad()}, setting, mode);
      static_cast<void>(make_scheduler(*optimizer, setting));
      summary << *optimizer;
      // Without what it says of this parameter.
      const std::string text = summary.str();
      summaries.push_back(
          fmt::format("{}: {}", setting.optimizer, text.substr(std::min(text.find("lr="), text.size()))));
    }
  }
  return distinct(summaries);
}

// --- files

std::string quoted(const std::string& word) {
  constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=.,/:+@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

/// What is told of an experiment beside its numbers.
ordered_json facts_of(const LabOptions& options, const std::vector<uint64_t>& seeds,
                      const std::vector<std::string>& summaries, eg::Device device) {
  std::vector<std::string> words;
  for (const std::string& word : options.command) words.push_back(quoted(word));
  return {{"program", program_name},
          {"version", EMBERGRAD_VERSION},
          {"compiler", common::compiler()},
          {"matrix_products", common::matrix_products()},
          {"processor", common::processor()},
          {"processors", common::processor_count()},
          {"threads", eg::num_threads()},
          {"device", device.to_string()},
          {"began", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))},
          {"command", fmt::format("{}", fmt::join(words, " "))},
          {"task", name_of(options.task)},
          {"objective", objective_of(options.task)},
          {"seeds", seeds},
          {"optimizers", summaries},
          {"complete", false}};
}

ordered_json read_manifest(const std::string& folder) {
  const std::string path = in(folder, manifest_file);
  const auto value = eg::detail::parse_untrusted_json(eg::text::read_file(path));
  if (!value.is_object())
    throw eg::FormatError(fmt::format("{}: not a manifest of this program: no JSON object", path));
  return value;
}

/// The plots that a manifest names: of an experiment that is to be replaced.
void remove_plots(const std::string& folder) {
  std::error_code none;
  if (!fs::exists(in(folder, manifest_file), none)) return;
  const ordered_json manifest = read_manifest(folder);
  for (const auto& file : manifest.value("files", ordered_json::array())) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.ends_with(".svg") && name.find('/') == std::string::npos) fs::remove(in(folder, name), none);
  }
}

void prepare_folder(const LabOptions& options) {
  if (options.out.empty()) throw eg::IoError("--out: the name of the folder is empty");
  std::error_code error;
  fs::create_directories(options.out, error);
  if (error || !fs::is_directory(options.out)) {
    throw eg::IoError(fmt::format("{}: cannot be made a folder{}", options.out, error ? ": " + error.message() : ""));
  }
  for (const char* file : {results_file, manifest_file, report_file}) {
    common::check_output(in(options.out, file), options.force);
  }
  remove_plots(options.out);
}

/// Draws what is in the folder.
Drawing draw_folder(const std::string& folder) {
  const std::string results = in(folder, results_file);
  Drawing drawing = draw(read_results(results), read_manifest(folder));
  for (const auto& [name, bytes] : drawing.files) common::write_file(in(folder, name), bytes);
  return drawing;
}

/// Writes what is there so far, and draws it.
Drawing write_all(const std::string& folder, const std::vector<Record>& records, ordered_json facts) {
  common::write_file(in(folder, results_file), to_csv(records));
  common::write_file(in(folder, manifest_file), facts.dump(2) + "\n");
  Drawing drawing = draw_folder(folder);
  facts["files"] = ordered_json::array({results_file});
  for (const auto& [name, bytes] : drawing.files) facts["files"].push_back(name);
  common::write_file(in(folder, manifest_file), facts.dump(2) + "\n");
  return drawing;
}

/// The text in lines that fit a terminal.
std::string wrapped(const std::string& text) {
  constexpr std::size_t width = 100;
  std::istringstream words(text);
  std::string all;
  std::size_t column = 0;
  for (std::string word; words >> word;) {
    const bool fits = column == 0 || column + 1 + word.size() <= width;
    if (column > 0) all += fits ? " " : "\n  ";
    column = column == 0 ? word.size() : (fits ? column + 1 : 2) + word.size();
    all += word;
  }
  return all;
}

void tell(const Drawing& drawing, const std::string& folder, bool quiet) {
  if (!quiet) {
    fmt::print("{}\n", drawing.table);
    for (const std::string& line : drawing.advice) fmt::print("{}\n", wrapped(shown(line)));
  }
  fmt::print("report in {}\n", shown(in(folder, report_file)));
}

/// Different rows that steps of a setting touch, on the average.
int64_t touched_by(Lesson& lesson) {
  constexpr int64_t steps = 8;
  std::size_t total = 0;
  for (int64_t step = 1; step <= steps; ++step) {
    lesson.go_to(step);
    total += std::set<int64_t>(lesson.lookups().begin(), lesson.lookups().end()).size();
  }
  return std::max<int64_t>(1, static_cast<int64_t>(total) / steps);
}

}  // namespace

int run_lab(const LabOptions& options) {
  const std::vector<std::string> optimizers = distinct(options.optimizers);
  const auto updates = options.updates.empty()
                           ? std::vector<Updates>{Updates::dense, Updates::exact, Updates::touched_only}
                           : distinct(options.updates);
  const auto seeds = options.seeds.empty() ? std::vector<uint64_t>{1, 2, 3} : distinct(options.seeds);
  TraceFiles files;
  for (const std::string& trace : options.traces) {
    if (trace != zipf_trace) files[trace] = std::make_shared<const TraceFile>(trace);
  }
  const std::vector<Setting> settings = distinct(grid_of(options, optimizers, files));
  const std::vector<std::string> summaries = check_settings(settings, updates);
  const eg::Device device = common::use_device(program_name, options.device);
  prepare_folder(options);
  const common::FileLock lock(in(options.out, results_file));
  eg::set_num_threads(options.threads);
  ordered_json facts = facts_of(options, seeds, summaries, device);

  const MakeLesson make_lesson = [&](const Setting& setting, uint64_t seed) {
    if (setting.task == Task::tagger) return make_tagging(setting, seed, device);
    auto trace =
        setting.trace == zipf_trace ? make_zipf_trace(setting) : make_file_trace(files.at(setting.trace), setting);
    return make_regression(setting, std::move(trace), seed, device);
  };
  const std::vector<std::string> labels = labels_of(settings);
  if (!options.quiet) {
    fmt::print("{}, {}, {}, on {}\n{}\n\n", count(static_cast<int64_t>(settings.size()), "setting"),
               count(static_cast<int64_t>(seeds.size()), "seed"), count(options.threads, "thread"), device.to_string(),
               wrapped(objective_of(options.task)));
  }
  std::vector<Record> records;
  common::note_interrupts();
  for (std::size_t i = 0; i < settings.size() && common::interrupted() == 0; ++i) {
    const Setting& setting = settings[i];
    const std::vector<Updates> modes = modes_of(setting, updates);
    for (const uint64_t seed : seeds) {
      std::optional<eg::report::Progress> progress;
      if (!options.quiet) {
        progress.emplace(eg::report::ProgressOptions{.label = fmt::format("{}, seed {}", labels[i], seed),
                                                     .total = setting.steps * static_cast<int64_t>(modes.size()),
                                                     .unit = "steps",
                                                     .out = stdout});
      }
      compare_modes(
          setting, modes, seed, make_lesson,
          [&] {
            if (progress) progress->advance(1);
          },
          records);
      if (common::interrupted() != 0) break;
      if (progress) progress->finish();
    }
    const bool is_first = std::none_of(settings.begin(), settings.begin() + static_cast<std::ptrdiff_t>(i),
                                       [&](const Setting& s) { return s.optimizer == setting.optimizer; });
    if (!options.no_sweep && is_first && common::interrupted() == 0) {
      if (!options.quiet) fmt::print("{}: sweeps over rows and touched share\n", setting.optimizer);
      std::fflush(stdout);
      sweep(setting, modes, touched_by(*make_lesson(setting, seeds.front())), seeds.front(), make_lesson, records);
    }
  }
  facts["complete"] = common::interrupted() == 0;
  const Drawing drawing = write_all(options.out, records, facts);
  if (common::interrupted() != 0) {
    fmt::print(stderr, "{}: interrupted; what was measured until then is in {}\n", program_name, shown(options.out));
    return 128 + common::interrupted();
  }
  if (!options.quiet) fmt::print("\n");
  tell(drawing, options.out, options.quiet);
  return 0;
}

int report(const ReportOptions& options) {
  tell(draw_folder(options.folder), options.folder, options.quiet);
  return 0;
}

}  // namespace lab

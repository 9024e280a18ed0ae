// Runs the program embergrad-lab as a user does, and looks at what it says, writes and leaves behind.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <embergrad/text/csv.hpp>
#include <embergrad/text/order.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "markup_support.hpp"
#include "support/temporary_directory.hpp"
#include "tagger_support.hpp"

namespace {

namespace fs = std::filesystem;
using embergrad::test::is_one_line;
using embergrad::test::is_well_formed;
using embergrad::test::lines_of;
using embergrad::test::read_bytes;
using embergrad::test::Result;
using embergrad::test::Running;
using embergrad::test::write_bytes;
using embergrad::text::CsvTable;

const std::string header =
    "task,trace,optimizer,updates,lr,momentum,weight_decay,beta2,schedule,rows,dim,batch,touched,steps,seed,step,"
    "quantity,"
    "bin,unit,value";
const std::string small = " --rows 300 --dim 8 --batch 16 --steps 80 --no-sweep --out out ";

struct Place : embergrad::test::Place {
  Place() : embergrad::test::Place(EMBERGRAD_LAB) {}
  [[nodiscard]] CsvTable results() const { return embergrad::text::read_csv(*this / "out/results.csv"); }
};

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The values of the lines that have all these fields.
std::vector<double> values_of(const CsvTable& table, const std::map<std::string, std::string>& fields) {
  std::vector<double> found;
  const std::vector<double> values = table.numbers("value");
  for (int64_t i = 0; i < table.size(); ++i) {
    const bool fits = std::all_of(fields.begin(), fields.end(), [&](const auto& field) {
      return table.at(i, table.column(field.first)) == field.second;
    });
    if (fits) found.push_back(values[static_cast<std::size_t>(i)]);
  }
  return found;
}

double value_of(const CsvTable& table, const std::map<std::string, std::string>& fields) {
  const std::vector<double> found = values_of(table, fields);
  BOOST_TEST_REQUIRE(found.size() == 1U);
  return found.front();
}

/// All files of the folder but those named.
std::map<std::string, std::string> files_of(const Place& place, const std::set<std::string>& without = {}) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(place / "out")) {
    const std::string name = entry.path().filename().string();
    if (!without.contains(name)) files[name] = read_bytes(entry.path().string());
  }
  return files;
}

// Two optimizers in all modes, run once for all cases.
struct Experiment {
  Place place;
  Result result = place.good("--seeds 1..2" + small);
  CsvTable table = place.results();
};
const Experiment& experiment() {
  static const Experiment once;
  return once;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lab)

BOOST_AUTO_TEST_CASE(exact_lies_on_dense_and_touched_only_apart) {
  const CsvTable& table = experiment().table;
  for (const std::string optimizer : {"sgd", "adam"}) {
    for (const std::string seed : {"1", "2"}) {
      const auto last = [&](const char* quantity, const char* updates) {
        return value_of(
            table,
            {{"optimizer", optimizer}, {"seed", seed}, {"step", "80"}, {"quantity", quantity}, {"updates", updates}});
      };
      BOOST_TEST(last("distance_mean", "exact") <= 1e-5);
      BOOST_TEST(last("distance_max", "exact") <= 1e-3);
      BOOST_TEST(last("distance_mean", "touched_only") > 1e-2);
      BOOST_TEST(last("loss", "exact") == last("loss", "dense"), boost::test_tools::tolerance(1e-4));
      BOOST_TEST(std::abs(last("loss", "touched_only") - last("loss", "dense")) > 1e-3);
      BOOST_TEST(last("rows_written", "dense") == 300);
      BOOST_TEST(last("rows_written", "touched_only") <= 16);
      BOOST_TEST(last("history_bytes", "touched_only") == 0);
      BOOST_TEST(last("step_bytes", "dense") > 5 * last("step_bytes", "touched_only"));
    }
  }
  // Dense is what the others are measured against.
  BOOST_TEST(values_of(table, {{"quantity", "distance_mean"}, {"updates", "dense"}}).empty());
  // w and t of N(0, 1) are sqrt(2) apart, and training helps.
  const double before =
      value_of(table, {{"optimizer", "sgd"}, {"seed", "1"}, {"step", "0"}, {"quantity", "loss"}, {"updates", "dense"}});
  BOOST_TEST((before > 1.2 && before < 3.0), before);
  BOOST_TEST(
      value_of(table,
               {{"optimizer", "sgd"}, {"seed", "1"}, {"step", "80"}, {"quantity", "loss"}, {"updates", "dense"}}) <
      before / 2);
}

BOOST_AUTO_TEST_CASE(the_csv_has_a_fixed_header_and_a_number_a_line) {
  const std::string bytes = read_bytes(experiment().place / "out/results.csv");
  BOOST_TEST(bytes.substr(0, bytes.find('\n')) == header);
  const CsvTable& table = experiment().table;
  (void)table.numbers("value");
  for (const auto& quantity : table.texts("quantity")) BOOST_TEST(!quantity.empty());
  const std::set<std::string_view> units = [&] {
    const auto all = table.texts("unit");
    return std::set<std::string_view>(all.begin(), all.end());
  }();
  BOOST_TEST((units == std::set<std::string_view>{"", "s", "B", "rows", "RMS", "lookups", "steps"}));
  // 21 measurements of 2 optimizers, 3 modes, 2 seeds.
  BOOST_TEST(values_of(table, {{"quantity", "loss"}}).size() == 21U * 12U);
  // Each row is in one bin.
  double rows = 0;
  for (const double count : values_of(
           table,
           {{"optimizer", "adam"}, {"updates", "exact"}, {"seed", "2"}, {"step", "80"}, {"quantity", "rows_by_gap"}})) {
    rows += count;
  }
  BOOST_TEST(rows == 300);
}

BOOST_AUTO_TEST_CASE(the_same_arguments_give_the_same_numbers_but_times) {
  const auto without_times = [](const Place& place) {
    std::vector<std::string> lines = lines_of(read_bytes(place / "out/results.csv"));
    std::erase_if(lines, [](const std::string& line) { return says(line, ",s,"); });
    return lines;
  };
  const Place again;
  (void)again.good("--seeds 1..2 --threads 2" + small);
  const auto lines = without_times(again);
  BOOST_TEST(lines.size() > 1000U);
  BOOST_TEST((lines == without_times(experiment().place)));
}

BOOST_AUTO_TEST_CASE(the_report_tells_all) {
  const Place& place = experiment().place;
  const std::string page = read_bytes(place / "out/report.html");
  BOOST_TEST(is_well_formed(page, {"meta"}));
  for (const char* text : {"A step minimises the mean over its lookups", "adam with lr 0.01", "momentum 0.9", "300 x 8",
                           "dead rows", "norm of a row, median", "steps since the last lookup, most", "processor",
                           "touched_only takes", "of the rows touched a step): use ", "--seeds 1..2"}) {
    BOOST_TEST(says(page, text), text);
  }
  int plots = 0;
  for (const auto& [name, bytes] : files_of(place)) {
    if (!name.ends_with(".svg")) continue;
    ++plots;
    BOOST_TEST(is_well_formed(bytes), name);
    BOOST_TEST(!says(bytes, "no data"), name);
    BOOST_TEST(says(page, bytes), name);
  }
  BOOST_TEST(plots == 16);
  const std::string manifest = read_bytes(place / "out/manifest.json");
  for (const char* key : {"\"version\"", "\"compiler\"", "\"processor\"", "\"threads\"", "\"command\"", "\"objective\"",
                          "updates=exact", "\"complete\": true"}) {
    BOOST_TEST(says(manifest, key), key);
  }
  // On the terminal: a line for each run, the advice, where the report is.
  const std::string& out = experiment().result.out;
  for (const char* text : {"adam     touched_only", "sgd      exact", "report in out/report.html"}) {
    BOOST_TEST(says(out, text), text);
  }
  BOOST_TEST(experiment().result.err == "");
}

BOOST_AUTO_TEST_CASE(report_draws_the_same_again) {
  const Place place;
  const Result trained = place.good("--optimizer sgd --seeds 1..2" + small);
  const auto before = files_of(place);
  for (const auto& [name, bytes] : before) {
    if (name != "results.csv" && name != "manifest.json") fs::remove(place / ("out/" + name));
  }
  const Result drawn = place.good("report out");
  BOOST_TEST((files_of(place) == before));
  // The same table, too.
  BOOST_TEST(says(trained.out, drawn.out));
  BOOST_TEST(place.good("report --quiet out").out == "report in out/report.html\n");

  const std::string csv = before.at("results.csv");
  const auto refuses = [&](const std::string& bytes, const std::string& part) {
    write_bytes(place / "out/results.csv", bytes);
    const Result result = place.run("report out");
    BOOST_TEST(result.status == 1);
    BOOST_TEST(is_one_line(result.err));
    BOOST_TEST(says(result.err, "out/results.csv" + part), result.err);
  };
  refuses("", "");
  refuses("a,b\n1,2\n", "");
  refuses(header + "\n" + "regression,zipf,sgd,lazy,0.1,,,,constant,1,1,1,,1,1,1,loss,,,0\n", ":2: updates: 'lazy'");
  refuses(header + "\n" + "regression,zipf,sgd,exact,0.1,,,,constant,1,1,1,,1,1,1,loss,,,x\n", ":2: value: 'x'");
  refuses(header + "\n" + "regression,zipf,sgd,exact,0.1,,,,constant,,1,1,,1,1,1,loss,,,1\n", ":2: rows: ''");
  refuses(csv.substr(0, csv.size() / 2), ":");
  // Nothing but a header is an experiment that was stopped early.
  write_bytes(place / "out/results.csv", header + "\n");
  (void)place.good("report out");
  write_bytes(place / "out/manifest.json", "[]");
  BOOST_TEST(says(place.run("report out").err, "manifest.json: not a manifest"));
}

BOOST_AUTO_TEST_CASE(a_grid_of_settings) {
  const Place place;
  (void)place.good(
      "--optimizer sgd --optimizer adam --lr 0.02 --lr 0.01 --momentum 0.9 --momentum 0 --updates exact --updates "
      "dense "
      "--schedule cosine --seeds 7 --seeds 3 --dim 4 --rows 50 --batch 8 --steps 5 --no-sweep --out out");
  const CsvTable table = place.results();
  // sgd: 2 x 2 settings, adam, which has no momentum: 2.
  BOOST_TEST(values_of(table, {{"quantity", "loss"}, {"step", "5"}}).size() == 6U * 2U * 2U);
  BOOST_TEST(values_of(table, {{"quantity", "loss"}, {"step", "5"}, {"optimizer", "adam"}, {"momentum", ""}}).size() ==
             2U * 2U * 2U);
  BOOST_TEST(fs::exists(place / "out/sgd-lr-0.02-momentum-0_loss_steps.svg"));
  BOOST_TEST(fs::exists(place / "out/adam-lr-0.01_distance.svg"));
  // Without momentum nothing but decay is deferred, with it more: the settings do differ.
  const auto final = [&](const char* momentum) {
    return value_of(table, {{"optimizer", "sgd"},
                            {"lr", "0.02"},
                            {"momentum", momentum},
                            {"updates", "exact"},
                            {"seed", "7"},
                            {"step", "5"},
                            {"quantity", "loss"}});
  };
  BOOST_TEST(final("0") != final("0.9"));
}

BOOST_AUTO_TEST_CASE(every_optimizer) {
  const Place place;
  const std::string given = place.run("--optimizer x").err;
  const std::string::size_type begin = given.find("{sgd,");
  BOOST_REQUIRE(begin != std::string::npos);
  std::istringstream names(given.substr(begin + 1, given.find('}', begin) - begin - 1));
  std::string flags;
  std::size_t modes = 0;
  for (std::string name; std::getline(names, name, ',');) {
    flags += " --optimizer " + name;
    modes += name == "sparse_adam" ? 1 : 3;
  }
  const Result result = place.good(flags + " --seeds 1 --dim 4 --rows 50 --batch 8 --steps 20 --no-sweep --out out");
  BOOST_TEST(result.err == "");
  const CsvTable table = place.results();
  BOOST_TEST(values_of(table, {{"quantity", "loss"}, {"step", "20"}}).size() == modes);
  for (const double distance :
       values_of(table, {{"quantity", "distance_mean"}, {"step", "20"}, {"updates", "exact"}})) {
    BOOST_TEST(distance < 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(what_the_steps_look_up) {
  // The Zipf trace, to the last lookup: step k takes u(seed, i) for i = (k-1)·batch …
  const Place place;
  (void)place.good(
      "--optimizer sgd --updates exact --seeds 5 --rows 40 --dim 2 --batch 6 --steps 20 --no-sweep --out out");
  std::vector<double> sums;
  for (int r = 1; r <= 40; ++r) sums.push_back((sums.empty() ? 0 : sums.back()) + std::pow(r, -1.05));
  std::vector<int> lookups(40);
  for (uint64_t i = 0; i < 120; ++i) {
    const double u = embergrad::text::uniform(5, i) * sums.back();
    ++lookups[static_cast<std::size_t>(std::upper_bound(sums.begin(), sums.end(), u) - sums.begin())];
  }
  const auto health = [&](const char* bin) {
    return value_of(place.results(), {{"quantity", "health"}, {"step", "20"}, {"bin", bin}});
  };
  BOOST_TEST(health("lookups of a row, most") == *std::max_element(lookups.begin(), lookups.end()));
  BOOST_TEST(health("dead rows (never looked up)") == std::count(lookups.begin(), lookups.end(), 0));

  // A share of the rows: each once.
  (void)place.good(
      "--optimizer sgd --updates exact --seeds 1 --rows 40 --dim 2 --touched 0.1 --touched 0.5 --touched 1 --steps 20 "
      "--no-sweep --out out --force");
  for (const auto& [share, rows] : std::map<std::string, double>{{"0.1", 4}, {"0.5", 20}, {"1", 40}}) {
    BOOST_TEST(value_of(place.results(), {{"quantity", "rows_touched"}, {"step", "20"}, {"touched", share}}) == rows);
  }

  // A file: both lines in each step.
  write_bytes(place / "trace.txt", "0 1 3\n1 5");
  (void)place.good(
      "--optimizer sgd --seeds 1 --trace trace.txt --batch 2 --dim 2 --steps 20 --no-sweep --out out --force");
  const CsvTable table = place.results();
  const auto last = [&](const char* quantity, const char* bin) {
    return value_of(table, {{"quantity", quantity}, {"step", "20"}, {"bin", bin}, {"updates", "exact"}, {"rows", "6"}});
  };
  BOOST_TEST(last("rows_touched", "") == 4);
  BOOST_TEST(last("rows_by_lookups", "0") == 2);
  BOOST_TEST(last("rows_by_lookups", "16-63") == 4);
  BOOST_TEST(last("health", "lookups of a row, most") == 40);
  BOOST_TEST(last("rows_by_gap", "16-63") == 2);

  for (const auto& [bytes, part] : std::map<std::string, std::string>{{"", "trace.txt: no lines"},
                                                                      {"0 1\n\n2\n", "trace.txt:2: "},
                                                                      {"0 -1\n", "trace.txt:1: "},
                                                                      {"0  1\n", "trace.txt:1: "},
                                                                      {"0 1 \n", "trace.txt:1: "},
                                                                      {"0 x\n", "trace.txt:1: "},
                                                                      {"0\n1000000000\n", "trace.txt:2: "}}) {
    write_bytes(place / "trace.txt", bytes);
    const Result refused = place.run("--trace trace.txt --out other");
    BOOST_TEST(refused.status == 1);
    BOOST_TEST(says(refused.err, part), refused.err);
    BOOST_TEST(is_one_line(refused.err));
  }
  write_bytes(place / "trace.txt", "0 9\n");
  BOOST_TEST(says(place.run("--trace trace.txt --rows 9 --out other").err, "--rows: 9 are too few"));
  BOOST_TEST(!fs::exists(place / "other"));
}

BOOST_AUTO_TEST_CASE(the_tagger) {
  const Place place;
  const Result result = place.good("--task tagger --optimizer adam --steps 20 --seeds 1 --dim 16 --no-sweep --out out");
  const CsvTable table = place.results();
  const auto last = [&](const char* quantity, const char* updates) {
    return value_of(table, {{"quantity", quantity}, {"step", "20"}, {"updates", updates}});
  };
  BOOST_TEST(last("distance_mean", "exact") <= 1e-5);
  BOOST_TEST(last("distance_mean", "touched_only") > 1e-2);
  BOOST_TEST(last("accuracy", "exact") > 0.2);
  BOOST_TEST(last("loss", "exact") == last("loss", "dense"), boost::test_tools::tolerance(1e-3));
  BOOST_TEST(says(result.out, "part-of-speech"));
  BOOST_TEST(fs::exists(place / "out/adam_accuracy.svg"));
}

BOOST_AUTO_TEST_CASE(sweeps_find_the_break_even_point) {
  const Place place;
  const Result result = place.good("--optimizer sgd --rows 400 --dim 4 --batch 8 --steps 10 --seeds 1 --out out");
  const CsvTable table = place.results();
  for (const char* updates : {"exact", "touched_only", "dense"}) {
    const auto times = values_of(table, {{"quantity", "sweep_rows"}, {"updates", updates}, {"unit", "s"}});
    BOOST_TEST(times.size() >= 4U);
    BOOST_TEST(std::all_of(times.begin(), times.end(), [](double time) { return time > 0; }));
    BOOST_TEST(values_of(table, {{"quantity", "sweep_touched"}, {"updates", updates}}).size() >= 5U);
  }
  const std::string page = read_bytes(place / "out/report.html");
  BOOST_TEST(says(page, "Break-even"));
  BOOST_TEST(says(page, "On this machine"));
  BOOST_TEST(fs::exists(place / "out/sgd_time_rows.svg"));
  BOOST_TEST(fs::exists(place / "out/sgd_time_touched.svg"));
}

BOOST_AUTO_TEST_CASE(one_mode_alone) {
  const Place place;
  for (const char* updates : {"exact", "touched_only", "dense"}) {
    std::string arguments = "--optimizer adagrad --seeds 1 --force --updates ";
    arguments += updates;
    (void)place.good(arguments + small);
    BOOST_TEST(values_of(place.results(), {{"quantity", "distance_mean"}}).empty());
    BOOST_TEST(!fs::exists(place / "out/adagrad_distance.svg"));
    BOOST_TEST(fs::exists(place / "out/adagrad_loss_steps.svg"));
  }
}

BOOST_AUTO_TEST_CASE(training_that_diverges_is_told) {
  const Place place;
  const Result result = place.good("--optimizer sgd --lr 1e30 --seeds 1" + small);
  BOOST_TEST(says(result.out, "training diverged"));
  BOOST_TEST(!says(result.out, "-nan"));
  BOOST_TEST(place.good("report out").out == result.out.substr(result.out.find("setting  updates")));
}

BOOST_AUTO_TEST_CASE(ctrl_c_writes_what_is_there) {
  const Place place;
  Running running(place, {"--rows", "200", "--dim", "4", "--steps", "1000000", "--out", "out", "--no-sweep"});
  running.wait_until([&] { return running.says("3 seeds"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const Result stopped = running.stop(SIGINT);
  BOOST_TEST(stopped.status == 128 + SIGINT);
  BOOST_TEST(is_one_line(stopped.err));
  BOOST_TEST(says(stopped.err, "interrupted; what was measured until then is in out"));
  BOOST_TEST(says(read_bytes(place / "out/manifest.json"), "\"complete\": false"));
  BOOST_TEST(says(read_bytes(place / "out/report.html"), "The experiment was interrupted"));
  BOOST_TEST(!values_of(place.results(), {{"quantity", "loss"}, {"step", "0"}}).empty());
  (void)place.good("report out");
}

BOOST_AUTO_TEST_CASE(another_experiment_is_not_replaced_unasked) {
  const Place place;
  const std::string run = "--optimizer sgd --seeds 1" + small;
  (void)place.good(run);
  const auto before = files_of(place);
  const Result refused = place.run(run);
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(says(refused.err, "out/results.csv: exists already; --force replaces it"));
  BOOST_TEST((files_of(place) == before));
  // Nor do plots of the old one stay beside those of the new one; what the program did not make stays.
  write_bytes(place / "out/mine.svg", "mine");
  (void)place.good("--optimizer adam --seeds 1 --force --quiet" + small);
  BOOST_TEST(!fs::exists(place / "out/sgd_time.svg"));
  BOOST_TEST(fs::exists(place / "out/adam_time.svg"));
  BOOST_TEST(fs::exists(place / "out/mine.svg"));
  write_bytes(place / "file", "");
  BOOST_TEST(says(place.run("--out file").err, "file: cannot be made a folder"));
}

BOOST_AUTO_TEST_CASE(bad_arguments_are_refused_by_name) {
  const Place place;
  for (const auto& [arguments, part] : std::vector<std::pair<std::string, std::string>>{
           {"--task x", "--task: x is none of regression, tagger"},
           {"--optimizer x", "--optimizer: x not in {sgd,"},
           {"--updates lazy", "--updates: lazy is none of exact, touched_only, dense"},
           {"--schedule x", "--schedule: x is none of constant, linear, cosine, onecycle"},
           {"--lr 0", "--lr: 0 is not a number above 0"},
           {"--lr nan", "--lr: nan is not"},
           {"--momentum -1", "--momentum: -1 is not"},
           {"--weight-decay -1", "--weight-decay: -1 is not"},
           {"--beta2 1", "--beta2: 1 is not"},
           {"--rows 0", "--rows: 0 is not"},
           {"--dim 1x", "--dim: 1x is not"},
           {"--batch 0", "--batch: 0 is not"},
           {"--steps 0", "--steps: 0 is not"},
           {"--touched 1.5", "--touched: 1.5 is not a number above 0 and at most 1"},
           {"--touched 0.5 --batch 3", "--touched: not together with --batch"},
           {"--touched 0.5 --trace x", "--touched: goes with the Zipf trace"},
           {"--seeds 3..1", "--seeds: 3..1 is no range"},
           {"--seeds 0..1000", "--seeds: 0..1000 is no range"},
           {"--seeds a", "--seeds: a is neither"},
           {"--seeds 1..", "--seeds: 1.. is neither"},
           {"--threads 0", "--threads: 0 is not"},
           {"--optimizer adam --momentum 0.9", "--momentum: adam: no such option"},
           {"--optimizer sgd --beta2 0.9", "--beta2: sgd: no such option"},
           {"--task tagger --rows 5", "--rows: goes with --task regression"},
           {"--task tagger --trace x", "--trace: goes with --task regression"},
           {"--task tagger --touched 0.5", "--touched: goes with --task regression"},
           {"--unknown", "--unknown"},
           {"report", "dir is required"},
           {"--steps 5 report x", "--steps: does not go with report"}}) {
    BOOST_TEST_CONTEXT(arguments) {
      const Result result = place.run(arguments);
      BOOST_TEST(result.status == 2);
      BOOST_TEST(is_one_line(result.err));
      BOOST_TEST(says(result.err, part), result.err);
      BOOST_TEST(result.out == "");
      BOOST_TEST(place.is_empty());
    }
  }
  for (const auto& [arguments, part] : std::vector<std::pair<std::string, std::string>>{
           {"--optimizer sparse_adam --updates exact", "--updates: sparse_adam knows touched_only alone"},
           {"--optimizer rowwise_adagrad --task tagger",
            "--optimizer: rowwise_adagrad takes tables alone, but the tagger has other parameters, too"}}) {
    const Result result = place.run(arguments);
    BOOST_TEST(result.status == 1);
    BOOST_TEST(is_one_line(result.err));
    BOOST_TEST(says(result.err, part), result.err);
  }
  BOOST_TEST(place.run("--trace nowhere").status == 1);
  BOOST_TEST(place.run("report nowhere").status == 1);
  BOOST_TEST(place.is_empty());
  BOOST_TEST(says(place.good("--help").out, "--seeds A..B"));
}

BOOST_AUTO_TEST_SUITE_END()

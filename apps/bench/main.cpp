#include <fmt/format.h>
#include <fnmatch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <common/command_line.hpp>
#include <common/machine.hpp>
#include <cstdio>
#include <cstdlib>
#include <embergrad/embergrad.hpp>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "measure.hpp"
#include "process.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

using nlohmann::ordered_json;

constexpr int usage_error = 2;

std::vector<Workload> all_workloads() {
  std::vector<Workload> all;
  for (auto family : {op_overhead, bag, train_rows, lstm, tagger_tutorial, tagger, bagclass, ceilings, gpu_sizes}) {
    std::vector<Workload> cases = family();
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  return all;
}

/// Whether `wanted` names this case: all, its family, the case itself, or a shell pattern.
bool names(const std::string& wanted, const Workload& workload, Device device) {
  if (wanted == "all") return device.is_cuda() || !workload.for_gpus;
  const std::string& name = workload.name;
  return wanted == name || wanted == name.substr(0, name.find('/')) || fnmatch(wanted.c_str(), name.c_str(), 0) == 0;
}

/// The cases that any of `wanted` names, in their own order. CLI::ValidationError for a name that names none.
std::vector<Workload> select(const std::vector<Workload>& all, const std::vector<std::string>& wanted, Device device) {
  for (const std::string& each : wanted) {
    if (std::none_of(all.begin(), all.end(), [&](const Workload& w) { return names(each, w, device); })) {
      throw CLI::ValidationError("--workload", fmt::format("there is no '{}'; --list names all", each));
    }
  }
  std::vector<Workload> chosen;
  std::copy_if(all.begin(), all.end(), std::back_inserter(chosen), [&](const Workload& workload) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const auto& each) { return names(each, workload, device); });
  });
  return chosen;
}

/// CLI::ValidationError unless a single case is chosen whose losses can be told.
void check_trains(const std::vector<Workload>& chosen) {
  if (chosen.size() != 1) {
    throw CLI::ValidationError("--losses", fmt::format("takes one case, but --workload names {}", chosen.size()));
  }
  if (!chosen.front().losses) throw CLI::ValidationError("--losses", chosen.front().name + " trains no model");
}

/// CLI::ValidationError where a chosen case needs a treebank that is not there.
void check_data(const std::vector<Workload>& chosen, const std::string& ewt) {
  const auto reader = std::find_if(chosen.begin(), chosen.end(), [](const Workload& w) { return w.reads_ewt; });
  if (reader == chosen.end()) return;
  constexpr const char* what = "a directory with train.conllu and dev.conllu of the treebank UD English EWT";
  if (ewt.empty()) throw CLI::ValidationError("--ewt", fmt::format("{} needs it: {}", reader->name, what));
  for (const char* file : {"train.conllu", "dev.conllu"}) {
    if (!std::filesystem::exists(std::filesystem::path(ewt) / file)) {
      throw CLI::ValidationError("--ewt", fmt::format("'{}' has no {}; {} needs {}", ewt, file, reader->name, what));
    }
  }
}

/// "1.234 ms"
std::string human(double seconds) {
  if (seconds < 1e-6) return fmt::format("{:.0f} ns", seconds * 1e9);
  if (seconds < 1e-3) return fmt::format("{:.1f} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.3f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

void print_facts(Device device) {
  fmt::print("embergrad {}, {}, float32 matrix products: {}\n{} x {}\ndevice: {}\n\n", EMBERGRAD_VERSION,
             common::compiler(), device.is_cpu() ? common::matrix_products() : "cuBLAS", common::processor_count(),
             common::processor(), device.to_string());
}

/// One line of the table.
void print_line(const ordered_json& result) {
  const auto number = [&](const char* key) { return result.at(key).is_null() ? 0.0 : result.at(key).get<double>(); };
  std::string extras = fmt::format("{}; peak {:.0f} MiB; cpu/wall {:.2f}; foreign {:.2f}; lin {:.2f}; allocations {}",
                                   result.at("unit").get<std::string>(), number("peak_MiB"), number("cpu_per_wall"),
                                   number("foreign"), number("lin"), result.at("allocations").get<int64_t>());
  for (const char* key : {"table_MiB", "distinct_rows", "history_bytes_per_row", "GFLOPs", "GB_per_s", "tokens_per_s",
                          "sentences_per_s", "words_per_s", "loss_before", "loss_after"}) {
    if (result.contains(key)) extras += fmt::format("; {} {:.4g}", key, number(key));
  }
  if (!result.at("changed").get<bool>()) extras += "; !! checksum did not change";
  fmt::print("{:46} {:3} {:>11} {:>11} {:>11}  {}\n", result.at("case").get<std::string>(),
             result.at("threads").get<int>(), human(number("median")), human(number("min")), human(number("max")),
             extras);
  std::fflush(stdout);
}

/// Writes what there is so far, if a file was asked for: it stays if a later case is stopped.
void write_json(const std::string& path, const ordered_json& results) {
  if (path.empty()) return;
  std::ofstream file(path);
  file << results.dump(1) << '\n';
  if (!file.flush()) throw IoError(path + ": can't be written");
}

/// Measures one case in this process and prints what came out, for the process that called.
int measure_here(const std::vector<Workload>& all, const std::string& name, int threads, const Settings& settings) {
  const Workload workload = select(all, {name}, settings.device).front();
  set_num_threads(threads);
  static_cast<void>(
      matmul(ones({64, 64}), ones({64, 64})));  // what the matrix library sets up is not the case's memory
  synchronize(settings.device);
  const double before = resident_mib();
  ordered_json result;
  try {
    result = workload.run(settings);
  } catch (const Error& error) {  // a workload that this device can't do says so by its name
    throw Error(fmt::format("{} on {}: {}", workload.name, settings.device.to_string(), error.what()));
  }
  result["peak_MiB"] = peak_resident_mib() - before;
  result["embergrad"] = EMBERGRAD_VERSION;
  result["build"] = common::compiler();
  result["gemm"] = settings.device.is_cpu() ? common::matrix_products() : "cuBLAS";
  result["device"] = settings.device.to_string();
  result["threads"] = threads;
  result["case"] = workload.name;
  fmt::print("{}\n", result.dump());
  return 0;
}

int main_of(int argc, char** argv) {
  CLI::App app(
      "Measures embergrad. Every case runs in a process of its own: warm-up, then groups of steps of at least 0.15 s\n"
      "each; printed are the median, least and most of the groups' times. docs/benchmarks.md says what the cases are\n"
      "and how to set them beside another framework.");
  bool list = false;
  std::vector<std::string> wanted = {"all"};
  int threads = 1;
  std::string json_path;
  std::string losses_path;
  std::string child;
  std::string device = common::usual_device;
  Settings settings;
  app.add_flag("--list", list, "name the cases and stop");
  app.add_option("--workload", wanted, "cases (tagger_train/packed), families (tagger_train) or shell patterns")
      ->delimiter(',')
      ->type_name("NAME,...")
      ->capture_default_str();
  app.add_option("--threads", threads, "threads to use")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--repeat", settings.repeat, "groups of steps")->check(CLI::Range(1, 100000))->capture_default_str();
  app.add_option("--json", json_path, "write the results to this file, too");
  app.add_option("--losses", losses_path,
                 "measure nothing: train once through the batches of tagger_train or bagclass_train, and write the "
                 "weights before and after and the loss of every step to this file (safetensors)")
      ->type_name("FILE");
  app.add_option("--ewt", settings.ewt,
                 "directory with train.conllu and dev.conllu of UD English EWT, for tagger_train, tagger_infer and "
                 "bagclass_train")
      ->type_name("DIR");
  common::add_device(app, device, "Options");
  app.add_option("--child", child)->group("");  // how this program calls itself

  const std::vector<Workload> all = all_workloads();
  std::vector<Workload> chosen;
  try {
    app.parse(argc, argv);
    if (list) {
      for (const Workload& workload : all) fmt::print("{}\n", workload.name);
      return 0;
    }
    settings.device = common::use_device("embergrad-bench", device);
    if (!child.empty()) return measure_here(all, child, threads, settings);
    chosen = select(all, wanted, settings.device);
    if (!losses_path.empty()) check_trains(chosen);
    check_data(chosen, settings.ewt);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : usage_error;
  }

  if (!losses_path.empty()) {
    set_num_threads(threads);
    save(losses_path, chosen.front().losses(settings), {{"case", chosen.front().name}});
    return 0;
  }

  // Pools of threads in libraries below are sized when they are loaded.
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}) setenv(name, std::to_string(threads).c_str(), 1);
  print_facts(settings.device);
  fmt::print("{:46} {:>3} {:>11} {:>11} {:>11}  per, extras\n", "case", "thr", "median", "min", "max");
  std::fflush(stdout);
  ordered_json results = ordered_json::array();
  write_json(json_path, results);
  bool failed = false;
  for (const Workload& workload : chosen) {
    std::vector<std::string> arguments = {"--child",   workload.name,
                                          "--threads", std::to_string(threads),
                                          "--repeat",  std::to_string(settings.repeat),
                                          "--device",  settings.device.to_string()};
    if (workload.reads_ewt) arguments.insert(arguments.end(), {"--ewt", settings.ewt});
    const ProcessResult process = run_self(arguments);
    if (!process.ok) {
      failed = true;
      fmt::print("{:46} FAILED\n", workload.name);
      std::fflush(stdout);
      continue;
    }
    results.push_back(ordered_json::parse(process.output));
    print_line(results.back());
    write_json(json_path, results);
  }
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace embergrad::bench

int main(int argc, char** argv) {
  try {
    return embergrad::bench::main_of(argc, argv);
  } catch (const std::exception& error) {
    std::fflush(stdout);
    fmt::print(stderr, "embergrad-bench: {}\n", error.what());
    return 1;
  }
}

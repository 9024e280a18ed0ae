#include "training.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <embergrad/error.hpp>
#include <embergrad/text/order.hpp>
#include <filesystem>
#include <utility>

#include "files.hpp"

namespace common {

namespace eg = embergrad;

std::optional<Division> set_aside(int64_t all, std::string_view noun, const TrainOptions& options,
                                  std::vector<std::string>& found) {
  const double fraction = options.dev_fraction.value_or(usual_dev_fraction);
  const std::string one = count(1, noun);
  if (fraction == 0.0 || (all == 1 && !options.dev_fraction)) {
    found.push_back(fmt::format("dev         none{}: the model of the last epoch is kept",
                                fraction == 0.0 ? "" : fmt::format(", as {} is too few to set some aside", one)));
    return std::nullopt;
  }
  if (all == 1) throw eg::ValueError(fmt::format("--dev-fraction: of {} none can be set aside", one));
  const int64_t wanted = std::llround(fraction * static_cast<double>(all));
  std::vector<int64_t> order = eg::text::permutation(all, options.seed);
  const auto cut = order.end() - std::clamp<int64_t>(wanted, 1, all - 1);
  return Division{.train = {order.begin(), cut}, .dev = {cut, order.end()}};
}

void check_patience(const TrainOptions& options, bool has_dev, std::string_view items) {
  if (options.patience == 0 || has_dev) return;
  throw eg::ValueError(fmt::format("--patience: there are no {} to measure on, see --dev and --dev-fraction", items));
}

nlohmann::json by_options(const nlohmann::json& members) {
  nlohmann::json named;
  for (const auto& [name, value] : members.items()) {
    std::string option = "--" + name;
    std::replace(option.begin(), option.end(), '_', '-');
    named[option] = value;
  }
  return named;
}

void check_same_run(const std::string& resume_file, const std::vector<std::string>& differences) {
  if (differences.empty()) return;
  throw eg::ValueError(
      fmt::format("--resume: {} was written by another run: {}", resume_file, fmt::join(differences, "; ")));
}

void check_epochs(const std::string& resume_file, int64_t done, int64_t epochs) {
  if (done <= epochs) return;
  throw eg::ValueError(fmt::format("--epochs: {} are fewer than {} has behind it", epochs, shown(resume_file)));
}

eg::report::ProgressOptions epoch_progress(int64_t epoch, int64_t epochs, int64_t total, const char* unit,
                                           const Stopwatch& watch) {
  return {.label = fmt::format("epoch {}/{}", epoch, epochs),
          .total = total,
          .unit = unit,
          .out = stdout,
          .clock = [&watch] { return watch.seconds(); }};
}

void write(eg::report::JsonLines& log, const EpochRecord& record) {
  eg::report::JsonValue accuracy = nullptr;
  if (record.accuracy) accuracy = *record.accuracy;
  log.write({{"epoch", record.epoch},
             {"step", record.step},
             {"loss", record.loss},
             {"accuracy", accuracy},
             {"lr", record.lr},
             {"seconds", record.seconds}});
}

int64_t parameter_count(const eg::nn::Module& network) {
  int64_t n = 0;
  for (const eg::Tensor& parameter : network.parameters()) n += parameter.numel();
  return n;
}

void print_outcome(const TrainOptions& options, const Outcome& outcome) {
  if (!options.quiet) fmt::print("\n");
  if (outcome.by_patience && !options.quiet) {
    fmt::print("stopped after {} without a better dev accuracy\n", count(options.patience, "epoch"));
  }
  if (outcome.best_accuracy) {
    fmt::print("best epoch {} of {}: dev accuracy {:.4f}\n", outcome.best_epoch, outcome.epochs,
               *outcome.best_accuracy);
  }
}

void print_model_file(const std::string& model) {
  fmt::print("model in {} ({:.1f} MB)\n", shown(model), static_cast<double>(std::filesystem::file_size(model)) / 1e6);
}

}  // namespace common

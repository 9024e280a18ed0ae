/// @file
/// What runs are given: one cell of the grid that the command line spans.
#pragma once

#include <cstdint>
#include <embergrad/embergrad.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lab {

using embergrad::optim::Updates;

/// What is trained.
enum class Task {
  regression,  ///< a table towards a target for each row
  tagger,      ///< the network of embergrad-tagger on its embedded corpus
};

/// How the learning rate goes on, from step to step.
enum class Schedule {
  constant,
  linear,    ///< down to 0
  cosine,    ///< down to 0
  onecycle,  ///< up to `lr` and down again
};

[[nodiscard]] const char* name_of(Task task);
[[nodiscard]] const char* name_of(Schedule schedule);

/// The name of the trace that is drawn, not read.
inline constexpr const char* zipf_trace = "zipf";
/// The trace of the tagger: the words of its sentences.
inline constexpr const char* tagger_trace = "sample";

/// All that a run is given but mode and seed. Options that the optimizer does not have are absent.
struct Setting {
  Task task = Task::regression;
  std::string trace = zipf_trace;  ///< which rows the steps look up: zipf_trace, tagger_trace or a file
  std::string optimizer = {};
  double lr = 0;
  std::optional<double> momentum = {};
  std::optional<double> weight_decay = {};
  std::optional<double> beta2 = {};
  Schedule schedule = Schedule::constant;
  int64_t rows = 0;  ///< of the table
  int64_t dim = 0;
  int64_t batch = 0;                   ///< a step's lookups, lines of the trace, or sentences; 0 with `touched`
  std::optional<double> touched = {};  ///< share of the rows that each step looks up
  int64_t steps = 0;

  bool operator==(const Setting&) const = default;
};

/// What tells the settings of a grid from each other, such as "adamw, lr 0.01"; "adamw" if it is the only one of that
/// optimizer. One for each setting.
[[nodiscard]] std::vector<std::string> labels_of(const std::vector<Setting>& settings);

/// A row of the table of optimizers.
struct OptimizerKind {
  const char* name;                         ///< of the command line
  double lr;                                ///< usual, in regression
  double tagger_lr;                         ///< usual, for the tagger
  std::optional<double> momentum = {};      ///< usual; absent: has none
  std::optional<double> weight_decay = {};  ///< usual; absent: has none
  std::optional<double> beta2 = {};         ///< usual; absent: has none
  bool touched_only = false;                ///< knows no other mode
  bool tables_alone = false;                ///< takes no other parameters
  std::unique_ptr<embergrad::optim::Optimizer> (*make)(const std::vector<embergrad::Tensor>& parameters,
                                                       const Setting& setting);
};

/// All optimizers, in the order of the help.
[[nodiscard]] const std::vector<OptimizerKind>& optimizer_kinds();
/// The row of that name, which must be there.
[[nodiscard]] const OptimizerKind& kind_of(const std::string& optimizer);

/// The optimizer of a setting in a mode.
[[nodiscard]] std::unique_ptr<embergrad::optim::Optimizer> make_optimizer(
    const std::vector<embergrad::Tensor>& parameters, const Setting& setting, Updates updates);

/// Numbers that the setting's optimizer keeps for each number of the table.
[[nodiscard]] double state_of(const Setting& setting);

/// The schedule of a setting; nothing for a constant learning rate.
[[nodiscard]] std::unique_ptr<embergrad::optim::LRScheduler> make_scheduler(embergrad::optim::Optimizer& optimizer,
                                                                            const Setting& setting);

}  // namespace lab

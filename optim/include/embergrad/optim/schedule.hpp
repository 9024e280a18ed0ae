/// @file
/// Learning rate schedules.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <embergrad/optim/optimizer.hpp>
#include <embergrad/options.hpp>
#include <embergrad/safetensors.hpp>

namespace embergrad::optim {

/// Changes the learning rates of an optimizer's groups as training goes on (`torch.optim.lr_scheduler`). Names,
/// defaults and numbers are PyTorch's.
///
/// A scheduler acts when it is made, and then at each `step()`, which comes after `optimizer.step()`: once an epoch, or
/// once a step, as its options are meant. It starts from the learning rates of the moment at which the optimizer got
/// its first scheduler (`Optimizer::initial_lr`). Most schedules go from the learning rate that is there to the next
/// one; so several may work on one optimizer, and a change by `set_lr` lasts.
///
/// It refers to its optimizer, which has to stay where it is as long as the scheduler lives.
class LRScheduler {
 public:
  virtual ~LRScheduler() = default;
  LRScheduler(const LRScheduler&) = delete;
  LRScheduler& operator=(const LRScheduler&) = delete;
  LRScheduler(LRScheduler&&) = delete;
  LRScheduler& operator=(LRScheduler&&) = delete;

  /// Goes on to the next learning rates. ValueError, and nothing is changed, if one would be negative or not finite;
  /// also where a schedule has come to its end (OneCycleLR) or needs to be told a metric (ReduceLROnPlateau).
  virtual void step();

  /// The learning rate of each group as this scheduler last left it.
  [[nodiscard]] const std::vector<double>& get_last_lr() const { return last_lr_; }
  /// How often `step` was called.
  [[nodiscard]] std::int64_t last_epoch() const { return last_epoch_; }
  /// "StepLR", …
  [[nodiscard]] const char* name() const { return name_; }

  /// All that `load_state_dict` needs to go on as if never stopped: `scheduler.TYPE` (the version of this layout),
  /// options and position. The functions of a LambdaLR are not in it. Learning rates and momentum in force are part of
  /// the optimizer's state.
  [[nodiscard]] StateDict state_dict() const;
  /// Takes position and options over. ValueError, with everything that does not fit listed, if the state is of another
  /// type of scheduler, for another number of groups, or has invalid options; nothing is changed then.
  void load_state_dict(const StateDict& state);

 protected:
  /// When a learning rate is asked for.
  enum class Moment {
    begin,  ///< when the scheduler is made, or a SequentialLR begins with it
    step,   ///< at a step
    arrive  ///< when a SequentialLR comes to it
  };
  /// Learning rate of a group, and momentum (the first beta, if there are betas) where a schedule changes that.
  struct Rates {
    double lr;                            ///< finite and not negative
    std::optional<double> momentum = {};  ///< none: stays as it is
  };
  /// A part of the state: its name and where it stands. Without a place it marks the type.
  struct Field {
    std::string name;  ///< key in `state_dict`
    /// Member of the scheduler.
    std::variant<std::monostate, double*, std::int64_t*, bool*, std::vector<double>*, std::vector<std::int64_t>*> place;
  };

  /// Notes the learning rates to start from; `name` has to live on.
  LRScheduler(const char* name, Optimizer& optimizer);

  /// For the end of constructors: refuses wrong options, then begins.
  void start();
  /// The rates of a group in an epoch; `lr` is what it has now.
  [[nodiscard]] virtual Rates rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const;
  /// The parts of the state.
  virtual std::vector<Field> fields();
  /// What is wrong with options and position.
  [[nodiscard]] virtual std::vector<std::string> problems() const;

  /// Whose learning rates it changes.
  [[nodiscard]] Optimizer& optimizer() const { return *optimizer_; }
  /// Groups of the optimizer.
  [[nodiscard]] std::size_t group_count() const { return optimizer_->group_count(); }
  /// The learning rates that the schedule starts from.
  [[nodiscard]] double base_lr(std::size_t group) const { return base_lrs_[group]; }
  /// Replaces them, for later schedulers too.
  void set_base_lr(std::size_t group, double lr);
  /// Whether the groups have a momentum or betas.
  [[nodiscard]] bool has_momentum() const;
  /// What would be wrong with this momentum (first beta) in the group.
  [[nodiscard]] std::vector<std::string> momentum_problems(std::size_t group, double momentum) const;
  /// ValueError with all `problems`.
  void check() const;

 private:
  friend class Checkpoint;
  friend class ReduceLROnPlateau;
  friend class SequentialLR;

  using Value =
      std::variant<std::monostate, double, std::int64_t, bool, std::vector<double>, std::vector<std::int64_t>>;

  void go_to(std::int64_t epoch, Moment moment);
  // The values of a state that was checked, as `fields` has them; `restore` puts them in place.
  [[nodiscard]] std::vector<Value> check_state(const StateDict& state);
  void restore(std::vector<Value>& values);

  const char* name_;
  Optimizer* optimizer_;
  std::int64_t last_epoch_ = -1;
  std::vector<double> base_lrs_;
  std::vector<double> last_lr_;
  std::vector<Rates> next_;  // kept for its memory
};

/// A number for each group: one for all of them, or a list with one for each.
class PerGroup {
 public:
  /// The same for all groups.
  PerGroup(double value) : values_{value} {}  // NOLINT(google-explicit-constructor)
  /// One for each group.
  PerGroup(std::initializer_list<double> values) : PerGroup(std::vector<double>(values)) {}
  /// One for each group.
  PerGroup(std::vector<double> values)
      : values_(std::move(values)), is_list_(true) {}  // NOLINT(google-explicit-constructor)

  /// One for each of `groups` groups. ValueError that starts with `name` if the list is of another length.
  [[nodiscard]] std::vector<double> values(std::size_t groups, const std::string& name) const;

 private:
  std::vector<double> values_;
  bool is_list_ = false;
};

/// Options of `StepLR`.
struct StepLROptions {
  Required<std::int64_t> step_size;  ///< > 0
  double gamma = 0.1;                ///< >= 0
};

/// Every `step_size` epochs, lr *= gamma.
class StepLR final : public LRScheduler {
 public:
  /// ValueError for options out of range.
  StepLR(Optimizer& optimizer, const StepLROptions& options);

 private:
  [[nodiscard]] Rates rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const override;
  std::vector<Field> fields() override;
  [[nodiscard]] std::vector<std::string> problems() const override;

  std::int64_t step_size_;
  double gamma_;
};

/// Options of `MultiStepLR`.
struct MultiStepLROptions {
  std::vector<std::int64_t> milestones;  ///< epochs, >= 0, in any order; one that comes twice counts twice
  double gamma = 0.1;                    ///< >= 0
};

/// At each milestone, lr *= gamma.
class MultiStepLR final : public LRScheduler {
 public:
  /// ValueError for options out of range.
  MultiStepLR(Optimizer& optimizer, const MultiStepLROptions& options);

 private:
  [[nodiscard]] Rates rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const override;
  std::vector<Field> fields() override;
  [[nodiscard]] std::vector<std::string> problems() const override;

  std::vector<std::int64_t> milestones_;  // ascending
  double gamma_;
};

/// Options of `ExponentialLR`.
struct ExponentialLROptions {
  Required<double> gamma;  ///< >= 0
};

/// Every epoch, lr *= gamma.
class ExponentialLR final : public LRScheduler {
 public:
  /// ValueError for options out of range.
  ExponentialLR(Optimizer& optimizer, const ExponentialLROptions& options);

 private:
  [[nodiscard]] Rates rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const override;
  std::vector<Field> fields() override;
  [[nodiscard]] std::vector<std::string> problems() const override;

  double gamma_;
};

/// Options of `LinearLR`.
struct LinearLROptions {
  double start_factor = 1.0 / 3;  ///< in (0, 1]
  double end_factor = 1.0;        ///< in [0, 1]
  std::int64_t total_iters = 5;   ///< > 0; PyTorch takes 0 too and then stays at the start for ever
};

/// Times a factor that goes from `start_factor` to `end_factor` in `total_iters` epochs and stays there.
class LinearLR final : public LRScheduler {
 public:
  /// ValueError for options out of range.
  explicit LinearLR(Optimizer& optimizer, const LinearLROptions& options = {});

 private:
  [[nodiscard]] Rates rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const override;
  std::vector<Field> fields() override;
  [[nodiscard]] std::vector<std::string> problems() const override;

  double start_factor_;
  double end_factor_;
  std::int64_t total_iters_;
};

/// Options of `CosineAnnealingLR`.
struct CosineAnnealingLROptions {
  Required<std::int64_t> T_max;  ///< epochs on the way down, > 0
  double eta_min = 0;            ///< >= 0
};

/// Along a cosine from the initial learning rate down to `eta_min` in `T_max` epochs, then up again, and so on.
class CosineAnnealingLR final : public LRScheduler {
 public:
  /// ValueError for options out of range.
  CosineAnnealingLR(Optimizer& optimizer, const CosineAnnealingLROptions& options);

 private:
  [[nodiscard]] Rates rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const override;
  std::vector<Field> fields() override;
  [[nodiscard]] std::vector<std::string> problems() const override;

  std::int64_t t_max_;
  double eta_min_;
};

/// The curve of a `OneCycleLR`.
enum class AnnealStrategy {
  cos,     ///< half a wave of a cosine
  linear,  ///< a straight line
};

/// Options of `OneCycleLR`, in PyTorch's order. Either `total_steps` or both `epochs` and `steps_per_epoch` are needed;
/// if `total_steps` is there, the others are not looked at.
struct OneCycleLROptions {
  PerGroup max_lr;                                       ///< highest learning rate, >= 0
  std::optional<std::int64_t> total_steps = {};          ///< steps in the cycle, > 0
  std::optional<std::int64_t> epochs = {};               ///< > 0
  std::optional<std::int64_t> steps_per_epoch = {};      ///< > 0
  double pct_start = 0.3;                                ///< share of the steps on the way up, in [0, 1]
  AnnealStrategy anneal_strategy = AnnealStrategy::cos;  ///< the curve of each phase
  bool cycle_momentum = true;     ///< moves momentum, or the first beta, against the learning rate
  PerGroup base_momentum = 0.85;  ///< at the highest learning rate
  PerGroup max_momentum = 0.95;   ///< at the start and the end
  double div_factor = 25;         ///< max_lr / initial learning rate, > 0
  double final_div_factor = 1e4;  ///< initial / last learning rate, > 0
  bool three_phase = false;       ///< up, down to the initial learning rate, down to the last one
};

/// One cycle (Smith & Topin 2018): from max_lr / div_factor up to max_lr, and down to max_lr / div_factor /
/// final_div_factor, in `total_steps` steps: `step()` once after each `optimizer.step()`.
///
/// `step()` may be called `total_steps` times, the last of them being one beyond the end of the cycle, as PyTorch has
/// it; AnnealStrategy::linear stays at the end there (PyTorch's learning rate becomes negative). Two of these on one
/// optimizer each keep to their own options (in PyTorch the later one's limits replace the earlier one's).
class OneCycleLR final : public LRScheduler {
 public:
  /// ValueError for options out of range, for a first phase of exactly one step (`pct_start · total_steps = 1`, where
  /// PyTorch divides by zero), and for `cycle_momentum` with an optimizer that has neither momentum nor betas.
  OneCycleLR(Optimizer& optimizer, const OneCycleLROptions& options);

 private:
  [[nodiscard]] Rates rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const override;
  std::vector<Field> fields() override;
  [[nodiscard]] std::vector<std::string> problems() const override;
  [[nodiscard]] double between(double start, double end, double share) const;

  std::int64_t total_steps_ = 0;
  double pct_start_;
  bool is_linear_;
  bool cycle_momentum_;
  bool three_phase_;
  std::vector<double> max_lrs_;
  std::vector<double> min_lrs_;
  std::vector<double> base_momentums_;
  std::vector<double> max_momentums_;
};

/// Whether a metric is to fall or to rise.
enum class PlateauMode {
  min,  ///< small ones are good: a loss
  max,  ///< large ones are good: an accuracy
};
/// Whether `threshold` is a share of the best metric or a difference from it.
enum class ThresholdMode {
  rel,  ///< a share
  abs,  ///< a difference
};

/// Options of `ReduceLROnPlateau`, in PyTorch's order.
struct ReduceLROnPlateauOptions {
  PlateauMode mode = PlateauMode::min;                ///< whether the metric is to fall or to rise
  double factor = 0.1;                                ///< in [0, 1)
  std::int64_t patience = 10;                         ///< so many epochs without progress are let pass, >= 0
  double threshold = 1e-4;                            ///< less than this is no progress
  ThresholdMode threshold_mode = ThresholdMode::rel;  ///< how `threshold` is meant
  std::int64_t cooldown = 0;                          ///< epochs after a reduction that don't count, >= 0
  PerGroup min_lr = 0.0;                              ///< >= 0
  double eps = 1e-8;                                  ///< a reduction by no more than this is left out, >= 0
};

/// Multiplies the learning rates by `factor` when a metric has stopped getting better. A NaN is no progress.
class ReduceLROnPlateau final : public LRScheduler {
 public:
  /// ValueError for options out of range.
  explicit ReduceLROnPlateau(Optimizer& optimizer, const ReduceLROnPlateauOptions& options = {});

  /// Ends an epoch with this metric.
  void step(double metric);
  /// The best metric so far; before the first one an infinity.
  [[nodiscard]] double best() const { return best_; }
  /// Epochs since the last progress or reduction.
  [[nodiscard]] std::int64_t num_bad_epochs() const { return num_bad_epochs_; }

 private:
  void step() override;
  std::vector<Field> fields() override;
  [[nodiscard]] std::vector<std::string> problems() const override;
  [[nodiscard]] bool is_better(double metric) const;

  bool is_max_;
  double factor_;
  std::int64_t patience_;
  double threshold_;
  bool is_abs_;
  std::int64_t cooldown_;
  std::vector<double> min_lrs_;
  double eps_;
  double best_;
  std::int64_t cooldown_counter_ = 0;
  std::int64_t num_bad_epochs_ = 0;
};

/// A factor for each epoch, from 0.
using LRLambda = std::function<double(std::int64_t epoch)>;

/// The initial learning rate times a function of the epoch.
class LambdaLR final : public LRScheduler {
 public:
  /// One function for all groups, or a list with one for each. ValueError for an empty function or a list of another
  /// length.
  LambdaLR(Optimizer& optimizer, const LRLambda& lr_lambda);
  /// One function for each group.
  LambdaLR(Optimizer& optimizer, std::vector<LRLambda> lr_lambdas);
  /// One function for each group: `{f}`, `{f, g}`.
  LambdaLR(Optimizer& optimizer, std::initializer_list<LRLambda> lr_lambdas)
      : LambdaLR(optimizer, std::vector<LRLambda>(lr_lambdas)) {}

 private:
  [[nodiscard]] Rates rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const override;

  std::vector<LRLambda> lr_lambdas_;
};

/// One scheduler after the other: number i + 1 begins, as if newly made, at epoch `milestones[i]`.
/// @code
/// LinearLR warmup(optimizer, {.start_factor = 0.1, .total_iters = 5});
/// CosineAnnealingLR annealing(optimizer, {.T_max = 95});
/// SequentialLR scheduler(optimizer, {&warmup, &annealing}, {5});
/// @endcode
/// Only this scheduler's `step` is called then. It refers to the others, which have to live as long as it does; their
/// state is part of its own.
class SequentialLR final : public LRScheduler {
 public:
  /// Sets the learning rates back to the initial ones and begins the first scheduler. ValueError unless there is one
  /// milestone less than schedulers and they rise from 0 (the same twice skips a scheduler), and for a scheduler that
  /// is null, comes twice, is of another optimizer, or is a ReduceLROnPlateau or a SequentialLR.
  SequentialLR(Optimizer& optimizer, std::vector<LRScheduler*> schedulers, std::vector<std::int64_t> milestones);

  void step() override;

 private:
  std::vector<Field> fields() override;
  [[nodiscard]] std::vector<std::string> problems() const override;
  [[nodiscard]] std::size_t at(std::int64_t epoch) const;

  std::vector<LRScheduler*> schedulers_;
  std::vector<std::int64_t> milestones_;
};

}  // namespace embergrad::optim

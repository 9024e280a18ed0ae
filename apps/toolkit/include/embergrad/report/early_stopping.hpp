/// @file
/// Stopping when training no longer gets better, and going back to the best weights.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <embergrad/nn/module.hpp>
#include <embergrad/safetensors.hpp>

namespace embergrad::report {

/// Which values are good.
enum class StoppingMode : std::uint8_t {
  min,  ///< small ones: a loss
  max,  ///< large ones: an accuracy
};

/// When to stop; names, order and defaults are those of PyTorch Lightning's `EarlyStopping`.
struct EarlyStoppingOptions {
  double min_delta = 0.0;                 ///< a value is better only if it beats the best one by more than this
  std::int64_t patience = 3;              ///< stop after so many values in a row that are not better; 0 acts as 1
  StoppingMode mode = StoppingMode::min;  ///< which values are good
  bool check_finite = true;               ///< stop at once at NaN or an infinity
};

/// Watches one value, measured once an epoch or every so many steps.
///
/// @code
/// EarlyStopping stopping({.patience = 5, .mode = StoppingMode::max});
/// for (int64_t epoch = 1; epoch <= 100 && !stopping.should_stop(); ++epoch) {
///   train_one_epoch(model);
///   stopping.update(dev_accuracy(model), epoch, model);  // keeps a copy of the weights when they are the best so far
/// }
/// stopping.restore(model);
/// @endcode
///
/// A value is better if it is the first one that is a number, or < best − min_delta (mode min), > best + min_delta
/// (mode max). NaN is never better.
class EarlyStopping {
 public:
  /// Throws ValueError for a negative `patience` and for a `min_delta` that is negative or not finite.
  explicit EarlyStopping(const EarlyStoppingOptions& options = {});

  /// Takes the next value, measured at `step` (an epoch or a step: whatever the caller counts). True if it is the best
  /// so far: the moment to save the model. After `should_stop` it goes on counting.
  bool update(double value, std::int64_t step);

  /// The same, and keeps a copy of the model's tensors if the value is the best so far. The first copy allocates, later
  /// ones reuse its memory.
  bool update(double value, std::int64_t step, const nn::Module& model);

  /// Puts the best weights back. Throws ValueError if none were kept, and as `load_state_dict` does for another model.
  void restore(nn::Module& model) const;

  /// Whether enough values in a row were not better.
  [[nodiscard]] bool should_stop() const { return stopped_; }
  /// The best value so far; nothing before the first that is a number.
  [[nodiscard]] std::optional<double> best() const { return best_; }
  /// The step of the best value; 0 before there is one.
  [[nodiscard]] std::int64_t best_step() const { return best_step_; }
  /// Values in a row, up to the last, that were not better.
  [[nodiscard]] std::int64_t waited() const { return waited_; }
  /// What was given.
  [[nodiscard]] const EarlyStoppingOptions& options() const { return options_; }

  /// What has to be stored so that another EarlyStopping with the same options goes on as this one would: one JSON
  /// object in one line, such as `{"best":0.91,"best_step":3,"stopped":false,"waited":2}`; numbers come back to the
  /// bit, infinities as `"Infinity"` and `"-Infinity"`. The copy of the weights is not in it: that is what the model
  /// file is for.
  [[nodiscard]] std::string state() const;

  /// Takes what `state` gave; a copy of weights is dropped. Throws FormatError for anything else, and changes nothing
  /// then.
  void load_state(const std::string& state);

 private:
  EarlyStoppingOptions options_;
  std::optional<double> best_;
  std::int64_t best_step_ = 0;
  std::int64_t waited_ = 0;
  bool stopped_ = false;
  StateDict weights_;
};

}  // namespace embergrad::report

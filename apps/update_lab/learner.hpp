/// @file
/// The models that are trained, and what they are trained on.
#pragma once

#include <cstdint>
#include <embergrad/embergrad.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "setting.hpp"
#include "traces.hpp"

namespace lab {

/// How good a model is.
struct Evaluation {
  double loss = 0;
  std::optional<double> accuracy = {};
};

/// A model with one table.
class Learner {
 public:
  virtual ~Learner() = default;
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  [[nodiscard]] virtual std::vector<embergrad::Tensor> parameters() = 0;
  [[nodiscard]] virtual const embergrad::Tensor& table() const = 0;
  /// The loss of the step that its lesson stands at, on the tape.
  [[nodiscard]] virtual embergrad::Tensor loss() = 0;
  /// Of the model as it is; changes nothing.
  [[nodiscard]] virtual Evaluation evaluate() = 0;

 protected:
  Learner() = default;
};

/// The data of a setting and a seed, one step after the other, and the models that learn from them. It must outlive
/// them.
class Lesson {
 public:
  virtual ~Lesson() = default;
  Lesson(const Lesson&) = delete;
  Lesson& operator=(const Lesson&) = delete;

  /// A new model; all that one lesson makes start with the same numbers.
  [[nodiscard]] virtual std::unique_ptr<Learner> learner() = 0;
  /// Goes to step `step`, counted from 1: gets its data ready.
  virtual void go_to(int64_t step) = 0;
  /// What the step looks up.
  [[nodiscard]] virtual const std::vector<int64_t>& lookups() const = 0;
  /// So many steps in a row are kept ready: going back to one of them costs nothing.
  [[nodiscard]] virtual int64_t kept() const = 0;
  /// By what a loss on the tape is divided to compare with that of an evaluation.
  [[nodiscard]] virtual double loss_unit() const = 0;
  /// Where its models are.
  [[nodiscard]] embergrad::Device device() const { return device_; }

 protected:
  explicit Lesson(embergrad::Device device) : device_(device) {}

 private:
  embergrad::Device device_;
};

/// Regression: minimise the mean over a step's lookups r of |w_r − (t_r + e)|², t a fixed target for each row and e
/// noise. (With a sum, gradients that are small by chance would be lost in float32's rounding long before Adam's eps is
/// felt, and Adam would blow up the difference.)
[[nodiscard]] std::unique_ptr<Lesson> make_regression(const Setting& setting, std::shared_ptr<const Trace> trace,
                                                      uint64_t seed, embergrad::Device device);

/// The tagger: minimise the mean cross entropy of the tags of a step's words.
[[nodiscard]] std::unique_ptr<Lesson> make_tagging(const Setting& setting, uint64_t seed, embergrad::Device device);

/// Rows of the tagger's table.
[[nodiscard]] int64_t tagger_rows();

/// What is minimised and how it is evaluated, in words.
[[nodiscard]] std::string objective_of(Task task);

}  // namespace lab

/// @file
/// Dropout.
#pragma once

#include <string>

#include <embergrad/nn/module.hpp>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/ops.hpp>

namespace embergrad::nn {

/// Options of `Dropout`.
struct DropoutOptions {
  double p = 0.5;  ///< share of elements set to zero, in [0, 1]
};

/// In training, zeroes elements at random and scales the rest by 1/(1-p); else gives its input (`torch.nn.Dropout`).
/// Draws from the default generator.
class Dropout : public Module {
 public:
  /// ValueError unless p is in [0, 1].
  explicit Dropout(const DropoutOptions& options);
  /// `Dropout(0.1)`
  explicit Dropout(double p = 0.5) : Dropout(DropoutOptions{.p = p}) {}

  /// Floating, any shape -> the same shape. One tick of the generator in training.
  [[nodiscard]] Tensor operator()(const Tensor& input) const;
  /// The same for the packed rows.
  [[nodiscard]] PackedSequence operator()(const PackedSequence& input) const;

  /// Share of elements set to zero.
  [[nodiscard]] double p() const { return p_; }

  void members(Visitor&) override {}
  [[nodiscard]] std::string describe() const override;

 protected:
  /// The factors that the forward folds in; all 1, unless a layer overrides it.
  [[nodiscard]] virtual Scales scales() const;

 private:
  double p_;
};

}  // namespace embergrad::nn

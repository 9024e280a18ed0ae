/// @file
/// Linear: an affine map.
#pragma once

#include <cstdint>
#include <string>

#include <embergrad/nn/module.hpp>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/random.hpp>

namespace embergrad::nn {

/// Options of `Linear`, in PyTorch's order.
struct LinearOptions {
  Required<std::int64_t> in_features;   ///< last extent of the input
  Required<std::int64_t> out_features;  ///< last extent of the output
  bool bias = true;                     ///< whether a bias is added
  Device device = {};                   ///< of the parameters
  DType dtype = DType::float32;         ///< of the parameters, floating
};

/// x · weightᵀ + bias (`torch.nn.Linear`). Parameters: weight (out, in) and bias (out), both from U(-1/√in, 1/√in),
/// weight drawn first.
class Linear : public Module {
 public:
  /// ValueError for a negative size, DTypeError if dtype is not floating.
  explicit Linear(const LinearOptions& options, Generator& generator = default_generator());
  /// The short form: `Linear(20, 30)`.
  Linear(std::int64_t in_features, std::int64_t out_features, bool with_bias = true,
         Generator& generator = default_generator())
      : Linear(LinearOptions{.in_features = in_features, .out_features = out_features, .bias = with_bias}, generator) {}

  /// (…, in) -> (…, out). ShapeError for another last dimension.
  [[nodiscard]] Tensor operator()(const Tensor& input) const;
  /// The same for every row.
  [[nodiscard]] PackedSequence operator()(const PackedSequence& input) const;

  /// Draws both anew.
  virtual void reset_parameters(Generator& generator = default_generator());

  /// Last extent of the input.
  [[nodiscard]] std::int64_t in_features() const { return weight.size(1); }
  /// Last extent of the output.
  [[nodiscard]] std::int64_t out_features() const { return weight.size(0); }

  void members(Visitor& visit) override {
    visit("weight", weight);
    visit("bias", bias);
  }
  [[nodiscard]] std::string describe() const override;

  Tensor weight;  ///< (out, in)
  Tensor bias;    ///< (out); undefined without bias

 protected:
  /// For layers that draw other numbers.
  struct Undrawn {};
  /// Parameters without values yet.
  Linear(const LinearOptions& options, Undrawn);
  /// The factors that the forward folds in; all 1, unless a layer overrides it.
  [[nodiscard]] virtual Scales scales(const Tensor& input) const;
};

}  // namespace embergrad::nn

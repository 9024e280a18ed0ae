/// @file
/// LSTM: long short-term memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <embergrad/nn/module.hpp>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/random.hpp>

namespace embergrad::nn {

/// Options of `LSTM`, in PyTorch's order.
struct LSTMOptions {
  Required<std::int64_t> input_size;   ///< I: last extent of the input
  Required<std::int64_t> hidden_size;  ///< H
  std::int64_t num_layers = 1;         ///< each but the first reads the one below
  bool bias = true;                    ///< whether there are bias_ih and bias_hh
  bool batch_first = false;            ///< input and output are (B, T, …); states never are
  double dropout = 0.0;                ///< between layers, in training; in [0, 1], and 0 with a single layer
  bool bidirectional = false;          ///< a second direction runs from the end; its output stands behind the first's
  std::int64_t proj_size = 0;          ///< size P of the projected hidden state, below H; 0: not projected, P = H
  Device device = {};                  ///< of the parameters
  DType dtype = DType::float32;        ///< of the parameters, floating
};

/// What `LSTM` gives for packed input. h_n and c_n are in the user's order of sequences.
struct PackedLstmResult {
  PackedSequence output;  ///< (Σ lengths, directions · P)
  Tensor h_n;             ///< (layers · directions, B, P)
  Tensor c_n;             ///< (layers · directions, B, H)
};

/// `torch.nn.LSTM`; the equations are those of `embergrad::lstm`. Parameters per layer k, those of the reverse
/// direction with the suffix `_reverse`, gates in the order i, f, g, o, all from U(-1/√H, 1/√H) in this order:
/// weight_ih_l{k} (4H, I), I being input_size or directions · P; weight_hh_l{k} (4H, P); bias_ih_l{k} and bias_hh_l{k}
/// (4H) with bias; weight_hr_l{k} (P, H) with a projection.
/// @code
/// nn::LSTM rnn(10, 20, 2);
/// auto [output, h_n, c_n] = rnn(randn({5, 3, 10}), {randn({2, 3, 20}), randn({2, 3, 20})});  // output (5, 3, 20)
/// @endcode
/// Beyond PyTorch: T = 0, sequences of length 0 (their last state is their first), lengths beside padded input.
class LSTM : public Module {
 public:
  /// ValueError for sizes below 1, a proj_size outside [0, hidden_size), a dropout outside [0, 1], or dropout with a
  /// single layer, where PyTorch only warns that it does nothing.
  explicit LSTM(const LSTMOptions& options, Generator& generator = default_generator());
  /// The short form: `LSTM(10, 20, 2)`.
  LSTM(std::int64_t input_size, std::int64_t hidden_size, std::int64_t num_layers = 1,
       Generator& generator = default_generator())
      : LSTM(LSTMOptions{.input_size = input_size, .hidden_size = hidden_size, .num_layers = num_layers}, generator) {}

  /// @param input  (T, B, I), with batch_first (B, T, I), or (T, I) for one sequence
  /// @param state  h_0 and c_0; undefined means zeros
  /// @return output (T, B, directions · P), or batch first, or without batch, as the input; h_n and c_n
  [[nodiscard]] LstmResult operator()(const Tensor& input, const LstmState& state = {}) const;
  /// Padded input with the length of each sequence, in any order: as if every sequence ran alone. Output is zero past a
  /// sequence's end.
  [[nodiscard]] LstmResult operator()(const Tensor& input, const Lengths& lengths, const LstmState& state = {}) const;
  /// Packed input; states in the user's order of sequences.
  [[nodiscard]] PackedLstmResult operator()(const PackedSequence& input, const LstmState& state = {}) const;

  /// Draws all parameters anew.
  virtual void reset_parameters(Generator& generator = default_generator());

  /// A parameter by its name, such as `weight_ih_l0`; assign to it to tie it. ValueError if there is none.
  [[nodiscard]] Tensor& parameter(std::string_view name);

  /// @{
  /// What the options said.
  [[nodiscard]] std::int64_t input_size() const { return input_size_; }
  [[nodiscard]] std::int64_t hidden_size() const { return hidden_size_; }
  [[nodiscard]] std::int64_t num_layers() const { return options_.num_layers; }
  [[nodiscard]] bool bidirectional() const { return options_.bidirectional; }
  [[nodiscard]] std::int64_t proj_size() const { return proj_size_; }
  /// @}

  void members(Visitor& visit) override;
  [[nodiscard]] std::string describe() const override;

 protected:
  /// For layers that draw other numbers.
  struct Undrawn {};
  /// Parameters without values yet.
  LSTM(const LSTMOptions& options, Undrawn);
  /// The factors that the forward folds in, one for each layer; none, unless a layer overrides it.
  /// @param steps  of all sequences together
  [[nodiscard]] virtual std::vector<LstmScales> scales(std::int64_t steps) const;
  /// All parameters, in the order of `embergrad::lstm`.
  [[nodiscard]] std::vector<Tensor>& weights() { return weights_; }

 private:
  [[nodiscard]] LstmOptions options_now() const;

  std::int64_t input_size_;
  std::int64_t hidden_size_;
  std::int64_t proj_size_;
  LstmOptions options_;
  std::vector<std::string> names_;
  std::vector<Tensor> weights_;
};

}  // namespace embergrad::nn

/// @file
/// Unit scaling (Blake et al., 2023 and 2024): functions and layers whose results and gradients have RMS 1 at
/// initialisation, by constant factors in both passes that the kernels fold in. Names, defaults and factors are those
/// of the Python library `unit-scaling`, which has neither bags nor an LSTM.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <embergrad/mup.hpp>
#include <embergrad/nn/dropout.hpp>
#include <embergrad/nn/embedding.hpp>
#include <embergrad/nn/embedding_bag.hpp>
#include <embergrad/nn/linear.hpp>
#include <embergrad/nn/lstm.hpp>
#include <embergrad/nn/module.hpp>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/nn/sequential.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/random.hpp>

namespace embergrad::nn::unit_scaling {

// --- constraints -----------------------------------------------------------------------------------------------------

/// What the factors of an op's result and of its inputs' gradients become. Where removing an edge would leave the graph
/// in one piece (in a residual block, say), they have to be one factor, or gradients are no longer in proportion.
/// Gradients of parameters are free.
enum class Constraint : std::uint8_t {
  none,                 ///< each keeps its own
  gmean,                ///< their geometric mean
  hmean,                ///< their harmonic mean
  amean,                ///< their arithmetic mean
  to_output_scale,      ///< the result's
  to_grad_input_scale,  ///< the input's, of ops with one input
  to_left_grad_scale,   ///< the first input's, of ops with two
  to_right_grad_scale,  ///< the second input's, of ops with two
};

/// By its name, as above; also "" and "None". ValueError for any other.
[[nodiscard]] Constraint constraint_from_name(std::string_view name);
/// Its name.
[[nodiscard]] const char* name_of(Constraint constraint);
/// The factors after it. ValueError for none at all, and for a constraint on inputs that the op hasn't.
/// @param scales  of the result, then of the gradient of each input
[[nodiscard]] std::vector<double> apply_constraint(Constraint constraint, std::span<const double> scales);

// --- functions -------------------------------------------------------------------------------------------------------

/// What the gradients of tables are scaled to.
struct TableScaling {
  /// RMS 1 over the rows that were looked up, instead of all: what an optimizer sees that leaves the others alone.
  bool touched = false;
};

/// `embergrad::embedding`, the gradient of weight times √(V / N): V rows, N places of input that are not padding (1 for
/// none). Under scale_grad_by_freq N is Σ 1/count over the rows looked up. max_norm changes weight, as in PyTorch.
[[nodiscard]] Tensor embedding(const Tensor& input, const Tensor& weight,
                               const embergrad::EmbeddingOptions& options = {}, const TableScaling& scaling = {});

/// `embergrad::embedding_bag`, its result and the gradients scaled by the numbers that are there: with a_i the share of
/// index i in its bag (s_i for sums, s_i / Σ s for means; s_i is 1 without per_sample_weights), A = Σ a_i² over what is
/// not padding, B bags that are not empty:
///   sum, mean: result √(B / A), table √(V / A); per_sample_weights 1/√D, for means also over RMS(1 / Σ s)
///   max: result 1/RMS of the largest of L normal numbers, table √(V / B) for s = 1
/// Under scale_grad_by_freq each a_i² of the table's factor is divided by its row's count².
[[nodiscard]] Tensor embedding_bag(const Tensor& input, const Tensor& weight, const Tensor& offsets = {},
                                   const embergrad::EmbeddingBagOptions& options = {},
                                   const TableScaling& scaling = {});

/// The factors of `linear`.
struct LinearScaling {
  Constraint constraint = Constraint::to_output_scale;  ///< on the first two factors
  /// The factors are fan_in, fan_out and the number of rows, each to the power of minus this.
  std::array<double, 3> scale_power = {0.5, 0.5, 0.5};
};

/// (input · weightᵀ + bias) / √fan_in; the gradient of input over √fan_out, or as the constraint says; those of weight
/// and bias over √rows. Shapes as `embergrad::linear`.
[[nodiscard]] Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
                            const LinearScaling& scaling = {});

/// The last layer before a loss: `linear` over fan_in instead of its root, without constraint. The result is small,
/// with RMS 1/√fan_in, so that a wide model starts from equal probabilities.
[[nodiscard]] Tensor linear_readout(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
                                    Constraint constraint = Constraint::none);

/// Options of `cross_entropy`.
struct CrossEntropyOptions {
  std::int64_t ignore_index = -100;       ///< targets that count for nothing
  Reduction reduction = Reduction::mean;  ///< mean or sum
  double mult = 1;                        ///< of the logits, in the forward alone
  bool mean_over_all = false;             ///< the mean divides by ignored targets too, as the Python library does
};

/// `embergrad::cross_entropy` of mult · logits. The gradient of the logits is that of the sum, whatever the reduction,
/// times C / √(C - 1): RMS 1 for C classes of equal probability. ValueError for Reduction::none.
[[nodiscard]] Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options = {});
/// The same over all steps of all sequences. ValueError unless packed in the same order.
[[nodiscard]] Tensor cross_entropy(const PackedSequence& logits, const PackedSequence& targets,
                                   const CrossEntropyOptions& options = {});

/// `embergrad::dropout` times √(1 - p), in both passes. So is the input when not training: means stay what they were.
[[nodiscard]] Tensor dropout(const Tensor& input, const embergrad::DropoutOptions& options = {});

/// The factors of `lstm`.
struct LstmScaling {
  Constraint constraint = Constraint::none;  ///< on the factors of the output and of the input's gradient
  /// Added to the forget gate's z: 0 (PyTorch) or 1, for which the factors are known.
  double forget_offset = 0;
};

/// `embergrad::lstm` for weights from N(0, 1) and biases of zero: x W_ihᵀ over √I, h W_hhᵀ over √P and the projection
/// over √H in both passes, the cell as it is, and factors that were measured on the edges around the recurrence, whose
/// own gradients stay true: on the output, on the gradient of the input and on those of the parameters, which count
/// Σ lengths steps. h_n and c_n are the cell's own; between layers acts `dropout`.
[[nodiscard]] LstmResult lstm(const Tensor& input, const LstmState& state, std::span<const Tensor> parameters,
                              const LstmOptions& options = {}, std::span<const std::int64_t> lengths = {},
                              const LstmScaling& scaling = {});

// --- types of parameters ---------------------------------------------------------------------------------------------

/// Base, beside Module, of layers that know what their parameters are to u-muP.
class MupTagged {
 public:
  virtual ~MupTagged() = default;
  /// Of the layer's own parameter of that name (`weight`); none if it is not unit-scaled.
  [[nodiscard]] virtual std::optional<MupType> mup_type(std::string_view parameter) const = 0;

 protected:
  MupTagged() = default;
  MupTagged(const MupTagged&) = default;
  MupTagged(MupTagged&&) = default;
  MupTagged& operator=(const MupTagged&) = default;
  MupTagged& operator=(MupTagged&&) = default;
};

/// Base, beside Module, of containers whose parts are one stack.
class MupStack {
 public:
  virtual ~MupStack() = default;
  /// How many parts it has.
  [[nodiscard]] virtual std::int64_t mup_depth() const = 0;

 protected:
  MupStack() = default;
  MupStack(const MupStack&) = default;
  MupStack(MupStack&&) = default;
  MupStack& operator=(const MupStack&) = default;
  MupStack& operator=(MupStack&&) = default;
};

/// A ModuleList whose parameters learn at 1/√size of the rate.
template <std::derived_from<Module> M>
class DepthModuleList : public ModuleList<M>, public MupStack {
 public:
  using ModuleList<M>::ModuleList;
  [[nodiscard]] std::int64_t mup_depth() const override { return static_cast<std::int64_t>(this->size()); }
};

/// The floating tensors of a model with their types, each once, a tied one under its first name and type: what
/// `optim::scaled_parameters` takes. ValueError for a stack in a stack, and for a parameter in one that has no type.
[[nodiscard]] std::vector<MupParameter> mup_parameters(const Module& module);

// --- layers ----------------------------------------------------------------------------------------------------------

/// `nn::Embedding` by `unit_scaling::embedding`. Table from N(0, 1), of type weight.
class Embedding : public nn::Embedding, public MupTagged {
 public:
  /// Errors as `nn::Embedding`.
  explicit Embedding(const nn::EmbeddingOptions& options, const TableScaling& scaling = {},
                     Generator& generator = default_generator());
  /// The short form: `Embedding(10, 3)`.
  Embedding(std::int64_t num_embeddings, std::int64_t embedding_dim, Generator& generator = default_generator());
  /// On the table of another layer, with its options.
  explicit Embedding(nn::Embedding layer, const TableScaling& scaling = {});
  /// As `nn::Embedding::from_pretrained`. The table should have RMS 1.
  [[nodiscard]] static Embedding from_pretrained(const Tensor& embeddings, const FromPretrainedOptions& options = {});

  [[nodiscard]] std::optional<MupType> mup_type(std::string_view parameter) const override;
  [[nodiscard]] std::string describe() const override;

 protected:
  [[nodiscard]] Scales scales(const Tensor& input) const override;

 private:
  TableScaling scaling_;
};

/// `nn::EmbeddingBag` by `unit_scaling::embedding_bag`. Table from N(0, 1), of type weight.
class EmbeddingBag : public nn::EmbeddingBag, public MupTagged {
 public:
  /// Errors as `nn::EmbeddingBag`.
  explicit EmbeddingBag(const nn::EmbeddingBagOptions& options, const TableScaling& scaling = {},
                        Generator& generator = default_generator());
  /// The short form: `EmbeddingBag(10, 3)`.
  EmbeddingBag(std::int64_t num_embeddings, std::int64_t embedding_dim, Generator& generator = default_generator());
  /// On the table of another layer, with its options.
  explicit EmbeddingBag(nn::EmbeddingBag layer, const TableScaling& scaling = {});
  /// As `nn::EmbeddingBag::from_pretrained`. The table should have RMS 1.
  [[nodiscard]] static EmbeddingBag from_pretrained(const Tensor& embeddings,
                                                    const BagFromPretrainedOptions& options = {});

  [[nodiscard]] std::optional<MupType> mup_type(std::string_view parameter) const override;
  [[nodiscard]] std::string describe() const override;

 protected:
  [[nodiscard]] Scales scales(const Tensor& input, const Tensor& offsets,
                              const Tensor& per_sample_weights) const override;

 private:
  TableScaling scaling_;
};

/// Options of `Linear`: PyTorch's, then its factors.
struct LinearOptions {
  Required<std::int64_t> in_features;                   ///< last extent of the input
  Required<std::int64_t> out_features;                  ///< last extent of the output
  bool bias = false;                                    ///< whether a bias is added; off, as in the Python library
  Device device = {};                                   ///< of the parameters
  DType dtype = DType::float32;                         ///< of the parameters, floating
  Constraint constraint = Constraint::to_output_scale;  ///< see LinearScaling
  std::array<double, 3> scale_power = {0.5, 0.5, 0.5};  ///< see LinearScaling
};

/// `nn::Linear` by `unit_scaling::linear`. Parameters: weight from N(0, 1), of type weight, and bias, zero, of type
/// bias.
class Linear : public nn::Linear, public MupTagged {
 public:
  /// Errors as `nn::Linear`.
  explicit Linear(const LinearOptions& options, Generator& generator = default_generator());
  /// The short form: `Linear(20, 30)`.
  Linear(std::int64_t in_features, std::int64_t out_features, bool with_bias = false,
         Generator& generator = default_generator());

  void reset_parameters(Generator& generator = default_generator()) override;
  [[nodiscard]] std::optional<MupType> mup_type(std::string_view parameter) const override;
  [[nodiscard]] std::string describe() const override;

 protected:
  [[nodiscard]] Scales scales(const Tensor& input) const override;

 private:
  LinearScaling scaling_;
};

/// Options of `LinearReadout`.
struct LinearReadoutOptions {
  Required<std::int64_t> in_features;        ///< last extent of the input
  Required<std::int64_t> out_features;       ///< last extent of the output
  bool bias = false;                         ///< whether a bias is added
  Device device = {};                        ///< of the parameters
  DType dtype = DType::float32;              ///< of the parameters, floating
  Constraint constraint = Constraint::none;  ///< see LinearScaling
};

/// The last layer before a loss, by `unit_scaling::linear_readout`. Parameters as `Linear`, weight of type output.
class LinearReadout : public nn::Linear, public MupTagged {
 public:
  /// Errors as `nn::Linear`.
  explicit LinearReadout(const LinearReadoutOptions& options, Generator& generator = default_generator());
  /// The short form: `LinearReadout(20, 17)`.
  LinearReadout(std::int64_t in_features, std::int64_t out_features, bool with_bias = false,
                Generator& generator = default_generator());

  void reset_parameters(Generator& generator = default_generator()) override;
  [[nodiscard]] std::optional<MupType> mup_type(std::string_view parameter) const override;
  [[nodiscard]] std::string describe() const override;

 protected:
  [[nodiscard]] Scales scales(const Tensor& input) const override;

 private:
  Constraint constraint_;
};

/// Options of `LSTM`: PyTorch's, then its factors.
struct LSTMOptions {
  Required<std::int64_t> input_size;         ///< as in nn::LSTMOptions
  Required<std::int64_t> hidden_size;        ///< as in nn::LSTMOptions
  std::int64_t num_layers = 1;               ///< as in nn::LSTMOptions
  bool bias = true;                          ///< as in nn::LSTMOptions
  bool batch_first = false;                  ///< as in nn::LSTMOptions
  double dropout = 0.0;                      ///< as in nn::LSTMOptions
  bool bidirectional = false;                ///< as in nn::LSTMOptions
  std::int64_t proj_size = 0;                ///< as in nn::LSTMOptions
  Device device = {};                        ///< of the parameters
  DType dtype = DType::float32;              ///< of the parameters, floating
  Constraint constraint = Constraint::none;  ///< see LstmScaling
  double forget_offset = 0;                  ///< see LstmScaling
};

/// `nn::LSTM` by `unit_scaling::lstm`. Weights from N(0, 1), of type weight; biases zero, of type bias.
class LSTM : public nn::LSTM, public MupTagged {
 public:
  /// Errors as `nn::LSTM`; ValueError for a forget_offset other than 0 and 1.
  explicit LSTM(const LSTMOptions& options, Generator& generator = default_generator());
  /// The short form: `LSTM(10, 20, 2)`.
  LSTM(std::int64_t input_size, std::int64_t hidden_size, std::int64_t num_layers = 1,
       Generator& generator = default_generator());

  void reset_parameters(Generator& generator = default_generator()) override;
  [[nodiscard]] std::optional<MupType> mup_type(std::string_view parameter) const override;
  [[nodiscard]] std::string describe() const override;

 protected:
  [[nodiscard]] std::vector<LstmScales> scales(std::int64_t steps) const override;

 private:
  LstmScaling scaling_;
  double dropout_;
};

/// `nn::Dropout` by `unit_scaling::dropout`.
class Dropout : public nn::Dropout {
 public:
  using nn::Dropout::Dropout;
  [[nodiscard]] std::string describe() const override;

 protected:
  [[nodiscard]] Scales scales() const override;
};

}  // namespace embergrad::nn::unit_scaling

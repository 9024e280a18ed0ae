/// @file
/// Every op: what it computes, its shapes and errors. Names, defaults and numbers are those of `torch` and
/// `torch.nn.functional`. All ops take part in the tape unless said otherwise.
///
/// Errors common to all: DTypeError for an element type the op doesn't take, DeviceError for tensors on different
/// devices, ValueError for an undefined tensor. Dimensions may be negative, counting from the end; one that isn't there
/// is an IndexError.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/tensor.hpp>

namespace embergrad {

// --- arithmetic: NumPy broadcasting, PyTorch's type promotion ------------------------------------------------------

/// @{
/// input + other, input - other, input · other, input / other, elementwise. The two broadcast as in NumPy and are
/// promoted as in PyTorch: integer tensors keep their type, but `div` of integers gives float32. ShapeError names both
/// shapes where they don't broadcast. The gradient of a broadcast input is summed back to its shape.
[[nodiscard]] Tensor add(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor sub(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor mul(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor div(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor add(const Tensor& input, Scalar other);
[[nodiscard]] Tensor sub(const Tensor& input, Scalar other);
[[nodiscard]] Tensor mul(const Tensor& input, Scalar other);
[[nodiscard]] Tensor div(const Tensor& input, Scalar other);
/// @}
/// other - input
[[nodiscard]] Tensor rsub(const Tensor& input, Scalar other);
/// other / input
[[nodiscard]] Tensor rdiv(const Tensor& input, Scalar other);

/// @{
/// `add`, `sub`, `mul` and `div` (`rsub` and `rdiv`) as operators.
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, Scalar b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, Scalar b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, Scalar b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, Scalar b) { return div(a, b); }
inline Tensor operator+(Scalar a, const Tensor& b) { return add(b, a); }
inline Tensor operator-(Scalar a, const Tensor& b) { return rsub(b, a); }
inline Tensor operator*(Scalar a, const Tensor& b) { return mul(b, a); }
inline Tensor operator/(Scalar a, const Tensor& b) { return rdiv(b, a); }
/// @}

/// @{
/// input^exponent elementwise. Integers stay integers under an integer exponent, wrapping around; a negative exponent
/// of integers is a ValueError as a scalar, and in a tensor gives 0 but for ±1. The gradient by input is 0 where the
/// exponent is 0, the one by exponent 0 where input is 0 and the exponent is not negative. (`torch.pow`)
[[nodiscard]] Tensor pow(const Tensor& input, Scalar exponent);
[[nodiscard]] Tensor pow(const Tensor& input, const Tensor& exponent);
[[nodiscard]] Tensor pow(Scalar base, const Tensor& exponent);
/// @}

/// The larger of two, elementwise; NaN where one is. The gradient goes to the one that was taken, half to each of
/// equals. (`torch.maximum`)
[[nodiscard]] Tensor maximum(const Tensor& input, const Tensor& other);
/// The smaller of two, as `maximum`.
[[nodiscard]] Tensor minimum(const Tensor& input, const Tensor& other);

// --- elementwise. Integers become float32, except under neg, relu, square and abs; logsigmoid refuses them. --------

/// @{
/// -x
[[nodiscard]] Tensor neg(const Tensor& input);
inline Tensor operator-(const Tensor& a) { return neg(a); }
/// @}
/// e^x
[[nodiscard]] Tensor exp(const Tensor& input);
/// Natural logarithm.
[[nodiscard]] Tensor log(const Tensor& input);
/// 1 / (1 + e^-x)
[[nodiscard]] Tensor sigmoid(const Tensor& input);
/// Hyperbolic tangent.
[[nodiscard]] Tensor tanh(const Tensor& input);
/// max(x, 0), with gradient 0 at 0; NaN stays NaN.
[[nodiscard]] Tensor relu(const Tensor& input);
/// Square root; NaN of negative numbers.
[[nodiscard]] Tensor sqrt(const Tensor& input);
/// x². Integers wrap around.
[[nodiscard]] Tensor square(const Tensor& input);
/// |x|, with gradient 0 at 0 and at NaN.
[[nodiscard]] Tensor abs(const Tensor& input);
/// log(1 / (1 + e^-x)) = min(x, 0) - log(1 + e^-|x|). (`torch.nn.functional.logsigmoid`)
[[nodiscard]] Tensor logsigmoid(const Tensor& input);

/// Bounds of `clamp`; at least one is given.
struct ClampOptions {
  std::optional<Scalar> min = {};  ///< what is less becomes this
  std::optional<Scalar> max = {};  ///< what is more becomes this; it wins where min > max
};

/// min(max(x, options.min), options.max); NaN stays NaN, and a bound that is NaN makes all NaN. A floating bound makes
/// integers float32. The gradient passes strictly between the bounds. ValueError without a bound.
[[nodiscard]] Tensor clamp(const Tensor& input, const ClampOptions& options);
/// minimum(maximum(input, min), max); an undefined bound is none.
[[nodiscard]] Tensor clamp(const Tensor& input, const Tensor& min, const Tensor& max);

// --- masks: tensors of int32 or int64, in which every number but 0 is true ------------------------------------------

/// @{
/// Comparisons, elementwise, as int32: 1 where it holds, else 0 (tensors have no truth values of their own). They
/// broadcast and promote as arithmetic does; NaN equals nothing. Not on the tape.
[[nodiscard]] Tensor eq(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor ne(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor lt(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor le(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor gt(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor ge(const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor eq(const Tensor& input, Scalar other);
[[nodiscard]] Tensor ne(const Tensor& input, Scalar other);
[[nodiscard]] Tensor lt(const Tensor& input, Scalar other);
[[nodiscard]] Tensor le(const Tensor& input, Scalar other);
[[nodiscard]] Tensor gt(const Tensor& input, Scalar other);
[[nodiscard]] Tensor ge(const Tensor& input, Scalar other);
/// @}

/// @{
/// input where condition is not 0, else other. All three broadcast; input and other are promoted. condition: int32 or
/// int64. (`torch.where`)
[[nodiscard]] Tensor where(const Tensor& condition, const Tensor& input, const Tensor& other);
[[nodiscard]] Tensor where(const Tensor& condition, const Tensor& input, Scalar other);
[[nodiscard]] Tensor where(const Tensor& condition, Scalar input, const Tensor& other);
/// @}
/// int64 of two integers, else float32.
[[nodiscard]] Tensor where(const Tensor& condition, Scalar input, Scalar other);
/// input with `value` where mask is not 0; the two broadcast. The result has input's type, to which the value is
/// converted (ValueError if an integer type can't hold it). (`torch.masked_fill`)
[[nodiscard]] Tensor masked_fill(const Tensor& input, const Tensor& mask, Scalar value);
/// The same with a tensor of rank 0, which gets a gradient.
[[nodiscard]] Tensor masked_fill(const Tensor& input, const Tensor& mask, const Tensor& value);

// --- reductions ----------------------------------------------------------------------------------------------------

/// Sum of all elements, rank 0. Integers sum to int64.
[[nodiscard]] Tensor sum(const Tensor& input);
/// Sum over some dimensions (an empty list means all); `keepdim` leaves them with extent 1.
[[nodiscard]] Tensor sum(const Tensor& input, const Dims& dims, bool keepdim = false);
/// Mean of all elements; NaN of none. Floating types only.
[[nodiscard]] Tensor mean(const Tensor& input);
/// Mean over some dimensions (an empty list means all); NaN where they are empty. Floating types only.
[[nodiscard]] Tensor mean(const Tensor& input, const Dims& dims, bool keepdim = false);
/// log Σ e^x over some dimensions (an empty list means all), safe for large and infinite numbers; -inf of none.
/// Integers become float32. (`torch.logsumexp`)
[[nodiscard]] Tensor logsumexp(const Tensor& input, const Dims& dims, bool keepdim = false);

// Extremes. A NaN counts as the extreme: it is the result of max and min. Nothing has none: IndexError for an empty
// dimension that is reduced.

/// Elements of a dimension, and where they were.
struct ValuesAndIndices {
  Tensor values;   ///< of the input's type, on the tape
  Tensor indices;  ///< int64
};

/// The largest element, rank 0. The gradient is shared by all elements equal to it.
[[nodiscard]] Tensor max(const Tensor& input);
/// The smallest element, as `max`.
[[nodiscard]] Tensor min(const Tensor& input);
/// The largest along `dim` and its position, of equals the first, which alone gets the gradient.
[[nodiscard]] ValuesAndIndices max(const Tensor& input, int dim, bool keepdim = false);
/// The smallest along `dim`, as `max`.
[[nodiscard]] ValuesAndIndices min(const Tensor& input, int dim, bool keepdim = false);
/// The largest over some dimensions (an empty list means all). The gradient is shared by the elements equal to it; it
/// is NaN where the result is.
[[nodiscard]] Tensor amax(const Tensor& input, const Dims& dims = {}, bool keepdim = false);
/// The smallest over some dimensions, as `amax`.
[[nodiscard]] Tensor amin(const Tensor& input, const Dims& dims = {}, bool keepdim = false);
/// Position of the largest element along `dim`, int64; the first of equals; a NaN counts as largest. Not on the tape.
[[nodiscard]] Tensor argmax(const Tensor& input, int dim, bool keepdim = false);
/// Position of the largest element in row-major order, rank 0.
[[nodiscard]] Tensor argmax(const Tensor& input);
/// Position of the smallest element along `dim`, as `argmax`; a NaN counts as smallest here.
[[nodiscard]] Tensor argmin(const Tensor& input, int dim, bool keepdim = false);
/// Position of the smallest element in row-major order, rank 0.
[[nodiscard]] Tensor argmin(const Tensor& input);

/// Options of `topk`, in PyTorch's order.
struct TopkOptions {
  int dim = -1;         ///< along which elements are compared
  bool largest = true;  ///< false: the smallest
  bool sorted = true;   ///< best first; false: in any order
};

/// The k largest (smallest) elements of a dimension; a NaN counts as larger than all numbers, and of equals the first
/// come first. O(n log k) a column for few of many, O(n + k log k) else. ValueError unless 0 <= k <= extent (1 for a
/// scalar). (`torch.topk`)
[[nodiscard]] ValuesAndIndices topk(const Tensor& input, std::int64_t k, const TopkOptions& options = {});

// --- factors --------------------------------------------------------------------------------------------------------

/// Constant factors that an op folds into its kernels: `out` multiplies the result and nothing else, the others the
/// gradients and nothing else, so with factors other than 1 the gradient is on purpose not the derivative. What unit
/// scaling needs (Blake et al., 2023). All finite.
struct Scales {
  double out = 1;          ///< of the result
  double grad_in = 1;      ///< of the gradient of the input (of per_sample_weights, for `embedding_bag`)
  double grad_weight = 1;  ///< of the gradients of weight and bias
};

// --- products ------------------------------------------------------------------------------------------------------

/// `torch.matmul`: 1-D by 1-D is a dot product; a 1-D operand gets a dimension that is dropped afterwards; leading
/// dimensions broadcast. (…, n, k) x (…, k, m) -> (…, n, m). O(n k m) per product.
[[nodiscard]] Tensor matmul(const Tensor& input, const Tensor& other);
/// input · weightᵀ + bias. input (…, in), weight (out, in) or (in), bias (out) or undefined -> (…, out) or (…). With
/// scales, bias has no other shape.
[[nodiscard]] Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
                            const Scales& scales = {});

// --- shape ---------------------------------------------------------------------------------------------------------

/// The same elements under another shape; one extent may be -1. A view.
[[nodiscard]] Tensor reshape(const Tensor& input, const Shape& shape);
/// Without the dimensions of extent 1. A view.
[[nodiscard]] Tensor squeeze(const Tensor& input);
/// Without those of the dimensions named that have extent 1; none are named by an empty list. A view.
[[nodiscard]] Tensor squeeze(const Tensor& input, const Dims& dims);
/// Without dimension `dim` if it has extent 1. A view.
template <class T>
requires std::is_integral_v<T>
[[nodiscard]] Tensor squeeze(const Tensor& input, T dim) {
  return squeeze(input, Dims{static_cast<std::int64_t>(dim)});
}
/// With a dimension of extent 1 put before `dim`, -rank-1 … rank. A view.
[[nodiscard]] Tensor unsqueeze(const Tensor& input, int dim);
/// Dimension d of the result is dimension dims[d] of the input. A copy. ShapeError unless all are named, ValueError if
/// one is twice.
[[nodiscard]] Tensor permute(const Tensor& input, const Dims& dims);
/// Two dimensions swapped. A copy (tensors are contiguous).
[[nodiscard]] Tensor transpose(const Tensor& input, int dim0, int dim1);
/// Elements start … start+length-1 of a dimension. Along dimension 0 a view, else a copy.
[[nodiscard]] Tensor narrow(const Tensor& input, int dim, std::int64_t start, std::int64_t length);
/// @{
/// Joins tensors along a dimension; dtypes are promoted. Shapes agree off `dim`; an empty 1-D tensor is skipped.
[[nodiscard]] Tensor cat(std::span<const Tensor> tensors, int dim = 0);
[[nodiscard]] Tensor cat(std::initializer_list<Tensor> tensors, int dim = 0);
/// @}
/// @{
/// Joins tensors of one shape along a new dimension.
[[nodiscard]] Tensor stack(std::span<const Tensor> tensors, int dim = 0);
[[nodiscard]] Tensor stack(std::initializer_list<Tensor> tensors, int dim = 0);
/// @}
/// input[index]: slices of the leading dimension. index: integers of any shape -> index.shape + input.shape[1:].
/// IndexError names the first index that is out of range; negative ones are.
[[nodiscard]] Tensor gather_rows(const Tensor& input, const Tensor& index);
/// As gather_rows, but an index of -1 gives a slice filled with `fill`, which gets no gradient.
[[nodiscard]] Tensor gather_rows_or(const Tensor& input, const Tensor& index, Scalar fill);

/// The slices of a dimension named by `index`, int32 or int64 of rank 1 (or 0, for one of them); repeated ones add up
/// their gradients, in order. IndexError names the first index that is out of range. (`torch.index_select`)
[[nodiscard]] Tensor index_select(const Tensor& input, int dim, const Tensor& index);

// --- embedding -----------------------------------------------------------------------------------------------------

/// Options of `embedding`, in PyTorch's order.
struct EmbeddingOptions {
  /// This row's lookups give no gradient. -rows … rows-1; negative counts from the end.
  std::optional<std::int64_t> padding_idx = {};
  /// Before the lookup, each row looked up whose norm is larger is scaled down to this norm, in place: above 0. The
  /// gradient passes over that. A change in place: a backward that saved the table before throws.
  std::optional<double> max_norm = {};
  /// The p of that norm, any number: infinity takes the largest absolute value, 0 counts what is not 0.
  double norm_type = 2;
  /// Divides the gradient of each row by how often the row occurs in the input.
  bool scale_grad_by_freq = false;
  /// The gradient of weight is `RowSparse`. It becomes dense where weight is not a leaf.
  bool sparse = false;
};

/// weight[input]. input: int32 or int64 of any shape; weight (rows, dim) -> input.shape + (dim). Of a float16 or
/// bfloat16 table result and gradient are float32; an integer table has no max_norm. IndexError: which element of
/// input, its value, the number of rows. ValueError for a max_norm that is not above 0.
/// (`torch.nn.functional.embedding`)
[[nodiscard]] Tensor embedding(const Tensor& input, const Tensor& weight, const EmbeddingOptions& options = {},
                               const Scales& scales = {});

/// How the rows of a bag become one.
enum class BagMode : std::uint8_t { sum, mean, max };

/// Options of `embedding_bag`, in PyTorch's order.
struct EmbeddingBagOptions {
  std::optional<double> max_norm = {};  ///< as in EmbeddingOptions
  double norm_type = 2;                 ///< as in EmbeddingOptions
  bool scale_grad_by_freq = false;      ///< as in EmbeddingOptions
  BagMode mode = BagMode::mean;         ///< what a bag gives
  bool sparse = false;                  ///< as in EmbeddingOptions
  /// A factor for each index: input's shape, weight's type (float32 for a 16-bit table). Undefined: all 1.
  Tensor per_sample_weights = {};
  /// offsets has one element more, the number of indices.
  bool include_last_offset = false;
  /// Places that hold this row are left out, of the mean's divisor too. -rows … rows-1; negative counts from the end.
  std::optional<std::int64_t> padding_idx = {};
};

/// One row for each bag of indices: Σ s·w (sum), Σ s·w / Σ s (mean; zero, with zero gradient, where Σ s is 0), or the
/// largest s·w in each column (max; the first of equals, NaN before all), s being per_sample_weights or 1. A bag
/// without indices, or with padding alone, gives zeros. O(indices · dim), in float32 for 16-bit tables.
/// @param input  int32 or int64: (B, n) for B bags of n indices, or (N) with offsets
/// @param weight  (rows, dim), floating
/// @param offsets  int32 or int64 (B): where each bag begins; the first is 0, none is less than the one before, none is
///     more than N. Undefined for a (B, n) input, whose include_last_offset means nothing
/// @return (B, dim); float32 for a 16-bit table
///
/// Gradients: of weight (dense, or `RowSparse` if `sparse`) and of per_sample_weights. Under max they belong to the row
/// that was taken. IndexError for an index that is no row, ValueError for offsets (which one, its value) and options;
/// all is looked at before anything is changed. (`torch.nn.functional.embedding_bag`, which has neither weights of mean
/// and max, nor sparse or scaled gradients of max)
[[nodiscard]] Tensor embedding_bag(const Tensor& input, const Tensor& weight, const Tensor& offsets = {},
                                   const EmbeddingBagOptions& options = {}, const Scales& scales = {});

// --- losses and what belongs to them -------------------------------------------------------------------------------

/// x - max - log Σ e^(x - max) along `dim`.
[[nodiscard]] Tensor log_softmax(const Tensor& input, int dim);
/// e^(x - max) / Σ e^(x - max) along `dim`.
[[nodiscard]] Tensor softmax(const Tensor& input, int dim);

/// How per-sample losses become one number.
enum class Reduction : std::uint8_t { none, mean, sum };

/// Options of `nll_loss`.
struct NllLossOptions {
  Tensor weight = {};                     ///< (classes): weight of each class, without gradient; undefined: all 1
  std::int64_t ignore_index = -100;       ///< targets that count for nothing
  Reduction reduction = Reduction::mean;  ///< mean divides by the weights of the targets that count
};

/// -weight[y] · log_prob[y]. log_probs (C), (N, C) or (N, C, d1, …), target the same without C, int32 or int64. A mean
/// where every target is ignored is NaN with gradient zero, as in PyTorch. IndexError for a target outside [0, C),
/// ValueError if weight wants a gradient.
[[nodiscard]] Tensor nll_loss(const Tensor& log_probs, const Tensor& target, const NllLossOptions& options = {});

/// Options of `cross_entropy`.
struct CrossEntropyOptions {
  Tensor weight = {};                     ///< as in NllLossOptions
  std::int64_t ignore_index = -100;       ///< as in NllLossOptions
  Reduction reduction = Reduction::mean;  ///< as in NllLossOptions
  double label_smoothing = 0.0;           ///< ε in [0, 1]: (1-ε) of the target, ε spread over all classes
};

/// As `Scales`, for `cross_entropy`. All finite.
struct CrossEntropyScales {
  double logits = 1;              ///< of the logits, in the forward alone
  double out = 1;                 ///< of the loss, in the forward alone
  double grad_in = 1;             ///< of the gradient of the logits
  bool mean_divides_grad = true;  ///< false: Reduction::mean divides the loss, but not the gradient
};

/// nll_loss(log_softmax(logits)) in one op; shapes and targets as there. Targets are class indices.
[[nodiscard]] Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options = {},
                                   const CrossEntropyScales& scales = {});

/// Options of `binary_cross_entropy_with_logits`, in PyTorch's order.
struct BinaryCrossEntropyOptions {
  Tensor weight = {};                     ///< factor of each loss; broadcast to the input. Undefined: all 1
  Reduction reduction = Reduction::mean;  ///< mean divides by the number of elements
  Tensor pos_weight = {};                 ///< factor of the positive part; broadcast to the input. Undefined: all 1
};

/// weight · (-pos_weight · t · log σ(x) - (1 - t) · log(1 - σ(x))), computed so that no x overflows. input, target:
/// floating, of one shape; the losses have target's type. Gradients for input and target; ValueError if weight or
/// pos_weight wants one. NaN for a mean of nothing. (`torch.nn.functional.binary_cross_entropy_with_logits`)
[[nodiscard]] Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target,
                                                      const BinaryCrossEntropyOptions& options = {});

/// Options of `mse_loss`, in PyTorch's order.
struct MseLossOptions {
  Reduction reduction = Reduction::mean;  ///< mean divides by the number of elements, or by the sum of the weights
  Tensor weight = {};                     ///< factor of each square, of input's shape. Undefined: all 1
};

/// (input - target)². The two broadcast and are promoted, to a floating type. (`torch.nn.functional.mse_loss`)
[[nodiscard]] Tensor mse_loss(const Tensor& input, const Tensor& target, const MseLossOptions& options = {});

/// Options of `dropout`.
struct DropoutOptions {
  double p = 0.5;                  ///< share of elements set to zero, in [0, 1]
  bool training = true;            ///< false: returns the input (with scales, times these)
  Generator* generator = nullptr;  ///< default: default_generator()
};

/// Zeroes elements at random and scales the rest by 1/(1-p). One tick of the generator.
[[nodiscard]] Tensor dropout(const Tensor& input, const DropoutOptions& options = {}, const Scales& scales = {});

// --- LSTM ----------------------------------------------------------------------------------------------------------

/// Options of `lstm`; sizes follow from the parameters.
struct LstmOptions {
  std::int64_t num_layers = 1;     ///< each but the first reads the one below
  bool bias = true;                ///< whether the parameters hold bias_ih and bias_hh
  bool batch_first = false;        ///< input and output are (B, T, …); states never are
  double dropout = 0.0;            ///< between layers, in training
  bool bidirectional = false;      ///< a second direction runs from the end; its output stands behind the first's
  bool training = false;           ///< whether dropout acts
  bool enforce_sorted = false;     ///< with lengths: refuse lengths that are not falling
  Generator* generator = nullptr;  ///< for dropout; default: default_generator()
};

/// As `Scales`, for one layer of `lstm`. The recurrence has to share its factors between the two passes: those that
/// stand inside act in both, the others on edges that lead out of it. All finite.
struct LstmScales {
  double weight_ih = 1;       ///< inside: of x W_ihᵀ
  double weight_hh = 1;       ///< inside: of h W_hhᵀ
  double forget_offset = 0;   ///< inside: added to the forget gate's z
  double weight_hr = 1;       ///< inside: of the projection
  double out = 1;             ///< of the output; the recurrence, h_n and c_n have the h before it
  double grad_in = 1;         ///< of the gradient of the layer's input, beside weight_ih
  double grad_weight_ih = 1;  ///< of the gradient of weight_ih, beside weight_ih
  double grad_weight_hh = 1;  ///< of the gradient of weight_hh, beside weight_hh
  double grad_bias = 1;       ///< of the gradients of the biases
  double grad_weight_hr = 1;  ///< of the gradient of weight_hr, beside weight_hr
  double dropout = 1;         ///< of the dropout before the layer, in both passes
};

/// Hidden and cell state, (layers · directions, batch, P) and (layers · directions, batch, H); undefined means zeros.
struct LstmState {
  Tensor h;  ///< hidden state
  Tensor c;  ///< cell state
};

/// What `lstm` gives: the last layer's states at every step, and every layer's last states.
struct LstmResult {
  Tensor output;  ///< (T, B, directions · P), as the input batch first or without batch
  Tensor h_n;     ///< (layers · directions, B, P)
  Tensor c_n;     ///< (layers · directions, B, H)
};

/// Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000) as `torch.nn.LSTM` computes
/// it, gates in the order i, f, g, o:
///   z = x W_ihᵀ + b_ih + h W_hhᵀ + b_hh;  c' = σ(z_f) c + σ(z_i) tanh(z_g);  h' = σ(z_o) tanh(c')  [· W_hrᵀ]
/// @param input  (T, B, I), with batch_first (B, T, I), or (T, I) for one sequence; T = 0 and B = 0 are allowed
/// @param state  h_0 and c_0; for unbatched input without their batch dimension
/// @param parameters  per layer, per direction: weight_ih (4H, I), weight_hh (4H, P)[, bias_ih (4H), bias_hh (4H)]
///     [, weight_hr (P, H)]
/// @param lengths  if not empty: the length of each sequence, in any order, 0 … T; steps past it are not read, give
///     zeros, and the last state of a sequence is that of its own last step (h_0 for length 0)
/// @param scales  empty, or one for each layer
/// @return output (T, B, directions · P) or batch first, as the input
[[nodiscard]] LstmResult lstm(const Tensor& input, const LstmState& state, std::span<const Tensor> parameters,
                              const LstmOptions& options = {}, std::span<const std::int64_t> lengths = {},
                              std::span<const LstmScales> scales = {});

/// The same over packed sequences: `data` holds the first step of all sequences, then the second of those that have
/// one, … (Σ batch_sizes, I), longest sequence first. State and result are in that order of sequences.
/// @param batch_sizes  sequences alive at each step, not rising; its sum is the number of rows of data
/// @param batch  number of sequences; those beyond batch_sizes[0] have length 0
[[nodiscard]] LstmResult lstm_packed(const Tensor& data, std::span<const std::int64_t> batch_sizes, std::int64_t batch,
                                     const LstmState& state, std::span<const Tensor> parameters,
                                     const LstmOptions& options = {}, std::span<const LstmScales> scales = {});

/// How sequences of different lengths are packed: rows of a packed tensor by step, longest sequence first.
struct PackingPlan {
  std::vector<std::int64_t> batch_sizes;  ///< sequences alive at each step
  std::vector<std::int64_t> order;        ///< order[k]: which sequence stands at place k; ties keep their order
  Tensor pack;  ///< int64 (Σ lengths): row of the padded tensor, seen as (T·B, …) or (B·T, …), for each packed row
  Tensor unpack;  ///< int64 (T·B) or (B·T): packed row for each padded place, -1 past a sequence's end
};

/// Plans packing for the named op. ValueError for a length outside [0, max_length] or a count other than `batch`.
[[nodiscard]] PackingPlan plan_packing(const char* op, std::span<const std::int64_t> lengths, std::int64_t max_length,
                                       std::int64_t batch, bool batch_first, bool enforce_sorted);

}  // namespace embergrad

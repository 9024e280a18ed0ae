/// @file
/// Embedding: a table of vectors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <embergrad/nn/embedding_table.hpp>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/random.hpp>

namespace embergrad::nn {

/// Options of `Embedding`, in PyTorch's order.
struct EmbeddingOptions {
  Required<std::int64_t> num_embeddings;  ///< rows of the table
  Required<std::int64_t> embedding_dim;   ///< width of a row
  /// This row starts at zero, its lookups give no gradient, and no optimizer moves it. -rows … rows-1; negative counts
  /// from the end.
  std::optional<std::int64_t> padding_idx = {};
  std::optional<double> max_norm = {};  ///< see embergrad::EmbeddingOptions
  double norm_type = 2;                 ///< see embergrad::EmbeddingOptions
  bool scale_grad_by_freq = false;      ///< see embergrad::EmbeddingOptions
  bool sparse = false;                  ///< the table's gradient is `RowSparse`
  Tensor weight = {};   ///< the table to start from, not copied (PyTorch's `_weight`); its dtype and device win
  bool freeze = false;  ///< the table gets no gradient (PyTorch's `_freeze`)
  Device device = {};   ///< of the table
  DType dtype = DType::float32;  ///< of the table: any floating type
};

/// Options of `Embedding::from_pretrained`, in PyTorch's order.
struct FromPretrainedOptions {
  bool freeze = true;                            ///< the table gets no gradient
  std::optional<std::int64_t> padding_idx = {};  ///< as in EmbeddingOptions, but the row keeps its values
  std::optional<double> max_norm = {};           ///< as in EmbeddingOptions
  double norm_type = 2;                          ///< as in EmbeddingOptions
  bool scale_grad_by_freq = false;               ///< as in EmbeddingOptions
  bool sparse = false;                           ///< as in EmbeddingOptions
};

/// Looks up rows of a table (`torch.nn.Embedding`).
/// @code
/// nn::Embedding embedding(10, 3);
/// Tensor rows = embedding(tensor({{1, 2, 4, 5}, {4, 3, 2, 9}}));  // (2, 4, 3)
/// @endcode
class Embedding : public EmbeddingTable {
 public:
  /// ValueError for a negative size or a max_norm that is not above 0, IndexError for a padding_idx outside
  /// the table, ShapeError for a weight of another shape, DTypeError if it is not floating.
  explicit Embedding(const EmbeddingOptions& options, Generator& generator = default_generator());
  /// The short form: `Embedding(10, 3)`.
  Embedding(std::int64_t num_embeddings, std::int64_t embedding_dim, Generator& generator = default_generator())
      : Embedding(EmbeddingOptions{.num_embeddings = num_embeddings, .embedding_dim = embedding_dim}, generator) {}

  /// A layer on a given table, which is shared, not copied: training the layer changes the caller's tensor. Freezing
  /// the layer does not freeze the caller's handle. ShapeError unless embeddings is (rows, dim).
  [[nodiscard]] static Embedding from_pretrained(const Tensor& embeddings, const FromPretrainedOptions& options = {});

  /// The rows of `input`, int32 or int64 of any shape -> input.shape + (embedding_dim). IndexError for a row that isn't
  /// there.
  [[nodiscard]] Tensor operator()(const Tensor& input) const;
  /// The same for packed ids.
  [[nodiscard]] PackedSequence operator()(const PackedSequence& input) const;

  [[nodiscard]] std::string describe() const override;

 protected:
  /// The factors that the forward folds in; all 1, unless a layer overrides it.
  [[nodiscard]] virtual Scales scales(const Tensor& input) const;
  /// All but the sizes, as the op takes it.
  [[nodiscard]] const embergrad::EmbeddingOptions& lookup_options() const { return options_; }

 private:
  embergrad::EmbeddingOptions options_;
};

}  // namespace embergrad::nn

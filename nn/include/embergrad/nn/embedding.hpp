/// @file
/// Embedding: a table of vectors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <embergrad/nn/module.hpp>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/random.hpp>

namespace embergrad::nn {

/// Options of `Embedding`, in PyTorch's order.
struct EmbeddingOptions {
  Required<std::int64_t> num_embeddings;  ///< rows of the table
  Required<std::int64_t> embedding_dim;   ///< width of a row
  /// This row starts at zero, its lookups give no gradient, and no optimizer moves it. -rows … rows-1; negative counts
  /// from the end.
  std::optional<std::int64_t> padding_idx = {};
  bool sparse = false;  ///< must be false: row-sparse gradients are not supported
  Tensor weight = {};   ///< the table to start from, not copied (PyTorch's `_weight`); its dtype and device win
  Device device = {};   ///< of the table
  DType dtype = DType::float32;  ///< of the table
};

/// Options of `Embedding::from_pretrained`, in PyTorch's order.
struct FromPretrainedOptions {
  bool freeze = true;                            ///< the table gets no gradient
  std::optional<std::int64_t> padding_idx = {};  ///< as in EmbeddingOptions, but the row keeps its values
};

/// Looks up rows of a table (`torch.nn.Embedding`). Parameter: weight (num_embeddings, embedding_dim), from N(0, 1).
/// @code
/// nn::Embedding embedding(10, 3);
/// Tensor rows = embedding(tensor({{1, 2, 4, 5}, {4, 3, 2, 9}}));  // (2, 4, 3)
/// @endcode
class Embedding : public Module {
 public:
  /// ValueError for a negative size or for sparse, IndexError for a padding_idx outside the table, ShapeError for a
  /// weight of another shape, DTypeError if it is not floating.
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

  /// Draws the table anew from N(0, 1), then zeroes the padding row.
  void reset_parameters(Generator& generator = default_generator());

  /// Rows of the table.
  [[nodiscard]] std::int64_t num_embeddings() const { return weight.size(0); }
  /// Width of a row.
  [[nodiscard]] std::int64_t embedding_dim() const { return weight.size(1); }
  /// The padding row, counted from the front.
  [[nodiscard]] const std::optional<std::int64_t>& padding_idx() const { return padding_idx_; }

  void members(Visitor& visit) override { visit("weight", weight); }
  [[nodiscard]] std::string describe() const override;

  Tensor weight;  ///< the table

 private:
  std::optional<std::int64_t> padding_idx_;
};

}  // namespace embergrad::nn

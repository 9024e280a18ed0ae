/// @file
/// The table of `Embedding` and `EmbeddingBag`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <embergrad/nn/module.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/random.hpp>

namespace embergrad::nn {

/// Base of layers that look up rows of a table. Parameter: weight (num_embeddings, embedding_dim), from N(0, 1).
class EmbeddingTable : public Module {
 public:
  /// Draws the table anew from N(0, 1), then zeroes the padding row.
  void reset_parameters(Generator& generator = default_generator());

  /// Makes the table `rows` rows long; those that are new come from N(0, 1). Optimizers and all copies of this layer
  /// see the longer table, whose gradient is dropped; optimizers extend their state at the next step. Tensors that
  /// merely shared the storage (`from_pretrained`) keep the old one. ValueError for fewer rows than there are.
  void grow(std::int64_t rows, Generator& generator = default_generator());
  /// These rows stay as they are, whatever gradient, momentum or decay an optimizer sees; the list belongs to the
  /// table's storage. Frozen rows still get gradients. IndexError for a row that isn't there.
  void freeze_rows(std::span<const std::int64_t> rows);
  /// Lets frozen rows go on from where they stand. IndexError for a row that isn't there, ValueError for the padding
  /// row.
  void unfreeze_rows(std::span<const std::int64_t> rows);
  /// Uses another layer's table from here on (`output.weight`, say), which then trains as one parameter with two uses.
  /// ShapeError unless it has this layer's shape, DTypeError unless its element type.
  void tie(const Tensor& table);

  /// Rows of the table.
  [[nodiscard]] std::int64_t num_embeddings() const { return weight.size(0); }
  /// Width of a row.
  [[nodiscard]] std::int64_t embedding_dim() const { return weight.size(1); }
  /// The padding row, counted from the front.
  [[nodiscard]] const std::optional<std::int64_t>& padding_idx() const { return padding_idx_; }

  void members(Visitor& visit) override { visit("weight", weight); }

  Tensor weight;  ///< the table

 protected:
  /// What a layer's options say of its table.
  struct TableOptions {
    const char* layer;                        ///< its name in errors
    std::int64_t rows;                        ///< num_embeddings
    std::int64_t dim;                         ///< embedding_dim
    std::optional<std::int64_t> padding_idx;  ///< negative counts from the end
    std::optional<double> max_norm;           ///< to be checked
    double norm_type;                         ///< to be checked
    Tensor weight;                            ///< the table to start from, if defined
    TensorOptions made_as;                    ///< of the table, unless weight is given
  };
  /// ValueError for a negative size or a max_norm that is not above 0, IndexError for a padding_idx outside the table,
  /// ShapeError for a weight of another shape, DTypeError if it is not floating.
  EmbeddingTable(const TableOptions& options, Generator& generator);
  /// What `from_pretrained` asks of a table. ShapeError unless it has two dimensions.
  static void check_pretrained(const char* layer, const Tensor& embeddings);
  /// "Embedding(10, 3, sparse=True": name, sizes, and what is not at its default.
  [[nodiscard]] std::string describe_with(const embergrad::EmbeddingOptions& options) const;

 private:
  [[nodiscard]] std::vector<std::int64_t> checked_rows(const char* op, std::span<const std::int64_t> rows) const;

  const char* layer_;
  std::optional<std::int64_t> padding_idx_;
};

}  // namespace embergrad::nn

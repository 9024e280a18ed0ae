/// @file
/// EmbeddingBag: sums, means or maxima of rows of a table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <embergrad/nn/embedding_table.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/random.hpp>

namespace embergrad::nn {

/// Options of `EmbeddingBag`, in PyTorch's order.
struct EmbeddingBagOptions {
  Required<std::int64_t> num_embeddings;  ///< rows of the table
  Required<std::int64_t> embedding_dim;   ///< width of a row
  std::optional<double> max_norm = {};    ///< see embergrad::EmbeddingOptions
  double norm_type = 2;                   ///< see embergrad::EmbeddingOptions
  bool scale_grad_by_freq = false;        ///< see embergrad::EmbeddingOptions
  BagMode mode = BagMode::mean;           ///< how the rows of a bag become one
  bool sparse = false;                    ///< the table's gradient is `RowSparse`
  Tensor weight = {};                     ///< the table to start from, not copied (PyTorch's `_weight`)
  bool include_last_offset = false;       ///< offsets end with the number of indices
  /// This row starts at zero, bags leave it out, and no optimizer moves it. -rows … rows-1; negative counts from the
  /// end.
  std::optional<std::int64_t> padding_idx = {};
  Device device = {};            ///< of the table, unless `weight` is given
  DType dtype = DType::float32;  ///< of the table, unless `weight` is given: any floating type
};

/// Options of `EmbeddingBag::from_pretrained`, in PyTorch's order.
struct BagFromPretrainedOptions {
  bool freeze = true;                            ///< the table gets no gradient
  std::optional<double> max_norm = {};           ///< as in EmbeddingBagOptions
  double norm_type = 2;                          ///< as in EmbeddingBagOptions
  bool scale_grad_by_freq = false;               ///< as in EmbeddingBagOptions
  BagMode mode = BagMode::mean;                  ///< as in EmbeddingBagOptions
  bool sparse = false;                           ///< as in EmbeddingBagOptions
  bool include_last_offset = false;              ///< as in EmbeddingBagOptions
  std::optional<std::int64_t> padding_idx = {};  ///< as in EmbeddingBagOptions, but the row keeps its values
};

/// One vector for each bag of indices, without the vectors in between (`torch.nn.EmbeddingBag`). What a bag gives is
/// told at `embergrad::embedding_bag`.
/// @code
/// nn::EmbeddingBag bag({.num_embeddings = 10, .embedding_dim = 3, .mode = BagMode::sum});
/// Tensor sums = bag(tensor({1, 2, 4, 5, 4, 3, 2, 9}), tensor({0, 4}));  // (2, 3)
/// @endcode
class EmbeddingBag : public EmbeddingTable {
 public:
  /// ValueError for a negative size or a max_norm that is not above 0, IndexError for a padding_idx outside
  /// the table, ShapeError for a weight of another shape, DTypeError if it is not floating.
  explicit EmbeddingBag(const EmbeddingBagOptions& options, Generator& generator = default_generator());
  /// The short form: `EmbeddingBag(10, 3)`.
  EmbeddingBag(std::int64_t num_embeddings, std::int64_t embedding_dim, Generator& generator = default_generator())
      : EmbeddingBag(EmbeddingBagOptions{.num_embeddings = num_embeddings, .embedding_dim = embedding_dim}, generator) {
  }

  /// A layer on a given table, as `Embedding::from_pretrained`.
  [[nodiscard]] static EmbeddingBag from_pretrained(const Tensor& embeddings,
                                                    const BagFromPretrainedOptions& options = {});

  /// The bags of `input`, (B, n), or (N) with offsets -> (B, embedding_dim). Shapes and errors as
  /// `embergrad::embedding_bag`.
  [[nodiscard]] Tensor operator()(const Tensor& input, const Tensor& offsets = {},
                                  const Tensor& per_sample_weights = {}) const;

  /// How the rows of a bag become one.
  [[nodiscard]] BagMode mode() const { return options_.mode; }

  [[nodiscard]] std::string describe() const override;

 protected:
  /// The factors that the forward folds in; all 1, unless a layer overrides it.
  [[nodiscard]] virtual Scales scales(const Tensor& input, const Tensor& offsets,
                                      const Tensor& per_sample_weights) const;
  /// All but the sizes and weights, as the op takes it.
  [[nodiscard]] const embergrad::EmbeddingBagOptions& lookup_options() const { return options_; }

 private:
  embergrad::EmbeddingBagOptions options_;
};

}  // namespace embergrad::nn

// What Embedding and EmbeddingBag share: how their table is made and changed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <embergrad/ops.hpp>
#include <embergrad/random.hpp>
#include <embergrad/tensor.hpp>

namespace embergrad::nn {

// A table's options, as either layer has them. `layer` names it in errors.
struct TableOptions {
  const char* layer;
  std::int64_t rows;
  std::int64_t dim;
  std::optional<double> max_norm;
  double norm_type;
  Tensor weight;
  TensorOptions made_as;
};

// The padding row counted from the front. IndexError if there is no such row.
[[nodiscard]] std::optional<std::int64_t> checked_row(const char* layer, std::optional<std::int64_t> row,
                                                      std::int64_t rows);
// A parameter: a handle of its own on options.weight, or new and uninitialised. Checks all options.
[[nodiscard]] Tensor make_table(const TableOptions& options);
// (rows, dim) of a table given to `from_pretrained`. ShapeError unless it has two dimensions.
void check_pretrained(const char* layer, const Tensor& embeddings);

// N(0, 1), then zeros in the padding row. Other frozen rows stay.
void draw_table(Tensor& table, std::optional<std::int64_t> padding_idx, Generator& generator);
// See Embedding::grow, freeze_rows, unfreeze_rows and tie.
void grow_table(const char* layer, Tensor& table, std::int64_t rows, Generator& generator);
void freeze_table_rows(const char* layer, const Tensor& table, std::span<const std::int64_t> rows);
void unfreeze_table_rows(const char* layer, const Tensor& table, std::optional<std::int64_t> padding_idx,
                         std::span<const std::int64_t> rows);
void tie_table(const char* layer, Tensor& own, const Tensor& table, std::optional<std::int64_t> padding_idx);

// What a layer says of its options, those at their defaults left out: ", padding_idx=0, sparse=True".
[[nodiscard]] std::string options_text(const embergrad::EmbeddingOptions& options);

}  // namespace embergrad::nn

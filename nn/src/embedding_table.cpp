#include <embergrad/nn/embedding_table.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn/init.hpp>
#include <embergrad/ops.hpp>

namespace embergrad::nn {
namespace {

std::optional<std::int64_t> checked_row(const char* layer, std::optional<std::int64_t> row, std::int64_t rows) {
  if (!row.has_value()) return row;
  if (*row < -rows || *row >= rows) {
    throw IndexError(fmt::format("{}: padding_idx must be in [{}, {}) for {} embeddings, but is {}", layer, -rows, rows,
                                 rows, *row));
  }
  return *row < 0 ? *row + rows : *row;
}

}  // namespace

EmbeddingTable::EmbeddingTable(const TableOptions& options, Generator& generator)
    : layer_(options.layer), padding_idx_(checked_row(options.layer, options.padding_idx, options.rows)) {
  if (options.rows < 0 || options.dim < 0) {
    throw ValueError(fmt::format("{}: num_embeddings and embedding_dim must not be negative, but are {} and {}", layer_,
                                 options.rows, options.dim));
  }
  if (options.max_norm && !(*options.max_norm > 0)) {
    throw ValueError(fmt::format("{}: max_norm must be above 0, but is {}", layer_, *options.max_norm));
  }
  if (std::isnan(options.norm_type))
    throw ValueError(fmt::format("{}: norm_type must be a number, but is NaN", layer_));
  const Shape shape{options.rows, options.dim};
  if (options.weight.defined()) {
    if (options.weight.shape() != shape) {
      throw ShapeError(fmt::format("{}: weight must have shape {}, but has {}", layer_, shape.to_string(),
                                   options.weight.shape().to_string()));
    }
    if (!is_floating(options.weight.dtype())) {
      throw DTypeError(fmt::format("{}: weight must be floating, but is {}", layer_, name_of(options.weight.dtype())));
    }
    weight = options.weight.detach().set_requires_grad();
  } else {
    if (!is_floating(options.made_as.dtype)) {
      throw DTypeError(fmt::format("{}: dtype must be floating, but is {}", layer_, name_of(options.made_as.dtype)));
    }
    weight = empty(shape, options.made_as).set_requires_grad();
    reset_parameters(generator);
  }
  if (padding_idx_) embergrad::detail::freeze_row(weight, *padding_idx_);
}

void EmbeddingTable::check_pretrained(const char* layer, const Tensor& embeddings) {
  if (!embeddings.defined()) throw ValueError(fmt::format("{}::from_pretrained: embeddings is undefined", layer));
  if (embeddings.dim() != 2) {
    throw ShapeError(fmt::format("{}::from_pretrained: embeddings must have shape (rows, dim), but has {}", layer,
                                 embeddings.shape().to_string()));
  }
}

void EmbeddingTable::reset_parameters(Generator& generator) {
  const NoGrad guard;
  init::normal(weight, 0, 1, generator);
  if (padding_idx_) weight[*padding_idx_].fill(0);
}

void EmbeddingTable::grow(std::int64_t rows, Generator& generator) {
  const std::int64_t before = num_embeddings();
  if (rows < before) {
    throw ValueError(fmt::format("{}: grow: a table of {} rows can't become one of {}", layer_, before, rows));
  }
  if (rows == before) return;
  const NoGrad guard;
  Tensor longer = empty({rows, embedding_dim()}, weight.options());
  narrow(longer, 0, 0, before).copy_from(weight);
  init::normal(narrow(longer, 0, before, rows - before), 0, 1, generator);
  embergrad::detail::adopt(weight, longer);
}

std::vector<std::int64_t> EmbeddingTable::checked_rows(const char* op, std::span<const std::int64_t> rows) const {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= num_embeddings()) {
      throw IndexError(
          fmt::format("{}: {}: rows[{}] is {}, but the table has {} rows", layer_, op, i, rows[i], num_embeddings()));
    }
  }
  std::vector<std::int64_t> ascending(rows.begin(), rows.end());
  std::ranges::sort(ascending);
  return ascending;
}

void EmbeddingTable::freeze_rows(std::span<const std::int64_t> rows) {
  for (const std::int64_t row : checked_rows("freeze_rows", rows)) embergrad::detail::freeze_row(weight, row);
}

void EmbeddingTable::unfreeze_rows(std::span<const std::int64_t> rows) {
  const std::vector<std::int64_t> ascending = checked_rows("unfreeze_rows", rows);
  if (padding_idx_ && std::ranges::binary_search(ascending, *padding_idx_)) {
    throw ValueError(
        fmt::format("{}: unfreeze_rows: row {} is the padding row, which never moves", layer_, *padding_idx_));
  }
  for (const std::int64_t row : ascending) embergrad::detail::unfreeze_row(weight, row);
}

void EmbeddingTable::tie(const Tensor& table) {
  if (!table.defined()) throw ValueError(fmt::format("{}: tie: table is undefined", layer_));
  if (table.shape() != weight.shape()) {
    throw ShapeError(fmt::format("{}: tie: table must have shape {}, but has {}", layer_, weight.shape().to_string(),
                                 table.shape().to_string()));
  }
  if (table.dtype() != weight.dtype()) {
    throw DTypeError(
        fmt::format("{}: tie: table must be {}, but is {}", layer_, name_of(weight.dtype()), name_of(table.dtype())));
  }
  weight = table;
  if (padding_idx_) embergrad::detail::freeze_row(weight, *padding_idx_);
}

std::string EmbeddingTable::describe_with(const embergrad::EmbeddingOptions& options) const {
  std::string text = fmt::format("{}({}, {}", layer_, num_embeddings(), embedding_dim());
  if (options.padding_idx) text += fmt::format(", padding_idx={}", *options.padding_idx);
  if (options.max_norm) text += fmt::format(", max_norm={}", *options.max_norm);
  if (options.norm_type != 2) text += fmt::format(", norm_type={}", options.norm_type);
  if (options.scale_grad_by_freq) text += ", scale_grad_by_freq=True";
  if (options.sparse) text += ", sparse=True";
  return text;
}

}  // namespace embergrad::nn

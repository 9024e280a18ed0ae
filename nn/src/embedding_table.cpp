#include "embedding_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn/init.hpp>
#include <embergrad/ops.hpp>

namespace embergrad::nn {

std::optional<std::int64_t> checked_row(const char* layer, std::optional<std::int64_t> row, std::int64_t rows) {
  if (!row.has_value()) return row;
  if (*row < -rows || *row >= rows) {
    throw IndexError(fmt::format("{}: padding_idx must be in [{}, {}) for {} embeddings, but is {}", layer, -rows, rows,
                                 rows, *row));
  }
  return *row < 0 ? *row + rows : *row;
}

Tensor make_table(const TableOptions& options) {
  const char* layer = options.layer;
  if (options.rows < 0 || options.dim < 0) {
    throw ValueError(fmt::format("{}: num_embeddings and embedding_dim must not be negative, but are {} and {}", layer,
                                 options.rows, options.dim));
  }
  if (options.max_norm && !(*options.max_norm > 0)) {
    throw ValueError(fmt::format("{}: max_norm must be above 0, but is {}", layer, *options.max_norm));
  }
  if (std::isnan(options.norm_type)) throw ValueError(fmt::format("{}: norm_type must be a number, but is NaN", layer));
  const Shape shape{options.rows, options.dim};
  if (!options.weight.defined()) {
    if (!is_floating(options.made_as.dtype)) {
      throw DTypeError(fmt::format("{}: dtype must be floating, but is {}", layer, name_of(options.made_as.dtype)));
    }
    return empty(shape, options.made_as).set_requires_grad();
  }
  if (options.weight.shape() != shape) {
    throw ShapeError(fmt::format("{}: weight must have shape {}, but has {}", layer, shape.to_string(),
                                 options.weight.shape().to_string()));
  }
  if (!is_floating(options.weight.dtype())) {
    throw DTypeError(fmt::format("{}: weight must be floating, but is {}", layer, name_of(options.weight.dtype())));
  }
  return options.weight.detach().set_requires_grad();
}

void check_pretrained(const char* layer, const Tensor& embeddings) {
  if (!embeddings.defined()) throw ValueError(fmt::format("{}::from_pretrained: embeddings is undefined", layer));
  if (embeddings.dim() != 2) {
    throw ShapeError(fmt::format("{}::from_pretrained: embeddings must have shape (rows, dim), but has {}", layer,
                                 embeddings.shape().to_string()));
  }
}

void draw_table(Tensor& table, std::optional<std::int64_t> padding_idx, Generator& generator) {
  const NoGrad guard;
  init::normal(table, 0, 1, generator);
  if (padding_idx.has_value()) table[*padding_idx].fill(0);
}

void grow_table(const char* layer, Tensor& table, std::int64_t rows, Generator& generator) {
  const std::int64_t before = table.size(0);
  if (rows < before) {
    throw ValueError(fmt::format("{}: grow: a table of {} rows can't become one of {}", layer, before, rows));
  }
  if (rows == before) return;
  const NoGrad guard;
  Tensor longer = empty({rows, table.size(1)}, table.options());
  narrow(longer, 0, 0, before).copy_from(table);
  init::normal(narrow(longer, 0, before, rows - before), 0, 1, generator);
  embergrad::detail::adopt(table, longer);
}

namespace {

// Ascending. IndexError for one that isn't there.
std::vector<std::int64_t> checked_rows(const char* layer, const char* op, const Tensor& table,
                                       std::span<const std::int64_t> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= table.size(0)) {
      throw IndexError(
          fmt::format("{}: {}: rows[{}] is {}, but the table has {} rows", layer, op, i, rows[i], table.size(0)));
    }
  }
  std::vector<std::int64_t> ascending(rows.begin(), rows.end());
  std::ranges::sort(ascending);
  return ascending;
}

}  // namespace

void freeze_table_rows(const char* layer, const Tensor& table, std::span<const std::int64_t> rows) {
  for (const std::int64_t row : checked_rows(layer, "freeze_rows", table, rows)) {
    embergrad::detail::freeze_row(table, row);
  }
}

void unfreeze_table_rows(const char* layer, const Tensor& table, std::optional<std::int64_t> padding_idx,
                         std::span<const std::int64_t> rows) {
  const std::vector<std::int64_t> ascending = checked_rows(layer, "unfreeze_rows", table, rows);
  if (padding_idx && std::ranges::binary_search(ascending, *padding_idx)) {
    throw ValueError(
        fmt::format("{}: unfreeze_rows: row {} is the padding row, which never moves", layer, *padding_idx));
  }
  for (const std::int64_t row : ascending) embergrad::detail::unfreeze_row(table, row);
}

void tie_table(const char* layer, Tensor& own, const Tensor& table, std::optional<std::int64_t> padding_idx) {
  if (!table.defined()) throw ValueError(fmt::format("{}: tie: table is undefined", layer));
  if (table.shape() != own.shape()) {
    throw ShapeError(fmt::format("{}: tie: table must have shape {}, but has {}", layer, own.shape().to_string(),
                                 table.shape().to_string()));
  }
  if (table.dtype() != own.dtype()) {
    throw DTypeError(
        fmt::format("{}: tie: table must be {}, but is {}", layer, name_of(own.dtype()), name_of(table.dtype())));
  }
  own = table;
  if (padding_idx.has_value()) embergrad::detail::freeze_row(own, *padding_idx);
}

std::string options_text(const embergrad::EmbeddingOptions& options) {
  std::string text;
  if (options.padding_idx) text += fmt::format(", padding_idx={}", *options.padding_idx);
  if (options.max_norm) text += fmt::format(", max_norm={}", *options.max_norm);
  if (options.norm_type != 2) text += fmt::format(", norm_type={}", options.norm_type);
  if (options.scale_grad_by_freq) text += ", scale_grad_by_freq=True";
  if (options.sparse) text += ", sparse=True";
  return text;
}

}  // namespace embergrad::nn

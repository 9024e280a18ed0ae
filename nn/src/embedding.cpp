#include <embergrad/nn/embedding.hpp>

#include <fmt/format.h>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn/init.hpp>
#include <embergrad/ops.hpp>

namespace embergrad::nn {
namespace {

// Counted from the front.
std::optional<std::int64_t> checked_row(std::optional<std::int64_t> row, std::int64_t rows) {
  if (!row.has_value()) return row;
  if (*row < -rows || *row >= rows) {
    throw IndexError(fmt::format("Embedding: padding_idx must be in [{}, {}) for {} embeddings, but is {}", -rows, rows,
                                 rows, *row));
  }
  return *row < 0 ? *row + rows : *row;
}

// A handle of our own on a given table.
Tensor adopted(const Tensor& table, bool requires_grad) {
  if (!is_floating(table.dtype())) {
    throw DTypeError(fmt::format("Embedding: weight must be floating, but is {}", name_of(table.dtype())));
  }
  Tensor handle = table.detach();
  handle.set_requires_grad(requires_grad);
  return handle;
}

}  // namespace

Embedding::Embedding(const EmbeddingOptions& options, Generator& generator) {
  if (options.num_embeddings < 0 || options.embedding_dim < 0) {
    throw ValueError(fmt::format("Embedding: num_embeddings and embedding_dim must not be negative, but are {} and {}",
                                 std::int64_t{options.num_embeddings}, std::int64_t{options.embedding_dim}));
  }
  if (options.sparse) {
    throw ValueError("Embedding: sparse must be false, but is true: row-sparse gradients are not supported");
  }
  padding_idx_ = checked_row(options.padding_idx, options.num_embeddings);
  const Shape shape{options.num_embeddings, options.embedding_dim};
  if (options.weight.defined()) {
    if (options.weight.shape() != shape) {
      throw ShapeError(fmt::format("Embedding: weight must have shape {}, but has {}", shape.to_string(),
                                   options.weight.shape().to_string()));
    }
    weight = adopted(options.weight, true);
  } else {
    if (!is_floating(options.dtype)) {
      throw DTypeError(fmt::format("Embedding: dtype must be floating, but is {}", name_of(options.dtype)));
    }
    weight = empty(shape, {options.dtype, options.device});
    reset_parameters(generator);
    weight.set_requires_grad();
  }
  if (padding_idx_.has_value()) embergrad::detail::freeze_row(weight, *padding_idx_);
}

Embedding Embedding::from_pretrained(const Tensor& embeddings, const FromPretrainedOptions& options) {
  if (!embeddings.defined()) throw ValueError("Embedding::from_pretrained: embeddings is undefined");
  if (embeddings.dim() != 2) {
    throw ShapeError(fmt::format("Embedding::from_pretrained: embeddings must have shape (rows, dim), but has {}",
                                 embeddings.shape().to_string()));
  }
  Embedding layer({.num_embeddings = embeddings.size(0),
                   .embedding_dim = embeddings.size(1),
                   .padding_idx = options.padding_idx,
                   .weight = embeddings});
  layer.weight.set_requires_grad(!options.freeze);
  return layer;
}

Tensor Embedding::operator()(const Tensor& input) const {
  const LayerScope scope(layer_name());
  return embedding(input, weight, {.padding_idx = padding_idx_});
}

PackedSequence Embedding::operator()(const PackedSequence& input) const {
  return input.with_values((*this)(input.values()));
}

void Embedding::reset_parameters(Generator& generator) {
  const NoGrad guard;
  init::normal(weight, 0, 1, generator);
  if (padding_idx_.has_value()) weight[*padding_idx_].fill(0);
}

std::string Embedding::describe() const {
  return fmt::format("Embedding({}, {}{})", num_embeddings(), embedding_dim(),
                     padding_idx_.has_value() ? fmt::format(", padding_idx={}", *padding_idx_) : "");
}

}  // namespace embergrad::nn

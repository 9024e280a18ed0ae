#include <embergrad/nn/embedding.hpp>

#include <fmt/format.h>

#include <embergrad/error.hpp>

#include "embedding_table.hpp"

namespace embergrad::nn {

Embedding::Embedding(const EmbeddingOptions& options, Generator& generator) {
  options_ = {.padding_idx = checked_row("Embedding", options.padding_idx, options.num_embeddings),
              .max_norm = options.max_norm,
              .norm_type = options.norm_type,
              .scale_grad_by_freq = options.scale_grad_by_freq,
              .sparse = options.sparse};
  weight = make_table({.layer = "Embedding",
                       .rows = options.num_embeddings,
                       .dim = options.embedding_dim,
                       .max_norm = options.max_norm,
                       .norm_type = options.norm_type,
                       .weight = options.weight,
                       .made_as = {options.dtype, options.device}});
  if (!options.weight.defined()) reset_parameters(generator);
  if (options.freeze) weight.set_requires_grad(false);
  if (options_.padding_idx.has_value()) embergrad::detail::freeze_row(weight, *options_.padding_idx);
}

Embedding Embedding::from_pretrained(const Tensor& embeddings, const FromPretrainedOptions& options) {
  check_pretrained("Embedding", embeddings);
  return Embedding({.num_embeddings = embeddings.size(0),
                    .embedding_dim = embeddings.size(1),
                    .padding_idx = options.padding_idx,
                    .max_norm = options.max_norm,
                    .norm_type = options.norm_type,
                    .scale_grad_by_freq = options.scale_grad_by_freq,
                    .sparse = options.sparse,
                    .weight = embeddings,
                    .freeze = options.freeze});
}

Tensor Embedding::operator()(const Tensor& input) const {
  const LayerScope scope(layer_name());
  return embedding(input, weight, options_, scales(input));
}

Scales Embedding::scales(const Tensor&) const { return {}; }

PackedSequence Embedding::operator()(const PackedSequence& input) const {
  return input.with_values((*this)(input.values()));
}

void Embedding::reset_parameters(Generator& generator) { draw_table(weight, options_.padding_idx, generator); }

void Embedding::grow(std::int64_t rows, Generator& generator) { grow_table("Embedding", weight, rows, generator); }

void Embedding::freeze_rows(std::span<const std::int64_t> rows) { freeze_table_rows("Embedding", weight, rows); }
void Embedding::unfreeze_rows(std::span<const std::int64_t> rows) {
  unfreeze_table_rows("Embedding", weight, padding_idx(), rows);
}

void Embedding::tie(const Tensor& table) { tie_table("Embedding", weight, table, options_.padding_idx); }

std::string Embedding::describe() const {
  return fmt::format("Embedding({}, {}{})", num_embeddings(), embedding_dim(),
                     options_text({.padding_idx = options_.padding_idx,
                                   .max_norm = options_.max_norm,
                                   .norm_type = options_.norm_type,
                                   .scale_grad_by_freq = options_.scale_grad_by_freq,
                                   .sparse = options_.sparse}));
}

}  // namespace embergrad::nn

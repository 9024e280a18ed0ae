#include <embergrad/nn/embedding_bag.hpp>

#include <fmt/format.h>

#include <embergrad/error.hpp>

#include "embedding_table.hpp"

namespace embergrad::nn {
namespace {

const char* name_of_mode(BagMode mode) {
  switch (mode) {
    case BagMode::sum:
      return "sum";
    case BagMode::mean:
      return "mean";
    case BagMode::max:
      return "max";
  }
  return "?";
}

}  // namespace

EmbeddingBag::EmbeddingBag(const EmbeddingBagOptions& options, Generator& generator) {
  options_ = {.max_norm = options.max_norm,
              .norm_type = options.norm_type,
              .scale_grad_by_freq = options.scale_grad_by_freq,
              .mode = options.mode,
              .sparse = options.sparse,
              .include_last_offset = options.include_last_offset,
              .padding_idx = checked_row("EmbeddingBag", options.padding_idx, options.num_embeddings)};
  weight = make_table({.layer = "EmbeddingBag",
                       .rows = options.num_embeddings,
                       .dim = options.embedding_dim,
                       .max_norm = options.max_norm,
                       .norm_type = options.norm_type,
                       .weight = options.weight,
                       .made_as = {options.dtype, options.device}});
  if (!options.weight.defined()) reset_parameters(generator);
  if (options_.padding_idx.has_value()) embergrad::detail::freeze_row(weight, *options_.padding_idx);
}

EmbeddingBag EmbeddingBag::from_pretrained(const Tensor& embeddings, const BagFromPretrainedOptions& options) {
  check_pretrained("EmbeddingBag", embeddings);
  EmbeddingBag layer({.num_embeddings = embeddings.size(0),
                      .embedding_dim = embeddings.size(1),
                      .max_norm = options.max_norm,
                      .norm_type = options.norm_type,
                      .scale_grad_by_freq = options.scale_grad_by_freq,
                      .mode = options.mode,
                      .sparse = options.sparse,
                      .weight = embeddings,
                      .include_last_offset = options.include_last_offset,
                      .padding_idx = options.padding_idx});
  layer.weight.set_requires_grad(!options.freeze);
  return layer;
}

Tensor EmbeddingBag::operator()(const Tensor& input, const Tensor& offsets, const Tensor& per_sample_weights) const {
  const LayerScope scope(layer_name());
  const Scales factors = scales(input, offsets, per_sample_weights);
  if (!per_sample_weights.defined()) return embedding_bag(input, weight, offsets, options_, factors);
  embergrad::EmbeddingBagOptions options = options_;
  options.per_sample_weights = per_sample_weights;
  return embedding_bag(input, weight, offsets, options, factors);
}

Scales EmbeddingBag::scales(const Tensor&, const Tensor&, const Tensor&) const { return {}; }

void EmbeddingBag::reset_parameters(Generator& generator) { draw_table(weight, options_.padding_idx, generator); }

void EmbeddingBag::grow(std::int64_t rows, Generator& generator) {
  grow_table("EmbeddingBag", weight, rows, generator);
}

void EmbeddingBag::freeze_rows(std::span<const std::int64_t> rows) { freeze_table_rows("EmbeddingBag", weight, rows); }
void EmbeddingBag::unfreeze_rows(std::span<const std::int64_t> rows) {
  unfreeze_table_rows("EmbeddingBag", weight, padding_idx(), rows);
}

void EmbeddingBag::tie(const Tensor& table) { tie_table("EmbeddingBag", weight, table, options_.padding_idx); }

std::string EmbeddingBag::describe() const {
  return fmt::format("EmbeddingBag({}, {}{}, mode={})", num_embeddings(), embedding_dim(),
                     options_text({.padding_idx = options_.padding_idx,
                                   .max_norm = options_.max_norm,
                                   .norm_type = options_.norm_type,
                                   .scale_grad_by_freq = options_.scale_grad_by_freq,
                                   .sparse = options_.sparse}),
                     name_of_mode(options_.mode));
}

}  // namespace embergrad::nn

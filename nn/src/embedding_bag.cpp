#include <embergrad/nn/embedding_bag.hpp>

#include <fmt/format.h>

#include <embergrad/error.hpp>

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

EmbeddingBag::EmbeddingBag(const EmbeddingBagOptions& options, Generator& generator)
    : EmbeddingTable({.layer = "EmbeddingBag",
                      .rows = options.num_embeddings,
                      .dim = options.embedding_dim,
                      .padding_idx = options.padding_idx,
                      .max_norm = options.max_norm,
                      .norm_type = options.norm_type,
                      .weight = options.weight,
                      .made_as = {options.dtype, options.device}},
                     generator),
      options_{.max_norm = options.max_norm,
               .norm_type = options.norm_type,
               .scale_grad_by_freq = options.scale_grad_by_freq,
               .mode = options.mode,
               .sparse = options.sparse,
               .include_last_offset = options.include_last_offset,
               .padding_idx = padding_idx()} {}

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

std::string EmbeddingBag::describe() const {
  return fmt::format("{}, mode={})",
                     describe_with({.padding_idx = options_.padding_idx,
                                    .max_norm = options_.max_norm,
                                    .norm_type = options_.norm_type,
                                    .scale_grad_by_freq = options_.scale_grad_by_freq,
                                    .sparse = options_.sparse}),
                     name_of_mode(options_.mode));
}

}  // namespace embergrad::nn

#include <embergrad/nn/embedding.hpp>

#include <embergrad/error.hpp>

namespace embergrad::nn {

Embedding::Embedding(const EmbeddingOptions& options, Generator& generator)
    : EmbeddingTable({.layer = "Embedding",
                      .rows = options.num_embeddings,
                      .dim = options.embedding_dim,
                      .padding_idx = options.padding_idx,
                      .max_norm = options.max_norm,
                      .norm_type = options.norm_type,
                      .weight = options.weight,
                      .made_as = {options.dtype, options.device}},
                     generator),
      options_{.padding_idx = padding_idx(),
               .max_norm = options.max_norm,
               .norm_type = options.norm_type,
               .scale_grad_by_freq = options.scale_grad_by_freq,
               .sparse = options.sparse} {
  if (options.freeze) weight.set_requires_grad(false);
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

std::string Embedding::describe() const { return describe_with(options_) + ")"; }

}  // namespace embergrad::nn

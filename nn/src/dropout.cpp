#include <embergrad/nn/dropout.hpp>

#include <fmt/format.h>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

namespace embergrad::nn {

Dropout::Dropout(const DropoutOptions& options) : p_(options.p) {
  if (!(p_ >= 0 && p_ <= 1)) throw ValueError(fmt::format("Dropout: p must be in [0, 1], but is {}", p_));
}

Tensor Dropout::operator()(const Tensor& input) const {
  const LayerScope scope(layer_name());
  return dropout(input, {.p = p_, .training = is_training()}, scales());
}

Scales Dropout::scales() const { return {}; }

PackedSequence Dropout::operator()(const PackedSequence& input) const {
  return input.with_values((*this)(input.values()));
}

std::string Dropout::describe() const { return fmt::format("Dropout(p={})", p_); }

}  // namespace embergrad::nn

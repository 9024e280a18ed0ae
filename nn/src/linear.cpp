#include <embergrad/nn/linear.hpp>

#include <fmt/format.h>

#include <cmath>

#include <embergrad/error.hpp>
#include <embergrad/nn/init.hpp>
#include <embergrad/ops.hpp>

namespace embergrad::nn {

Linear::Linear(const LinearOptions& options, Generator& generator) : Linear(options, Undrawn{}) {
  Linear::reset_parameters(generator);
}

Linear::Linear(const LinearOptions& options, Undrawn) {
  if (options.in_features < 0 || options.out_features < 0) {
    throw ValueError(fmt::format("Linear: in_features and out_features must not be negative, but are {} and {}",
                                 std::int64_t{options.in_features}, std::int64_t{options.out_features}));
  }
  if (!is_floating(options.dtype)) {
    throw DTypeError(fmt::format("Linear: dtype must be floating, but is {}", name_of(options.dtype)));
  }
  const TensorOptions place{options.dtype, options.device};
  weight = empty({options.out_features, options.in_features}, place);
  if (options.bias) bias = empty({options.out_features}, place);
  if (weight.defined()) weight.set_requires_grad();
  if (bias.defined()) bias.set_requires_grad();
}

Tensor Linear::operator()(const Tensor& input) const {
  const LayerScope scope(layer_name());
  return linear(input, weight, bias, scales(input));
}

Scales Linear::scales(const Tensor&) const { return {}; }

PackedSequence Linear::operator()(const PackedSequence& input) const {
  return input.with_values((*this)(input.values()));
}

void Linear::reset_parameters(Generator& generator) {
  const double bound = in_features() == 0 ? 0 : 1 / std::sqrt(static_cast<double>(in_features()));
  init::uniform(weight, -bound, bound, generator);
  if (bias.defined()) init::uniform(bias, -bound, bound, generator);
}

std::string Linear::describe() const {
  return fmt::format("Linear({}, {}{})", in_features(), out_features(), bias.defined() ? "" : ", bias=False");
}

}  // namespace embergrad::nn

#include <embergrad/optim/mup.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <embergrad/error.hpp>

namespace embergrad::optim {
namespace {

double fan_in(const MupParameter& parameter) {
  const Shape& shape = parameter.parameter.shape();
  if (shape.rank() < 1 || shape.rank() > 3) {
    throw ValueError(fmt::format("scaled_parameters: {} must have 1 to 3 dimensions, but has shape {}", parameter.name,
                                 shape.to_string()));
  }
  const std::int64_t fan = shape.rank() == 1 ? shape[0] : shape.slice(1, shape.rank()).numel();
  return static_cast<double>(std::max<std::int64_t>(1, fan));  // an empty one learns nothing at any rate
}

MupType type_of(const MupParameter& parameter) {
  if (parameter.type) return *parameter.type;
  throw ValueError(
      fmt::format("scaled_parameters: {} must have a u-muP type, but has none (allow_non_unit_scaling_params gives it "
                  "the plain lr)",
                  parameter.name));
}

double depth_factor(const MupParameter& parameter) {
  if (!parameter.depth) return 1;
  if (*parameter.depth < 1) {
    throw ValueError(fmt::format("scaled_parameters: the depth of {} must be at least 1, but is {}", parameter.name,
                                 *parameter.depth));
  }
  return 1 / std::sqrt(static_cast<double>(*parameter.depth));
}

template <class OptimizerType, class Options, class Factor>
std::vector<typename OptimizerType::Group> groups_of(std::span<const MupParameter> parameters, const Options& options,
                                                     const MupOptions& mup, const Factor& factor) {
  std::vector<typename OptimizerType::Group> groups;
  for (const MupParameter& parameter : parameters) {
    Options own = options;
    if (parameter.type || !mup.allow_non_unit_scaling_params) own.lr *= factor(parameter);
    if (mup.independent_weight_decay && own.lr != 0) own.weight_decay /= own.lr;
    groups.push_back({.params = {parameter.parameter}, .options = own});
  }
  return groups;
}

}  // namespace

double lr_scale_for_adam(const MupParameter& parameter) {
  const double of_type = type_of(parameter) == MupType::weight ? 1 / std::sqrt(fan_in(parameter)) : 1;
  return depth_factor(parameter) * of_type;
}

double lr_scale_for_sgd(const MupParameter& parameter, ReadoutConstraint readout_constraint) {
  if (readout_constraint == ReadoutConstraint::none) return lr_scale_for_adam(parameter);
  double of_type = 1;
  switch (type_of(parameter)) {
    case MupType::weight:
      of_type = std::sqrt(fan_in(parameter));
      break;
    case MupType::bias:
    case MupType::norm:
      of_type = fan_in(parameter);
      break;
    case MupType::output:
      break;
  }
  return depth_factor(parameter) * of_type;
}

std::vector<Adam::Group> scaled_parameters(std::span<const MupParameter> parameters, const AdamOptions& options,
                                           const MupOptions& mup) {
  return groups_of<Adam>(parameters, options, mup, lr_scale_for_adam);
}

std::vector<AdamW::Group> scaled_parameters(std::span<const MupParameter> parameters, const AdamWOptions& options,
                                            const MupOptions& mup) {
  return groups_of<AdamW>(parameters, options, mup, lr_scale_for_adam);
}

std::vector<SGD::Group> scaled_parameters(std::span<const MupParameter> parameters, const SGDOptions& options,
                                          const MupOptions& mup, ReadoutConstraint readout_constraint) {
  return groups_of<SGD>(parameters, options, mup,
                        [&](const MupParameter& parameter) { return lr_scale_for_sgd(parameter, readout_constraint); });
}

}  // namespace embergrad::optim

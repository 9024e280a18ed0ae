/// @file
/// Learning rates of u-muP (Blake et al., 2024): one for each parameter, by its type and shape.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <embergrad/mup.hpp>
#include <embergrad/optim/adam.hpp>
#include <embergrad/optim/sgd.hpp>

namespace embergrad::optim {

/// Options of `scaled_parameters`.
struct MupOptions {
  /// weight_decay becomes weight_decay / lr of the parameter, so that AdamW, and SGD without momentum, take off that
  /// share at each step, whatever the rate. Where lr is 0 it stays as it is: nothing is taken off.
  bool independent_weight_decay = true;
  /// A parameter without type gets the plain lr instead of a ValueError.
  bool allow_non_unit_scaling_params = false;
};

/// How the readout of the model is scaled, which decides the rates of SGD.
enum class ReadoutConstraint : std::uint8_t {
  none,             ///< its passes have factors of their own: `nn::unit_scaling::LinearReadout` as it is
  to_output_scale,  ///< they share the result's: constraint `to_output_scale`
};

/// What Adam and AdamW multiply lr by, and SGD of a readout without constraint: 1/√fan_in for type weight, 1 for
/// others; over √depth. fan_in is the last extent of a table or matrix, that of a vector, and the product of the last
/// two of a filter. ValueError for a parameter without type, and for a weight of no or more than three dimensions.
[[nodiscard]] double lr_scale_for_adam(const MupParameter& parameter);
/// The same for SGD. With ReadoutConstraint::to_output_scale √fan_in for type weight and fan_in for bias and norm.
[[nodiscard]] double lr_scale_for_sgd(const MupParameter& parameter,
                                      ReadoutConstraint readout_constraint = ReadoutConstraint::none);

/// @{
/// A group for each parameter, with its own lr and weight_decay.
/// @code
/// optim::AdamW optimizer(optim::scaled_parameters(nn::unit_scaling::mup_parameters(model), optim::AdamWOptions{.lr =
/// 0.25}));
/// @endcode
[[nodiscard]] std::vector<Adam::Group> scaled_parameters(std::span<const MupParameter> parameters,
                                                         const AdamOptions& options, const MupOptions& mup = {});
[[nodiscard]] std::vector<AdamW::Group> scaled_parameters(std::span<const MupParameter> parameters,
                                                          const AdamWOptions& options, const MupOptions& mup = {});
[[nodiscard]] std::vector<SGD::Group> scaled_parameters(std::span<const MupParameter> parameters,
                                                        const SGDOptions& options, const MupOptions& mup = {},
                                                        ReadoutConstraint readout_constraint = ReadoutConstraint::none);
/// @}

}  // namespace embergrad::optim

/// @file
/// What an optimizer has to know of a parameter for u-muP's learning rates (Blake et al., 2024).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <embergrad/tensor.hpp>

namespace embergrad {

/// What a parameter is to u-muP.
enum class MupType : std::uint8_t {
  weight,  ///< of a hidden layer, or a table
  bias,    ///< added to units
  norm,    ///< multiplies units
  output,  ///< weight of the readout
};

/// A parameter as `nn::unit_scaling::mup_parameters` finds it and `optim::scaled_parameters` takes it.
struct MupParameter {
  std::string name;                        ///< for messages
  Tensor parameter;                        ///< the handle
  std::optional<MupType> type = {};        ///< none: not a unit-scaled parameter
  std::optional<std::int64_t> depth = {};  ///< layers in the stack that it is part of; none: in no stack
};

}  // namespace embergrad

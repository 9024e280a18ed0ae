/// @file
/// Initialisation of parameters (`torch.nn.init`, without the trailing underscores).
///
/// All change the tensor in place, off the tape. Rows that are frozen (an embedding's padding row) keep their values,
/// but their draws are consumed. Empty tensors stay as they are. Random numbers come from `generator`, one tick a call.
#pragma once

#include <cstdint>

#include <embergrad/random.hpp>
#include <embergrad/tensor.hpp>

namespace embergrad::nn::init {

/// What the scale of an initialisation keeps: the variance of activations, or of gradients.
enum class FanMode : std::uint8_t { fan_in, fan_out };

/// The function that follows a layer.
enum class Nonlinearity : std::uint8_t { linear, sigmoid, tanh, relu, leaky_relu, selu };

/// The scale that goes with a nonlinearity: 1 for linear and sigmoid, 5/3 for tanh, √2 for relu, √(2/(1+slope²)) for
/// leaky_relu, 3/4 for selu.
[[nodiscard]] double calculate_gain(Nonlinearity nonlinearity, double negative_slope = 0.01);

/// U(a, b). ValueError unless a <= b, both finite.
void uniform(Tensor tensor, double a = 0, double b = 1, Generator& generator = default_generator());
/// N(mean, std²). ValueError for a negative std, or if one is not finite.
void normal(Tensor tensor, double mean = 0, double std = 1, Generator& generator = default_generator());
/// Every element the same.
void constant(Tensor tensor, double value);
/// Every element 0.
void zeros(Tensor tensor);
/// Every element 1.
void ones(Tensor tensor);

// For the rest, the tensor has at least two dimensions (ShapeError), (out, in, receptive field …):
// fan_in = in · receptive field, fan_out = out · receptive field.

/// U(±gain · √(6 / (fan_in + fan_out))) (Glorot and Bengio 2010).
void xavier_uniform(Tensor tensor, double gain = 1, Generator& generator = default_generator());
/// N(0, gain² · 2 / (fan_in + fan_out)).
void xavier_normal(Tensor tensor, double gain = 1, Generator& generator = default_generator());
/// U(±√3 · gain / √fan), gain of the nonlinearity with slope `a` (He et al. 2015).
void kaiming_uniform(Tensor tensor, double a = 0, FanMode mode = FanMode::fan_in,
                     Nonlinearity nonlinearity = Nonlinearity::leaky_relu, Generator& generator = default_generator());
/// N(0, gain² / fan).
void kaiming_normal(Tensor tensor, double a = 0, FanMode mode = FanMode::fan_in,
                    Nonlinearity nonlinearity = Nonlinearity::leaky_relu, Generator& generator = default_generator());

}  // namespace embergrad::nn::init

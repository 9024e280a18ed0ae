/// @file
/// Betas: the decay of moments.
#pragma once

namespace embergrad::optim {

/// Decay of the two moments, each in [0, 1).
struct Betas {
  double beta1 = 0.9;    ///< of the gradient
  double beta2 = 0.999;  ///< of its square
};

}  // namespace embergrad::optim

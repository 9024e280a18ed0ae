/// @file
/// Clipping gradients.
#pragma once

#include <vector>

#include <embergrad/tensor.hpp>

namespace embergrad::optim {

/// Scales all gradients by min(1, max_norm / (norm + 1e-6)), in place, norm being the p-norm of all their elements
/// together, summed in float64 (`torch.nn.utils.clip_grad_norm_`). Parameters without a gradient are left out; one that
/// is given twice counts once.
/// @param norm_type  p > 0, or infinity for the largest absolute value
/// @param error_if_nonfinite  ValueError, before anything is changed, if the norm is NaN or infinite; else that goes
///     into the gradients as in PyTorch
/// @return the norm before clipping, one float64 where the first gradient is; 0 if there is none. Without
///     error_if_nonfinite nobody waits for a GPU before that is read
/// ValueError for a negative or NaN max_norm, or another norm_type.
Tensor clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm, double norm_type = 2.0,
                      bool error_if_nonfinite = false);

/// Cuts every element of every gradient to [-clip_value, clip_value], in place (`torch.nn.utils.clip_grad_value_`); a
/// NaN stays. ValueError for a negative or NaN clip_value.
void clip_grad_value(const std::vector<Tensor>& parameters, double clip_value);

}  // namespace embergrad::optim

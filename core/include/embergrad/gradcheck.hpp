/// @file
/// Finite differences: is a backward right?
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <embergrad/tensor.hpp>

namespace embergrad {

/// Options of `gradcheck`.
struct GradcheckOptions {
  double eps = 1e-6;   ///< step of the central difference
  double atol = 1e-6;  ///< |analytical - numerical| <= atol + rtol · |numerical|
  double rtol = 1e-4;  ///< see atol
  /// Per input, or fewer: elements where the analytical gradient differs by design (a padding row) are those where the
  /// mask is 0; they are not compared. Undefined: all are. A mask has its input's shape, any dtype.
  std::vector<Tensor> masks = {};
  /// Inputs with more elements than this are checked along random directions instead of element by element.
  std::int64_t full_limit = 4096;
  int directions = 3;            ///< how many of them
  std::uint64_t seed = 7;        ///< of the directions and of the weights that make one number of the outputs
  bool throw_on_failure = true;  ///< false: tell by the result
};

/// What `gradcheck` found.
struct GradcheckResult {
  bool ok = true;            ///< whether all gradients agree
  std::string message = {};  ///< the first place that disagrees, with both numbers
  /// `ok`
  explicit operator bool() const { return ok; }
};

/// Compares the gradients of `function` with central differences. The inputs are float64 leaves that require a
/// gradient; others are passed through. The outputs are made one number by random weights. 2 calls of the function
/// an element. Error with the message if they disagree and throw_on_failure.
GradcheckResult gradcheck(const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& function,
                          const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});
/// For a function with one output.
GradcheckResult gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                          const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});

}  // namespace embergrad

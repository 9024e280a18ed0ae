/// @file
/// SGD and SGDW.
#pragma once

#include <vector>

#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

/// Options of `SGD`, in PyTorch's order. All finite.
struct SGDOptions {
  double lr = 1e-3;                  ///< >= 0
  double momentum = 0;               ///< >= 0
  double dampening = 0;              ///< share of a gradient that stays out of the momentum, but for the first
  double weight_decay = 0;           ///< >= 0
  bool nesterov = false;             ///< needs momentum > 0 and dampening = 0
  bool maximize = false;             ///< go up the gradients
  Updates updates = Updates::exact;  ///< of idle rows under sparse gradients
};

/// Options of `SGDW`, in the order of `SGD`'s. All finite.
struct SGDWOptions {
  double lr = 1e-3;                  ///< >= 0
  double momentum = 0;               ///< >= 0
  double dampening = 0;              ///< share of a gradient that stays out of the momentum, but for the first
  double weight_decay = 1e-2;        ///< >= 0; taken off the parameter itself
  bool nesterov = false;             ///< needs momentum > 0 and dampening = 0
  bool maximize = false;             ///< go up the gradients
  Updates updates = Updates::exact;  ///< of idle rows under sparse gradients
};

extern template class OptimizerOf<SGDOptions>;
extern template class OptimizerOf<SGDWOptions>;

namespace detail {
/// What SGD and SGDW share.
template <class OptionsType>
class SgdFamily : public OptimizerOf<OptionsType> {
 protected:
  SgdFamily(const char* name, const std::vector<typename OptimizerOf<OptionsType>::Group>& groups);

 private:
  [[nodiscard]] bool needs_slot(std::size_t group, std::size_t slot) const override;
  [[nodiscard]] StepPlan plan(const Optimizer::Entry& entry, std::int64_t step, bool first) const override;
};
extern template class SgdFamily<SGDOptions>;
extern template class SgdFamily<SGDWOptions>;
}  // namespace detail

/// `torch.optim.SGD`:
///   g = ±grad + weight_decay·w;  b = momentum·b + (1-dampening)·g, at first b = g
///   w -= lr · (nesterov ? g + momentum·b : b)
/// State: momentum_buffer (b, with momentum). `Updates::exact` is closed: equal to dense training in real arithmetic,
/// one rounding for the whole of a row's idle time.
class SGD : public detail::SgdFamily<SGDOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit SGD(const std::vector<Tensor>& params, const SGDOptions& options = {});
  /// Several groups, each with options of its own.
  explicit SGD(const std::vector<Group>& groups);
};

/// SGD with decoupled decay (Loshchilov and Hutter 2019): no decay in the gradient; instead w *= 1 - lr·weight_decay
/// before the step. `Updates::exact` is closed, as SGD's.
class SGDW : public detail::SgdFamily<SGDWOptions> {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit SGDW(const std::vector<Tensor>& params, const SGDWOptions& options = {});
  /// Several groups, each with options of its own.
  explicit SGDW(const std::vector<Group>& groups);
};

}  // namespace embergrad::optim

/// @file
/// Adagrad and RowwiseAdagrad.
#pragma once

#include <vector>

#include <embergrad/optim/optimizer.hpp>

namespace embergrad::optim {

/// Options of `Adagrad` and `RowwiseAdagrad`, in PyTorch's order. All finite.
struct AdagradOptions {
  double lr = 1e-2;                      ///< >= 0
  double lr_decay = 0;                   ///< >= 0; step t goes by lr / (1 + (t - 1) · lr_decay)
  double weight_decay = 0;               ///< >= 0; added to the gradient
  double initial_accumulator_value = 0;  ///< >= 0; what the sum of squares starts with
  double eps = 1e-10;                    ///< >= 0
  bool maximize = false;                 ///< go up the gradients
  Updates updates = Updates::exact;      ///< of idle rows under sparse gradients
};

/// Options of `RowwiseAdagrad`.
using RowwiseAdagradOptions = AdagradOptions;

extern template class OptimizerOf<AdagradOptions>;

namespace detail {
/// What Adagrad and RowwiseAdagrad share.
class AdagradFamily : public OptimizerOf<AdagradOptions> {
 protected:
  AdagradFamily(const char* name, bool by_row, const std::vector<Group>& groups);

 private:
  [[nodiscard]] double slot_start(std::size_t group, std::size_t slot) const override;
  [[nodiscard]] StepPlan plan(const Entry& entry, std::int64_t step, bool first) const override;

  bool by_row_;
};
}  // namespace detail

/// `torch.optim.Adagrad` (Duchi, Hazan and Singer 2011): t += 1;  g = ±grad + weight_decay·w
///   sum += g²;  w -= lr / (1 + (t - 1)·lr_decay) · g / (√sum + eps)
/// State: step (t, float32 as in PyTorch), sum. `Updates::exact`: without weight_decay idle rows stand still, and
/// nothing is to be done; with it every row's idle steps are replayed, to the bit what dense training does, at Θ(rows)
/// a step.
class Adagrad : public detail::AdagradFamily {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit Adagrad(const std::vector<Tensor>& params, const AdagradOptions& options = {});
  /// Several groups, each with options of its own.
  explicit Adagrad(const std::vector<Group>& groups);
};

/// Adagrad with one sum for each row of a table (FBGEMM's EXACT_ROWWISE_ADAGRAD): sum += mean of the row's g², and all
/// of the row is divided by √sum + eps. For tables alone. State: step, sum of shape (rows). `Updates::exact` as
/// Adagrad's.
class RowwiseAdagrad : public detail::AdagradFamily {
 public:
  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating; ShapeError unless they have rank 2.
  explicit RowwiseAdagrad(const std::vector<Tensor>& params, const RowwiseAdagradOptions& options = {});
  /// Several groups, each with options of its own.
  explicit RowwiseAdagrad(const std::vector<Group>& groups);
};

}  // namespace embergrad::optim

// What the tests of optimizers share: the parameter and gradients of the stored numbers, and random steps.
#pragma once

#include <string>
#include <vector>

#include <embergrad/optim.hpp>
#include <embergrad/tensor.hpp>

#include "support/random.hpp"

namespace embergrad::test {

inline Tensor leaf(Tensor tensor) {
  tensor.set_requires_grad();
  return tensor;
}

inline const std::vector<double>& stored_gradients() {
  static const std::vector<double> gradients{.3, -.7, .02, 0, 1.5};
  return gradients;
}

// p0 = 0.5 after the five stored gradients, in float64.
template <class Optimizer, class Options>
double after_stored_gradients(const Options& options) {
  Tensor p = leaf(tensor({0.5}, {DType::float64, {}}));
  Optimizer optimizer({p}, options);
  for (const double gradient : stored_gradients()) {
    p.set_grad(tensor({gradient}, {DType::float64, {}}));
    optimizer.step();
  }
  return p.item();
}

// Parameters of several shapes with gradients drawn anew for each step; some steps leave some without one.
class Problem {
 public:
  explicit Problem(std::uint64_t seed, DType dtype = DType::float32) : draw_(seed), dtype_(dtype) {
    for (const Shape& shape : {Shape{7, 5}, Shape{}, Shape{33}, Shape{2, 3, 4}}) {
      parameters.push_back(leaf(draw_.uniform(shape, dtype)));
    }
  }
  void draw_gradients(std::int64_t step) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].zero_grad();
      if ((static_cast<std::size_t>(step) + i) % 4 == 3) continue;
      parameters[i].set_grad(draw_.uniform(parameters[i].shape(), dtype_));
    }
  }
  std::vector<Tensor> parameters;

 private:
  Draw draw_;
  DType dtype_;
};

}  // namespace embergrad::test

// An op, an array library and a gradient check from outside: public headers only.
#include <embergrad/embergrad.hpp>
#include <embergrad/xtensor.hpp>

#include <iostream>

namespace eg = embergrad;

eg::Tensor cube(const eg::Tensor& x) {
  eg::Tensor y = eg::no_grad([&] { return x * x * x; });
  return eg::record("cube", y, {x},
                    [x = eg::Saved(x)](const eg::Tensor& grad) { return 3.0 * x.get() * x.get() * grad; });
}

int main() {
  eg::Tensor x = eg::from_xtensor(xt::xarray<double>{{0.5, -1.0}, {2.0, 0.25}});
  x.set_requires_grad();
  eg::gradcheck([](const std::vector<eg::Tensor>& inputs) { return cube(inputs[0]); }, {x});
  cube(x).sum().backward();
  const double sum = xt::sum(eg::as_xtensor<double>(x.grad().dense()))();
  std::cout << "sum of the gradient: " << sum << "\n";
  return sum == 3.0 * (0.25 + 1.0 + 4.0 + 0.0625) ? 0 : 1;
}

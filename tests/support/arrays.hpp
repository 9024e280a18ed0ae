// Tensors as xtensor arrays of double: the other road to a value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include <embergrad/tensor.hpp>

#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xarray.hpp>
#include <xtensor/core/xmath.hpp>
#include <xtensor/misc/xmanipulation.hpp>
#else
#include <xtensor/xarray.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#endif

namespace embergrad::test {

using Array = xt::xarray<double>;

inline Array to_array(const Tensor& tensor) {
  Array array(std::vector<std::size_t>(tensor.shape().begin(), tensor.shape().end()));
  const std::vector<double> values = tensor.to_vector<double>();
  std::copy(values.begin(), values.end(), array.data());
  return array;
}

inline Tensor to_tensor(const Array& array, DType dtype = DType::float64) {
  Shape shape;
  for (const std::size_t extent : array.shape()) shape.push_back(static_cast<std::int64_t>(extent));
  const std::vector<double> values(array.data(), array.data() + array.size());
  return tensor(values, shape).to(dtype);
}

}  // namespace embergrad::test

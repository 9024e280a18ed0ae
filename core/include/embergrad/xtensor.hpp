/// @file
/// CPU tensors as xtensor arrays and back, without copying elements.
#pragma once

#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#endif

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <embergrad/tensor.hpp>

namespace embergrad {

namespace detail {
[[nodiscard]] inline std::vector<std::size_t> xtensor_shape(const Tensor& tensor) {
  return {tensor.shape().begin(), tensor.shape().end()};
}
template <class Array>
[[nodiscard]] Shape shape_of(const Array& array) {
  Shape shape;
  for (const auto extent : array.shape()) shape.push_back(static_cast<std::int64_t>(extent));
  return shape;
}
}  // namespace detail

/// The tensor's elements as a read-only xtensor array over the same memory. Valid while the tensor lives. DTypeError
/// unless T is the element type.
template <class T>
[[nodiscard]] auto as_xtensor(const Tensor& tensor) {
  return xt::adapt(tensor.data<T>(), static_cast<std::size_t>(tensor.numel()), xt::no_ownership(),
                   detail::xtensor_shape(tensor));
}

/// The same for writing: counts as a change in place at the moment of the call (see `Tensor::mutable_data`).
template <class T>
[[nodiscard]] auto as_mutable_xtensor(Tensor& tensor) {
  return xt::adapt(tensor.mutable_data<T>(), static_cast<std::size_t>(tensor.numel()), xt::no_ownership(),
                   detail::xtensor_shape(tensor));
}

/// A tensor over the elements of `array`, which it takes over. Expressions and rvalues are evaluated into an array
/// first: `from_xtensor(xt::xarray<float>(a + b))`.
template <class T>
[[nodiscard]] Tensor from_xtensor(xt::xarray<T, xt::layout_type::row_major>&& array) {
  auto owner = std::make_shared<xt::xarray<T, xt::layout_type::row_major>>(std::move(array));
  return detail::borrow(owner->data(), dtype_of<T>, detail::shape_of(*owner), owner);
}

/// A tensor over the elements of `array`, which must outlive the tensor and all its views.
template <class T>
[[nodiscard]] Tensor view_xtensor(xt::xarray<T, xt::layout_type::row_major>& array) {
  return detail::borrow(array.data(), dtype_of<T>, detail::shape_of(array), nullptr);
}

}  // namespace embergrad

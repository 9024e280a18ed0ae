// What an update works on, as kernels see it.
#pragma once

#include <embergrad/optim/optimizer.hpp>

#include "kernels/update.hpp"
#include "src/tensor_state.hpp"

namespace embergrad::optim {

// Elements [begin, begin + count).
inline View part(const Tensor& tensor, std::int64_t begin, std::int64_t count) {
  View view = embergrad::detail::view(tensor);
  view.data = static_cast<char*>(view.data) + static_cast<std::size_t>(begin) * item_size(view.dtype);
  view.size = count;
  return view;
}

// The elements of the parameter, or of a slot, that go with an update's; all of them where it names rows.
template <class Work>
View elements(const Work& work, const Tensor& tensor) {
  if (!tensor.defined()) return {};
  return work.rows == nullptr ? part(tensor, work.begin, work.count) : embergrad::detail::view(tensor);
}

template <class Work>
View gradient_of(const Work& work) {
  return part(work.grad, work.begin, work.count);
}

template <class Work>
RowList rows_of(const Work& work) {
  if (work.rows == nullptr) return {};
  const std::int64_t dim = work.grad.size(1);
  return {.rows = work.rows, .count = dim == 0 ? 0 : work.count / dim, .dim = dim};
}

}  // namespace embergrad::optim

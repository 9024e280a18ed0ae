// Parts of tensors as kernels see them.
#pragma once

#include "src/tensor_state.hpp"

namespace embergrad::optim {

// Elements [begin, begin + count).
inline View part(const Tensor& tensor, std::int64_t begin, std::int64_t count) {
  View view = embergrad::detail::view(tensor);
  view.data = static_cast<char*>(view.data) + static_cast<std::size_t>(begin) * item_size(view.dtype);
  view.size = count;
  return view;
}

}  // namespace embergrad::optim

// What a step works on, as kernels see it.
#pragma once

#include <embergrad/tensor.hpp>

#include "kernels/view.hpp"
#include "src/tensor_state.hpp"

namespace embergrad::optim {

// Elements [begin, begin + count).
inline View part(View view, std::int64_t begin, std::int64_t count) {
  view.data = view.as<char>() + static_cast<std::size_t>(begin) * item_size(view.dtype);
  view.size = count;
  return view;
}
inline View part(const Tensor& tensor, std::int64_t begin, std::int64_t count) {
  return part(embergrad::detail::unsettled_view(tensor), begin, count);
}

}  // namespace embergrad::optim

// What a kernel sees of a tensor: pointer, element type, extents. Nothing is owned.
#pragma once

#include <cstdint>

#include <embergrad/dtype.hpp>

namespace embergrad {

// Contiguous elements.
struct View {
  void* data = nullptr;
  DType dtype = DType::float32;
  std::int64_t size = 0;  // elements

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// Elements with strides (in elements; 0 repeats a dimension).
struct StridedView {
  static constexpr int max_rank = 8;
  void* data = nullptr;
  DType dtype = DType::float32;
  int rank = 0;
  std::int64_t extents[max_rank] = {};
  std::int64_t strides[max_rank] = {};
};

}  // namespace embergrad

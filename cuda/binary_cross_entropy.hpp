// Body of the binary cross entropies.
#pragma once

#include "cuda/block.hpp"
#include "cuda/strided.hpp"
#include "kernels/binary_cross_entropy.hpp"
#include "kernels/rules/binary_cross_entropy.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// out[i] = weight * loss, or scale * weight * its derivative. An input that is null is 1.
template <bool derivative, class T>
struct BinaryCrossEntropyMap {
  static constexpr int inputs = 5;
  enum Input { logits, target, weight, pos_weight, scale };

  const T* in[inputs];
  T* out;
  Walk<inputs> places;
  bool packs;  // 16 bytes at a time: each input is contiguous or one number

  EMBERGRAD_HD T of(const T* x) const {
    const bool positive = in[pos_weight] != nullptr;
    if constexpr (derivative) {
      const T slope = positive ? rules::BinaryCrossEntropy::df(x[logits], x[target], x[pos_weight])
                               : rules::BinaryCrossEntropy::df(x[logits], x[target]);
      return x[scale] * x[weight] * slope;
    } else {
      return x[weight] * (positive ? rules::BinaryCrossEntropy::f(x[logits], x[target], x[pos_weight])
                                   : rules::BinaryCrossEntropy::f(x[logits], x[target]));
    }
  }

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    constexpr int width = Pack<T>::width;
    const std::int64_t first = first_item(block);
    const std::int64_t step = item_step(block);
    const std::int64_t packed = packs ? places.size / width : 0;
    for (std::int64_t i = first; i < packed; i += step) {
      T x[width][inputs];
      for (int k = 0; k < inputs; ++k) {
        Pack<T> pack;
        if (in[k] != nullptr && places.strides[k][0] != 0) {
          pack = block.load(reinterpret_cast<const Pack<T>*>(in[k]) + i);
        } else {
          const T number = in[k] == nullptr ? T(1) : block.load(in[k]);
          for (T& value : pack.values) value = number;
        }
        for (int j = 0; j < width; ++j) x[j][k] = pack.values[j];
      }
      Pack<T> result;
      for (int j = 0; j < width; ++j) result.values[j] = of(x[j]);
      block.store(reinterpret_cast<Pack<T>*>(out) + i, result);
    }
    for (std::int64_t i = packed * width + first; i < places.size; i += step) {
      std::int64_t at[inputs];
      places.find(i, at);
      T x[inputs];
      for (int k = 0; k < inputs; ++k) x[k] = in[k] == nullptr ? T(1) : block.load(in[k] + at[k]);
      block.store(out + i, of(x));
    }
  }
};

// A view or, where it is absent, null with the extents of another.
inline StridedView or_repeated(const StridedView& view, const StridedView& like) {
  if (view.data != nullptr) return view;
  StridedView all = like;
  all.data = nullptr;
  for (std::int64_t& stride : all.strides) stride = 0;
  return all;
}

template <bool derivative, class T, class Start>
void run_binary_cross_entropy(const Start& start, const StridedView& logits, const StridedView& target,
                              const StridedView& weight, const StridedView& pos_weight, const StridedView& scale,
                              const StridedView& out) {
  using Body = BinaryCrossEntropyMap<derivative, T>;
  const StridedView views[Body::inputs] = {logits, target, or_repeated(weight, out), or_repeated(pos_weight, out),
                                           or_repeated(scale, out)};
  Body body{{}, static_cast<T*>(out.data), walk(views[0], views[1], views[2], views[3], views[4]), false};
  body.packs = body.places.rank == 1 && all_on_packs(body.out);
  for (int k = 0; k < Body::inputs; ++k) {
    body.in[k] = static_cast<const T*>(views[k].data);
    if (body.packs && body.places.strides[k][0] != 0) {
      body.packs = body.places.strides[k][0] == 1 && all_on_packs(body.in[k]);
    }
  }
  start(body, grid_for(body.packs ? divide_up(body.places.size, Pack<T>::width) : body.places.size));
}

template <class Start>
void run_with(const Start& start, const BinaryCrossEntropy& request) {
  visit_floating(request.losses.dtype, [&](auto type) {
    run_binary_cross_entropy<false, decltype(type)>(start, request.logits, request.target, request.weight,
                                                    request.pos_weight, {}, request.losses);
  });
}

template <class Start>
void run_with(const Start& start, const BinaryCrossEntropyGrad& request) {
  visit_floating(request.grad_in.dtype, [&](auto type) {
    run_binary_cross_entropy<true, decltype(type)>(start, request.logits, request.target, request.weight,
                                                   request.pos_weight, request.scale, request.grad_in);
  });
}

}  // namespace embergrad::cuda

#include "kernels/binary_cross_entropy.hpp"

#include "cpu/simd.hpp"
#include "cpu/strided.hpp"
#include "cpu/visit.hpp"

namespace embergrad {
namespace {

// A weight or, where there is none, a view of one number that repeats; of none at all where that is null.
template <class T>
StridedView or_repeated(const StridedView& weight, const StridedView& like, T* number) {
  if (weight.data != nullptr) return weight;
  StridedView all = like;
  all.data = number;
  for (std::int64_t& stride : all.strides) stride = 0;
  return all;
}

}  // namespace

void run(OnCpu, const BinaryCrossEntropy& request) {
  cpu::visit_floating(request.losses.dtype, [&](auto type) {
    using T = decltype(type);
    T one = 1;
    const StridedView weight = or_repeated(request.weight, request.losses, &one);
    const StridedView pos_weight = or_repeated<T>(request.pos_weight, request.losses, nullptr);
    const auto loop = cpu::simd().loops<T>().bce;
    cpu::for_each_row(
        [&](const std::int64_t* at, std::int64_t length) {
          loop(static_cast<const T*>(request.logits.data) + at[0], static_cast<const T*>(request.target.data) + at[1],
               static_cast<const T*>(weight.data) + at[2], cpu::inner_stride(weight),
               static_cast<const T*>(pos_weight.data) + at[3], cpu::inner_stride(pos_weight),
               static_cast<T*>(request.losses.data) + at[4], length);
        },
        request.logits, request.target, weight, pos_weight, request.losses);
  });
}

void run(OnCpu, const BinaryCrossEntropyGrad& request) {
  cpu::visit_floating(request.grad_in.dtype, [&](auto type) {
    using T = decltype(type);
    T one = 1;
    const StridedView weight = or_repeated(request.weight, request.grad_in, &one);
    const StridedView pos_weight = or_repeated<T>(request.pos_weight, request.grad_in, nullptr);
    const auto loop = cpu::simd().loops<T>().bce_grad;
    cpu::for_each_row(
        [&](const std::int64_t* at, std::int64_t length) {
          loop(static_cast<const T*>(request.logits.data) + at[0], static_cast<const T*>(request.target.data) + at[1],
               static_cast<const T*>(weight.data) + at[2], cpu::inner_stride(weight),
               static_cast<const T*>(pos_weight.data) + at[3], cpu::inner_stride(pos_weight),
               static_cast<const T*>(request.scale.data) + at[4], cpu::inner_stride(request.scale),
               static_cast<T*>(request.grad_in.data) + at[5], length);
        },
        request.logits, request.target, weight, pos_weight, request.scale, request.grad_in);
  });
}

}  // namespace embergrad

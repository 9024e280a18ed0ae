#include "kernels/cross_entropy.hpp"

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "cpu/visit.hpp"
#include "kernels/rules/math.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {
namespace {

std::int64_t rows_per_chunk(std::int64_t row) {
  return std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, row));
}

// Calls body(place in (outer, inner), first element in (outer, classes, inner), target) for every sample.
template <class Index, class Body>
void for_each_sample(const LossSizes& sizes, const View& target, const Body& body) {
  const Index* targets = target.as<const Index>();
  cpu::parallel_chunks(
      sizes.outer, rows_per_chunk(sizes.classes * sizes.inner), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) {
          for (std::int64_t i = 0; i < sizes.inner; ++i) {
            const std::int64_t place = o * sizes.inner + i;
            body(place, o * sizes.classes * sizes.inner + i, static_cast<std::int64_t>(targets[place]));
          }
        }
      });
}

template <class T>
struct ClassWeights {
  const T* values;  // null: all 1
  explicit ClassWeights(const View& view) : values(view.size == 0 ? nullptr : view.as<const T>()) {}
  T operator[](std::int64_t c) const { return values == nullptr ? T(1) : values[c]; }
};

template <class T>
struct PerSample {
  const T* values;
  std::int64_t step;
  explicit PerSample(const View& view) : values(view.as<const T>()), step(view.size == 1 ? 0 : 1) {}
  T operator[](std::int64_t place) const { return values[place * step]; }
};

template <class Body>
void visit_loss(DType dtype, DType index, const Body& body) {
  cpu::visit_floating(dtype,
                      [&](auto type) { cpu::visit_index(index, [&](auto index_type) { body(type, index_type); }); });
}

}  // namespace

void run(OnCpu, const NllLoss& request) {
  visit_loss(request.losses.dtype, request.target.dtype, [&](auto type, auto index) {
    using T = decltype(type);
    const T* log_probs = request.log_probs.as<const T>();
    const ClassWeights<T> weight(request.class_weight);
    T* losses = request.losses.as<T>();
    T* weights = request.weights.as<T>();
    for_each_sample<decltype(index)>(
        request.sizes, request.target, [&](std::int64_t place, std::int64_t at, std::int64_t y) {
          const bool ignored = y == request.ignore_index;
          weights[place] = ignored ? T(0) : weight[y];
          losses[place] = ignored ? T(0) : -weight[y] * log_probs[at + y * request.sizes.inner];
        });
  });
}

void run(OnCpu, const NllLossGrad& request) {
  visit_loss(request.grad_in.dtype, request.target.dtype, [&](auto type, auto index) {
    using T = decltype(type);
    const ClassWeights<T> weight(request.class_weight);
    const PerSample<T> scale(request.scale);
    T* grad_in = request.grad_in.as<T>();
    const std::int64_t inner = request.sizes.inner;
    for_each_sample<decltype(index)>(request.sizes, request.target,
                                     [&](std::int64_t place, std::int64_t at, std::int64_t y) {
                                       for (std::int64_t c = 0; c < request.sizes.classes; ++c)
                                         grad_in[at + c * inner] = T(0);
                                       if (y != request.ignore_index)
                                         grad_in[at + y * inner] = -weight[y] * scale[place];
                                     });
  });
}

void run(OnCpu, const CrossEntropy& request) {
  visit_loss(request.losses.dtype, request.target.dtype, [&](auto type, auto index) {
    using T = decltype(type);
    const auto& loops = cpu::simd().loops<T>();
    const T* logits = request.logits.as<const T>();
    const ClassWeights<T> weight(request.class_weight);
    T* losses = request.losses.as<T>();
    T* weights = request.weights.as<T>();
    T* probs = request.probs.as<T>();
    const std::int64_t classes = request.sizes.classes;
    const std::int64_t inner = request.sizes.inner;
    const auto smoothing = static_cast<T>(request.label_smoothing);
    const auto logits_factor = static_cast<T>(request.logits_factor);
    const auto loss_factor = static_cast<T>(request.loss_factor);
    for_each_sample<decltype(index)>(
        request.sizes, request.target, [&](std::int64_t place, std::int64_t at, std::int64_t y) {
          const detail::Scratch<T> row(2 * classes);
          T* log_probs = row.get();
          const T* x = logits + at;
          if (inner != 1 || logits_factor != T(1)) {
            for (std::int64_t c = 0; c < classes; ++c) log_probs[classes + c] = logits_factor * x[c * inner];
            x = log_probs + classes;
          }
          loops.softmax_row(x, log_probs, classes, true);
          const bool ignored = y == request.ignore_index;
          weights[place] = ignored ? T(0) : weight[y];
          T loss = ignored ? T(0) : -weight[y] * log_probs[y];
          if (smoothing != T(0)) {
            // Over no classes, NaN even where it is ignored, as in PyTorch.
            T spread = T(0);
            for (std::int64_t c = 0; c < classes && !ignored; ++c) spread -= weight[c] * log_probs[c];
            loss = (T(1) - smoothing) * loss + smoothing / static_cast<T>(classes) * spread;
          }
          losses[place] = loss_factor * loss;
          if (inner == 1) {
            loops.unary[cpu::unary_place<rules::Exp>](log_probs, probs + at, classes);
          } else {
            for (std::int64_t c = 0; c < classes; ++c) probs[at + c * inner] = rules::exp(log_probs[c]);
          }
        });
  });
}

void run(OnCpu, const CrossEntropyGrad& request) {
  visit_loss(request.grad_in.dtype, request.target.dtype, [&](auto type, auto index) {
    using T = decltype(type);
    const T* probs = request.probs.as<const T>();
    const ClassWeights<T> weight(request.class_weight);
    const PerSample<T> scale(request.scale);
    T* grad_in = request.grad_in.as<T>();
    const std::int64_t classes = request.sizes.classes;
    const std::int64_t inner = request.sizes.inner;
    const auto smoothing = static_cast<T>(request.label_smoothing);
    const auto factor = static_cast<T>(request.factor);
    const T spread = smoothing / static_cast<T>(classes);
    T total_weight = T(0);
    for (std::int64_t c = 0; c < classes; ++c) total_weight += weight[c];
    for_each_sample<decltype(index)>(request.sizes, request.target,
                                     [&](std::int64_t place, std::int64_t at, std::int64_t y) {
                                       const T* p = probs + at;
                                       T* grad = grad_in + at;
                                       if (y == request.ignore_index) {
                                         // A row with a NaN keeps it, as in PyTorch.
                                         for (std::int64_t c = 0; c < classes; ++c)
                                           grad[c * inner] = T(0) * p[c * inner];
                                         return;
                                       }
                                       const T hard = factor * scale[place] * (T(1) - smoothing) * weight[y];
                                       for (std::int64_t c = 0; c < classes; ++c) grad[c * inner] = hard * p[c * inner];
                                       grad[y * inner] -= hard;
                                       if (smoothing != T(0)) {
                                         const T soft = factor * scale[place] * spread;
                                         for (std::int64_t c = 0; c < classes; ++c)
                                           grad[c * inner] += soft * (p[c * inner] * total_weight - weight[c]);
                                       }
                                     });
  });
}

}  // namespace embergrad

// Bodies of the losses over classes.
#pragma once

#include "cuda/rows.hpp"
#include "cuda/softmax.hpp"
#include "kernels/cross_entropy.hpp"
#include "kernels/rules/math.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

template <class T>
struct ClassWeights {
  const T* values;  // null: all 1
  explicit ClassWeights(const View& view) : values(view.size == 0 ? nullptr : view.as<const T>()) {}
  template <Block B>
  EMBERGRAD_HD T of(B& block, std::int64_t c) const {
    return values == nullptr ? T(1) : block.load(values + c);
  }
};

// A number of each sample, or one for all.
template <class T>
struct PerSample {
  const T* values;
  std::int64_t step;
  explicit PerSample(const View& view) : values(view.as<const T>()), step(view.size == 1 ? 0 : 1) {}
  template <Block B>
  EMBERGRAD_HD T of(B& block, std::int64_t sample) const {
    return block.load(values + sample * step);
  }
};

// A sample's class, or -1 where it is ignored.
template <class Index>
struct Targets {
  const Index* values;
  std::int64_t ignore_index;
  template <Block B>
  EMBERGRAD_HD std::int64_t of(B& block, std::int64_t sample) const {
    const auto y = static_cast<std::int64_t>(block.load(values + sample));
    return y == ignore_index ? -1 : y;
  }
};

template <class T, class Index>
struct NllLosses {
  const T* log_probs;
  Targets<Index> target;
  ClassWeights<T> weight;
  T* losses;
  T* weights;
  LossSizes sizes;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < sizes.outer * sizes.inner; i += item_step(block)) {
      const std::int64_t y = target.of(block, i);
      T w = T(0);
      T loss = T(0);
      if (y >= 0) {
        const std::int64_t o = sizes.inner == 1 ? i : i / sizes.inner;
        w = weight.of(block, y);
        loss = -w * block.load(log_probs + (o * sizes.classes + y) * sizes.inner + (i - o * sizes.inner));
      }
      block.store(weights + i, w);
      block.store(losses + i, loss);
    }
  }
};

template <class T, class Index>
struct NllGradRows {
  Targets<Index> target;
  ClassWeights<T> weight;
  PerSample<T> scale;
  T* grad_in;
  Rows<T> rows;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    Team<T, B> team(block, rows);
    while (team.next()) {
      if (!team.has_row) continue;
      const std::int64_t y = target.of(block, team.row);
      const T slope = y < 0 ? T(0) : -weight.of(block, y) * scale.of(block, team.row);
      for (std::int64_t k = team.first; k < team.count; k += team.step) {
        Pack<T> g;
        for (int j = 0; j < Pack<T>::width; ++j) g.values[j] = k + j == y ? slope : T(0);
        team.store(grad_in, k, g);
      }
    }
  }
};

// w[c] log p[c] of a row.
template <class T, Block B>
struct WeightedLogProbs {
  B& block;
  Elements<T, B> x;
  T largest, shift;
  ClassWeights<T> weight;
  EMBERGRAD_HD Pack<T> operator()(std::int64_t k) const {
    Pack<T> y = x(k);
    for (int j = 0; j < Pack<T>::width && k + j < x.team.count; ++j) {
      y.values[j] = weight.of(block, k + j) * ((y.values[j] - largest) - shift);
    }
    return y;
  }
};

template <class T, class Index>
struct CrossEntropyRows {
  const T* logits;
  Targets<Index> target;
  ClassWeights<T> weight;
  T* losses;
  T* weights;
  T* probs;
  Rows<T> rows;
  T smoothing, logits_factor, loss_factor;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    Team<T, B> team(block, rows);
    while (team.next()) {
      const Elements<T, B> x{team, logits, logits_factor};
      const T largest = team.largest(x);
      const T total = team.sum(Exponentials<T, B>{x, largest});
      const T shift = rules::log(total);
      // The CPU adds these one by one: other bits.
      T spread = T(0);
      if (smoothing != T(0)) spread = -team.sum(WeightedLogProbs<T, B>{block, x, largest, shift, weight});
      if (team.leads()) {
        const std::int64_t y = target.of(block, team.row);
        const bool ignored = y < 0;
        const T w = ignored ? T(0) : weight.of(block, y);
        T loss = ignored ? T(0) : -w * ((logits_factor * block.load(logits + team.at(y)) - largest) - shift);
        if (smoothing != T(0)) {
          // Over no classes, NaN even where it is ignored, as in PyTorch.
          loss = (T(1) - smoothing) * loss + smoothing / static_cast<T>(rows.count) * (ignored ? T(0) : spread);
        }
        block.store(weights + team.row, w);
        block.store(losses + team.row, loss_factor * loss);
      }
      for (std::int64_t k = team.first; k < team.count; k += team.step) {
        Pack<T> p = x(k);
        for (T& value : p.values) value = rules::exp((value - largest) - shift);
        team.store(probs, k, p);
      }
    }
  }
};

template <class T, class Index>
struct CrossEntropyGradRows {
  const T* probs;
  Targets<Index> target;
  ClassWeights<T> weight;
  PerSample<T> scale;
  T* grad_in;
  Rows<T> rows;
  T smoothing, factor;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    // One by one, as the CPU adds them.
    T total_weight = static_cast<T>(rows.count);
    if (smoothing != T(0) && weight.values != nullptr) {
      total_weight = T(0);
      for (std::int64_t c = 0; c < rows.count; ++c) total_weight += block.load(weight.values + c);
    }
    Team<T, B> team(block, rows);
    while (team.next()) {
      if (!team.has_row) continue;
      const std::int64_t y = target.of(block, team.row);
      T hard = T(0);
      T soft = T(0);
      if (y >= 0) {
        const T scaled = factor * scale.of(block, team.row);
        hard = scaled * (T(1) - smoothing) * weight.of(block, y);
        soft = scaled * (smoothing / static_cast<T>(rows.count));
      }
      for (std::int64_t k = team.first; k < team.count; k += team.step) {
        Pack<T> p = team.load(probs, k);
        for (int j = 0; j < Pack<T>::width && k + j < team.count; ++j) {
          T& value = p.values[j];
          T grad = hard * value;  // where the sample is ignored a NaN stays, as in PyTorch
          if (k + j == y) grad -= hard;
          if (smoothing != T(0) && y >= 0) grad += soft * (value * total_weight - weight.of(block, k + j));
          value = grad;
        }
        team.store(grad_in, k, p);
      }
    }
  }
};

// --- from a request to a body

template <class T, class Index, class Start>
void run_loss(const Start& start, const NllLoss& request, T /*type*/, Index /*index*/) {
  start(NllLosses<T, Index>{request.log_probs.as<const T>(),
                            {request.target.as<const Index>(), request.ignore_index},
                            ClassWeights<T>(request.class_weight),
                            request.losses.as<T>(),
                            request.weights.as<T>(),
                            request.sizes},
        grid_for(request.sizes.outer * request.sizes.inner));
}

template <class T, class Index, class Start>
void run_loss(const Start& start, const NllLossGrad& request, T /*type*/, Index /*index*/) {
  const LossSizes& sizes = request.sizes;
  T* grad_in = request.grad_in.as<T>();
  const Rows<T> rows = rows_to_walk<T>(sizes.outer, sizes.classes, sizes.inner, grad_in);
  start(NllGradRows<T, Index>{{request.target.as<const Index>(), request.ignore_index},
                              ClassWeights<T>(request.class_weight),
                              PerSample<T>(request.scale),
                              grad_in,
                              rows},
        rows.grid());
}

template <class T, class Index, class Start>
void run_loss(const Start& start, const CrossEntropy& request, T /*type*/, Index /*index*/) {
  const LossSizes& sizes = request.sizes;
  const T* logits = request.logits.as<const T>();
  T* probs = request.probs.as<T>();
  const Rows<T> rows = rows_to_sum<T>(sizes.outer, sizes.classes, sizes.inner, logits, probs);
  start(CrossEntropyRows<T, Index>{logits,
                                   {request.target.as<const Index>(), request.ignore_index},
                                   ClassWeights<T>(request.class_weight),
                                   request.losses.as<T>(),
                                   request.weights.as<T>(),
                                   probs,
                                   rows,
                                   static_cast<T>(request.label_smoothing),
                                   static_cast<T>(request.logits_factor),
                                   static_cast<T>(request.loss_factor)},
        rows.grid());
}

template <class T, class Index, class Start>
void run_loss(const Start& start, const CrossEntropyGrad& request, T /*type*/, Index /*index*/) {
  const LossSizes& sizes = request.sizes;
  const T* probs = request.probs.as<const T>();
  T* grad_in = request.grad_in.as<T>();
  const Rows<T> rows = rows_to_walk<T>(sizes.outer, sizes.classes, sizes.inner, probs, grad_in);
  start(CrossEntropyGradRows<T, Index>{probs,
                                       {request.target.as<const Index>(), request.ignore_index},
                                       ClassWeights<T>(request.class_weight),
                                       PerSample<T>(request.scale),
                                       grad_in,
                                       rows,
                                       static_cast<T>(request.label_smoothing),
                                       static_cast<T>(request.factor)},
        rows.grid());
}

template <class Start, class Loss>
void visit_loss(const Start& start, const Loss& request, const View& typed) {
  visit_floating(typed.dtype, [&](auto type) {
    visit_index(request.target.dtype, [&](auto index) { run_loss(start, request, type, index); });
  });
}
template <class Start>
void run_with(const Start& start, const NllLoss& request) {
  visit_loss(start, request, request.losses);
}
template <class Start>
void run_with(const Start& start, const NllLossGrad& request) {
  visit_loss(start, request, request.grad_in);
}
template <class Start>
void run_with(const Start& start, const CrossEntropy& request) {
  visit_loss(start, request, request.losses);
}
template <class Start>
void run_with(const Start& start, const CrossEntropyGrad& request) {
  visit_loss(start, request, request.grad_in);
}

}  // namespace embergrad::cuda

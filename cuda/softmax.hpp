// Bodies of the softmax contracts.
#pragma once

#include "cuda/rows.hpp"
#include "kernels/rules/math.hpp"
#include "kernels/softmax.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// Elements of a row, times `factor`.
template <class T, Block B>
struct Elements {
  const Team<T, B>& team;
  const T* in;
  T factor;
  EMBERGRAD_HD Pack<T> operator()(std::int64_t k) const {
    Pack<T> x = team.load(in, k);
    for (T& value : x.values) value = factor * value;
    return x;
  }
};

// e^(x - largest) of them.
template <class T, Block B>
struct Exponentials {
  Elements<T, B> x;
  T largest;
  EMBERGRAD_HD Pack<T> operator()(std::int64_t k) const {
    Pack<T> y = x(k);
    for (T& value : y.values) value = rules::exp(value - largest);
    return y;
  }
};

template <bool log, class T>
struct SoftmaxRows {
  const T* in;
  T* out;
  Rows<T> rows;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    Team<T, B> team(block, rows);
    while (team.next()) {
      const Elements<T, B> x{team, in, T(1)};
      const T largest = team.largest(x);
      const T total = team.sum(Exponentials<T, B>{x, largest});
      const T shift = log ? rules::log(total) : T(0);
      for (std::int64_t k = team.first; k < team.count; k += team.step) {
        Pack<T> y = x(k);
        for (T& value : y.values) {
          value = log ? (value - largest) - shift : rules::exp(value - largest) / total;
        }
        team.store(out, k, y);
      }
    }
  }
};

// g, or g * out.
template <bool log, class T, Block B>
struct GradTerms {
  const Team<T, B>& team;
  const T* out;
  const T* grad;
  EMBERGRAD_HD Pack<T> operator()(std::int64_t k) const {
    Pack<T> g = team.load(grad, k);
    if constexpr (!log) {
      const Pack<T> y = team.load(out, k);
      for (int j = 0; j < Pack<T>::width; ++j) g.values[j] *= y.values[j];
    }
    return g;
  }
};

template <bool log, class T>
struct SoftmaxGradRows {
  const T* out;
  const T* grad;
  T* grad_in;
  Rows<T> rows;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    Team<T, B> team(block, rows);
    while (team.next()) {
      const T total = team.sum(GradTerms<log, T, B>{team, out, grad});
      for (std::int64_t k = team.first; k < team.count; k += team.step) {
        const Pack<T> y = team.load(out, k);
        Pack<T> g = team.load(grad, k);
        for (int j = 0; j < Pack<T>::width; ++j) {
          T& value = g.values[j];
          value = log ? value - rules::exp(y.values[j]) * total : y.values[j] * (value - total);
        }
        team.store(grad_in, k, g);
      }
    }
  }
};

template <class Start>
void run_with(const Start& start, const Softmax& request) {
  visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const T* in = request.in.as<const T>();
    T* out = request.out.as<T>();
    const Rows<T> rows = rows_to_sum<T>(request.outer, request.count, request.inner, in, out);
    if (request.log) return start(SoftmaxRows<true, T>{in, out, rows}, rows.grid());
    start(SoftmaxRows<false, T>{in, out, rows}, rows.grid());
  });
}

template <class Start>
void run_with(const Start& start, const SoftmaxGrad& request) {
  visit_floating(request.grad_in.dtype, [&](auto type) {
    using T = decltype(type);
    const T* out = request.out.as<const T>();
    const T* grad = request.grad_out.as<const T>();
    T* grad_in = request.grad_in.as<T>();
    Rows<T> rows = rows_to_sum<T>(request.outer, request.count, request.inner, out, grad, grad_in);
    if (request.log) return start(SoftmaxGradRows<true, T>{out, grad, grad_in, rows}, rows.grid());
    // The CPU adds the products lane by lane, without blocks.
    rows.units = 1;
    rows.unit = divide_up(request.count, Rows<T>::lanes) * Rows<T>::lanes;
    start(SoftmaxGradRows<false, T>{out, grad, grad_in, rows}, rows.grid());
  });
}

}  // namespace embergrad::cuda

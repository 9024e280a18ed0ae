#include "kernels/update.hpp"

#include <cmath>

#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#include "src/memory_pool.hpp"

namespace embergrad {
namespace {

constexpr std::int64_t chunk = 16384;

template <class T>
const cpu::UpdateLoopsOf<T>& loops() {
  if constexpr (sizeof(T) == 4) {
    return cpu::simd().update.f32;
  } else {
    return cpu::simd().update.f64;
  }
}

// Calls body(T{}) for the view's type.
template <class Body>
void by_type(const View& view, const Body& body) {
  if (view.dtype == DType::float64) return body(double{});
  body(float{});
}

template <class T>
T* at(const View& view, std::int64_t begin) {
  return view.data == nullptr ? nullptr : view.as<T>() + begin;
}

template <class T>
rules::SgdCoefficients<T> rounded(const rules::SgdCoefficients<double>& c) {
  return {static_cast<T>(c.lr), static_cast<T>(c.momentum), static_cast<T>(c.fresh), static_cast<T>(c.weight_decay),
          static_cast<T>(c.sign)};
}

template <class T>
rules::AdamCoefficients<T> rounded(const rules::AdamCoefficients<double>& c) {
  return {static_cast<T>(c.step_size),
          static_cast<T>(c.fresh1),
          static_cast<T>(c.beta2),
          static_cast<T>(c.fresh2),
          static_cast<T>(c.root_correction2),
          static_cast<T>(c.eps),
          static_cast<T>(c.weight_decay),
          static_cast<T>(c.keep),
          static_cast<T>(c.sign)};
}

// The terms of a chunk for any p; the common p = 2 has a loop of its own.
template <class T>
double chunk_terms(const T* x, std::int64_t n, double p) {
  double terms = 0;
  if (std::isinf(p)) {
    for (std::int64_t i = 0; i < n; ++i) {
      const double size = std::fabs(static_cast<double>(x[i]));
      if (size > terms || std::isnan(size)) terms = size;
      if (std::isnan(terms)) break;
    }
  } else if (p == 1) {
    for (std::int64_t i = 0; i < n; ++i) terms += std::fabs(static_cast<double>(x[i]));
  } else {
    for (std::int64_t i = 0; i < n; ++i) terms += std::pow(std::fabs(static_cast<double>(x[i])), p);
  }
  return terms;
}

}  // namespace

void run(OnCpu, const DenseSgd& request) {
  by_type(request.param, [&]<class T>(T) {
    const auto coefficients = rounded<T>(request.coefficients);
    cpu::parallel_chunks(request.param.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loops<T>().sgd(coefficients, request.nesterov, at<T>(request.param, begin), at<T>(request.grad, begin),
                     at<T>(request.momentum, begin), end - begin);
    });
  });
}

void run(OnCpu, const DenseAdam& request) {
  by_type(request.param, [&]<class T>(T) {
    const auto coefficients = rounded<T>(request.coefficients);
    cpu::parallel_chunks(request.param.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loops<T>().adam(coefficients, request.decay, at<T>(request.param, begin), at<T>(request.grad, begin),
                      at<T>(request.m, begin), at<T>(request.v, begin), at<T>(request.v_max, begin), end - begin);
    });
  });
}

void run(OnCpu, const NormTerms& request) {
  const std::int64_t size = request.in.size;
  const auto terms_of = [&](std::int64_t begin, std::int64_t end) {
    double terms = 0;
    by_type(request.in, [&]<class T>(T) {
      const T* x = at<T>(request.in, begin);
      terms = request.p == 2 ? loops<T>().sum_squares(x, end - begin) : chunk_terms(x, end - begin, request.p);
    });
    return terms;
  };
  if (size <= chunk) {
    *request.result = terms_of(0, size);
    return;
  }
  const std::int64_t chunks = (size + chunk - 1) / chunk;
  const detail::Scratch<double> partial(chunks);
  cpu::parallel_chunks(size, chunk,
                       [&](std::int64_t begin, std::int64_t end) { partial[begin / chunk] = terms_of(begin, end); });
  double total = 0;
  for (std::int64_t i = 0; i < chunks; ++i) {
    const double terms = partial[i];
    if (!std::isinf(request.p)) {
      total += terms;
    } else if (terms > total || std::isnan(terms)) {
      total = terms;
    }
    if (std::isnan(total)) break;
  }
  *request.result = total;
}

void run(OnCpu, const ScaleInPlace& request) {
  by_type(request.inout, [&]<class T>(T) {
    cpu::parallel_chunks(request.inout.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loops<T>().scale(at<T>(request.inout, begin), static_cast<T>(request.factor), end - begin);
    });
  });
}

void run(OnCpu, const ClampInPlace& request) {
  by_type(request.inout, [&]<class T>(T) {
    cpu::parallel_chunks(request.inout.size, chunk, [&](std::int64_t begin, std::int64_t end) {
      loops<T>().clamp(at<T>(request.inout, begin), static_cast<T>(request.limit), end - begin);
    });
  });
}

}  // namespace embergrad

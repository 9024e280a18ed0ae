#include "kernels/update.hpp"

#include <cmath>
#include <type_traits>

#include "cpu/parallel.hpp"
#include "cpu/rows.hpp"
#include "cpu/simd.hpp"
#include "kernels/rules/convert.hpp"
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

template <class T>
rules::AdagradCoefficients<T> rounded(const rules::AdagradCoefficients<double>& c) {
  return {static_cast<T>(c.rate), static_cast<T>(c.weight_decay), static_cast<T>(c.eps), static_cast<T>(c.sign)};
}

// Calls body(param, grad, n, at) for stretches of a step; at(view) is where the stretch begins in a state. Parameters
// of 16 bits are brought to float32 and back.
template <class Body>
void for_each_stretch(const View& param, const View& grad, const RowList& rows, const Body& body) {
  const auto stretches = [&]<class Row, class T>(Row, T) {
    const auto one = [&](std::int64_t begin, std::int64_t grad_begin, std::int64_t n) {
      const T* g = at<T>(grad, grad_begin);
      const auto state = [begin](const View& view) { return at<T>(view, begin); };
      Row* w = at<Row>(param, begin);
      if constexpr (std::is_same_v<Row, T>) {
        body(w, g, n, state);
      } else {
        const detail::Scratch<T> wide(n);
        for (std::int64_t i = 0; i < n; ++i) wide[i] = rules::Converter<T, Row>::f(w[i]);
        body(wide.get(), g, n, state);
        for (std::int64_t i = 0; i < n; ++i) w[i] = rules::Converter<Row, T>::f(wide[i]);
      }
    };
    if (rows.rows == nullptr) {
      cpu::parallel_chunks(param.size, chunk,
                           [&](std::int64_t begin, std::int64_t end) { one(begin, begin, end - begin); });
    } else {
      cpu::parallel_chunks(rows.count, cpu::rows_in(chunk, rows.dim), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) one(rows.rows[i] * rows.dim, i * rows.dim, rows.dim);
      });
    }
  };
  cpu::visit_table(param.dtype, stretches);
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

void run(OnCpu, const SgdStep& request) {
  for_each_stretch(request.param, request.grad, request.rows, [&]<class T>(T* w, const T* g, std::int64_t n, auto at) {
    loops<T>().sgd(rounded<T>(request.coefficients), request.nesterov, w, g, at(request.momentum), n);
  });
}

void run(OnCpu, const AdamStep& request) {
  for_each_stretch(request.param, request.grad, request.rows, [&]<class T>(T* w, const T* g, std::int64_t n, auto at) {
    loops<T>().adam(rounded<T>(request.coefficients), request.decay, w, g, at(request.m), at(request.v),
                    at(request.v_max), n);
  });
}

void run(OnCpu, const AdagradStep& request) {
  for_each_stretch(request.param, request.grad, request.rows, [&]<class T>(T* w, const T* g, std::int64_t n, auto at) {
    loops<T>().adagrad(rounded<T>(request.coefficients), w, g, at(request.sum), n);
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

// p-norms of numbers in float64: the terms of one that is summed in pieces, and whole ones of rows.
#pragma once

#include <math.h>  // NOLINT(modernize-deprecated-headers): the C functions alone, no templates

#include <cstdint>

#include "kernels/host_device.hpp"
#include "kernels/rules/adam.hpp"

namespace embergrad::rules {

// A term of one number, how a sum takes it, and in how many lanes the contract NormTerms adds.
struct SquareTerm {
  static constexpr int lanes = 16;
  EMBERGRAD_HD double operator()(double x) const { return x * x; }
  EMBERGRAD_HD static void join(double& sum, double term) { sum += term; }
};
struct SizeTerm {
  static constexpr int lanes = 1;
  EMBERGRAD_HD double operator()(double x) const { return ::fabs(x); }
  EMBERGRAD_HD static void join(double& sum, double term) { sum += term; }
};
struct PowerTerm {
  static constexpr int lanes = 1;
  double p;
  EMBERGRAD_HD double operator()(double x) const { return ::pow(::fabs(x), p); }
  EMBERGRAD_HD static void join(double& sum, double term) { sum += term; }
};
// The largest size, in any order; a NaN stays.
struct LargestTerm {
  static constexpr int lanes = 16;
  EMBERGRAD_HD double operator()(double x) const { return ::fabs(x); }
  EMBERGRAD_HD static void join(double& sum, double term) { sum = larger(sum, term); }
};

// Calls body(term) for a norm's p above 0.
template <class Body>
void visit_norm(double p, const Body& body) {
  if (p == 2) return body(SquareTerm{});
  if (p == 1) return body(SizeTerm{});
  if (p == HUGE_VAL) return body(LargestTerm{});
  body(PowerTerm{p});
}

// The p-norm of `count` numbers, number(i) being one of them: summed in order.
struct SquareNorm {
  template <class Number>
  EMBERGRAD_HD double operator()(const Number& number, std::int64_t count) const {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += SquareTerm{}(number(i));
    return ::sqrt(sum);
  }
};
struct SizeNorm {
  template <class Number>
  EMBERGRAD_HD double operator()(const Number& number, std::int64_t count) const {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += ::fabs(number(i));
    return sum;
  }
};
// How many are not 0.
struct CountNorm {
  template <class Number>
  EMBERGRAD_HD double operator()(const Number& number, std::int64_t count) const {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += number(i) != 0 ? 1 : 0;
    return sum;
  }
};
struct PowerNorm {
  double p;
  template <class Number>
  EMBERGRAD_HD double operator()(const Number& number, std::int64_t count) const {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += PowerTerm{p}(number(i));
    return ::pow(sum, 1 / p);
  }
};
// The largest or smallest size; a NaN stays.
struct ExtremeNorm {
  bool largest;
  template <class Number>
  EMBERGRAD_HD double operator()(const Number& number, std::int64_t count) const {
    double extreme = count == 0 ? 0 : ::fabs(number(0));
    for (std::int64_t i = 0; i < count && extreme == extreme; ++i) {
      const double size = ::fabs(number(i));
      if (size != size || (largest ? size > extreme : size < extreme)) extreme = size;
    }
    return extreme;
  }
};

// Calls body(norm) for any p but NaN.
template <class Body>
void visit_row_norm(double p, const Body& body) {
  if (p == 2) return body(SquareNorm{});
  if (p == 1) return body(SizeNorm{});
  if (p == 0) return body(CountNorm{});
  if (p == HUGE_VAL || p == -HUGE_VAL) return body(ExtremeNorm{p > 0});
  body(PowerNorm{p});
}

}  // namespace embergrad::rules

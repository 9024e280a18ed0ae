// The terms of p-norms, from numbers in float64.
#pragma once

#include <math.h>  // NOLINT(modernize-deprecated-headers): the C functions alone, no templates

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

}  // namespace embergrad::rules

// What idle time does to a row, for every step that a row may have been settled to: the span tables of exact updates.
//
// Time is counted in steps from the origin, 0, where the table was last settled as a whole. `since(s)` is what the
// steps s+1 … now do together to a row without a gradient; s is the origin or a step that is not forgotten. Any number
// of threads may call const functions at once. All numbers are double; they are rounded, if at all, by the row kernels.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "track.hpp"

namespace embergrad::optim::detail {

// Acts on (w, b), a weight and its buffer.
struct Matrix2 {
  double m00, m01, m10, m11;
};

// Products of the steps of a rule that is linear in (w, b). Forward products alone: with an inverse, nothing would be
// left of 1/momentum^k after 300 steps.
class LinearSpans {
 public:
  LinearSpans() { restart(); }
  // Now is the origin.
  void restart();
  // One step of time.
  void push(const Matrix2& step);
  [[nodiscard]] std::int64_t now() const { return now_; }
  // A_now … A_{s+1}. Entries below 1e-200 are 0.
  [[nodiscard]] Matrix2 since(std::int64_t s) const;
  // Nobody will ask for 1 … s-1 again.
  void forget_before(std::int64_t s);
  // What the history takes.
  [[nodiscard]] std::int64_t bytes() const;

 private:
  // Level k, entry j: the product from step j·fan^k to the end of the fan entries that j is one of, or to now while
  // they still are the last ones. A span is one entry of each level at most.
  std::vector<Track<Matrix2>> levels_;
  Matrix2 origin_{};
  std::int64_t now_ = 0;
};

// A sum of two doubles' precision.
struct LongSum {
  double high = 0;
  double low = 0;
  void add(double term);
};

// Sums of one term a step: of learning rates, or of logarithms. A difference is right to 1e-15 of itself after 10^7
// steps of one size.
class RunningSum {
 public:
  RunningSum() { restart(); }
  void restart();
  void push(double term);
  [[nodiscard]] std::int64_t now() const { return sums_.end() - 1; }
  [[nodiscard]] double since(std::int64_t s) const;
  void forget_before(std::int64_t s) { sums_.forget_before(s < now() ? s : now()); }
  [[nodiscard]] std::int64_t bytes() const { return sums_.bytes(); }

 private:
  Track<LongSum> sums_;  // at the origin: 0
};

inline constexpr int max_degree = 32;

// What one step without a gradient does under Adam and its kin (v is v_max for the root under AMSGrad):
//   m *= beta1;  v *= beta2;  w = keep·w - rate·m / (sqrt(v / correction2) + eps),   plain: w = keep·w - rate·m
struct AdamStepOfTime {
  double rate;  // >= 0, bias correction of m included
  double beta1;
  double beta2;
  double correction2;  // in (0, 1]
  double keep;         // in (0, 1]
  bool plain = false;
};

// What a span does:
//   z = 1/(root_scale·sqrt(v) + eps);  t = 1 - 2·eps·z;  p = sum_j a[j]·T_j(t)
//   w = keep·w - m·(z·p + plain);  m *= m_factor;  v *= v_factor
// The decay that follows a move is part of a and plain: divided out, a would overflow under strong decay.
struct AdamSpan {
  double keep = 1;
  double keep_less_one = 0;
  double m_factor = 1;
  double v_factor = 1;
  double root_scale = 1;  // a float
  double plain = 0;
  int degree = 0;
  double a[max_degree + 1] = {};
};

// Idle time under Adam. With x = sqrt(v) at step s, q = root_scale·x, y = q/(q + eps) and u_i·q the root that step i
// divides by, the moves of a span sum up to
//   m·sum_i c_i/(u_i·q + eps) = m·P(y)/(q + eps),   P(y) = sum_i c_i/(1 - y + y·u_i),
// and P is smooth on [0, 1], whatever eps and v are. a is P's Chebyshev series in 2y - 1, summed up term by term: with
// h = sqrt(u) and r = (1 - h)/(1 + h),
//   1/(1 - y + y·u) = (1 + 2·sum_j r^j·T_j(2y - 1))/h.
// What lies beyond degree n is added to T_(n-1) and T_n, so that y = 0 and y = 1 are exact; elsewhere the term is
// missed by the fraction 4·|r|^(n+1)·(1 + 0.54·|r|)/(1 - r²)² at most. A start step is active until its terms have
// died, like (beta1/sqrt(beta2))^k; then its coefficients are final.
class AdamSpans {
 public:
  struct Fit {
    int degree;  // even
    double lag;  // u is 1 after that many mean ages of m
  };
  // The smallest even degree whose proven error is below `tolerance` for every start step, while the learning rate is
  // constant or grows linearly from 0. Nothing where no degree up to max_degree is enough (beta1 near sqrt(beta2)):
  // such rows are replayed. Not `corrected`: v is used without bias correction (RAdam).
  [[nodiscard]] static std::optional<Fit> choose(double beta1, double beta2, double tolerance, bool amsgrad,
                                                 bool corrected);

  // @param cut  the last a[j] are left out while their sum is at most cut·a[0]: 1e-7 for float32. From 1e-12 on, what
  // is
  //     final is kept in float
  AdamSpans(Fit fit, bool amsgrad, bool corrected, double cut);
  // Now is the origin; the parameter has seen `steps_before` steps. The betas are those of the next step, roughly: they
  // scale y, and change nothing else.
  void restart(std::int64_t steps_before, double beta1, double beta2);
  void push(const AdamStepOfTime& step);
  [[nodiscard]] std::int64_t now() const { return steps_.end() - 1; }
  [[nodiscard]] AdamSpan since(std::int64_t s) const;
  // Largest relative error of what since(s) subtracts from w in place of the dense steps' moves, but for the rounding
  // of doubles. Infinite where no such bound is proven: when terms may have died although their sum was no larger,
  // after some 70/-ln(beta1/sqrt(beta2)) steps with a learning rate of 0, or of decay that outruns beta1/sqrt(beta2).
  [[nodiscard]] double bound(std::int64_t s) const;
  // Nobody will ask for 1 … s-1 again.
  void forget_before(std::int64_t s);
  [[nodiscard]] std::int64_t bytes() const;

 private:
  enum Log { keep_log, beta1_log, beta2_log };
  // Of a step. The rest is set when it stops being active.
  struct Start {
    double high[3];  // logarithms of the products since the origin: high + low
    float low[3];
    float root_scale;
    float error;          // see bound
    float dropped;        // relative size of one more term with a rate of 1
    std::uint32_t place;  // of its first coefficient, modulo 2^32
    std::uint32_t degree : 6;
    std::uint32_t plain : 1;    // one more number after the coefficients
    std::uint32_t active : 25;  // for that many steps
  };
  struct Sums {
    double a[max_degree + 1];
    double plain;
    double at_0, at_1;  // P(0), P(1)
    double least;       // P is never smaller
    double near, far;   // bounds of the errors of terms with u > 1, at y = 0, and u < 1, at y = 1
  };
  // The origin, once final.
  struct Origin {
    Sums sums;
    double dropped;
    double log_keep;  // when it became final
  };
  // What depends on the betas alone.
  struct Betas {
    double beta1 = -1;
    double beta2 = -1;
    double log1, log2;
    double quarter2;   // beta2^(1/4)
    double after_lag;  // beta2 to the power of the lag in steps
  };

  void use_betas(double beta1, double beta2);
  void open_start(double correction2);
  bool finish(std::int64_t s);
  [[nodiscard]] std::int64_t tile_size() const;
  [[nodiscard]] double* tile_of(std::int64_t s);
  [[nodiscard]] const double* lane_of(std::int64_t s) const;
  [[nodiscard]] Sums sums_of(std::int64_t s) const;
  [[nodiscard]] double error_of(const Sums& sums) const;
  [[nodiscard]] std::int64_t place_of(const Start& start) const;
  [[nodiscard]] double log_since(int which, std::int64_t s) const;

  Fit fit_;
  bool amsgrad_;
  bool corrected_;
  bool in_float_;
  double cut_;
  Betas betas_{};
  LongSum logs_[3];
  Track<Start> steps_;
  Track<float> floats_;  // coefficients that are final, here or in doubles_
  Track<double> doubles_;
  Origin origin_{};
  float origin_scale_ = 1;
  std::vector<double> active_;  // a ring of tiles of start steps
  std::int64_t first_active_ = 0;
  double kept_ = 1;  // what sums in active_ are to be multiplied by: the decay since they were last brought up to date
  double peak_ = 0;  // largest rate so far
  double plain_peak_ = 0;
  double slowest_ = 0;  // largest beta1/(sqrt(beta2)·keep) so far
  bool plain_ = false;  // the last step was
};

}  // namespace embergrad::optim::detail

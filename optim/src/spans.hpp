// What idle time does to a row, for every step that a row may have been settled to: the span tables of exact updates.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace embergrad::optim::detail {

struct Matrix2 {
  double m00, m01, m10, m11;
};

class LinearSpans {
 public:
  LinearSpans() { restart(); }
  void restart();
  void push(const Matrix2& step);
  [[nodiscard]] std::int64_t now() const { return now_; }
  [[nodiscard]] Matrix2 since(std::int64_t s) const;
  void forget_before(std::int64_t s);
  [[nodiscard]] std::int64_t bytes() const;

 private:
  static constexpr std::int64_t block = 64;
  struct Closed {
    std::vector<Matrix2> suffixes;
    Matrix2 carry;
  };
  std::vector<Closed> closed_;
  std::int64_t first_closed_ = 0;
  std::vector<Matrix2> open_;
  Matrix2 origin_{};
  std::int64_t now_ = 0;
};

inline constexpr int max_degree = 32;

struct AdamStepOfTime {
  double rate, beta1, beta2, correction2, keep;
  bool plain = false;
};

struct AdamSpan {
  double keep = 1, keep_less_one = 0, m_factor = 1, v_factor = 1, root_scale = 1, plain = 0;
  int degree = 0;
  double a[max_degree + 1] = {};
};

class AdamSpans {
 public:
  struct Fit {
    int degree;
    double lag;
  };
  [[nodiscard]] static std::optional<Fit> choose(double beta1, double beta2, double tolerance, bool amsgrad,
                                                 bool corrected);
  AdamSpans(Fit fit, bool amsgrad, bool corrected, double cut);
  void restart(std::int64_t steps_before, double beta1, double beta2);
  void push(const AdamStepOfTime& step);
  [[nodiscard]] std::int64_t now() const { return now_; }
  [[nodiscard]] AdamSpan since(std::int64_t s) const;
  void forget_before(std::int64_t s);
  [[nodiscard]] std::int64_t bytes() const;

 private:
  struct Start {
    double log_keep, log1, log2, correction2, u0, plain;
    double p[max_degree + 1];
  };
  [[nodiscard]] double u0(double beta1, double beta2, double steps) const;
  const Start& at(std::int64_t s) const { return s == 0 ? origin_ : starts_[static_cast<std::size_t>(s - base_)]; }
  Start& at(std::int64_t s) { return s == 0 ? origin_ : starts_[static_cast<std::size_t>(s - base_)]; }
  Fit fit_;
  bool amsgrad_, corrected_;
  double cut_;
  std::vector<double> y_, fit_matrix_;
  Start origin_{};
  std::vector<Start> starts_;
  std::int64_t base_ = 1, now_ = 0, first_active_ = 0, steps_before_ = 0;
  bool origin_active_ = true;
  double log_keep_ = 0, log1_ = 0, log2_ = 0;
};

}  // namespace embergrad::optim::detail

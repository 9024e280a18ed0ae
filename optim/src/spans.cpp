#include "spans.hpp"

#include <algorithm>
#include <cmath>

namespace embergrad::optim::detail {
namespace {
double dust(double x) { return std::abs(x) < 1e-200 ? 0.0 : x; }
Matrix2 times(const Matrix2& a, const Matrix2& b) {
  return {dust(a.m00 * b.m00 + a.m01 * b.m10), dust(a.m00 * b.m01 + a.m01 * b.m11), dust(a.m10 * b.m00 + a.m11 * b.m10),
          dust(a.m10 * b.m01 + a.m11 * b.m11)};
}
constexpr Matrix2 identity{1, 0, 0, 1};
}  // namespace

void LinearSpans::restart() {
  closed_.clear();
  first_closed_ = 0;
  open_.assign(1, identity);
  origin_ = identity;
  now_ = 0;
}
void LinearSpans::push(const Matrix2& step) {
  for (Matrix2& m : open_) m = times(step, m);
  for (Closed& c : closed_) c.carry = times(step, c.carry);
  origin_ = times(step, origin_);
  ++now_;
  if (static_cast<std::int64_t>(open_.size()) == block) {
    closed_.push_back({open_, identity});
    open_.clear();
  }
  open_.push_back(identity);
}
Matrix2 LinearSpans::since(std::int64_t s) const {
  if (s == 0) return origin_;
  const std::int64_t b = s / block - first_closed_;
  if (b >= static_cast<std::int64_t>(closed_.size())) return open_[static_cast<std::size_t>(s % block)];
  const Closed& c = closed_[static_cast<std::size_t>(b)];
  return times(c.carry, c.suffixes[static_cast<std::size_t>(s % block)]);
}
void LinearSpans::forget_before(std::int64_t s) {
  const std::int64_t n = std::min<std::int64_t>(s / block - first_closed_, static_cast<std::int64_t>(closed_.size()));
  if (n <= 0) return;
  closed_.erase(closed_.begin(), closed_.begin() + n);
  first_closed_ += n;
}
std::int64_t LinearSpans::bytes() const { return static_cast<std::int64_t>(closed_.size()) * block * 32; }

static double term_error(double u, int n) {
  const double a = std::sqrt(u);
  const double z = std::min((1 + a) / std::max(std::abs(1 - a), 1e-9), 1e6);
  return 4 / ((z - 1 / z) * (std::pow(z, n) - std::pow(z, -n)));
}
static double lag_scale(double b1, double b2, double s, double lag, bool amsgrad, bool corrected) {
  const double d = lag / (1 - b1);
  const double decay = amsgrad ? 1 : std::pow(b2, d);
  return std::sqrt((corrected ? (1 - std::pow(b2, s)) / (1 - std::pow(b2, s + d)) : 1) * decay);
}
std::optional<AdamSpans::Fit> AdamSpans::choose(double b1, double b2, double tolerance, bool amsgrad, bool corrected) {
  if (b1 == 0) return Fit{4, 1};
  const double rho = amsgrad ? b1 : b1 / std::sqrt(b2);
  if (rho >= .9999) return std::nullopt;
  const int terms = 1 + static_cast<int>(std::log(1e-14) / std::log(rho));
  for (int n : {4, 6, 8, 12, 16, 24, 32}) {
    double best = 1e9, best_lag = 1;
    for (double lag : {1.0, 1.5, 2.0}) {
      double worst = 0;
      for (double s : {1., 2., 3., 5., 8., 16., 64., 256., 1024., 8192.}) {
        const double u0 = lag_scale(b1, b2, s, lag, amsgrad, corrected);
        for (int warm : {0, 1}) {
          double e1 = 0, e2 = 0, c1 = 0, c2 = 0;
          for (int r = 1; r <= terms; ++r) {
            const double u = std::sqrt((corrected ? (1 - std::pow(b2, s)) / (1 - std::pow(b2, s + r)) : 1) *
                                       (amsgrad ? 1 : std::pow(b2, r))) /
                             u0;
            const double c = (warm ? r : 1) * std::pow(b1, r) / (1 - std::pow(b1, s + r));
            const double e = term_error(u, n);
            c1 += c;
            c2 += c / u;
            (u > 1 ? e1 : e2) += u > 1 ? c * e : c / u * e;
          }
          worst = std::max(worst, e1 / c1 + e2 / c2);
        }
      }
      if (worst < best) best = worst, best_lag = lag;
    }
    if (best < tolerance) return Fit{n, best_lag};
  }
  return std::nullopt;
}
AdamSpans::AdamSpans(Fit fit, bool amsgrad, bool corrected, double cut)
    : fit_(fit), amsgrad_(amsgrad), corrected_(corrected), cut_(cut) {
  const int n = fit.degree;
  for (int j = 0; j <= n; ++j) y_.push_back((1 + std::cos(M_PI * j / n)) / 2);
  for (int i = 0; i <= n; ++i)
    for (int j = 0; j <= n; ++j)
      fit_matrix_.push_back(2.0 / n * (i == 0 || i == n ? .5 : 1) * (j == 0 || j == n ? .5 : 1) *
                            std::cos(M_PI * i * j / n));
}
double AdamSpans::u0(double b1, double b2, double steps) const {
  return steps == 0 ? 1 : lag_scale(b1, b2, steps, fit_.lag, amsgrad_, corrected_);
}
void AdamSpans::restart(std::int64_t steps_before, double b1, double b2) {
  starts_.clear();
  base_ = 1;
  now_ = first_active_ = 0;
  origin_active_ = true;
  steps_before_ = steps_before;
  log_keep_ = log1_ = log2_ = 0;
  const auto t = static_cast<double>(steps_before);
  origin_ = {0, 0, 0, steps_before == 0 || !corrected_ ? 1 : 1 - std::pow(b2, t), u0(b1, b2, t), 0, {}};
}
void AdamSpans::push(const AdamStepOfTime& step) {
  log_keep_ += std::log(step.keep);
  log1_ += std::log(std::max(step.beta1, 1e-300));
  log2_ += std::log(step.beta2 > 0 ? step.beta2 : 1e-300);
  const auto add = [&](Start& s) {
    const double log_m = log1_ - s.log1;
    const double log_x = amsgrad_ ? 0 : (log2_ - s.log2) / 2;
    const double c = step.rate * std::exp(log_m - (log_keep_ - s.log_keep));
    if (step.plain) {
      s.plain += c;
      return true;
    }
    const double u = std::sqrt(s.correction2 / step.correction2) * std::exp(log_x) / s.u0;
    for (int j = 0; j <= fit_.degree; ++j)
      s.p[j] += c / (1 - y_[static_cast<std::size_t>(j)] + y_[static_cast<std::size_t>(j)] * u);
    return log_m - log_x > std::log(1e-13);
  };
  if (origin_active_) origin_active_ = add(origin_);
  first_active_ = std::max(first_active_, base_);
  for (std::int64_t s = first_active_; s <= now_; ++s) {
    if (!add(at(s)) && s == first_active_) ++first_active_;
  }
  ++now_;
  starts_.push_back({log_keep_,
                     log1_,
                     log2_,
                     step.correction2,
                     u0(step.beta1, step.beta2, static_cast<double>(now_ + steps_before_)),
                     0,
                     {}});
}
AdamSpan AdamSpans::since(std::int64_t s) const {
  AdamSpan span;
  const Start& start = at(s);
  const double log_keep = log_keep_ - start.log_keep;
  span.keep = std::exp(log_keep);
  span.keep_less_one = std::expm1(log_keep);
  span.m_factor = std::exp(log1_ - start.log1);
  span.v_factor = std::exp(log2_ - start.log2);
  span.root_scale = start.u0 / std::sqrt(start.correction2);
  span.plain = start.plain * span.keep;
  const auto n = static_cast<std::size_t>(fit_.degree);
  for (std::size_t i = 0; i <= n; ++i) {
    double a = 0;
    for (std::size_t j = 0; j <= n; ++j) a += fit_matrix_[i * (n + 1) + j] * start.p[j];
    span.a[i] = a * span.keep;
  }
  span.degree = fit_.degree;
  double left = 0;
  while (span.degree > 0 && (left += std::abs(span.a[span.degree])) <= cut_ * span.a[0]) --span.degree;
  return span;
}
void AdamSpans::forget_before(std::int64_t s) {
  const std::int64_t n = s - base_;
  if (n < static_cast<std::int64_t>(starts_.size()) / 2 || n <= 0) return;
  starts_.erase(starts_.begin(), starts_.begin() + n);
  base_ += n;
}
std::int64_t AdamSpans::bytes() const { return static_cast<std::int64_t>(starts_.capacity() * sizeof(Start)); }

}  // namespace embergrad::optim::detail

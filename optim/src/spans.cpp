#include "spans.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace embergrad::optim::detail {
namespace {

// --- LinearSpans

constexpr std::int64_t fan = 32;
constexpr Matrix2 identity{1, 0, 0, 1};

// Powers of a momentum would become denormal numbers and, rounded up, stay there; those are slow.
double without_dust(double x) { return std::abs(x) < 1e-200 ? 0.0 : x; }

Matrix2 operator*(const Matrix2& a, const Matrix2& b) {
  return {without_dust(a.m00 * b.m00 + a.m01 * b.m10), without_dust(a.m00 * b.m01 + a.m01 * b.m11),
          without_dust(a.m10 * b.m00 + a.m11 * b.m10), without_dust(a.m10 * b.m01 + a.m11 * b.m11)};
}

// --- AdamSpans

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double gone = 1e-13;       // a term this small beside the sum counts no more
constexpr double long_gone = 1e-30;  // nor this small beside the first term, whatever the sum
constexpr double little_kept = 1e-100;
constexpr double float_cut = 1e-12;  // coefficients cut no finer than that are kept in float
constexpr double float_error = 0x1p-24;

// (64/27)^(1/2) - 1, rounded up.
constexpr double slope = 0.54;

// Start steps side by side. Rows of a tile: the product of beta1 since the start; h without the bias correction; the
// sums of min(c, c/u) and of the errors of terms with u > 1 (at y = 0) and u < 1 (at y = 1); a[0] and the halves of the
// other coefficients; the sum of plain moves. Sums are to be multiplied by kept_.
constexpr int lanes = 32;
enum Row { mass_row, root_row, least_row, near_row, far_row, first_coefficient };

struct Moves {
  double beta1, quarter2;
  double scale;  // correction2^(-1/4)
  double rate;
};

void age(double* tile, double beta1, double quarter2) {
  for (int l = 0; l < lanes; ++l) tile[mass_row * lanes + l] *= beta1;
  for (int l = 0; l < lanes; ++l) tile[root_row * lanes + l] *= quarter2;
}

// Adds a step's terms. Each loop has a fixed length and few arrays, and `step` no address, so that compilers vectorise
// it.
void add_terms(double* tile, int degree, Moves step) {
  alignas(64) double r[lanes], r2[lanes], power[lanes], fold[lanes], spread[lanes], per_u[lanes];
  double* const mass = tile + mass_row * lanes;
  double* const root = tile + root_row * lanes;
  double* const least = tile + least_row * lanes;
  double* const near = tile + near_row * lanes;
  double* const far = tile + far_row * lanes;
  double* const a = tile + first_coefficient * lanes;
  age(tile, step.beta1, step.quarter2);
  for (int l = 0; l < lanes; ++l) {
    const double h = root[l] * step.scale;
    const double wide = 1 + h;
    const double inverse = 1 / (h * wide);
    const double per_h = wide * inverse;
    const double c = step.rate * mass[l];
    const double term = c * per_h;
    r[l] = (1 - h) * h * inverse;
    r2[l] = r[l] * r[l];
    power[l] = term * r[l];
    spread[l] = wide * wide;
    fold[l] = 0.25 * spread[l] * per_h;
    per_u[l] = per_h * per_h;
    const double c_per_u = c * per_u[l];
    least[l] += c_per_u < c ? c_per_u : c;
    a[l] += term;
  }
  for (int j = 1; j < degree - 1; j += 2) {
    double* const pair = a + j * lanes;
    for (int l = 0; l < lanes; ++l) {
      const double term = power[l];
      power[l] = term * r2[l];
      pair[l] += term;
      pair[lanes + l] += term * r[l];
    }
  }
  double* const last = a + (degree - 1) * lanes;
  for (int l = 0; l < lanes; ++l) {
    const double term = power[l] * fold[l];
    power[l] = term * r[l];
    last[l] += term;
    last[lanes + l] += power[l];
  }
  for (int l = 0; l < lanes; ++l) {
    const double error = power[l] * r[l] * spread[l] * (1 + slope * std::abs(r[l]));
    const double above = -error;
    const double below = error * per_u[l];
    near[l] += above > 0 ? above : 0.0;
    far[l] += below > 0 ? below : 0.0;
  }
}

// u = h² = 1 after `lag` mean ages of m: the root that is divided by then, relative to that of v without correction.
double scale_of_root(double correction2, double after_lag, bool amsgrad) {
  const double decay = amsgrad ? 1.0 : after_lag;
  return std::sqrt(decay / (1 - (1 - correction2) * after_lag));
}

int degree_after_cut(const double* a, int degree, double cut) {
  for (double rest = 0; degree > 0; --degree) {
    rest += std::abs(a[degree]);
    if (rest > cut * a[0]) break;
  }
  return degree;
}

double sum_of_sizes(const double* a, int from, int to) {
  double sum = 0;
  for (int j = from; j <= to; ++j) sum += std::abs(a[j]);
  return sum;
}

float rounded_up(double x) {
  return x < 1e38 ? static_cast<float>(x * (1 + 1e-6)) : std::numeric_limits<float>::infinity();
}

// Where terms are looked at, and how many each stands for: all of the first, then four points a panel (Gauss and
// Legendre), the panels as long as terms that shrink by beta1 a step allow.
struct Sample {
  double step, weight;
};
std::vector<Sample> samples(double beta1, double last) {
  constexpr int one_by_one = 24;
  constexpr std::array<Sample, 4> gauss = {{{-0.8611363115940526, 0.3478548451374538},
                                            {-0.3399810435848563, 0.6521451548625461},
                                            {0.3399810435848563, 0.6521451548625461},
                                            {0.8611363115940526, 0.3478548451374538}}};
  std::vector<Sample> found;
  for (int r = 1; r <= one_by_one; ++r) found.push_back({static_cast<double>(r), 1});
  const double longest = std::max(4.0, -4 / std::log(beta1));
  double length = 4;
  for (double at = one_by_one + 0.5; at < last; at += length, length = std::min(1.5 * length, longest)) {
    for (const Sample& point : gauss) {
      found.push_back({at + 0.5 * length * (1 + point.step), 0.5 * length * point.weight});
    }
  }
  return found;
}

}  // namespace

// --- LinearSpans

void LinearSpans::restart() {
  for (Track<Matrix2>& level : levels_) level.clear();
  if (levels_.empty()) levels_.emplace_back();
  levels_.front().push(identity);
  origin_ = identity;
  now_ = 0;
}

void LinearSpans::push(const Matrix2& step) {
  ++now_;
  origin_ = step * origin_;
  std::int64_t unit = 1;
  for (std::size_t k = 0; now_ >= unit; ++k, unit *= fan) {
    if (k == levels_.size()) levels_.emplace_back();
    Track<Matrix2>& level = levels_[k];
    const std::int64_t last = level.end() - 1;
    for (std::int64_t j = std::max(level.begin(), last / fan * fan); j <= last; ++j) level[j] = step * level[j];
    if (level.end() == 0) level.push(identity);  // entry 0 serves nobody: a span that starts in it starts at level 0
    if (now_ % unit == 0) level.push(identity);
  }
}

Matrix2 LinearSpans::since(std::int64_t s) const {
  if (s == 0) return origin_;
  Matrix2 product = levels_[0][s];
  std::int64_t j = s;
  for (std::size_t k = 0; j / fan != (levels_[k].end() - 1) / fan; ++k) {
    j = j / fan + 1;
    product = levels_[k + 1][j] * product;
  }
  return product;
}

void LinearSpans::forget_before(std::int64_t s) {
  s = std::min(s, now_);
  for (Track<Matrix2>& level : levels_) {
    level.forget_before(std::min(s, level.end() - 1));
    s = s / fan + 1;
  }
}

std::int64_t LinearSpans::bytes() const {
  std::int64_t sum = 0;
  for (const Track<Matrix2>& level : levels_) sum += level.bytes();
  return sum;
}

// --- RunningSum

void LongSum::add(double term) {
  // Knuth's sum with its error, then made proper again.
  const double sum = high + term;
  const double part = sum - high;
  low += (high - (sum - part)) + (term - part);
  high = sum + low;
  low -= high - sum;
}

void RunningSum::restart() {
  sums_.clear();
  sums_.push({});
}

void RunningSum::push(double term) {
  LongSum next = sums_[now()];
  next.add(term);
  sums_.push(next);
}

double RunningSum::since(std::int64_t s) const {
  const LongSum& all = sums_[now()];
  const LongSum before = s == 0 ? LongSum{} : sums_[s];
  return (all.high - before.high) + (all.low - before.low);
}

// --- AdamSpans

std::optional<AdamSpans::Fit> AdamSpans::choose(double beta1, double beta2, double tolerance, bool amsgrad,
                                                bool corrected) {
  if (beta1 == 0) return Fit{2, 1};  // m is 0 after the first idle step
  const double ratio = amsgrad ? beta1 : beta1 / std::sqrt(beta2);
  // From beta1 = beta2 on, the late terms' errors grow.
  if (ratio >= 0.9999 || (!amsgrad && beta1 >= beta2)) return std::nullopt;

  constexpr int count = max_degree / 2;  // degrees 2, 4, …
  constexpr std::array<double, 10> starts = {1, 2, 3, 5, 8, 16, 64, 256, 1024, 8192};
  struct Powers {
    double step, weight, of_beta1, of_beta2;
  };
  std::vector<Powers> terms;
  for (const Sample& sample : samples(beta1, std::log(1e-14) / std::log(ratio))) {
    terms.push_back({sample.step, sample.weight, std::pow(beta1, sample.step), std::pow(beta2, sample.step)});
  }
  std::optional<Fit> best;
  for (const double lag : {1.0, 1.5, 2.0, 3.0, 4.0, 5.0}) {
    const double after_lag = std::pow(beta2, lag / (1 - beta1));
    std::array<double, count> worst{};
    for (const double start : starts) {
      const double power1 = std::pow(beta1, start);
      const double power2 = corrected ? std::pow(beta2, start) : 0.0;
      const double root_scale = scale_of_root(1 - power2, after_lag, amsgrad);
      // Of a constant learning rate and of one that grows from 0.
      double sum_near[2] = {}, sum_far[2] = {};
      std::array<double, count> near[2] = {}, far[2] = {};
      for (const Powers& term : terms) {
        const double decay = amsgrad ? 1.0 : std::sqrt(term.of_beta2);
        const double h = std::sqrt(decay / (root_scale * std::sqrt(1 - power2 * term.of_beta2)));
        const double r = std::abs(1 - h) / (1 + h);
        const double fold = (1 + h) * (1 + h) / (4 * h);
        double error = 4 * (1 + slope * r) * fold * fold * r;
        std::array<double, count> errors;
        for (double& e : errors) e = error *= r * r;
        for (const int grows : {0, 1}) {
          const double c = term.weight * term.of_beta1 / (1 - power1 * term.of_beta1) * (grows == 1 ? term.step : 1.0);
          const double c_per_u = c / (h * h);
          sum_near[grows] += c;
          sum_far[grows] += c_per_u;
          std::array<double, count>& sums = h > 1 ? near[grows] : far[grows];
          const double size = h > 1 ? c : c_per_u;
          for (std::size_t i = 0; i < count; ++i) sums[i] += size * errors[i];
        }
      }
      for (const int grows : {0, 1}) {
        for (std::size_t i = 0; i < count; ++i) {
          worst[i] = std::max(worst[i], near[grows][i] / sum_near[grows] + far[grows][i] / sum_far[grows]);
        }
      }
    }
    // A fiftieth more than the samples can be wrong by.
    const auto enough =
        std::find_if(worst.begin(), worst.end(), [&](double error) { return 1.02 * error < tolerance; });
    if (enough == worst.end()) continue;
    const int degree = 2 * (static_cast<int>(enough - worst.begin()) + 1);
    if (!best || degree < best->degree) best = Fit{degree, lag};
  }
  return best;
}

AdamSpans::AdamSpans(Fit fit, bool amsgrad, bool corrected, double cut)
    : fit_(fit), amsgrad_(amsgrad), corrected_(corrected), in_float_(cut >= float_cut), cut_(cut) {
  restart(0, 0.9, 0.999);
}

// A tile's rows: those named above, the coefficients, the plain moves.
std::int64_t AdamSpans::tile_size() const { return (first_coefficient + fit_.degree + 2) * lanes; }

double* AdamSpans::tile_of(std::int64_t s) {
  const std::int64_t tiles = static_cast<std::int64_t>(active_.size()) / tile_size();
  return active_.data() + s / lanes % tiles * tile_size();
}

const double* AdamSpans::lane_of(std::int64_t s) const {
  const std::int64_t tiles = static_cast<std::int64_t>(active_.size()) / tile_size();
  return active_.data() + s / lanes % tiles * tile_size() + s % lanes;
}

void AdamSpans::restart(std::int64_t steps_before, double beta1, double beta2) {
  steps_.clear();
  floats_.clear();
  doubles_.clear();
  for (LongSum& log : logs_) log = {};
  first_active_ = 0;
  kept_ = 1;
  peak_ = plain_peak_ = slowest_ = 0;
  plain_ = false;
  use_betas(beta1, beta2);
  open_start(corrected_ ? 1 - std::pow(beta2, static_cast<double>(steps_before)) : 1.0);
  origin_scale_ = steps_[0].root_scale;
}

void AdamSpans::use_betas(double beta1, double beta2) {
  // 0 has no logarithm; e^-10000 is as good.
  const auto log_of = [](double beta) { return beta > 0 ? std::log(beta) : -1e4; };
  if (beta1 == betas_.beta1 && beta2 == betas_.beta2) return;
  betas_ = {.beta1 = beta1,
            .beta2 = beta2,
            .log1 = log_of(beta1),
            .log2 = log_of(beta2),
            .quarter2 = amsgrad_ ? 1.0 : std::max(1e-10, std::sqrt(std::sqrt(beta2))),
            .after_lag = std::pow(beta2, fit_.lag / (1 - beta1))};
}

// The new step, as a start of spans.
void AdamSpans::open_start(double correction2) {
  const double scale = scale_of_root(correction2, betas_.after_lag, amsgrad_);
  Start start{};
  start.root_scale = static_cast<float>(std::max(scale, 1e-15));
  for (int i = 0; i < 3; ++i) {
    start.high[i] = logs_[i].high;
    start.low[i] = static_cast<float>(logs_[i].low);
  }
  const std::int64_t s = steps_.end();
  steps_.push(start);
  if (s % lanes == 0) {
    const std::int64_t first = first_active_ / lanes;
    const std::int64_t next = s / lanes;
    const auto size = static_cast<std::size_t>(tile_size());
    if (static_cast<std::size_t>(next - first + 1) * size > active_.size()) {
      std::vector<double> more(std::max(size, 2 * active_.size()));
      for (std::int64_t t = first; t < next; ++t) {
        std::copy_n(tile_of(t * lanes), size, more.data() + static_cast<std::size_t>(t) % (more.size() / size) * size);
      }
      active_ = std::move(more);
    }
    double* const tile = tile_of(s);
    std::fill_n(tile, size, 0.0);
    std::fill_n(tile + root_row * lanes, lanes, 1.0);
  }
  double* const lane = tile_of(s) + s % lanes;
  lane[mass_row * lanes] = 1;
  lane[root_row * lanes] = 1 / std::sqrt(static_cast<double>(start.root_scale));
}

void AdamSpans::push(const AdamStepOfTime& step) {
  use_betas(step.beta1, step.beta2);
  logs_[keep_log].add(std::log(step.keep));
  logs_[beta1_log].add(betas_.log1);
  logs_[beta2_log].add(betas_.log2);
  plain_ = step.plain;
  double& peak = step.plain ? plain_peak_ : peak_;
  peak = std::max(peak, step.rate);
  slowest_ = std::max(slowest_, step.beta1 / ((amsgrad_ ? 1.0 : std::sqrt(step.beta2)) * step.keep));

  const std::int64_t first_tile = first_active_ / lanes;
  const std::int64_t last_tile = now() / lanes;
  const int sums_end = first_coefficient + fit_.degree + 2;
  kept_ *= step.keep;
  if (kept_ < little_kept) {
    for (std::int64_t t = first_tile; t <= last_tile; ++t) {
      double* const tile = tile_of(t * lanes);
      for (int i = least_row * lanes; i < sums_end * lanes; ++i) tile[i] *= kept_;
    }
    kept_ = 1;
  }
  const double rate = step.rate / kept_;
  const Moves moves{step.beta1, betas_.quarter2, 1 / std::sqrt(std::sqrt(step.correction2)), rate};
  for (std::int64_t t = first_tile; t <= last_tile; ++t) {
    double* const tile = tile_of(t * lanes);
    if (step.plain) {
      age(tile, step.beta1, betas_.quarter2);
      double* const sums = tile + (sums_end - 1) * lanes;
      for (int l = 0; l < lanes; ++l) sums[l] += rate * tile[mass_row * lanes + l];
    } else {
      add_terms(tile, fit_.degree, moves);
    }
  }
  open_start(step.correction2);
  while (first_active_ < now() && finish(first_active_)) ++first_active_;
}

// What an active start step has summed up.
AdamSpans::Sums AdamSpans::sums_of(std::int64_t s) const {
  const double* const lane = lane_of(s);
  const double* const a = lane + first_coefficient * lanes;
  Sums sums;
  sums.a[0] = sums.at_0 = sums.at_1 = kept_ * a[0];
  for (int j = 1; j <= fit_.degree; ++j) {
    sums.a[j] = 2 * kept_ * a[j * lanes];
    sums.at_0 += j % 2 == 1 ? -sums.a[j] : sums.a[j];
    sums.at_1 += sums.a[j];
  }
  sums.plain = kept_ * a[(fit_.degree + 1) * lanes];
  sums.least = kept_ * lane[least_row * lanes];
  sums.near = kept_ * lane[near_row * lanes];
  sums.far = kept_ * lane[far_row * lanes];
  return sums;
}

// The proven bound, with what is cut.
double AdamSpans::error_of(const Sums& sums) const {
  if (sums.least == 0) return 0;
  const int degree = degree_after_cut(sums.a, fit_.degree, cut_);
  return sums.near / sums.at_0 + sums.far / sums.at_1 + sum_of_sizes(sums.a, degree + 1, fit_.degree) / sums.least;
}

// Puts away what the oldest active start step has summed up, if the terms to come count no more.
bool AdamSpans::finish(std::int64_t s) {
  const double* const lane = lane_of(s);
  const double mass = lane[mass_row * lanes];
  const double per_u = mass / (lane[root_row * lanes] * lane[root_row * lanes]);
  const Sums sums = sums_of(s);
  const bool small = plain_ ? sums.plain > 0 && mass * plain_peak_ <= gone * sums.plain
                            : sums.at_1 > 0 && per_u * peak_ <= gone * sums.at_1 && mass * peak_ <= gone * sums.at_0;
  if (!small && per_u > long_gone) return false;

  const double dropped = mass == 0 ? 0.0 : std::max(per_u / sums.at_1, mass / sums.at_0);
  if (s == 0) origin_ = {.sums = sums, .dropped = dropped, .log_keep = log_since(keep_log, 0)};
  if (s < steps_.begin()) return true;
  const auto put = [&](double number) {
    if (in_float_) {
      floats_.push(static_cast<float>(number));
    } else {
      doubles_.push(number);
    }
  };
  const int degree = degree_after_cut(sums.a, fit_.degree, cut_);
  Start& start = steps_[s];
  start.place = static_cast<std::uint32_t>(in_float_ ? floats_.end() : doubles_.end());
  for (int j = 0; j <= degree; ++j) put(sums.a[j]);
  if (sums.plain != 0) put(sums.plain);
  start.degree = static_cast<std::uint32_t>(degree) & 0x3FU;
  start.plain = sums.plain != 0 ? 1U : 0U;
  start.active = static_cast<std::uint32_t>(now() - s) & 0x1FFFFFFU;
  const double rounding = in_float_ && sums.least != 0 ? float_error * sum_of_sizes(sums.a, 0, degree) / sums.least : 0;
  start.error = rounded_up(error_of(sums) + rounding);
  start.dropped = rounded_up(dropped);
  return true;
}

std::int64_t AdamSpans::place_of(const Start& start) const {
  const std::int64_t first = in_float_ ? floats_.begin() : doubles_.begin();
  return first + static_cast<std::int64_t>(start.place - static_cast<std::uint32_t>(first));
}

double AdamSpans::log_since(int which, std::int64_t s) const {
  const Start& end = steps_[now()];
  const auto low = static_cast<double>(end.low[which]);
  if (s == 0) return end.high[which] + low;
  return (end.high[which] - steps_[s].high[which]) + (low - static_cast<double>(steps_[s].low[which]));
}

AdamSpan AdamSpans::since(std::int64_t s) const {
  AdamSpan span;
  const double log_of_keep = log_since(keep_log, s);
  span.keep_less_one = std::expm1(log_of_keep);
  span.keep = span.keep_less_one > -0.5 ? 1 + span.keep_less_one : std::exp(log_of_keep);
  span.m_factor = std::exp(log_since(beta1_log, s));
  span.v_factor = std::exp(log_since(beta2_log, s));
  if (s == 0 || s >= first_active_) {
    const bool is_final = s < first_active_;
    const Sums sums = is_final ? origin_.sums : sums_of(s);
    const double factor = is_final ? std::exp(log_of_keep - origin_.log_keep) : 1.0;
    span.root_scale = static_cast<double>(s == 0 ? origin_scale_ : steps_[s].root_scale);
    span.degree = degree_after_cut(sums.a, fit_.degree, cut_);
    for (int j = 0; j <= span.degree; ++j) span.a[j] = factor * sums.a[j];
    span.plain = factor * sums.plain;
    return span;
  }
  const Start& start = steps_[s];
  const double factor = std::exp(log_since(keep_log, s + start.active));
  const std::int64_t place = place_of(start);
  const auto number = [&](int i) { return in_float_ ? static_cast<double>(floats_[place + i]) : doubles_[place + i]; };
  span.root_scale = static_cast<double>(start.root_scale);
  span.degree = static_cast<int>(start.degree);
  for (int j = 0; j <= span.degree; ++j) span.a[j] = factor * number(j);
  if (start.plain != 0) span.plain = factor * number(span.degree + 1);
  return span;
}

double AdamSpans::bound(std::int64_t s) const {
  if (s >= first_active_) return error_of(sums_of(s));
  const double error = s == 0 ? error_of(origin_.sums) : static_cast<double>(steps_[s].error);
  const double dropped = (s == 0 ? origin_.dropped : static_cast<double>(steps_[s].dropped)) * peak_;
  if (!(dropped > 0)) return error;  // nothing has moved so far, or nothing can
  return slowest_ < 1 ? error + dropped * slowest_ / (1 - slowest_) : infinity;
}

void AdamSpans::forget_before(std::int64_t s) {
  steps_.forget_before(std::min(s, now()));
  const std::int64_t first = steps_.begin();
  const auto forget = [&](auto& numbers) {
    numbers.forget_before(first < first_active_ ? place_of(steps_[first]) : numbers.end());
  };
  if (in_float_) {
    forget(floats_);
  } else {
    forget(doubles_);
  }
}

std::int64_t AdamSpans::bytes() const {
  return steps_.bytes() + floats_.bytes() + doubles_.bytes() +
         static_cast<std::int64_t>(active_.capacity() * sizeof(double));
}

}  // namespace embergrad::optim::detail

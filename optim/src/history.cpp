#include "history.hpp"

#include <embergrad/row_rule.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace embergrad::optim::detail {
namespace {

// Near 1 a factor is kept as its difference from 1, far from it as it is: neither a small decay nor a small row is
// lost.
struct Split {
  explicit Split(double factor, double less_one) : near(factor > 0.5 ? 1 : 0), rest(factor > 0.5 ? less_one : factor) {}
  double near, rest;
};

// Writes numbers to the spans of any type.
template <class T, class... Numbers>
T* put(T* to, Numbers... numbers) {
  ((*to++ = static_cast<T>(numbers)), ...);
  return to;
}

// Calls body(T*, gap) for the place of each span; equal gaps are computed once, as far as few places remember.
template <class Body>
void for_each_span(const std::int64_t* gaps, std::int64_t count, void* spans, DType dtype, std::int64_t size,
                   const Body& body) {
  const auto all = [&]<class T>(T* first) {
    constexpr std::int64_t places = 256;
    std::int64_t known[places];
    std::fill(known, known + places, std::int64_t{-1});
    for (std::int64_t i = 0; i < count; ++i) {
      if (gaps[i] <= 0) continue;
      T* const to = first + i * size;
      std::int64_t& place = known[gaps[i] % places];
      if (place >= 0 && gaps[place] == gaps[i]) {
        std::memcpy(to, first + place * size, static_cast<std::size_t>(size) * sizeof(T));
      } else {
        body(to, gaps[i]);
        place = i;
      }
    }
  };
  if (dtype == DType::float64) {
    all(static_cast<double*>(spans));
  } else {
    all(static_cast<float*>(spans));
  }
}

class LinearHistory final : public History {
 public:
  [[nodiscard]] bool takes(const StepPlan& plan) override { return std::holds_alternative<LinearTime>(plan.time); }
  void push(const StepPlan& plan) override { spans_.push(std::get<LinearTime>(plan.time).step); }
  [[nodiscard]] std::int64_t now() const override { return spans_.now(); }
  void forget_before(std::int64_t s) override { spans_.forget_before(s); }
  [[nodiscard]] std::int64_t bytes() const override { return spans_.bytes(); }
  [[nodiscard]] IdleTime idle() const override {
    return {.rule = idle_rule<rules::LinearIdle>, .span_size = sizeof(rules::LinearSpan<float>) / sizeof(float)};
  }
  void fill_spans(const std::int64_t* gaps, std::int64_t count, void* spans, DType dtype) const override {
    for_each_span(gaps, count, spans, dtype, idle().span_size, [&](auto* to, std::int64_t gap) {
      const Matrix2 m = spans_.since(now() - gap);
      const Split kept(m.m00, m.m00 - 1);
      put(to, kept.near, kept.rest, m.m01, m.m10, m.m11);
    });
  }

 private:
  LinearSpans spans_;
};

class RmspropHistory final : public History {
 public:
  explicit RmspropHistory(const RmspropTime& first) : centered_(first.centered) {}

  [[nodiscard]] bool takes(const StepPlan& plan) override {
    const auto* time = std::get_if<RmspropTime>(&plan.time);
    return time != nullptr && time->centered == centered_;
  }
  void push(const StepPlan& plan) override {
    const auto& time = std::get<RmspropTime>(plan.time);
    spans_.push(time.step);
    log_alpha_.push(std::log(std::max(time.alpha, 1e-300)));
  }
  [[nodiscard]] std::int64_t now() const override { return spans_.now(); }
  void forget_before(std::int64_t s) override {
    spans_.forget_before(s);
    log_alpha_.forget_before(s);
  }
  [[nodiscard]] std::int64_t bytes() const override { return spans_.bytes() + log_alpha_.bytes(); }
  [[nodiscard]] IdleTime idle() const override {
    return {.rule = idle_rule<rules::RmspropIdle>, .span_size = sizeof(rules::RmspropSpan<float>) / sizeof(float)};
  }
  void fill_spans(const std::int64_t* gaps, std::int64_t count, void* spans, DType dtype) const override {
    for_each_span(gaps, count, spans, dtype, idle().span_size, [&](auto* to, std::int64_t gap) {
      const Matrix2 m = spans_.since(now() - gap);
      const double faded = std::exp(log_alpha_.since(now() - gap));
      put(to, m.m01, m.m11, faded, centered_ ? faded : 1);
    });
  }

 private:
  bool centered_;
  LinearSpans spans_;
  RunningSum log_alpha_;
};

class LionHistory final : public History {
 public:
  explicit LionHistory(const LionTime& first) : weight_decay_(first.weight_decay) {}

  [[nodiscard]] bool takes(const StepPlan& plan) override {
    const auto* time = std::get_if<LionTime>(&plan.time);
    return time != nullptr && time->weight_decay == weight_decay_;
  }
  void push(const StepPlan& plan) override {
    const auto& time = std::get<LionTime>(plan.time);
    moves_.push(weight_decay_ == 0 ? time.lr : std::log1p(-time.lr * weight_decay_));
    log_beta2_.push(std::log(time.beta2));
  }
  [[nodiscard]] std::int64_t now() const override { return moves_.now(); }
  void forget_before(std::int64_t s) override {
    moves_.forget_before(s);
    log_beta2_.forget_before(s);
  }
  [[nodiscard]] std::int64_t bytes() const override { return moves_.bytes() + log_beta2_.bytes(); }
  [[nodiscard]] IdleTime idle() const override {
    return {.rule = idle_rule<rules::LionIdle>, .span_size = sizeof(rules::LionSpan<float>) / sizeof(float)};
  }
  void fill_spans(const std::int64_t* gaps, std::int64_t count, void* spans, DType dtype) const override {
    for_each_span(gaps, count, spans, dtype, idle().span_size, [&]<class T>(T* to, std::int64_t gap) {
      const double moves = moves_.since(now() - gap);
      // The sum of what is left of each step's lr telescopes to what decay takes, divided by weight_decay.
      const double less_one = weight_decay_ == 0 ? 0 : std::expm1(moves);
      const double travel = weight_decay_ == 0 ? moves : -less_one / weight_decay_;
      const Split kept(weight_decay_ == 0 ? 1 : std::exp(moves), less_one);
      const double m_factor = std::exp(log_beta2_.since(now() - gap));
      put(to, kept.near, kept.rest, travel, std::max(m_factor, static_cast<double>(std::numeric_limits<T>::min())));
    });
  }

 private:
  double weight_decay_;  // the same for all steps
  RunningSum moves_;     // logarithms of 1 - lr·weight_decay; without decay, lr
  RunningSum log_beta2_;
};

// How exact a fit must be, and what is cut off it.
double tolerance(DType dtype) { return dtype == DType::float64 ? 1e-11 : 3e-6; }
double cut(DType dtype) { return dtype == DType::float64 ? 0 : 1e-7; }

class AdamHistory final : public History {
 public:
  AdamHistory(const AdamTime& first, AdamSpans::Fit fit, DType dtype, std::int64_t steps_before)
      : eps_(first.eps),
        amsgrad_(first.amsgrad),
        corrected_(first.corrected),
        dtype_(dtype),
        fit_(fit),
        beta1_(first.step.beta1),
        beta2_(first.step.beta2),
        spans_(fit, first.amsgrad, first.corrected, cut(dtype)) {
    spans_.restart(steps_before, beta1_, beta2_);
  }

  // The number eps enters when a span is used, not when it is made. Another beta1 may ask for a better fit; another
  // beta2 changes the correction of v at a stroke, to where no fit reaches.
  [[nodiscard]] bool takes(const StepPlan& plan) override {
    const auto* time = std::get_if<AdamTime>(&plan.time);
    if (time == nullptr || time->eps != eps_ || time->amsgrad != amsgrad_ || time->corrected != corrected_)
      return false;
    if (time->step.beta2 != beta2_) return false;
    if (time->step.beta1 == beta1_) return true;
    if (!(AdamSpans::error(fit_, time->step.beta1, beta2_, amsgrad_, corrected_) < tolerance(dtype_))) return false;
    beta1_ = time->step.beta1;
    return true;
  }
  void push(const StepPlan& plan) override { spans_.push(std::get<AdamTime>(plan.time).step); }
  [[nodiscard]] std::int64_t now() const override { return spans_.now(); }
  void forget_before(std::int64_t s) override { spans_.forget_before(s); }
  [[nodiscard]] std::int64_t bytes() const override { return spans_.bytes(); }
  [[nodiscard]] IdleTime idle() const override {
    return {.rule = amsgrad_ ? idle_rule<rules::AdamIdle<true>> : idle_rule<rules::AdamIdle<false>>,
            .span_size = std::int64_t{sizeof(rules::AdamSpan<float>) / sizeof(float)} + fit_.degree + 1};
  }
  void fill_spans(const std::int64_t* gaps, std::int64_t count, void* spans, DType dtype) const override {
    for_each_span(gaps, count, spans, dtype, idle().span_size, [&](auto* to, std::int64_t gap) {
      const AdamSpan span = spans_.since(now() - gap);
      const Split kept(span.keep, span.keep_less_one);
      const int degree = span.degree + span.degree % 2;  // kernels take two terms at a time
      to = put(to, kept.near, kept.rest, span.m_factor, span.v_factor, span.root_scale, span.plain, eps_, degree);
      for (int j = 0; j <= degree; ++j) to = put(to, span.a[j]);
    });
  }

 private:
  double eps_;
  bool amsgrad_, corrected_;
  DType dtype_;
  AdamSpans::Fit fit_;
  double beta1_, beta2_;  // for which the fit is known to do
  AdamSpans spans_;
};

class OwnHistory final : public History {
 public:
  OwnHistory(const OwnTime& first, std::int64_t steps_before)
      : replays_(first.rule->replays()), steps_before_(steps_before) {}

  [[nodiscard]] bool takes(const StepPlan& plan) override { return std::holds_alternative<OwnTime>(plan.time); }
  void push(const StepPlan& plan) override {
    const auto& time = std::get<OwnTime>(plan.time);
    if (steps_.empty() || rules_.back() != time.rule) {
      steps_.push_back({time.rule.get(), time.step - 1, time.step});
      rules_.push_back(time.rule);
    }
    steps_.back().to = time.step;
    if (crowded_since_ < 0 && steps_.size() > most_changes) crowded_since_ = now();
  }
  [[nodiscard]] std::int64_t now() const override { return steps_.empty() ? 0 : steps_.back().to - steps_before_; }
  // Rows that were never touched need every change of options since the origin. Once these are many, such rows are
  // visited too, and then nobody needs the first ones.
  [[nodiscard]] bool spares_untouched() const override { return !replays_ && crowded_since_ < 0; }
  [[nodiscard]] bool replays() const override { return replays_; }
  void forget_before(std::int64_t s) override {
    if (!replays_ && (crowded_since_ < 0 || s < crowded_since_)) return;
    const auto kept = std::ranges::find_if(steps_, [&](const OwnSteps& steps) { return steps.to > s + steps_before_; });
    rules_.erase(rules_.begin(), rules_.begin() + (kept - steps_.begin()));
    steps_.erase(steps_.begin(), kept);
    crowded_since_ = steps_.size() > most_changes ? now() : -1;
  }
  [[nodiscard]] std::int64_t bytes() const override {
    return static_cast<std::int64_t>(steps_.capacity() * sizeof(OwnSteps) + rules_.capacity() * sizeof(rules_[0]));
  }
  [[nodiscard]] IdleTime idle() const override { return {.own_end = steps_.data() + steps_.size()}; }
  void fill_spans(const std::int64_t* /*gaps*/, std::int64_t /*count*/, void* /*spans*/,
                  DType /*dtype*/) const override {}

 private:
  static constexpr std::size_t most_changes = 256;

  bool replays_;
  std::int64_t steps_before_;
  std::int64_t crowded_since_ = -1;  // -1: it is not
  std::vector<OwnSteps> steps_;
  std::vector<std::shared_ptr<const embergrad::detail::RowRule>> rules_;
};

class ReplayHistory final : public History {
 public:
  explicit ReplayHistory(DType dtype) : dtype_(dtype) {}

  [[nodiscard]] bool takes(const StepPlan& plan) override {
    if (std::holds_alternative<ReplayTime>(plan.time)) return true;
    // Betas without a good fit.
    const auto* time = std::get_if<AdamTime>(&plan.time);
    if (time == nullptr) return false;
    if (time->step.beta1 != beta1_ || time->step.beta2 != beta2_) {
      beta1_ = time->step.beta1;
      beta2_ = time->step.beta2;
      has_fit_ = AdamSpans::choose(beta1_, beta2_, tolerance(dtype_), time->amsgrad, time->corrected).has_value();
    }
    return !has_fit_;
  }
  void push(const StepPlan& plan) override {
    ReplayStep step{.rule = plan.rule, .numbers = plan.numbers};
    if (dtype_ != DType::float64) {
      float rounded[StepNumbers::max_count];
      for (int i = 0; i < StepNumbers::max_count; ++i) rounded[i] = static_cast<float>(plan.numbers.values[i]);
      std::memcpy(step.numbers.values, rounded, sizeof(rounded));
    }
    steps_.push_back(step);
    ++now_;
  }
  [[nodiscard]] std::int64_t now() const override { return now_; }
  void forget_before(std::int64_t s) override {
    // Moved to the front once that pays: twice as many are held as are needed.
    const auto kept = static_cast<std::size_t>(now_ - s);
    if (steps_.size() > 2 * kept + 64) steps_.erase(steps_.begin(), steps_.end() - static_cast<std::ptrdiff_t>(kept));
  }
  [[nodiscard]] std::int64_t bytes() const override {
    return static_cast<std::int64_t>(steps_.capacity() * sizeof(ReplayStep));
  }
  [[nodiscard]] bool spares_untouched() const override { return false; }
  [[nodiscard]] bool replays() const override { return true; }
  [[nodiscard]] IdleTime idle() const override { return {.replay_end = steps_.data() + steps_.size()}; }
  void fill_spans(const std::int64_t* /*gaps*/, std::int64_t /*count*/, void* /*spans*/,
                  DType /*dtype*/) const override {}

 private:
  DType dtype_;
  std::vector<ReplayStep> steps_;
  std::int64_t now_ = 0;
  double beta1_ = -1, beta2_ = -1;
  bool has_fit_ = false;
};

}  // namespace

std::unique_ptr<History> make_history(const StepPlan& plan, DType dtype, std::int64_t steps_before) {
  if (std::holds_alternative<LinearTime>(plan.time)) return std::make_unique<LinearHistory>();
  if (const auto* time = std::get_if<RmspropTime>(&plan.time)) return std::make_unique<RmspropHistory>(*time);
  if (const auto* time = std::get_if<LionTime>(&plan.time)) return std::make_unique<LionHistory>(*time);
  if (const auto* time = std::get_if<AdamTime>(&plan.time)) {
    const auto fit =
        AdamSpans::choose(time->step.beta1, time->step.beta2, tolerance(dtype), time->amsgrad, time->corrected);
    if (fit) return std::make_unique<AdamHistory>(*time, *fit, dtype, steps_before);
  }
  if (const auto* time = std::get_if<OwnTime>(&plan.time)) return std::make_unique<OwnHistory>(*time, steps_before);
  return std::make_unique<ReplayHistory>(dtype);
}

}  // namespace embergrad::optim::detail

#include "history.hpp"

#include <cstring>
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

// Calls body(T*, gap) for the place of each span; equal gaps that follow each other are computed once.
template <class Body>
void for_each_span(const std::int64_t* gaps, std::int64_t count, void* spans, DType dtype, std::int64_t size,
                   const Body& body) {
  const auto all = [&]<class T>(T* to) {
    for (std::int64_t i = 0; i < count; ++i, to += size) {
      if (gaps[i] == 0) continue;
      if (i > 0 && gaps[i] == gaps[i - 1]) {
        std::memcpy(to, to - size, static_cast<std::size_t>(size) * sizeof(T));
      } else {
        body(to, gaps[i]);
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

  // The number eps enters when a span is used, not when it is made; other betas may ask for a better fit.
  [[nodiscard]] bool takes(const StepPlan& plan) override {
    const auto* time = std::get_if<AdamTime>(&plan.time);
    if (time == nullptr || time->eps != eps_ || time->amsgrad != amsgrad_ || time->corrected != corrected_)
      return false;
    if (time->step.beta1 == beta1_ && time->step.beta2 == beta2_) return true;
    const auto fit = AdamSpans::choose(time->step.beta1, time->step.beta2, tolerance(dtype_), amsgrad_, corrected_);
    if (!fit || fit->degree > fit_.degree) return false;
    beta1_ = time->step.beta1;
    beta2_ = time->step.beta2;
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
      to = put(to, kept.near, kept.rest, span.m_factor, span.v_factor, span.root_scale, span.plain, eps_,
               span.degree);
      for (int j = 0; j <= span.degree; ++j) to = put(to, span.a[j]);
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
  if (const auto* time = std::get_if<AdamTime>(&plan.time)) {
    const auto fit =
        AdamSpans::choose(time->step.beta1, time->step.beta2, tolerance(dtype), time->amsgrad, time->corrected);
    if (fit) return std::make_unique<AdamHistory>(*time, *fit, dtype, steps_before);
  }
  return std::make_unique<ReplayHistory>(dtype);
}

}  // namespace embergrad::optim::detail

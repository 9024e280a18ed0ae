#include "src/spans.hpp"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "support/random.hpp"

namespace optim = embergrad::optim::detail;
using embergrad::test::Draw;
using optim::AdamSpan;
using optim::AdamSpans;
using optim::AdamStepOfTime;
using optim::LinearSpans;
using optim::LongSum;
using optim::Matrix2;
using optim::RunningSum;
using optim::Track;

namespace {

// --- products of 2x2 steps

struct Wide {
  long double m00 = 1, m01 = 0, m10 = 0, m11 = 1;
};
Wide operator*(const Wide& a, const Matrix2& b) {
  return {a.m00 * b.m00 + a.m01 * b.m10, a.m00 * b.m01 + a.m01 * b.m11, a.m10 * b.m00 + a.m11 * b.m10,
          a.m10 * b.m01 + a.m11 * b.m11};
}

// Largest difference beside the largest entry.
double distance(const Matrix2& got, const Wide& expected) {
  const long double size = std::max(
      {std::abs(expected.m00), std::abs(expected.m01), std::abs(expected.m10), std::abs(expected.m11), 1e-150L});
  return static_cast<double>(std::max({std::abs(got.m00 - expected.m00), std::abs(got.m01 - expected.m01),
                                       std::abs(got.m10 - expected.m10), std::abs(got.m11 - expected.m11)}) /
                             size);
}

Matrix2 sgd_step(double lr, double momentum, double dampening, double weight_decay, bool nesterov, bool first) {
  if (momentum == 0) return {1 - lr * weight_decay, 0, 0, 1};
  const double keep = first ? 0 : momentum;
  const double take = first ? 1 : 1 - dampening;
  const double b0 = take * weight_decay;
  const double u0 = nesterov ? weight_decay + momentum * b0 : b0;
  const double u1 = nesterov ? momentum * keep : keep;
  return {1 - lr * u0, -lr * u1, b0, keep};
}

using LinearSchedule = std::function<Matrix2(int)>;
std::vector<std::pair<std::string, LinearSchedule>> linear_schedules() {
  return {
      {"momentum", [](int i) { return sgd_step(.1, .9, 0, 1e-3, false, i == 1); }},
      {"nesterov", [](int i) { return sgd_step(.1, .9, 0, 1e-2, true, i == 1); }},
      // lr·decay·(1 - dampening) = (1 - sqrt(momentum))²: both eigenvalues are sqrt(momentum)
      {"equal eigenvalues",
       [](int i) { return sgd_step(1, .9, 0, (1 - std::sqrt(.9)) * (1 - std::sqrt(.9)), false, i == 1); }},
      {"rotating", [](int i) { return sgd_step(1, .99, 0, .02, false, i == 1); }},
      {"dampened, from a first step on", [](int i) { return sgd_step(.3, .8, .4, 1e-2, false, i == 1); }},
      {"momentum 0 -> .9 -> 0, cosine",
       [](int i) {
         const double lr = .3 * (1 + std::cos(i / 700.0));
         return sgd_step(lr, i % 1500 < 500 || i % 1500 >= 1000 ? 0 : .9, .1, i < 2000 ? 1e-3 : 0, false, i == 500);
       }},
      {"no decay", [](int i) { return sgd_step(.1, .9, 0, 0, false, i == 1); }},
      {"random",
       [](int i) {
         Draw draw(static_cast<std::uint64_t>(i));
         return Matrix2{draw.uniform(.9, 1), draw.uniform(-.05, .05), draw.uniform(-.05, .05), draw.uniform(.5, 1)};
       }},
  };
}

// --- idle time under Adam

using Schedule = std::function<AdamStepOfTime(int)>;
struct Setting {
  std::string name;
  double beta1, beta2;  // what choose is asked for
  bool amsgrad, corrected;
  Schedule step;
};

AdamStepOfTime adam_step(int i, double lr, double beta1, double beta2, double decay) {
  return {.rate = lr / (1 - std::pow(beta1, i)),
          .beta1 = beta1,
          .beta2 = beta2,
          .correction2 = 1 - std::pow(beta2, i),
          .keep = 1 - lr * decay};
}

AdamStepOfTime radam_step(int i, double lr, double beta1, double beta2) {
  const double longest = 2 / (1 - beta2) - 1;
  const double power2 = std::pow(beta2, i);
  const double length = longest - 2 * i * power2 / (1 - power2);
  const double rate = lr / (1 - std::pow(beta1, i));
  AdamStepOfTime step{.rate = rate, .beta1 = beta1, .beta2 = beta2, .correction2 = 1, .keep = 1 - lr * .1};
  step.plain = length <= 5;
  if (!step.plain) {
    step.rate *= std::sqrt(1 - power2) *
                 std::sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length));
  }
  return step;
}

// Step i's share of momentum in NAdam's look-ahead.
double nadam_mu(int i, double beta1) { return beta1 * (1 - .5 * std::pow(.96, i * .004)); }

std::vector<Setting> settings() {
  std::vector<Setting> all;
  const auto add = [&](const std::string& name, double beta1, double beta2, Schedule step, bool amsgrad = false,
                       bool corrected = true) {
    all.push_back({name, beta1, beta2, amsgrad, corrected, std::move(step)});
  };
  for (const auto& [beta1, beta2] : std::initializer_list<std::pair<double, double>>{
           {.9, .999}, {.9, .99}, {.9, .98}, {.9, .95}, {.95, .98}, {.99, .999}, {.5, .9}}) {
    add("constant", beta1, beta2, [=](int i) { return adam_step(i, 1e-3, beta1, beta2, 0); });
  }
  for (const auto& [beta1, beta2] :
       std::initializer_list<std::pair<double, double>>{{.9, .999}, {.9, .9}, {.95, .95}, {.99, .999}, {.9, 0}}) {
    add(
        "amsgrad", beta1, beta2, [=](int i) { return adam_step(i, 1e-3, beta1, beta2, .1); }, true);
  }
  add("warm-up from 0", .9, .999,
      [](int i) { return adam_step(i, 1e-3 * std::min(1.0, (i - 1) / 1000.0), .9, .999, .1); });
  add("cosine with restarts", .9, .98,
      [](int i) { return adam_step(i, 5e-4 * (1 + std::cos((i % 1000) * 3.14159 / 999)), .9, .98, .1); });
  add("OneCycle", .95, .999, [](int i) {
    const double phase = i < 2000 ? i / 2000.0 : std::max(0.0, (6000.0 - i) / 4000.0);
    return adam_step(i, 4e-5 + 1e-3 * phase, .95 - .1 * phase, .999, .01);
  });
  add("pause", .9, .999, [](int i) { return adam_step(i, i > 1100 && i <= 1500 ? 0 : 1e-3, .9, .999, .1); });
  add("pause at the start", .9, .999, [](int i) { return adam_step(i, i <= 400 ? 0 : 1e-3, .9, .999, .1); });
  add("decay 0 -> 10 -> 0", .9, .999, [](int i) { return adam_step(i, 1e-3, .9, .999, i > 500 && i < 1500 ? 10 : 0); });
  add("betas that change", .95, .99, [](int i) {
    Draw draw(static_cast<std::uint64_t>(i));
    const double beta1 = draw.uniform(.8, .95);
    const double beta2 = draw.uniform(.99, .999);
    return adam_step(i, draw.uniform(0, 2e-3), beta1, beta2, draw.uniform(0, 5));
  });
  add(
      "RAdam", .9, .999, [](int i) { return radam_step(i, 1e-3, .9, .999); }, false, false);
  add(
      "RAdam .98", .9, .98, [](int i) { return radam_step(i, 1e-3, .9, .98); }, false, false);
  // The products of mu would be 0 after some steps; they matter in the first ones.
  add("NAdam", .9, .999, [](int i) {
    double product = 1;
    for (int j = 1; j <= std::min(i, 400); ++j) product *= nadam_mu(j, .9);
    AdamStepOfTime step = adam_step(i, 2e-3, .9, .999, .01);
    const double next = nadam_mu(i + 1, .9);
    step.rate = 2e-3 * next / (1 - product * next);
    return step;
  });
  return all;
}

// A row of one number, step by step.
struct Replay {
  long double w, m, v, eps;
  bool amsgrad;  // v is v_max
  void step(const AdamStepOfTime& s) {
    m *= s.beta1;
    if (!amsgrad) v *= s.beta2;
    w = s.keep * w - (s.plain ? s.rate * m : s.rate * m / (std::sqrt(v / s.correction2) + eps));
  }
};

struct Number {
  double w, m, v;
};

template <class T>
T clenshaw(const AdamSpan& span, T t) {
  T p = 0, before = 0;
  for (int j = span.degree; j > 0; --j) {
    const T next = static_cast<T>(span.a[j]) + 2 * t * p - before;
    before = p;
    p = next;
  }
  return static_cast<T>(span.a[0]) + t * p - before;
}

// The formula of a row.
template <class T>
Number idle(const AdamSpan& span, const Number& start, double eps, bool amsgrad) {
  const T w = static_cast<T>(start.w), m = static_cast<T>(start.m), v = static_cast<T>(start.v),
          e = static_cast<T>(eps);
  const T z = 1 / (static_cast<T>(span.root_scale) * std::sqrt(v) + e);
  const T p = clenshaw(span, 1 - 2 * e * z);
  const bool near = span.keep > .5;
  const T rest = static_cast<T>(near ? span.keep_less_one : span.keep);
  const T moved = (near ? w : 0) + (rest * w - m * (z * p + static_cast<T>(span.plain)));
  return {static_cast<double>(moved), static_cast<double>(m * static_cast<T>(span.m_factor)),
          static_cast<double>(amsgrad ? v : v * static_cast<T>(span.v_factor))};
}

constexpr double eps = 1e-8;
constexpr std::array<int, 6> starts = {0, 1, 2, 5, 30, 1000};
constexpr std::array<int, 5> gaps = {1, 2, 10, 300, 5000};

// sqrt(v)/eps from 1e-6 to 1e8, and v = 0.
std::vector<double> roots() {
  std::vector<double> found{0};
  for (double x = 1e-6; x < 2e8; x *= 10) {
    found.push_back(x * eps);
    found.push_back(3 * x * eps);
  }
  return found;
}

AdamSpans::Fit fit_for(const Setting& setting, double tolerance) {
  const auto fit = AdamSpans::choose(setting.beta1, setting.beta2, tolerance, setting.amsgrad, setting.corrected);
  BOOST_TEST_REQUIRE(fit.has_value(), setting.name << ", betas " << setting.beta1 << ", " << setting.beta2);
  return *fit;
}

// Calls body(s, gap, replays, spans) where now = s + gap; replays[i] started at s with m = 1 and root roots()[i].
template <class Body>
void compare(const Setting& setting, AdamSpans& spans, const Body& body) {
  const std::vector<double> x = roots();
  spans.restart(0, setting.step(1).beta1, setting.step(1).beta2);
  std::vector<std::vector<Replay>> replays(starts.size());
  for (int i = 0;; ++i) {
    if (i > 0) {
      const AdamStepOfTime step = setting.step(i);
      spans.push(step);
      for (auto& from : replays) {
        for (Replay& replay : from) replay.step(step);
      }
    }
    for (std::size_t k = 0; k < starts.size(); ++k) {
      if (i == starts[k]) {
        for (const double root : x) {
          replays[k].push_back({0, 1, static_cast<long double>(root) * root, eps, setting.amsgrad});
        }
      }
      if (std::find(gaps.begin(), gaps.end(), i - starts[k]) != gaps.end()) body(starts[k], i - starts[k], replays[k]);
      if (i - starts[k] == gaps.back()) replays[k].clear();
    }
    if (i == starts.back() + gaps.back()) return;
  }
}

bool same_bits(const AdamSpan& a, const AdamSpan& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

}  // namespace

BOOST_AUTO_TEST_SUITE(spans)

BOOST_AUTO_TEST_CASE(a_track_keeps_what_is_not_forgotten) {
  Track<std::int64_t> track;
  Draw draw(1);
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < 5000; ++i) {
    track.push(i * i);
    if (draw.integer(0, 9) == 0) {
      const std::int64_t place = draw.integer(begin - 5, i + 2);  // also before the first, and all of them
      track.forget_before(place);
      begin = std::max(begin, std::min(place, i + 1));
    }
    BOOST_TEST_REQUIRE(track.begin() == begin);
    BOOST_TEST_REQUIRE(track.end() == i + 1);
    for (std::int64_t j = begin; j <= i; j += 1 + (i - begin) / 50) BOOST_TEST_REQUIRE(track[j] == j * j);
  }
  track.clear();
  BOOST_TEST(track.end() == 0);
  track.push(7);
  BOOST_TEST(track[0] == 7);
}

BOOST_AUTO_TEST_CASE(a_track_of_bounded_length_takes_bounded_memory) {
  Track<double> track;
  std::int64_t most = 0;
  for (std::int64_t i = 0; i < 100000; ++i) {
    track.push(1);
    if (i % 700 == 0) track.forget_before(i - 1000);
    if (i == 10000) most = track.bytes();
    if (i > 10000) BOOST_TEST_REQUIRE(track.bytes() <= most);
  }
  BOOST_TEST(most < 5 * 1700 * static_cast<std::int64_t>(sizeof(double)));
  track.forget_before(track.end());
  BOOST_TEST(track.bytes() < 2000);
}

BOOST_AUTO_TEST_CASE(products_of_steps) {
  for (const auto& [name, step] : linear_schedules()) {
    LinearSpans spans;
    std::vector<Matrix2> steps{{}};
    double worst = 0;
    for (int t = 1; t <= 3000; ++t) {
      steps.push_back(step(t));
      spans.push(steps.back());
      // Every start, when blocks of 32 and of 1024 have just been closed or opened, and now and then.
      const int in_block = t % 1024;
      if (t > 70 && !(in_block <= 1 || in_block >= 1022 || t % 32 == t % 7 || t == 3000)) continue;
      Wide product;
      for (int s = t; s >= 0; --s) {
        worst = std::max(worst, distance(spans.since(s), product));
        product = product * steps[static_cast<std::size_t>(s)];
      }
    }
    BOOST_TEST(worst < (name == "equal eigenvalues" ? 1e-11 : 1e-12), name << ": " << worst);
  }
}

BOOST_AUTO_TEST_CASE(products_of_steps_over_long_times) {
  LinearSpans spans;
  std::vector<Matrix2> steps{{}};
  Draw draw(3);
  for (int t = 1; t <= 40000; ++t) {
    steps.push_back(sgd_step(draw.uniform(0, .1), .9, 0, 1e-3, false, false));
    spans.push(steps.back());
  }
  Wide product;
  double worst = 0;
  for (int s = 40000; s >= 0; --s) {
    worst = std::max(worst, distance(spans.since(s), product));
    product = product * steps[static_cast<std::size_t>(s)];
  }
  BOOST_TEST(worst < 1e-12);
  BOOST_TEST(spans.bytes() < 40000 * 35);
}

BOOST_AUTO_TEST_CASE(forgotten_products_change_no_others) {
  LinearSpans all, some;
  Draw draw(4);
  std::int64_t kept = 0;
  for (int t = 1; t <= 4000; ++t) {
    const Matrix2 step = sgd_step(draw.uniform(0, .1), .9, 0, 1e-2, false, false);
    all.push(step);
    some.push(step);
    if (draw.integer(0, 19) == 0) {
      kept = std::max(kept, draw.integer(std::max<std::int64_t>(0, t - 1500), t));
      some.forget_before(kept);
    }
    for (std::int64_t s = kept; s <= t; s += draw.integer(1, 200)) {
      BOOST_TEST_REQUIRE(distance(some.since(s), Wide{} * all.since(s)) == 0);
    }
    BOOST_TEST_REQUIRE(distance(some.since(0), Wide{} * all.since(0)) == 0);
  }
  some.forget_before(some.now());
  BOOST_TEST(some.since(some.now()).m00 == 1);
  BOOST_TEST(some.bytes() < 40000);
}

BOOST_AUTO_TEST_CASE(products_start_anew) {
  LinearSpans spans;
  for (int round = 0; round < 3; ++round) {
    BOOST_TEST(spans.now() == 0);
    BOOST_TEST(distance(spans.since(0), Wide{}) == 0);
    for (int t = 0; t < 1500; ++t) spans.push({.999, 0, 0, .5});
    BOOST_TEST(spans.now() == 1500);
    BOOST_TEST(spans.since(0).m00 == std::pow(.999, 1500), boost::test_tools::tolerance(1e-12));
    BOOST_TEST(spans.since(0).m11 == 0);  // below 1e-200
    BOOST_TEST(spans.since(1490).m11 == std::pow(.5, 10), boost::test_tools::tolerance(1e-15));
    spans.forget_before(round * 700);
    spans.restart();
  }
}

BOOST_AUTO_TEST_CASE(differences_of_long_sums) {
  RunningSum sum;
  std::vector<std::int64_t> last(2048);
  std::int64_t exact = 0;
  Draw draw(5);
  constexpr std::int64_t steps = 10'000'000;
  for (std::int64_t i = 1; i <= steps; ++i) {
    const std::int64_t term = draw.integer(1'000'000'000, 1'000'000'100);  // in units of 2^-50
    sum.push(std::ldexp(static_cast<double>(term), -50));
    exact += term;
    last[static_cast<std::size_t>(i % 2048)] = exact;
    if (i % 100 == 0) sum.forget_before(i - 2000);
  }
  BOOST_TEST(sum.now() == steps);
  for (const std::int64_t back : {1, 2, 3, 10, 100, 1000, 2000}) {
    const std::int64_t terms = exact - last[static_cast<std::size_t>((steps - back) % 2048)];
    BOOST_TEST(sum.since(steps - back) == std::ldexp(static_cast<double>(terms), -50),
               boost::test_tools::tolerance(1e-15));
  }
  BOOST_TEST(sum.since(steps) == 0);
  BOOST_TEST(sum.since(0) == std::ldexp(static_cast<double>(exact), -50), boost::test_tools::tolerance(1e-15));
  BOOST_TEST(sum.bytes() < 3 * 2200 * static_cast<std::int64_t>(sizeof(LongSum)));
  sum.restart();
  BOOST_TEST(sum.since(0) == 0);
  sum.push(.1);
  BOOST_TEST(sum.since(0) == .1);
}

BOOST_AUTO_TEST_CASE(degrees_that_are_enough) {
  struct Expected {
    double beta1, beta2;
    int degree_float, degree_double;  // 0: none
  };
  for (const Expected& e : std::initializer_list<Expected>{{.9, .999, 8, 16},
                                                           {.9, .99, 8, 20},
                                                           {.9, .98, 10, 22},
                                                           {.9, .95, 22, 0},
                                                           {.95, .98, 16, 0},
                                                           {.99, .999, 16, 32},
                                                           {.9, .9, 0, 0},
                                                           {.95, .95, 0, 0},
                                                           {.95, .9, 0, 0},
                                                           {.999, .99, 0, 0},
                                                           {.9, 0, 0, 0}}) {
    const auto in_float = AdamSpans::choose(e.beta1, e.beta2, 3e-6, false, true);
    const auto in_double = AdamSpans::choose(e.beta1, e.beta2, 1e-11, false, true);
    BOOST_TEST((in_float ? in_float->degree : 0) == e.degree_float, e.beta1 << ", " << e.beta2);
    BOOST_TEST((in_double ? in_double->degree : 0) == e.degree_double, e.beta1 << ", " << e.beta2);
  }
  BOOST_TEST(AdamSpans::choose(0, .999, 1e-11, false, true)->degree == 2);
  BOOST_TEST(AdamSpans::choose(0, 0, 1e-11, false, true)->degree == 2);
}

// What is summed up while training has no larger a bound than was asked for, and the next smaller degree has.
BOOST_AUTO_TEST_CASE(degrees_keep_their_promise) {
  Draw draw(6);
  for (int round = 0; round < 60; ++round) {
    const double beta1 = 1 - std::pow(10, draw.uniform(-1.7, -.1));
    const double beta2 = 1 - std::pow(10, draw.uniform(-4, -.5));
    const double tolerance = std::pow(10, draw.uniform(-12, -3));
    const bool amsgrad = round % 3 == 0;
    const bool corrected = round % 4 != 0;
    const auto fit = AdamSpans::choose(beta1, beta2, tolerance, amsgrad, corrected);
    if (!fit) continue;
    double worst[2] = {};
    for (const int less : {0, 2}) {
      if (fit->degree - less < 2) continue;
      for (const bool grows : {false, true}) {
        AdamSpans spans({fit->degree - less, fit->lag}, amsgrad, corrected, 0);
        spans.restart(0, beta1, beta2);
        const int last = 300 + static_cast<int>(12 / (1 - beta1));
        for (int i = 1; i <= last; ++i) {
          AdamStepOfTime step = adam_step(i, 1e-3, beta1, beta2, 0);
          if (grows) step.rate *= i;
          if (!corrected) step.correction2 = 1;
          spans.push(step);
        }
        for (const int s : {1, 2, 3, 5, 8, 16, 64, 256}) worst[less / 2] = std::max(worst[less / 2], spans.bound(s));
      }
    }
    // A bound for growth from 0 holds for growth from anywhere else.
    BOOST_TEST(worst[0] < tolerance + 3e-11, beta1 << ", " << beta2 << ", " << tolerance << ": " << fit->degree);
    if (fit->degree > 2 && corrected && tolerance > 1e-10) {
      BOOST_TEST(worst[1] > .1 * tolerance, beta1 << ", " << beta2 << ", " << tolerance << ": " << fit->degree);
    }
  }
}

BOOST_AUTO_TEST_CASE(idle_time_under_adam) {
  for (const Setting& setting : settings()) {
    for (const double tolerance : {3e-6, 1e-10}) {
      const auto found = AdamSpans::choose(setting.beta1, setting.beta2, tolerance, setting.amsgrad, setting.corrected);
      if (!found) continue;
      AdamSpans spans(*found, setting.amsgrad, setting.corrected, 0);
      double worst = 0, nearest = 0;
      compare(setting, spans, [&](int s, int gap, const std::vector<Replay>& replays) {
        const AdamSpan span = spans.since(s);
        const double bound = spans.bound(s);
        const std::vector<double> x = roots();
        for (std::size_t i = 0; i < x.size(); ++i) {
          const Replay& replay = replays[i];
          const Number got = idle<double>(span, {0, 1, x[i] * x[i]}, eps, setting.amsgrad);
          const auto label = [&] {
            return setting.name + ", betas " + std::to_string(setting.beta1) + ", " + std::to_string(setting.beta2) +
                   ", s " + std::to_string(s) + ", gap " + std::to_string(gap) + ", sqrt(v) " +
                   std::to_string(x[i] / eps);
          };
          if (replay.w == 0) {
            BOOST_TEST(got.w == 0, label());
          } else {
            const auto error = static_cast<double>(std::abs(got.w / replay.w - 1));
            BOOST_TEST(error <= bound + 1e-13, label() << ": " << error << " > " << bound);
            worst = std::max(worst, error);
            if (error > 1e-12) nearest = std::max(nearest, error / bound);
          }
          BOOST_TEST(std::abs(got.m - static_cast<double>(replay.m)) <= 3e-13 * static_cast<double>(replay.m) + 1e-300,
                     label());
          BOOST_TEST(std::abs(got.v - static_cast<double>(replay.v)) <= 3e-13 * static_cast<double>(replay.v), label());
        }
      });
      BOOST_TEST_MESSAGE(setting.name << ", betas " << setting.beta1 << ", " << setting.beta2 << ": degree "
                                      << found->degree << ", error " << worst << ", error/bound " << nearest);
      // The bounds are no empty promise.
      if (nearest > 0) BOOST_TEST(nearest > .01, setting.name);
    }
  }
}

BOOST_AUTO_TEST_CASE(idle_time_in_float) {
  for (const Setting& setting : settings()) {
    AdamSpans spans(fit_for(setting, 3e-6), setting.amsgrad, setting.corrected, 1e-7);
    double worst = 0;
    compare(setting, spans, [&](int s, int gap, const std::vector<Replay>& replays) {
      const AdamSpan span = spans.since(s);
      const std::vector<double> x = roots();
      for (std::size_t i = 0; i < x.size(); ++i) {
        const Number got = idle<float>(span, {0, 1, x[i] * x[i]}, eps, setting.amsgrad);
        if (static_cast<double>(std::abs(replays[i].w)) < 1e-30) continue;  // denormal numbers
        if (x[i] * x[i] > 0 && x[i] * x[i] < 1e-36) continue;
        const auto error = static_cast<double>(std::abs(got.w / replays[i].w - 1));
        worst = std::max(worst, error - spans.bound(s));
        BOOST_TEST(error <= spans.bound(s) + 1e-6,
                   setting.name << ", s " << s << ", gap " << gap << ", sqrt(v) " << x[i] << ": " << error);
      }
    });
    BOOST_TEST_MESSAGE(setting.name << ", betas " << setting.beta1 << ", " << setting.beta2 << ": " << worst
                                    << " beyond the bound");
  }
}

// Every start step, whatever its place among its neighbours.
BOOST_AUTO_TEST_CASE(any_start_step) {
  AdamSpans spans({16, 1}, false, true, 0);
  spans.restart(0, .9, .999);
  const Schedule schedule = [](int i) { return adam_step(i, 1e-3 * (1 + i % 3), .9, .999, .1); };
  constexpr double v = 9e-16;
  std::vector<Replay> replays;
  for (int i = 0; i <= 800; ++i) {
    if (i > 0) {
      spans.push(schedule(i));
      for (Replay& replay : replays) replay.step(schedule(i));
    }
    replays.push_back({1, 1, v, eps, false});
    if (i % 97 != 0 && i != 800) continue;
    for (int s = 1; s <= i; ++s) {
      const Number got = idle<double>(spans.since(s), {1, 1, v}, eps, false);
      const auto expected = static_cast<double>(replays[static_cast<std::size_t>(s)].w);
      BOOST_TEST_REQUIRE(std::abs(got.w - expected) <= 1e-11 * std::abs(1 - expected), s << " to " << i);
    }
  }
}

BOOST_AUTO_TEST_CASE(decay_alone_is_exact) {
  AdamSpans spans({8, 1}, false, true, 1e-7);
  spans.restart(0, .9, .999);
  long double all_logs = 0;
  long double last_logs = 0;
  for (int i = 1; i <= 20000; ++i) {
    const AdamStepOfTime step = adam_step(i, 1e-5, .9, .999, 1e-3);
    spans.push(step);
    const long double log = std::log1p(static_cast<long double>(step.keep) - 1);
    all_logs += log;
    if (i > 19000) last_logs += log;
  }
  const AdamSpan all = spans.since(0), some = spans.since(19000), one = spans.since(19999), none = spans.since(20000);
  BOOST_TEST(all.keep_less_one == static_cast<double>(std::expm1(all_logs)), boost::test_tools::tolerance(1e-14));
  BOOST_TEST(some.keep_less_one == static_cast<double>(std::expm1(last_logs)), boost::test_tools::tolerance(1e-14));
  BOOST_TEST(one.keep_less_one == (1 - 1e-5 * 1e-3) - 1, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(one.keep == 1 - 1e-5 * 1e-3);
  BOOST_TEST(none.keep == 1);
  BOOST_TEST(none.keep_less_one == 0);
  BOOST_TEST(none.m_factor == 1);
  BOOST_TEST(none.v_factor == 1);
  BOOST_TEST(none.degree == 0);
  BOOST_TEST(none.a[0] == 0);
}

// Decay that outruns beta1/sqrt(beta2): no number overflows, and what is left of the moves is right beside the first.
BOOST_AUTO_TEST_CASE(strong_decay) {
  for (const double keep : {.93, .85, .5, .1, 1e-3}) {
    for (const double beta1 : {.9, .99}) {
      const auto fit = AdamSpans::choose(beta1, .999, 1e-10, false, true);
      BOOST_TEST_REQUIRE(fit.has_value());
      AdamSpans spans(*fit, false, true, 1e-16);
      spans.restart(0, beta1, .999);
      std::vector<Replay> replays;
      for (int i = 0; i <= 2000; ++i) {
        if (i > 0) {
          AdamStepOfTime step = adam_step(i, 1e-3, beta1, .999, 0);
          step.keep = keep;
          spans.push(step);
          for (Replay& replay : replays) replay.step(step);
        }
        if (i % 50 == 0) replays.push_back({1, 1, 1e-12, eps, false});
        if (i % 95 != 0 && i != 2000) continue;
        for (std::size_t k = 0; k < replays.size(); ++k) {
          const AdamSpan span = spans.since(static_cast<std::int64_t>(50 * k));
          const Number got = idle<double>(span, {1, 1, 1e-12}, eps, false);
          // A move of the size of the first one: rate/sqrt(v).
          const double first = 1e-3 / 1e-6 / (1 - std::pow(beta1, 50 * k + 1));
          const auto error = static_cast<double>(std::abs(got.w - replays[k].w));
          BOOST_TEST(error <= 1e-9 * static_cast<double>(std::abs(replays[k].w)) + 1e-12 * first,
                     keep << ": " << 50 * k << " to " << i);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(without_beta1_only_decay_acts) {
  for (const double beta2 : {0.0, .9, .999}) {
    AdamSpans spans(*AdamSpans::choose(0, beta2, 1e-11, false, true), false, true, 0);
    spans.restart(0, 0, beta2);
    for (int i = 1; i <= 500; ++i) spans.push(adam_step(i, 1e-3, 0, beta2, 1));
    for (const int s : {0, 1, 250, 499}) {
      const AdamSpan span = spans.since(s);
      const Number got = idle<double>(span, {2, 1, 1}, eps, false);
      BOOST_TEST(got.w == 2 * std::pow(1 - 1e-3, 500 - s), boost::test_tools::tolerance(1e-13));
      BOOST_TEST(got.m == 0);
      BOOST_TEST(got.v == std::pow(beta2, 500 - s), boost::test_tools::tolerance(1e-13));
      BOOST_TEST(spans.bound(s) == 0);
    }
    BOOST_TEST(spans.bytes() < 100000);
  }
}

BOOST_AUTO_TEST_CASE(two_spans_make_one) {
  for (const Setting& setting : settings()) {
    AdamSpans spans(fit_for(setting, 3e-6), setting.amsgrad, setting.corrected, 0);
    spans.restart(0, setting.beta1, setting.beta2);
    Draw draw(8);
    for (int round = 0; round < 10; ++round) {
      const std::int64_t s = spans.now() - (spans.now() == 0 ? 0 : draw.integer(0, spans.now()));
      const std::int64_t u = spans.now() + draw.integer(0, 300);
      while (spans.now() < u) spans.push(setting.step(static_cast<int>(spans.now()) + 1));
      const AdamSpan first = spans.since(s);
      const double first_bound = spans.bound(s);
      const std::int64_t t = u + draw.integer(0, 600);
      while (spans.now() < t) spans.push(setting.step(static_cast<int>(spans.now()) + 1));
      const double bound = first_bound + spans.bound(u) + spans.bound(s) + 1e-13;
      for (const double x : roots()) {
        const Number start{0, 1, x * x};
        const Number middle = idle<double>(first, start, eps, setting.amsgrad);
        const Number two = idle<double>(spans.since(u), middle, eps, setting.amsgrad);
        const Number one = idle<double>(spans.since(s), start, eps, setting.amsgrad);
        BOOST_TEST(std::abs(two.w - one.w) <= bound * std::abs(one.w),
                   setting.name << ": " << s << " to " << u << " to " << t << ", sqrt(v) " << x);
        BOOST_TEST(two.m == one.m, boost::test_tools::tolerance(1e-12));
        BOOST_TEST(two.v == one.v, boost::test_tools::tolerance(1e-12));
      }
    }
  }
}

// A step whose coefficients are final and cut, and the same step as an origin, which keeps all.
BOOST_AUTO_TEST_CASE(final_coefficients_are_those_of_the_origin) {
  for (const double cut : {1e-7, 1e-16, 0.0}) {
    AdamSpans spans({16, 1}, false, true, cut);
    spans.restart(0, .9, .99);
    for (int i = 1; i <= 1000; ++i) spans.push(adam_step(i, 1e-3, .9, .99, .1));
    const double allowed = cut == 1e-7 ? 3e-7 : 1e-12;  // the origin may wait longer for the last terms
    for (const int s : {1, 7, 100, 640, 720, 900}) {
      AdamSpans other({16, 1}, false, true, 0);
      other.restart(s, .9, .99);
      for (int i = s + 1; i <= 1000; ++i) other.push(adam_step(i, 1e-3, .9, .99, .1));
      const AdamSpan a = spans.since(s), b = other.since(0);
      BOOST_TEST(a.root_scale == b.root_scale);
      BOOST_TEST(a.degree <= b.degree);
      BOOST_TEST(a.keep == b.keep, boost::test_tools::tolerance(1e-15));
      for (int j = 0; j <= b.degree; ++j) {
        BOOST_TEST(std::abs((j <= a.degree ? a.a[j] : 0.0) - b.a[j]) <= allowed * b.a[0], s << ", coefficient " << j);
      }
    }
    if (cut == 1e-7) BOOST_TEST(spans.since(640).degree < 8);
  }
}

BOOST_AUTO_TEST_CASE(an_origin_with_steps_before_it) {
  const Schedule schedule = [](int i) { return adam_step(i, 1e-3, .9, .99, .1); };
  AdamSpans all({16, 1}, false, true, 0);
  all.restart(0, .9, .99);
  for (int i = 1; i <= 500; ++i) all.push(schedule(i));
  AdamSpans later({16, 1}, false, true, 0);
  later.restart(0, .9, .99);
  for (int i = 1; i <= 77; ++i) later.push(schedule(i));
  later.restart(77, .9, .99);
  BOOST_TEST(later.now() == 0);
  for (int i = 78; i <= 500; ++i) later.push(schedule(i));
  for (const int s : {77, 78, 100, 400, 500}) {
    const AdamSpan a = all.since(s), b = later.since(s - 77);
    BOOST_TEST(a.degree == b.degree);
    for (int j = 0; j <= a.degree; ++j) BOOST_TEST(std::abs(a.a[j] - b.a[j]) <= 1e-12 * a.a[0]);
  }
}

BOOST_AUTO_TEST_CASE(forgotten_steps_change_no_others) {
  for (const double cut : {1e-7, 0.0}) {
    for (const bool corrected : {true, false}) {
      AdamSpans all({12, 1.5}, false, corrected, cut), some({12, 1.5}, false, corrected, cut);
      all.restart(0, .9, .98);
      some.restart(0, .9, .98);
      Draw draw(9);
      std::int64_t kept = 0;
      for (int i = 1; i <= 3000; ++i) {
        const AdamStepOfTime step = corrected ? adam_step(i, 1e-3, .9, .98, .1) : radam_step(i, 1e-3, .9, .98);
        all.push(step);
        some.push(step);
        if (draw.integer(0, 29) == 0) {
          kept = std::max(kept, draw.integer(std::max(0, i - 900), i));  // also steps that are still active
          some.forget_before(kept);
        }
        for (std::int64_t s = kept; s <= i; s += draw.integer(1, 300)) {
          BOOST_TEST_REQUIRE(same_bits(some.since(s), all.since(s)));
          BOOST_TEST_REQUIRE(some.bound(s) == all.bound(s));
        }
        BOOST_TEST_REQUIRE(same_bits(some.since(0), all.since(0)));
        BOOST_TEST_REQUIRE(some.bound(0) == all.bound(0));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(memory_of_spans) {
  AdamSpans spans(*AdamSpans::choose(.9, .999, 3e-6, false, true), false, true, 1e-7);
  spans.restart(0, .9, .999);
  const std::int64_t at_first = spans.bytes();
  int i = 0;
  for (; i < 20000; ++i) spans.push(adam_step(i + 1, 1e-3, .9, .999, .1));
  BOOST_TEST(spans.bytes() - at_first <= 80 * 20000);
  std::int64_t most = 0;
  for (; i < 60000; ++i) {
    spans.push(adam_step(i + 1, 1e-3, .9, .999, .1));
    spans.forget_before(i - 2000);
    if (i == 30000) most = spans.bytes();
    if (i > 30000) BOOST_TEST_REQUIRE(spans.bytes() <= most);
  }
  BOOST_TEST(most < 2 * 80 * 2000 + 100000);
  spans.restart(i, .9, .999);
  BOOST_TEST(spans.bytes() < 120000);

  // A learning rate of 0 keeps steps active for long, but not for ever.
  for (; i < 70000; ++i) {
    spans.push(adam_step(i + 1, 0, .9, .999, .1));
    spans.forget_before(i - 60000 - 2000);
  }
  BOOST_TEST(spans.bytes() < 2 * 80 * 2000 + 250000);
}

BOOST_AUTO_TEST_CASE(spans_repeat_and_may_be_read_by_many) {
  AdamSpans a({8, 1}, false, true, 1e-7), b({8, 1}, false, true, 1e-7);
  a.restart(3, .9, .999);
  for (int i = 1; i <= 100; ++i) b.push(adam_step(i, 1, .5, .9, 1));
  b.restart(3, .9, .999);
  for (int i = 4; i <= 1000; ++i) {
    a.push(adam_step(i, 1e-3, .9, .999, .1));
    b.push(adam_step(i, 1e-3, .9, .999, .1));
  }
  std::vector<AdamSpan> expected;
  for (std::int64_t s = 0; s <= a.now(); ++s) {
    expected.push_back(a.since(s));
    BOOST_TEST_REQUIRE(same_bits(expected.back(), b.since(s)));
  }
  std::array<int, 4> wrong{};
  std::vector<std::thread> readers;
  for (int& count : wrong) {
    readers.emplace_back([&] {
      for (std::size_t s = 0; s < expected.size(); ++s) {
        if (!same_bits(a.since(static_cast<std::int64_t>(s)), expected[s])) ++count;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  for (const int count : wrong) BOOST_TEST(count == 0);
}

BOOST_AUTO_TEST_SUITE_END()

#include <embergrad/error.hpp>
#include <embergrad/optim/schedule.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>
#include <type_traits>

namespace embergrad::optim {
namespace {

constexpr std::int64_t layout_version = 1;
constexpr double pi = std::numbers::pi;
// Up to here whole numbers are exact as double, and their sums far from the ends of int64.
constexpr std::int64_t most_epochs = std::int64_t{1} << 53;

using Problems = std::vector<std::string>;

template <class Number>
void refuse(Problems& problems, const char* name, const char* must, Number value) {
  problems.push_back(fmt::format("{} must be {}, but is {}", name, must, value));
}

void check_epochs(Problems& problems, const char* name, std::int64_t value, std::int64_t least) {
  if (value >= least && value <= most_epochs) return;
  problems.push_back(fmt::format("{} must be a whole number from {} to 2^53, but is {}", name, least, value));
}

void check_not_negative(Problems& problems, const char* name, double value) {
  if (!(std::isfinite(value) && value >= 0)) refuse(problems, name, "finite and not negative", value);
}

void check_not_negative(Problems& problems, const char* name, const std::vector<double>& values, std::size_t groups) {
  if (values.size() != groups) {
    problems.push_back(
        fmt::format("{} must have one number for each of {} groups, but has {}", name, groups, values.size()));
  }
  for (const double value : values) check_not_negative(problems, name, value);
}

// --- fields as tensors

Tensor tensor_of(std::monostate) { return tensor(layout_version); }
Tensor tensor_of(const double* value) { return tensor(*value, {DType::float64, {}}); }
Tensor tensor_of(const std::int64_t* value) { return tensor(*value); }
Tensor tensor_of(const bool* value) { return tensor(std::int64_t{*value ? 1 : 0}); }
Tensor tensor_of(const std::vector<double>* values) { return tensor(*values); }
Tensor tensor_of(const std::vector<std::int64_t>* values) { return tensor(*values); }

// What a tensor must be for a field of that type: nothing, if it is.
template <class T>
const char* expected(const Tensor& tensor) {
  constexpr bool is_list = !std::is_arithmetic_v<T> && !std::is_same_v<T, std::monostate>;
  constexpr bool is_float = std::is_same_v<T, double> || std::is_same_v<T, std::vector<double>>;
  const DType dtype = is_float ? DType::float64 : DType::int64;
  if (tensor.dtype() == dtype && (is_list ? tensor.dim() == 1 : tensor.numel() == 1)) return nullptr;
  return is_list ? (is_float ? "a list of float64" : "a list of int64") : (is_float ? "one float64" : "one int64");
}

template <class T>
T value_of(const Tensor& tensor) {
  if constexpr (std::is_same_v<T, std::monostate>) {
    return {};
  } else if constexpr (std::is_same_v<T, bool>) {
    return tensor.item<std::int64_t>() != 0;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return tensor.item<T>();
  } else {
    return tensor.to_vector<typename T::value_type>();
  }
}

}  // namespace

std::vector<double> PerGroup::values(std::size_t groups, const std::string& name) const {
  if (!is_list_) return std::vector<double>(groups, values_.front());
  if (values_.size() == groups) return values_;
  throw ValueError(
      fmt::format("{} must be one number or one for each of {} groups, but has {}", name, groups, values_.size()));
}

// --- LRScheduler

LRScheduler::LRScheduler(const char* name, Optimizer& optimizer) : name_(name), optimizer_(&optimizer) {
  for (std::size_t g = 0; g < group_count(); ++g) {
    base_lrs_.push_back(optimizer.initial_lr(g).value_or(optimizer.lr(g)));
    last_lr_.push_back(optimizer.lr(g));
  }
}

void LRScheduler::set_base_lr(std::size_t group, double lr) { base_lrs_[group] = lr; }

void LRScheduler::check() const {
  const Problems found = problems();
  if (!found.empty()) throw ValueError(fmt::format("{}: {}", name(), fmt::join(found, "; ")));
}

void LRScheduler::start() {
  check();
  go_to(0, Moment::begin);
  for (std::size_t g = 0; g < group_count(); ++g) optimizer_->initial_lrs_[g] = base_lrs_[g];
}

void LRScheduler::step() { go_to(last_epoch_ + 1, Moment::step); }

// Everything is computed before anything is changed.
void LRScheduler::go_to(std::int64_t epoch, Moment moment) {
  next_.clear();
  for (std::size_t g = 0; g < group_count(); ++g) {
    const Rates next = rates(g, optimizer_->lr(g), epoch, moment);
    if (!(std::isfinite(next.lr) && next.lr >= 0)) {
      throw ValueError(
          fmt::format("{}: the learning rate must be finite and not negative, but that of group {} would be "
                      "{} in epoch {}",
                      name(), g, next.lr, epoch));
    }
    next_.push_back(next);
  }
  for (std::size_t g = 0; g < group_count(); ++g) {
    optimizer_->set_number(g, "lr", next_[g].lr);
    last_lr_[g] = next_[g].lr;
    if (!next_[g].momentum) continue;
    const bool has_betas = optimizer_->find_number(g, "betas") != nullptr;
    optimizer_->set_number(g, has_betas ? "betas" : "momentum", *next_[g].momentum);
  }
  last_epoch_ = epoch;
}

LRScheduler::Rates LRScheduler::rates(std::size_t, double lr, std::int64_t, Moment) const { return {.lr = lr}; }

bool LRScheduler::has_momentum() const {
  return optimizer_->find_number(0, "betas") != nullptr || optimizer_->find_number(0, "momentum") != nullptr;
}

std::vector<std::string> LRScheduler::momentum_problems(std::size_t group, double momentum) const {
  auto options = optimizer_->group_options(group);
  for (auto& option : options) {
    const std::string_view option_name = option.name;
    if (option_name == "betas" || option_name == "momentum") option.values.front() = momentum;
  }
  return optimizer_->problems_of(options);
}

// --- state

std::vector<LRScheduler::Field> LRScheduler::fields() {
  return {{fmt::format("scheduler.{}", name()), std::monostate{}},
          {"last_epoch", &last_epoch_},
          {"base_lrs", &base_lrs_},
          {"last_lr", &last_lr_}};
}

std::vector<std::string> LRScheduler::problems() const {
  Problems found;
  check_epochs(found, "last_epoch", last_epoch_, -1);
  check_not_negative(found, "base_lrs", base_lrs_, group_count());
  check_not_negative(found, "last_lr", last_lr_, group_count());
  return found;
}

StateDict LRScheduler::state_dict() const {
  StateDict state;
  // Through the fields nothing is changed here.
  for (const Field& field : const_cast<LRScheduler*>(this)->fields()) {
    state.set(field.name, std::visit([](const auto& place) { return tensor_of(place); }, field.place));
  }
  return state;
}

void LRScheduler::load_state_dict(const StateDict& state) {
  std::vector<Value> values = check_state(state);
  restore(values);
}

std::vector<LRScheduler::Value> LRScheduler::check_state(const StateDict& state) {
  const std::string prefix = fmt::format("{}: load_state_dict: ", name());
  const std::vector<Field> places = fields();
  if (!state.contains(places.front().name)) {
    std::string other = "of no scheduler";
    for (const auto& [key, value] : state) {
      if (key.starts_with("scheduler.")) other = fmt::format("of {}", key.substr(key.find('.') + 1));
    }
    throw ValueError(fmt::format("{}the state is {}, not of {}", prefix, other, name()));
  }
  Problems found;
  std::set<std::string> known;
  std::vector<Value> values;
  for (const Field& field : places) {
    known.insert(field.name);
    if (!state.contains(field.name) || !state.at(field.name).defined()) {
      found.push_back(fmt::format("{} is missing", field.name));
      continue;
    }
    const Tensor& tensor = state.at(field.name);
    std::visit(
        [&]<class Place>(Place) {
          using T = std::remove_pointer_t<Place>;
          if (const char* must = expected<T>(tensor); must != nullptr) {
            refuse(found, field.name.c_str(), must,
                   fmt::format("{} of shape {}", name_of(tensor.dtype()), tensor.shape().to_string()));
          } else if (std::is_same_v<T, std::monostate> && tensor.item<std::int64_t>() != layout_version) {
            refuse(found, field.name.c_str(), "1, the version of the layout", tensor.item<std::int64_t>());
          } else {
            values.emplace_back(value_of<T>(tensor));
          }
        },
        field.place);
  }
  for (const auto& [key, value] : state) {
    if (!known.contains(key)) found.push_back(fmt::format("{} is unexpected", key));
  }
  if (found.empty()) {
    // Whether they fit together is asked of the scheduler itself, which has them for that moment only.
    restore(values);
    found = problems();
    restore(values);
  }
  if (!found.empty()) throw ValueError(fmt::format("{}{}", prefix, fmt::join(found, "; ")));
  return values;
}

// Swaps.
void LRScheduler::restore(std::vector<Value>& values) {
  const std::vector<Field> places = fields();
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::visit(
        [&]<class Place>(Place place) {
          if constexpr (std::is_pointer_v<Place>) std::swap(*place, std::get<std::remove_pointer_t<Place>>(values[i]));
        },
        places[i].place);
  }
}

// --- StepLR

StepLR::StepLR(Optimizer& optimizer, const StepLROptions& options)
    : LRScheduler("StepLR", optimizer), step_size_(options.step_size), gamma_(options.gamma) {
  start();
}

LRScheduler::Rates StepLR::rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const {
  if (moment == Moment::arrive) return {.lr = base_lr(group)};
  return {.lr = epoch == 0 || epoch % step_size_ != 0 ? lr : lr * gamma_};
}

std::vector<LRScheduler::Field> StepLR::fields() {
  std::vector<Field> all = LRScheduler::fields();
  all.insert(all.end(), {{"step_size", &step_size_}, {"gamma", &gamma_}});
  return all;
}

std::vector<std::string> StepLR::problems() const {
  Problems found = LRScheduler::problems();
  check_epochs(found, "step_size", step_size_, 1);
  check_not_negative(found, "gamma", gamma_);
  return found;
}

// --- MultiStepLR

MultiStepLR::MultiStepLR(Optimizer& optimizer, const MultiStepLROptions& options)
    : LRScheduler("MultiStepLR", optimizer), milestones_(options.milestones), gamma_(options.gamma) {
  std::ranges::sort(milestones_);
  start();
}

LRScheduler::Rates MultiStepLR::rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const {
  const auto due = std::ranges::count(milestones_, epoch);
  if (moment != Moment::arrive && due == 0) return {.lr = lr};
  // Epoch 0 is the first that can be a milestone.
  const double factor = std::pow(gamma_, static_cast<double>(due));
  return {.lr = (moment == Moment::arrive ? base_lr(group) : lr) * factor};
}

std::vector<LRScheduler::Field> MultiStepLR::fields() {
  std::vector<Field> all = LRScheduler::fields();
  all.insert(all.end(), {{"milestones", &milestones_}, {"gamma", &gamma_}});
  return all;
}

std::vector<std::string> MultiStepLR::problems() const {
  Problems found = LRScheduler::problems();
  for (const std::int64_t milestone : milestones_) check_epochs(found, "milestones", milestone, 0);
  if (!std::ranges::is_sorted(milestones_)) found.emplace_back("milestones must not fall");
  check_not_negative(found, "gamma", gamma_);
  return found;
}

// --- ExponentialLR

ExponentialLR::ExponentialLR(Optimizer& optimizer, const ExponentialLROptions& options)
    : LRScheduler("ExponentialLR", optimizer), gamma_(options.gamma) {
  start();
}

LRScheduler::Rates ExponentialLR::rates(std::size_t group, double lr, std::int64_t, Moment moment) const {
  if (moment == Moment::arrive) return {.lr = base_lr(group)};
  return {.lr = moment == Moment::begin ? lr : lr * gamma_};
}

std::vector<LRScheduler::Field> ExponentialLR::fields() {
  std::vector<Field> all = LRScheduler::fields();
  all.push_back({"gamma", &gamma_});
  return all;
}

std::vector<std::string> ExponentialLR::problems() const {
  Problems found = LRScheduler::problems();
  check_not_negative(found, "gamma", gamma_);
  return found;
}

// --- LinearLR

LinearLR::LinearLR(Optimizer& optimizer, const LinearLROptions& options)
    : LRScheduler("LinearLR", optimizer),
      start_factor_(options.start_factor),
      end_factor_(options.end_factor),
      total_iters_(options.total_iters) {
  start();
}

LRScheduler::Rates LinearLR::rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const {
  if (moment == Moment::arrive) return {.lr = base_lr(group) * start_factor_};
  if (epoch == 0) return {.lr = lr * start_factor_};
  if (moment == Moment::begin || epoch > total_iters_) return {.lr = lr};
  const double slope = end_factor_ - start_factor_;
  const double before = static_cast<double>(total_iters_) * start_factor_ + static_cast<double>(epoch - 1) * slope;
  return {.lr = lr * (1.0 + slope / before)};
}

std::vector<LRScheduler::Field> LinearLR::fields() {
  std::vector<Field> all = LRScheduler::fields();
  all.insert(all.end(),
             {{"start_factor", &start_factor_}, {"end_factor", &end_factor_}, {"total_iters", &total_iters_}});
  return all;
}

std::vector<std::string> LinearLR::problems() const {
  Problems found = LRScheduler::problems();
  if (!(start_factor_ > 0 && start_factor_ <= 1)) refuse(found, "start_factor", "in (0, 1]", start_factor_);
  if (!(end_factor_ >= 0 && end_factor_ <= 1)) refuse(found, "end_factor", "in [0, 1]", end_factor_);
  check_epochs(found, "total_iters", total_iters_, 1);
  return found;
}

// --- CosineAnnealingLR

CosineAnnealingLR::CosineAnnealingLR(Optimizer& optimizer, const CosineAnnealingLROptions& options)
    : LRScheduler("CosineAnnealingLR", optimizer), t_max_(options.T_max), eta_min_(options.eta_min) {
  start();
}

LRScheduler::Rates CosineAnnealingLR::rates(std::size_t group, double lr, std::int64_t epoch, Moment moment) const {
  if (moment == Moment::begin) return {.lr = lr};
  const auto period = static_cast<double>(t_max_);
  const double height = base_lr(group) - eta_min_;
  const auto rest_at = [&](std::int64_t when) { return 1 + std::cos(pi * static_cast<double>(when) / period); };
  if (moment == Moment::arrive) return {.lr = eta_min_ + height * rest_at(epoch) / 2};
  // From the bottom, where the ratio below would be 0/0.
  if ((epoch - 1 - t_max_) % (2 * t_max_) == 0) return {.lr = lr + height * (1 - std::cos(pi / period)) / 2};
  return {.lr = rest_at(epoch) / rest_at(epoch - 1) * (lr - eta_min_) + eta_min_};
}

std::vector<LRScheduler::Field> CosineAnnealingLR::fields() {
  std::vector<Field> all = LRScheduler::fields();
  all.insert(all.end(), {{"T_max", &t_max_}, {"eta_min", &eta_min_}});
  return all;
}

std::vector<std::string> CosineAnnealingLR::problems() const {
  Problems found = LRScheduler::problems();
  check_epochs(found, "T_max", t_max_, 1);
  check_not_negative(found, "eta_min", eta_min_);
  return found;
}

// --- OneCycleLR

namespace {

std::int64_t total_steps_of(const OneCycleLROptions& options) {
  const auto refuse_unless_positive = [](const char* name, std::int64_t value) {
    if (value <= 0) throw ValueError(fmt::format("OneCycleLR: {} must be above 0, but is {}", name, value));
  };
  if (options.total_steps) return *options.total_steps;
  if (!options.epochs || !options.steps_per_epoch) {
    throw ValueError("OneCycleLR: either total_steps or both epochs and steps_per_epoch must be given");
  }
  refuse_unless_positive("epochs", *options.epochs);
  refuse_unless_positive("steps_per_epoch", *options.steps_per_epoch);
  std::int64_t steps = 0;
  if (__builtin_mul_overflow(*options.epochs, *options.steps_per_epoch, &steps)) {
    throw ValueError("OneCycleLR: epochs times steps_per_epoch is too large");
  }
  return steps;
}

}  // namespace

OneCycleLR::OneCycleLR(Optimizer& optimizer, const OneCycleLROptions& options)
    : LRScheduler("OneCycleLR", optimizer),
      total_steps_(total_steps_of(options)),
      pct_start_(options.pct_start),
      is_linear_(options.anneal_strategy == AnnealStrategy::linear),
      cycle_momentum_(options.cycle_momentum),
      three_phase_(options.three_phase),
      max_lrs_(options.max_lr.values(group_count(), "OneCycleLR: max_lr")),
      min_lrs_(group_count()),
      base_momentums_(options.base_momentum.values(group_count(), "OneCycleLR: base_momentum")),
      max_momentums_(options.max_momentum.values(group_count(), "OneCycleLR: max_momentum")) {
  Problems found;
  for (const auto& [field, value] :
       {std::pair("div_factor", options.div_factor), std::pair("final_div_factor", options.final_div_factor)}) {
    if (!(std::isfinite(value) && value > 0)) refuse(found, field, "finite and above 0", value);
  }
  check_not_negative(found, "max_lr", max_lrs_, group_count());
  if (!found.empty()) throw ValueError(fmt::format("OneCycleLR: {}", fmt::join(found, "; ")));
  for (std::size_t g = 0; g < group_count(); ++g) {
    set_base_lr(g, max_lrs_[g] / options.div_factor);
    min_lrs_[g] = base_lr(g) / options.final_div_factor;
  }
  start();
}

double OneCycleLR::between(double start, double end, double share) const {
  if (is_linear_) return (end - start) * std::min(share, 1.0) + start;
  return end + (start - end) / 2.0 * (std::cos(pi * share) + 1);
}

LRScheduler::Rates OneCycleLR::rates(std::size_t group, double, std::int64_t epoch, Moment) const {
  if (epoch > total_steps_) {
    throw ValueError(fmt::format("OneCycleLR: step {} is one too many: total_steps is {}", epoch, total_steps_));
  }
  struct Phase {
    double end_step, start_lr, end_lr, start_momentum, end_momentum;
  };
  const auto steps = static_cast<double>(total_steps_);
  const double low = base_lr(group);
  const double high = max_lrs_[group];
  const double slow = base_momentums_[group];
  const double fast = max_momentums_[group];
  const Phase rise{pct_start_ * steps - 1, low, high, fast, slow};
  const Phase fall{2 * pct_start_ * steps - 2, high, low, slow, fast};
  const Phase last = three_phase_ ? Phase{steps - 1, low, min_lrs_[group], fast, fast}
                                  : Phase{steps - 1, high, min_lrs_[group], slow, fast};
  const auto now = static_cast<double>(epoch);
  double start_step = 0;
  const Phase* phase = &rise;
  if (now > phase->end_step && three_phase_) {
    start_step = phase->end_step;
    phase = &fall;
  }
  if (now > phase->end_step) {
    start_step = phase->end_step;
    phase = &last;
  }
  // A last phase without length, for pct_start = 1, is met at its end only.
  const double length = phase->end_step - start_step;
  const double share = length == 0 ? 1 : (now - start_step) / length;
  Rates found{.lr = between(phase->start_lr, phase->end_lr, share)};
  if (cycle_momentum_) found.momentum = between(phase->start_momentum, phase->end_momentum, share);
  return found;
}

std::vector<LRScheduler::Field> OneCycleLR::fields() {
  std::vector<Field> all = LRScheduler::fields();
  all.insert(all.end(), {{"total_steps", &total_steps_},
                         {"pct_start", &pct_start_},
                         {"anneal_linear", &is_linear_},
                         {"cycle_momentum", &cycle_momentum_},
                         {"three_phase", &three_phase_},
                         {"max_lr", &max_lrs_},
                         {"min_lr", &min_lrs_},
                         {"base_momentum", &base_momentums_},
                         {"max_momentum", &max_momentums_}});
  return all;
}

std::vector<std::string> OneCycleLR::problems() const {
  Problems found = LRScheduler::problems();
  check_epochs(found, "total_steps", total_steps_, 1);
  if (!(pct_start_ >= 0 && pct_start_ <= 1)) refuse(found, "pct_start", "in [0, 1]", pct_start_);
  if (pct_start_ * static_cast<double>(total_steps_) == 1) {
    found.push_back(fmt::format("the way up would have no length, as pct_start is {} and total_steps {}", pct_start_,
                                total_steps_));
  }
  check_not_negative(found, "max_lr", max_lrs_, group_count());
  check_not_negative(found, "min_lr", min_lrs_, group_count());
  check_not_negative(found, "base_momentum", base_momentums_, group_count());
  check_not_negative(found, "max_momentum", max_momentums_, group_count());
  if (!found.empty() || !cycle_momentum_) return found;
  if (!has_momentum()) {
    found.push_back(fmt::format("cycle_momentum needs momentum or betas, but {} has neither", optimizer().name()));
    return found;
  }
  for (std::size_t g = 0; g < group_count(); ++g) {
    for (const auto& [field, value] :
         {std::pair("base_momentum", base_momentums_[g]), std::pair("max_momentum", max_momentums_[g])}) {
      for (const std::string& problem : momentum_problems(g, value)) {
        found.push_back(fmt::format("{} of group {} is {}: {}", field, g, value, problem));
      }
    }
  }
  return found;
}

// --- ReduceLROnPlateau

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& optimizer, const ReduceLROnPlateauOptions& options)
    : LRScheduler("ReduceLROnPlateau", optimizer),
      is_max_(options.mode == PlateauMode::max),
      factor_(options.factor),
      patience_(options.patience),
      threshold_(options.threshold),
      is_abs_(options.threshold_mode == ThresholdMode::abs),
      cooldown_(options.cooldown),
      min_lrs_(options.min_lr.values(group_count(), "ReduceLROnPlateau: min_lr")),
      eps_(options.eps),
      best_(is_max_ ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity()) {
  last_epoch_ = 0;
  check();
}

void ReduceLROnPlateau::step() { throw ValueError("ReduceLROnPlateau: step needs a metric"); }

bool ReduceLROnPlateau::is_better(double metric) const {
  if (is_abs_) return is_max_ ? metric > best_ + threshold_ : metric < best_ - threshold_;
  return is_max_ ? metric > best_ * (threshold_ + 1.0) : metric < best_ * (1.0 - threshold_);
}

void ReduceLROnPlateau::step(double metric) {
  ++last_epoch_;
  if (is_better(metric)) {
    best_ = metric;
    num_bad_epochs_ = 0;
  } else {
    ++num_bad_epochs_;
  }
  if (cooldown_counter_ > 0) {
    --cooldown_counter_;
    num_bad_epochs_ = 0;
  }
  const bool reduce = num_bad_epochs_ > patience_;
  if (reduce) {
    cooldown_counter_ = cooldown_;
    num_bad_epochs_ = 0;
  }
  for (std::size_t g = 0; g < group_count(); ++g) {
    const double lr = optimizer().lr(g);
    const double less = std::max(lr * factor_, min_lrs_[g]);
    if (reduce && lr - less > eps_) optimizer().set_lr(less, g);
    last_lr_[g] = optimizer().lr(g);
  }
}

std::vector<LRScheduler::Field> ReduceLROnPlateau::fields() {
  std::vector<Field> all = LRScheduler::fields();
  all.insert(all.end(), {{"mode_max", &is_max_},
                         {"factor", &factor_},
                         {"patience", &patience_},
                         {"threshold", &threshold_},
                         {"threshold_abs", &is_abs_},
                         {"cooldown", &cooldown_},
                         {"min_lr", &min_lrs_},
                         {"eps", &eps_},
                         {"best", &best_},
                         {"cooldown_counter", &cooldown_counter_},
                         {"num_bad_epochs", &num_bad_epochs_}});
  return all;
}

std::vector<std::string> ReduceLROnPlateau::problems() const {
  Problems found = LRScheduler::problems();
  if (!(factor_ >= 0 && factor_ < 1)) refuse(found, "factor", "in [0, 1)", factor_);
  check_epochs(found, "patience", patience_, 0);
  if (!std::isfinite(threshold_)) refuse(found, "threshold", "finite", threshold_);
  check_epochs(found, "cooldown", cooldown_, 0);
  check_not_negative(found, "min_lr", min_lrs_, group_count());
  check_not_negative(found, "eps", eps_);
  check_epochs(found, "cooldown_counter", cooldown_counter_, 0);
  check_epochs(found, "num_bad_epochs", num_bad_epochs_, 0);
  return found;
}

// --- LambdaLR

LambdaLR::LambdaLR(Optimizer& optimizer, const LRLambda& lr_lambda)
    : LambdaLR(optimizer, std::vector<LRLambda>(optimizer.group_count(), lr_lambda)) {}

LambdaLR::LambdaLR(Optimizer& optimizer, std::vector<LRLambda> lr_lambdas)
    : LRScheduler("LambdaLR", optimizer), lr_lambdas_(std::move(lr_lambdas)) {
  if (lr_lambdas_.size() != group_count()) {
    throw ValueError(fmt::format("LambdaLR: lr_lambdas must have one function for each of {} groups, but has {}",
                                 group_count(), lr_lambdas_.size()));
  }
  for (const LRLambda& function : lr_lambdas_) {
    if (!function) throw ValueError("LambdaLR: an lr_lambda is empty");
  }
  start();
}

LRScheduler::Rates LambdaLR::rates(std::size_t group, double, std::int64_t epoch, Moment) const {
  return {.lr = base_lr(group) * lr_lambdas_[group](epoch)};
}

// --- SequentialLR

SequentialLR::SequentialLR(Optimizer& optimizer, std::vector<LRScheduler*> schedulers,
                           std::vector<std::int64_t> milestones)
    : LRScheduler("SequentialLR", optimizer), schedulers_(std::move(schedulers)), milestones_(std::move(milestones)) {
  Problems found;
  if (schedulers_.empty()) found.emplace_back("there must be at least one scheduler");
  std::set<const LRScheduler*> known;
  for (std::size_t i = 0; i < schedulers_.size(); ++i) {
    const LRScheduler* scheduler = schedulers_[i];
    const char* fault = nullptr;
    if (scheduler == nullptr) {
      fault = "is null";
    } else if (!known.insert(scheduler).second) {
      fault = "comes twice";
    } else if (scheduler->optimizer_ != &optimizer) {
      fault = "is of another optimizer";
    } else if (dynamic_cast<const ReduceLROnPlateau*>(scheduler) != nullptr) {
      fault = "is a ReduceLROnPlateau, whose step needs a metric";
    } else if (dynamic_cast<const SequentialLR*>(scheduler) != nullptr) {
      fault = "is a SequentialLR; give its schedulers and milestones here";
    }
    if (fault != nullptr) found.push_back(fmt::format("scheduler {} {}", i, fault));
  }
  if (!found.empty()) throw ValueError(fmt::format("SequentialLR: {}", fmt::join(found, "; ")));
  last_epoch_ = 0;
  check();
  for (LRScheduler* scheduler : schedulers_) {
    scheduler->last_epoch_ = std::max(scheduler->last_epoch_ - 1, std::int64_t{-1});
  }
  for (std::size_t g = 0; g < group_count(); ++g) optimizer.set_lr(base_lr(g), g);
  LRScheduler& first = *schedulers_[at(0)];
  first.go_to(first.last_epoch_ + 1, Moment::begin);
  last_lr_ = first.last_lr_;
}

std::size_t SequentialLR::at(std::int64_t epoch) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(milestones_, epoch) - milestones_.begin());
}

void SequentialLR::step() {
  const std::int64_t epoch = last_epoch_ + 1;
  const std::size_t index = at(epoch);
  LRScheduler& scheduler = *schedulers_[index];
  if (index > 0 && milestones_[index - 1] == epoch) {
    scheduler.go_to(0, Moment::arrive);
  } else {
    scheduler.step();
  }
  last_epoch_ = epoch;
  last_lr_ = scheduler.last_lr_;
}

std::vector<LRScheduler::Field> SequentialLR::fields() {
  std::vector<Field> all = LRScheduler::fields();
  all.push_back({"milestones", &milestones_});
  for (std::size_t i = 0; i < schedulers_.size(); ++i) {
    for (Field& field : schedulers_[i]->fields()) {
      all.push_back({fmt::format("schedulers.{}.{}", i, field.name), field.place});
    }
  }
  return all;
}

std::vector<std::string> SequentialLR::problems() const {
  Problems found = LRScheduler::problems();
  if (milestones_.size() + 1 != schedulers_.size()) {
    found.push_back(fmt::format("there must be one milestone less than schedulers, but there are {} and {}",
                                milestones_.size(), schedulers_.size()));
  }
  for (const std::int64_t milestone : milestones_) check_epochs(found, "milestones", milestone, 0);
  if (!std::ranges::is_sorted(milestones_)) found.emplace_back("milestones must not fall");
  for (std::size_t i = 0; i < schedulers_.size(); ++i) {
    for (const std::string& problem : schedulers_[i]->problems()) {
      found.push_back(fmt::format("scheduler {}: {}", i, problem));
    }
  }
  return found;
}

}  // namespace embergrad::optim

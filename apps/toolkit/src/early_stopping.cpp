#include <embergrad/report/early_stopping.hpp>

#include <fmt/format.h>

#include <cmath>
#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <limits>
#include <nlohmann/json.hpp>

#include "untrusted_json.hpp"

namespace embergrad::report {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr const char* infinity_name = "Infinity";
constexpr const char* minus_infinity_name = "-Infinity";

nlohmann::json to_json(std::optional<double> value) {
  if (!value) return nullptr;
  if (std::isinf(*value)) return *value > 0 ? infinity_name : minus_infinity_name;
  return *value;
}

[[noreturn]] void refuse(const std::string& reason) {
  throw FormatError(fmt::format("EarlyStopping::load_state: {}", reason));
}

std::optional<double> best_of(const nlohmann::json& value) {
  if (value.is_null()) return std::nullopt;
  if (value.is_number()) return value.get<double>();
  if (value == infinity_name) return infinity;
  if (value == minus_infinity_name) return -infinity;
  refuse("best is neither a number nor null");
}

std::int64_t integer_of(const nlohmann::json& state, const char* name) {
  const nlohmann::json& value = state.at(name);
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() > most)) {
    refuse(fmt::format("{} is no 64-bit integer", name));
  }
  return value.get<std::int64_t>();
}

}  // namespace

EarlyStopping::EarlyStopping(const EarlyStoppingOptions& options) : options_(options) {
  if (options.patience < 0) {
    throw ValueError(fmt::format("EarlyStopping: patience is {}, less than 0", options.patience));
  }
  if (!(options.min_delta >= 0) || std::isinf(options.min_delta)) {
    throw ValueError(
        fmt::format("EarlyStopping: min_delta is {}, not a finite number of at least 0", options.min_delta));
  }
}

bool EarlyStopping::update(double value, std::int64_t step) {
  if (options_.check_finite && !std::isfinite(value)) stopped_ = true;
  const bool better =
      !std::isnan(value) && (!best_ || (options_.mode == StoppingMode::min ? value < *best_ - options_.min_delta
                                                                           : value > *best_ + options_.min_delta));
  // With check_finite an infinity ends training; it is no value to go back to.
  if (better && (std::isfinite(value) || !options_.check_finite)) {
    best_ = value;
    best_step_ = step;
    waited_ = 0;
    return true;
  }
  if (waited_ < std::numeric_limits<std::int64_t>::max()) ++waited_;
  if (waited_ >= options_.patience) stopped_ = true;
  return false;
}

bool EarlyStopping::update(double value, std::int64_t step, const nn::Module& model) {
  if (!update(value, step)) return false;
  const StateDict current = model.state_dict();
  if (weights_.size() > 0) {
    load_into(weights_, current);
    return true;
  }
  for (const auto& entry : current) weights_.set(entry.first, entry.second.detach().clone());
  return true;
}

void EarlyStopping::restore(nn::Module& model) const {
  if (weights_.size() == 0) throw ValueError("EarlyStopping::restore: no weights were kept by update(…, model)");
  model.load_state_dict(weights_);
}

std::string EarlyStopping::state() const {
  return nlohmann::json{{"best", to_json(best_)}, {"best_step", best_step_}, {"stopped", stopped_}, {"waited", waited_}}
      .dump();
}

void EarlyStopping::load_state(const std::string& state) {
  const nlohmann::json stored = detail::parse_untrusted_json(state);
  if (!stored.is_object()) refuse("not a JSON object");
  for (const char* name : {"best", "best_step", "stopped", "waited"}) {
    if (!stored.contains(name)) refuse(fmt::format("{} is missing", name));
  }
  if (!stored.at("stopped").is_boolean()) refuse("stopped is neither true nor false");
  const std::optional<double> best = best_of(stored.at("best"));
  const std::int64_t best_step = integer_of(stored, "best_step");
  const std::int64_t waited = integer_of(stored, "waited");
  if (waited < 0) refuse("waited is negative");
  best_ = best;
  best_step_ = best_step;
  waited_ = waited;
  stopped_ = stored.at("stopped").get<bool>();
  weights_ = {};
}

}  // namespace embergrad::report

// The op `optimizer`: any optimizer of the library through a case's steps.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/optim.hpp>
#include <embergrad/row_sparse.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/tensor.hpp>

#include "opcheck/case.hpp"

namespace embergrad::opcheck {

namespace {

// --- options by name ------------------------------------------------------------------------------------------------

// Calls option(name, field) for the fields that these options have.
template <class Options, class F>
void each(Options& o, const F& option) {
  option("lr", o.lr);
  if constexpr (requires { o.lr_decay; }) option("lr_decay", o.lr_decay);
  if constexpr (requires { o.momentum; }) option("momentum", o.momentum);
  if constexpr (requires { o.dampening; }) option("dampening", o.dampening);
  if constexpr (requires { o.nesterov; }) option("nesterov", o.nesterov);
  if constexpr (requires { o.alpha; }) option("alpha", o.alpha);
  if constexpr (requires { o.betas; }) option("betas", o.betas);
  if constexpr (requires { o.eps; }) option("eps", o.eps);
  if constexpr (requires { o.weight_decay; }) option("weight_decay", o.weight_decay);
  if constexpr (requires { o.decoupled_weight_decay; }) option("decoupled_weight_decay", o.decoupled_weight_decay);
  if constexpr (requires { o.momentum_decay; }) option("momentum_decay", o.momentum_decay);
  if constexpr (requires { o.initial_accumulator_value; })
    option("initial_accumulator_value", o.initial_accumulator_value);
  if constexpr (requires { o.amsgrad; }) option("amsgrad", o.amsgrad);
  if constexpr (requires { o.centered; }) option("centered", o.centered);
  if constexpr (requires { o.maximize; }) option("maximize", o.maximize);
}

void take(const Arguments& from, const char* name, double& field) { field = from.get(name, field); }
void take(const Arguments& from, const char* name, bool& field) { field = from.get(name, field); }
void take(const Arguments& from, const char* name, optim::Betas& field) {
  const auto betas = from.find<std::vector<double>>(name);
  if (!betas) return;
  if (betas->size() != 2) from.refuse(name, "two numbers");
  field = {(*betas)[0], (*betas)[1]};
}

// Takes over what `from` names.
template <class Options>
void change(Options& options, const Arguments& from) {
  std::vector<std::string_view> known;
  each(options, [&](const char* name, const auto&) { known.emplace_back(name); });
  from.know(known);
  each(options, [&](const char* name, auto& field) { take(from, name, field); });
}

// --- the optimizers --------------------------------------------------------------------------------------------------

// An optimizer whose options change by name.
class Engine {
 public:
  Engine() = default;
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual optim::Optimizer& optimizer() = 0;
  virtual void change_options(const Arguments& to) = 0;
};

template <class Type, class Options>
class EngineOf final : public Engine {
 public:
  EngineOf(const std::vector<Tensor>& parameters, const Options& options) : optimizer_(parameters, options) {}
  optim::Optimizer& optimizer() override { return optimizer_; }
  void change_options(const Arguments& to) override {
    Options options = optimizer_.options();
    change(options, to);
    optimizer_.set_options(0, options);
  }

 private:
  Type optimizer_;
};

struct Kind {
  // Without `updates`, the type's own.
  std::unique_ptr<Engine> (*make)(const std::vector<Tensor>& parameters, const Arguments& options,
                                  std::optional<optim::Updates> updates);
  std::vector<const char*> state;  // the tensors that PyTorch has too
};

template <class Type, class Options>
std::unique_ptr<Engine> make(const std::vector<Tensor>& parameters, const Arguments& given,
                             std::optional<optim::Updates> updates) {
  Options options;
  change(options, given);
  if constexpr (requires { options.updates; }) options.updates = updates.value_or(options.updates);
  auto engine = std::make_unique<EngineOf<Type, Options>>(parameters, options);
  if (updates && *updates != engine->optimizer().updates()) engine->optimizer().set_updates(0, *updates);
  return engine;
}

const std::map<std::string, Kind, std::less<>>& kinds() {
  static const std::map<std::string, Kind, std::less<>> table = {
      {"SGD", {make<optim::SGD, optim::SGDOptions>, {"momentum_buffer"}}},
      {"Adam", {make<optim::Adam, optim::AdamOptions>, {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}}},
      {"AdamW", {make<optim::AdamW, optim::AdamWOptions>, {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}}},
      {"Adagrad", {make<optim::Adagrad, optim::AdagradOptions>, {"step", "sum"}}},
      {"RowwiseAdagrad", {make<optim::RowwiseAdagrad, optim::RowwiseAdagradOptions>, {}}},
      {"RMSprop", {make<optim::RMSprop, optim::RMSpropOptions>, {"step", "square_avg", "momentum_buffer", "grad_avg"}}},
      {"Lion", {make<optim::Lion, optim::LionOptions>, {}}},
      {"Adamax", {make<optim::Adamax, optim::AdamaxOptions>, {"step", "exp_avg", "exp_inf"}}},
      {"NAdam", {make<optim::NAdam, optim::NAdamOptions>, {"step", "mu_product", "exp_avg", "exp_avg_sq"}}},
      {"RAdam", {make<optim::RAdam, optim::RAdamOptions>, {"step", "exp_avg", "exp_avg_sq"}}},
      // Its `step` is no tensor in PyTorch.
      {"SparseAdam", {make<optim::SparseAdam, optim::SparseAdamOptions>, {"exp_avg", "exp_avg_sq"}}},
      {"SGDW", {make<optim::SGDW, optim::SGDWOptions>, {}}},
  };
  return table;
}

// --- a case's arguments ----------------------------------------------------------------------------------------------

// The number that a text is, if it is one from 0 up to, not including, `bound`, written as numbers are.
std::optional<std::int64_t> number_below(const std::string& text, std::int64_t bound) {
  std::int64_t number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  if (number < 0 || number >= bound || std::to_string(number) != text) return std::nullopt;
  return number;
}

// What the arguments say beside the optimizer's own options.
struct Schedule {
  std::int64_t steps = 0;
  std::optional<optim::Updates> updates;
  std::vector<double> lr;  // empty: left alone
  std::map<std::int64_t, Arguments> options_at;
  std::vector<std::int64_t> read_at;
  std::vector<std::int64_t> save_load_at;
  std::vector<std::vector<std::int64_t>> frozen_rows;
};

Arguments options_of(const Json& object) { return {"optimizer", object}; }

Schedule schedule_of(const Case& c) {
  Schedule schedule;
  schedule.steps = c.args.get<std::int64_t>("steps");
  if (schedule.steps < 0) c.args.refuse("steps", "at least 0");

  if (c.args.has("updates")) {
    const auto name = c.args.get<std::string>("updates");
    for (const auto updates : {optim::Updates::exact, optim::Updates::touched_only, optim::Updates::dense}) {
      if (name == optim::name_of(updates)) schedule.updates = updates;
    }
    if (!schedule.updates) c.args.refuse("updates", "dense, exact or touched_only");
  }

  if (const auto lr = c.args.find<std::vector<double>>("lr")) {
    if (static_cast<std::int64_t>(lr->size()) != schedule.steps) c.args.refuse("lr", "one number for each step");
    schedule.lr = *lr;
  }
  const auto steps_in = [&](const char* name) {
    auto given = c.args.get<std::vector<std::int64_t>>(name, {});
    for (const std::int64_t step : given) {
      if (step < 0 || step >= schedule.steps) c.args.refuse(name, "steps from 0 up to the last");
    }
    return given;
  };
  schedule.read_at = steps_in("read_at");
  schedule.save_load_at = steps_in("save_load_at");
  if (c.args.has("options_at")) {
    const Json& changes = c.args.values().at("options_at");
    if (!changes.is_object()) c.args.refuse("options_at", "an object of step: options");
    for (const auto& [step, options] : changes.items()) {
      const auto number = number_below(step, schedule.steps);
      if (!number || !options.is_object()) c.args.refuse("options_at", "an object of step: options");
      schedule.options_at.emplace(*number, options_of(options));
    }
  }
  if (c.args.has("frozen_rows")) {
    const Json& frozen = c.args.values().at("frozen_rows");
    if (!frozen.is_array()) c.args.refuse("frozen_rows", "a list of rows for each parameter");
    for (const Json& rows : frozen) {
      const Arguments parameter("optimizer", {{"frozen_rows", rows}});
      schedule.frozen_rows.push_back(parameter.get<std::vector<std::int64_t>>("frozen_rows", {}));
    }
  }
  return schedule;
}

// Every tensor is a parameter, or the gradient of one at one of the steps.
void check_tensors(const Case& c, const Schedule& schedule, std::size_t parameters) {
  const auto count = static_cast<std::int64_t>(parameters);
  for (const auto& [name, tensor] : c.inputs) {
    std::vector<std::string> parts;
    std::istringstream text(name);
    for (std::string part; std::getline(text, part, '.');) parts.push_back(part);
    const bool is_parameter = parts.size() == 2 && parts[0] == "param" && number_below(parts[1], count);
    const bool is_gradient =
        (parts.size() == 3 || (parts.size() == 4 && (parts[3] == "indices" || parts[3] == "values"))) &&
        parts[0] == "grad" && number_below(parts[1], schedule.steps) && number_below(parts[2], count);
    if (!is_parameter && !is_gradient) {
      throw ValueError(fmt::format("optimizer: tensor {} belongs to no parameter and step", name));
    }
  }
}

// --- the run ---------------------------------------------------------------------------------------------------------

// Writes to a file and reads it again, as a program that stops and goes on does.
StateDict through_file(const StateDict& tensors) {
  std::string path = (std::filesystem::temp_directory_path() / "embergrad-opcheck-XXXXXX").string();
  const int descriptor = ::mkstemp(path.data());
  if (descriptor < 0) throw IoError(path + ": cannot make a temporary file");
  ::close(descriptor);
  try {
    save(path, tensors);
    StateDict loaded = load(path).tensors;
    std::filesystem::remove(path);
    return loaded;
  } catch (...) {
    std::filesystem::remove(path);
    throw;
  }
}

// A case's parameters and optimizer, on their way through the steps.
class Run {
 public:
  Run(const Case& c, const Kind& kind, Schedule schedule, Arguments options)
      : case_(c), kind_(kind), schedule_(std::move(schedule)), options_(std::move(options)) {
    while (c.inputs.contains(name_of_parameter(parameters_.size()))) {
      parameters_.push_back(c.inputs.at(name_of_parameter(parameters_.size())).clone().set_requires_grad());
    }
    check_tensors(c, schedule_, parameters_.size());
    make_optimizer();
  }

  Outputs run() {
    for (std::int64_t step = 0; step < schedule_.steps; ++step) run_step(step);
    return outputs();
  }

 private:
  void run_step(std::int64_t step) {
    const auto due = [&](const std::vector<std::int64_t>& steps) {
      return std::find(steps.begin(), steps.end(), step) != steps.end();
    };
    if (due(schedule_.save_load_at)) save_and_load();
    if (const auto changes = schedule_.options_at.find(step); changes != schedule_.options_at.end()) {
      engine_->change_options(changes->second);
    }
    optim::Optimizer& optimizer = engine_->optimizer();
    if (!schedule_.lr.empty()) optimizer.set_lr(schedule_.lr[static_cast<std::size_t>(step)]);
    if (due(schedule_.read_at)) look_everything_up();
    optimizer.zero_grad();
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      Gradient gradient = gradient_of(step, k);
      if (gradient.defined()) parameters_[k].set_grad(std::move(gradient));
    }
    optimizer.step();
  }

  Outputs outputs() {
    Outputs outputs;
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      outputs.emplace_back(name_of_parameter(k), parameters_[k]);
      for (const char* name : kind_.state) {
        const Tensor state = state_of(k, name);
        if (state.defined()) outputs.emplace_back(fmt::format("state.{}.{}", k, name), state);
      }
    }
    return outputs;
  }

  static std::string name_of_parameter(std::size_t k) { return fmt::format("param.{}", k); }

  void make_optimizer() {
    freeze_rows();
    engine_ = kind_.make(parameters_, options_, schedule_.updates);
  }

  void freeze_rows() {
    if (schedule_.frozen_rows.empty()) return;
    if (schedule_.frozen_rows.size() != parameters_.size()) {
      throw ValueError(fmt::format("optimizer: frozen_rows has {} lists for {} parameters",
                                   schedule_.frozen_rows.size(), parameters_.size()));
    }
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      const std::int64_t rows = parameters_[k].dim() > 0 ? parameters_[k].size(0) : 0;
      for (const std::int64_t row : schedule_.frozen_rows[k]) {
        if (row < 0 || row >= rows) throw IndexError(fmt::format("optimizer: frozen row {} of {} rows", row, rows));
        detail::freeze_row(parameters_[k], row);
      }
    }
  }

  void save_and_load() {
    const auto model = [&] {
      StateDict named;
      for (std::size_t k = 0; k < parameters_.size(); ++k) named.set(name_of_parameter(k), parameters_[k]);
      return named;
    };
    const StateDict model_file = through_file(model());
    const StateDict state_file = through_file(engine_->optimizer().state_dict());
    for (Tensor& parameter : parameters_) parameter = zeros_like(parameter).set_requires_grad();
    load_into(model(), model_file);
    make_optimizer();
    engine_->optimizer().load_state_dict(state_file);
  }

  void look_everything_up() const {
    const NoGrad guard;
    for (const Tensor& parameter : parameters_) {
      if (parameter.dim() == 2) static_cast<void>(embedding(arange(parameter.size(0)), parameter));
    }
  }

  [[nodiscard]] Gradient gradient_of(std::int64_t step, std::size_t k) const {
    const Tensor& parameter = parameters_[k];
    const std::string name = fmt::format("grad.{}.{}", step, k);
    // A 16-bit parameter takes float32 gradients.
    const auto find = [&](const std::string& part) {
      const Tensor found = case_.find(part);
      const bool widens = found.defined() && is_16_bit(found.dtype()) && found.dtype() == parameter.dtype();
      return widens ? found.to(DType::float32) : found;
    };
    const Tensor dense = find(name);
    const Tensor indices = case_.find(name + ".indices");
    const Tensor values = find(name + ".values");
    if (!indices.defined() && !values.defined()) return dense.defined() ? Gradient(dense.clone()) : Gradient();
    if (dense.defined() || !indices.defined() || !values.defined()) {
      throw ValueError(fmt::format("optimizer: expected {0}, or {0}.indices and {0}.values", name));
    }
    if (parameter.dim() != 2) {
      throw ShapeError(
          fmt::format("optimizer: {} is sparse, but its parameter has shape {}", name, parameter.shape().to_string()));
    }
    return RowSparse::from_rows(indices, values, parameter.size(0));
  }

  // In the type that PyTorch keeps it in. Its Adagrad has state before the first gradient.
  [[nodiscard]] Tensor state_of(std::size_t k, std::string_view name) {
    const Tensor& parameter = parameters_[k];
    Tensor state = engine_->optimizer().state(k, name);
    if (!state.defined() && case_.args.get<std::string>("optimizer") == "Adagrad") {
      if (name == "step") return tensor(0.0);
      state = full(parameter.shape(), options_.get("initial_accumulator_value", 0.0), {parameter.dtype(), {}});
    }
    const bool counts = name == "step" || name == "mu_product";
    return state.defined() && !counts ? state.to(parameter.dtype()) : state;
  }

  const Case& case_;
  const Kind& kind_;
  Schedule schedule_;
  Arguments options_;
  std::vector<Tensor> parameters_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace

Outputs run_optimizer(const Case& c) {
  const auto name = c.args.get<std::string>("optimizer");
  const auto kind = kinds().find(name);
  if (kind == kinds().end()) throw Unsupported("optimizer: " + name);
  const Json options = c.args.has("options") ? c.args.values().at("options") : Json::object();
  if (!options.is_object()) c.args.refuse("options", "an object");
  return Run(c, kind->second, schedule_of(c), options_of(options)).run();
}

}  // namespace embergrad::opcheck

#include <embergrad/nn/unit_scaling.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>
#include <utility>

#include <embergrad/error.hpp>
#include <embergrad/nn/init.hpp>

namespace embergrad::nn::unit_scaling {

// --- constraints

namespace {
constexpr std::array constraint_names = {"none",
                                         "gmean",
                                         "hmean",
                                         "amean",
                                         "to_output_scale",
                                         "to_grad_input_scale",
                                         "to_left_grad_scale",
                                         "to_right_grad_scale"};
}  // namespace

Constraint constraint_from_name(std::string_view name) {
  if (name.empty() || name == "None") return Constraint::none;
  for (std::size_t i = 0; i < constraint_names.size(); ++i) {
    if (name == constraint_names[i]) return static_cast<Constraint>(i);
  }
  throw ValueError(fmt::format("unit_scaling: constraint must be one of {}, but is \"{}\"",
                               fmt::join(constraint_names, ", "), name));
}

const char* name_of(Constraint constraint) { return constraint_names[static_cast<std::size_t>(constraint)]; }

std::vector<double> apply_constraint(Constraint constraint, std::span<const double> scales) {
  if (scales.empty()) throw ValueError("unit_scaling: a constraint needs at least one factor, but there is none");
  const auto count = static_cast<double>(scales.size());
  const auto of_input = [&](std::size_t input, std::size_t inputs) {
    if (scales.size() == inputs + 1) return scales[input];
    throw ValueError(fmt::format("unit_scaling: {} is for ops with {} input{}, but this one has {}",
                                 name_of(constraint), inputs, inputs == 1 ? "" : "s", scales.size() - 1));
  };
  double shared = 0;
  switch (constraint) {
    case Constraint::none:
      return {scales.begin(), scales.end()};
    case Constraint::gmean:
      shared = std::pow(std::accumulate(scales.begin(), scales.end(), 1.0, std::multiplies<>()), 1 / count);
      break;
    case Constraint::hmean:
      shared =
          count / std::accumulate(scales.begin(), scales.end(), 0.0, [](double sum, double s) { return sum + 1 / s; });
      break;
    case Constraint::amean:
      shared = std::accumulate(scales.begin(), scales.end(), 0.0) / count;
      break;
    case Constraint::to_output_scale:
      shared = scales[0];
      break;
    case Constraint::to_grad_input_scale:
      shared = of_input(1, 1);
      break;
    case Constraint::to_left_grad_scale:
      shared = of_input(1, 2);
      break;
    case Constraint::to_right_grad_scale:
      shared = of_input(2, 2);
      break;
  }
  return std::vector<double>(scales.size(), shared);
}

// --- factors. What is wrong with arguments is for the ops to say: here it gives factors of 1.

namespace {

// √(of / by), or 1 where that says nothing.
double root_of_ratio(double of, double by) { return of > 0 && by > 0 ? std::sqrt(of / by) : 1; }

double to_minus(double number, double power) { return number > 0 ? std::pow(number, -power) : 1; }

std::vector<std::int64_t> integers(const Tensor& tensor) { return tensor.to(Device::cpu()).to_vector<std::int64_t>(); }

bool holds_integers(const Tensor& tensor) { return tensor.defined() && is_integer(tensor.dtype()); }

// No place holds it if it is not given, or no row.
std::int64_t padding_row(const std::optional<std::int64_t>& padding_idx, std::int64_t rows) {
  if (!padding_idx) return -1;
  return *padding_idx < 0 ? *padding_idx + rows : *padding_idx;
}

// Places of a table, each with the mean square that it brings to the gradient of its row.
struct Place {
  std::int64_t row;
  double square;
  bool operator<(const Place& other) const { return row < other.row; }
};

// The gradient of a table that is hit at these places by gradients of RMS 1.
double table_factor(std::vector<Place> places, std::int64_t rows, bool by_frequency, const TableScaling& scaling) {
  double total = 0;
  std::int64_t touched = 0;
  std::stable_sort(places.begin(), places.end());
  for (std::size_t first = 0, end = 0; first < places.size(); first = end) {
    double of_row = 0;
    for (end = first; end < places.size() && places[end].row == places[first].row; ++end) of_row += places[end].square;
    const auto count = static_cast<double>(end - first);
    total += by_frequency ? of_row / (count * count) : of_row;
    ++touched;
  }
  return root_of_ratio(static_cast<double>(scaling.touched ? touched : rows), total);
}

Scales embedding_scales(const Tensor& input, const Tensor& weight, const embergrad::EmbeddingOptions& options,
                        const TableScaling& scaling) {
  if (!holds_integers(input) || !weight.defined() || weight.dim() != 2) return {};
  const std::int64_t rows = weight.size(0);
  if (!options.padding_idx && !options.scale_grad_by_freq && !scaling.touched) {
    return {.grad_weight = root_of_ratio(static_cast<double>(rows), static_cast<double>(input.numel()))};
  }
  const std::int64_t padding = padding_row(options.padding_idx, rows);
  std::vector<Place> places;
  for (const std::int64_t row : integers(input)) {
    if (row != padding) places.push_back({row, 1});
  }
  return {.grad_weight = table_factor(std::move(places), rows, options.scale_grad_by_freq, scaling)};
}

// E[max²] of `count` numbers from N(0, 1): the trapezoidal rule on count x² φ(x) Φ(x)^(count - 1).
double mean_square_of_largest(std::int64_t count) {
  constexpr double step = 1.0 / 16;
  double sum = 0;
  for (int i = -160; i <= 160; ++i) {
    const double x = i * step;
    const double below = std::erfc(-x / std::numbers::sqrt2) / 2;
    sum += x * x * std::exp(-x * x / 2) * std::pow(below, static_cast<double>(count - 1));
  }
  return static_cast<double>(count) * sum * step / std::sqrt(2 * std::numbers::pi);
}

// Where each bag begins, and at last where they end; nothing for arguments that the op refuses.
std::vector<std::int64_t> bag_bounds(const Tensor& input, const Tensor& offsets, bool include_last) {
  std::vector<std::int64_t> bounds;
  if (input.dim() == 2 && !offsets.defined()) {
    for (std::int64_t b = 0; b <= input.size(0); ++b) bounds.push_back(b * input.size(1));
    return bounds;
  }
  if (input.dim() != 1 || !holds_integers(offsets) || offsets.dim() != 1) return {};
  bounds = integers(offsets);
  if (!include_last) bounds.push_back(input.numel());
  const bool fits = !bounds.empty() && bounds.front() >= 0 && bounds.back() <= input.numel() &&
                    std::is_sorted(bounds.begin(), bounds.end());
  return fits ? bounds : std::vector<std::int64_t>();
}

Scales bag_scales(const Tensor& input, const Tensor& weight, const Tensor& offsets,
                  const embergrad::EmbeddingBagOptions& options, const Tensor& per_sample_weights,
                  const TableScaling& scaling) {
  if (!holds_integers(input) || !weight.defined() || weight.dim() != 2) return {};
  const bool weighted = per_sample_weights.defined();
  if (weighted && (per_sample_weights.numel() != input.numel() || !is_floating(per_sample_weights.dtype()))) return {};
  const std::vector<std::int64_t> bounds = bag_bounds(input, offsets, options.include_last_offset);
  if (bounds.empty()) return {};
  const std::vector<std::int64_t> index = integers(input);
  const std::vector<double> factor =
      weighted ? per_sample_weights.to(Device::cpu()).to_vector<double>() : std::vector<double>();
  const std::int64_t padding = padding_row(options.padding_idx, weight.size(0));

  std::vector<Place> places;
  std::map<std::int64_t, double> largest;  // by the length of a bag
  double bags = 0, result = 0, by_weight = 0;
  for (std::size_t b = 0; b + 1 < bounds.size(); ++b) {
    const std::size_t first = places.size();
    double sum = 0, squares = 0;
    for (auto i = static_cast<std::size_t>(bounds[b]); i < static_cast<std::size_t>(bounds[b + 1]); ++i) {
      if (index[i] == padding) continue;
      const double s = weighted ? factor[i] : 1;
      places.push_back({index[i], s * s});
      sum += s;
      squares += s * s;
    }
    const auto length = static_cast<std::int64_t>(places.size() - first);
    if (length == 0 || (options.mode == BagMode::mean && sum == 0)) {
      places.resize(first);
      continue;
    }
    ++bags;
    double divisor = 1;
    if (options.mode == BagMode::mean) divisor = sum * sum;
    if (options.mode == BagMode::max) divisor = static_cast<double>(length);
    for (std::size_t i = first; i < places.size(); ++i) places[i].square /= divisor;
    if (options.mode == BagMode::max) {
      const auto known = largest.try_emplace(length, 0).first;
      if (known->second == 0) known->second = mean_square_of_largest(length);
      result += known->second * squares / static_cast<double>(length);
      by_weight += known->second;  // each column goes to one place of the bag
    } else {
      result += squares / divisor;
      by_weight += static_cast<double>(length) / divisor;
    }
  }
  const double count = static_cast<double>(places.size()), dim = static_cast<double>(weight.size(1));
  return {.out = root_of_ratio(bags, result),
          .grad_in = root_of_ratio(count, dim * by_weight),
          .grad_weight = table_factor(std::move(places), weight.size(0), options.scale_grad_by_freq, scaling)};
}

Scales linear_scales(const Tensor& input, const Tensor& weight, const LinearScaling& scaling) {
  if (!input.defined() || !weight.defined() || input.dim() == 0 || weight.dim() == 0) return {};
  const double fan_out = weight.dim() == 1 ? 1 : static_cast<double>(weight.size(0));
  const double rows = static_cast<double>(input.shape().slice(0, input.dim() - 1).numel());
  const auto& power = scaling.scale_power;
  const std::array factors = {to_minus(static_cast<double>(weight.size(-1)), power[0]), to_minus(fan_out, power[1])};
  const std::vector<double> shared = apply_constraint(scaling.constraint, factors);
  return {.out = shared[0], .grad_in = shared[1], .grad_weight = to_minus(rows, power[2])};
}

LinearScaling readout_scaling(Constraint constraint) {
  return {.constraint = constraint, .scale_power = {1, 0.5, 0.5}};
}

Scales dropout_scales(double p) {
  const double factor = p >= 0 && p <= 1 ? std::sqrt(1 - p) : 1;
  return {.out = factor, .grad_in = factor};
}

// RMS of h, of the gradients of z, and of those of b over √steps, in a cell with z from N(0, 1) whose output gets
// gradients of RMS 1. Measured; they depend neither on sizes nor on lengths from about 8 on.
struct CellStatistics {
  double h, z, b;
};

CellStatistics cell_statistics(double forget_offset) {
  if (forget_offset == 0) return {.h = 0.197, .z = 0.125, .b = 0.18};
  if (forget_offset == 1) return {.h = 0.230, .z = 0.152, .b = 0.29};
  throw ValueError(fmt::format("unit_scaling: forget_offset must be 0 or 1, but is {}", forget_offset));
}

// output is P: hidden, unless projected.
struct LstmSizes {
  std::int64_t input, hidden, output, layers, directions, steps;
};

std::vector<LstmScales> lstm_scales(const LstmSizes& sizes, double dropout, const LstmScaling& scaling) {
  const CellStatistics cell = cell_statistics(scaling.forget_offset);
  const auto hidden = static_cast<double>(sizes.hidden), output = static_cast<double>(sizes.output);
  const auto directions = static_cast<double>(sizes.directions);
  const double over_steps = to_minus(static_cast<double>(sizes.steps), 0.5);
  // A projection over √H leaves h its RMS, and what comes back through it adds up P numbers over √H.
  const double share = root_of_ratio(output, hidden);
  const double z = cell.z * share, b = cell.b * share;
  std::vector<LstmScales> scales;
  for (std::int64_t layer = 0; layer < sizes.layers; ++layer) {
    const double input = layer == 0 ? static_cast<double>(sizes.input) : directions * output;
    // dz W_ih adds up 4H numbers, once for each direction.
    const std::array edges = {1 / cell.h, root_of_ratio(input, 4 * hidden * directions) / z};
    const std::vector<double> shared = apply_constraint(scaling.constraint, edges);
    scales.push_back({.weight_ih = to_minus(input, 0.5),
                      .weight_hh = to_minus(output, 0.5),
                      .forget_offset = scaling.forget_offset,
                      .weight_hr = to_minus(hidden, 0.5),
                      .out = shared[0],
                      .grad_in = shared[1],
                      .grad_weight_ih = std::sqrt(input) / z * over_steps,
                      .grad_weight_hh = std::sqrt(output) / (z * cell.h) * over_steps,
                      .grad_bias = over_steps / b,
                      .grad_weight_hr = std::sqrt(hidden) / cell.h * over_steps,
                      .dropout = dropout_scales(dropout).out});
  }
  return scales;
}

std::optional<MupType> type_of_weight_or_bias(std::string_view parameter, MupType of_weight) {
  if (parameter.starts_with("weight")) return of_weight;
  if (parameter.starts_with("bias")) return MupType::bias;
  return std::nullopt;
}

std::string described(const std::string& plain) { return "unit_scaling." + plain; }

void draw_weight(const Tensor& weight, const Tensor& bias, Generator& generator) {
  init::normal(weight, 0, 1, generator);
  if (bias.defined()) init::zeros(bias);
}

}  // namespace

// --- functions

Tensor embedding(const Tensor& input, const Tensor& weight, const embergrad::EmbeddingOptions& options,
                 const TableScaling& scaling) {
  return embergrad::embedding(input, weight, options, embedding_scales(input, weight, options, scaling));
}

Tensor embedding_bag(const Tensor& input, const Tensor& weight, const Tensor& offsets,
                     const embergrad::EmbeddingBagOptions& options, const TableScaling& scaling) {
  return embergrad::embedding_bag(input, weight, offsets, options,
                                  bag_scales(input, weight, offsets, options, options.per_sample_weights, scaling));
}

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias, const LinearScaling& scaling) {
  return embergrad::linear(input, weight, bias, linear_scales(input, weight, scaling));
}

Tensor linear_readout(const Tensor& input, const Tensor& weight, const Tensor& bias, Constraint constraint) {
  return linear(input, weight, bias, readout_scaling(constraint));
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  if (options.reduction == Reduction::none) {
    throw ValueError("unit_scaling.cross_entropy: reduction must be mean or sum, but is none");
  }
  embergrad::CrossEntropyOptions plain{.ignore_index = options.ignore_index, .reduction = options.reduction};
  CrossEntropyScales scales{.logits = options.mult, .mean_divides_grad = false};
  if (logits.defined() && logits.dim() > 0) {
    const auto classes = static_cast<double>(logits.size(logits.dim() == 1 ? 0 : 1));
    if (classes > 1) scales.grad_in = classes / std::sqrt(classes - 1);
  }
  if (options.mean_over_all && options.reduction == Reduction::mean && target.defined()) {
    plain.reduction = Reduction::sum;
    scales.out = to_minus(static_cast<double>(target.numel()), 1);
  }
  return embergrad::cross_entropy(logits, target, plain, scales);
}

Tensor cross_entropy(const PackedSequence& logits, const PackedSequence& targets, const CrossEntropyOptions& options) {
  check_same_order("unit_scaling.cross_entropy", "logits", logits, "targets", targets);
  return cross_entropy(logits.values(), targets.values(), options);
}

Tensor dropout(const Tensor& input, const embergrad::DropoutOptions& options) {
  return embergrad::dropout(input, options, dropout_scales(options.p));
}

LstmResult lstm(const Tensor& input, const LstmState& state, std::span<const Tensor> parameters,
                const LstmOptions& options, std::span<const std::int64_t> lengths, const LstmScaling& scaling) {
  const bool readable = input.defined() && input.dim() >= 2 && parameters.size() >= 2 && parameters[1].defined() &&
                        parameters[1].dim() == 2 && options.num_layers >= 1;
  std::vector<LstmScales> scales;
  if (readable) {
    const std::int64_t steps = lengths.empty() ? input.shape().slice(0, input.dim() - 1).numel()
                                               : std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
    scales = lstm_scales({.input = input.size(-1),
                          .hidden = parameters[1].size(0) / 4,
                          .output = parameters[1].size(1),
                          .layers = options.num_layers,
                          .directions = options.bidirectional ? 2 : 1,
                          .steps = steps},
                         options.dropout, scaling);
  }
  return embergrad::lstm(input, state, parameters, options, lengths, scales);
}

// --- types of parameters

namespace {

class CollectTypes final : public Visitor {
 public:
  std::vector<MupParameter> found;

  void on_module(const std::string& path, Module& child) override {
    const Place outer = place_;
    place_.layer = path.size() + 1;
    enter(path, child);
    place_ = outer;
  }
  // `path` is "" for the outermost.
  void enter(const std::string& path, Module& module) {
    place_.tagged = dynamic_cast<const MupTagged*>(&module);
    if (const auto* stack = dynamic_cast<const MupStack*>(&module)) {
      if (place_.depth) {
        throw ValueError(fmt::format("mup_parameters: {} is a stack inside a stack", path.empty() ? "module" : path));
      }
      place_.depth = stack->mup_depth();
    }
    module.members(*this);
  }

 private:
  struct Place {
    const MupTagged* tagged = nullptr;
    std::optional<std::int64_t> depth = {};
    std::size_t layer = 0;  // where names of its parts begin
  };

  void on_parameter(const std::string& path, Tensor& tensor) override {
    const auto same = [&](const MupParameter& other) { return other.parameter.state() == tensor.state(); };
    if (!is_floating(tensor.dtype()) || std::ranges::any_of(found, same)) return;
    MupParameter parameter{.name = path, .parameter = tensor, .depth = place_.depth};
    if (place_.tagged != nullptr) parameter.type = place_.tagged->mup_type(std::string_view(path).substr(place_.layer));
    if (place_.depth && !parameter.type) {
      throw ValueError(fmt::format("mup_parameters: {} is in a stack, but is no unit-scaled parameter", path));
    }
    found.push_back(std::move(parameter));
  }

  Place place_;
};

}  // namespace

std::vector<MupParameter> mup_parameters(const Module& module) {
  CollectTypes walk;
  // The walk reads; `members` can't be const, as it names parts for walks that write.
  walk.enter("", const_cast<Module&>(module));
  return std::move(walk.found);
}

// --- layers

Embedding::Embedding(const nn::EmbeddingOptions& options, const TableScaling& scaling, Generator& generator)
    : nn::Embedding(options, generator), scaling_(scaling) {}

Embedding::Embedding(std::int64_t num_embeddings, std::int64_t embedding_dim, Generator& generator)
    : nn::Embedding(num_embeddings, embedding_dim, generator) {}

Embedding::Embedding(nn::Embedding layer, const TableScaling& scaling)
    : nn::Embedding(std::move(layer)), scaling_(scaling) {}

Embedding Embedding::from_pretrained(const Tensor& embeddings, const FromPretrainedOptions& options) {
  return Embedding(nn::Embedding::from_pretrained(embeddings, options));
}

std::optional<MupType> Embedding::mup_type(std::string_view parameter) const {
  return type_of_weight_or_bias(parameter, MupType::weight);
}

std::string Embedding::describe() const { return described(nn::Embedding::describe()); }

Scales Embedding::scales(const Tensor& input) const {
  return embedding_scales(input, weight, lookup_options(), scaling_);
}

EmbeddingBag::EmbeddingBag(const nn::EmbeddingBagOptions& options, const TableScaling& scaling, Generator& generator)
    : nn::EmbeddingBag(options, generator), scaling_(scaling) {}

EmbeddingBag::EmbeddingBag(std::int64_t num_embeddings, std::int64_t embedding_dim, Generator& generator)
    : nn::EmbeddingBag(num_embeddings, embedding_dim, generator) {}

EmbeddingBag::EmbeddingBag(nn::EmbeddingBag layer, const TableScaling& scaling)
    : nn::EmbeddingBag(std::move(layer)), scaling_(scaling) {}

EmbeddingBag EmbeddingBag::from_pretrained(const Tensor& embeddings, const BagFromPretrainedOptions& options) {
  return EmbeddingBag(nn::EmbeddingBag::from_pretrained(embeddings, options));
}

std::optional<MupType> EmbeddingBag::mup_type(std::string_view parameter) const {
  return type_of_weight_or_bias(parameter, MupType::weight);
}

std::string EmbeddingBag::describe() const { return described(nn::EmbeddingBag::describe()); }

Scales EmbeddingBag::scales(const Tensor& input, const Tensor& offsets, const Tensor& per_sample_weights) const {
  return bag_scales(input, weight, offsets, lookup_options(), per_sample_weights, scaling_);
}

Linear::Linear(const LinearOptions& options, Generator& generator)
    : nn::Linear({.in_features = options.in_features,
                  .out_features = options.out_features,
                  .bias = options.bias,
                  .device = options.device,
                  .dtype = options.dtype},
                 Undrawn{}),
      scaling_{.constraint = options.constraint, .scale_power = options.scale_power} {
  draw_weight(weight, bias, generator);
}

Linear::Linear(std::int64_t in_features, std::int64_t out_features, bool with_bias, Generator& generator)
    : Linear({.in_features = in_features, .out_features = out_features, .bias = with_bias}, generator) {}

void Linear::reset_parameters(Generator& generator) { draw_weight(weight, bias, generator); }

std::optional<MupType> Linear::mup_type(std::string_view parameter) const {
  return type_of_weight_or_bias(parameter, MupType::weight);
}

std::string Linear::describe() const { return described(nn::Linear::describe()); }

Scales Linear::scales(const Tensor& input) const { return linear_scales(input, weight, scaling_); }

LinearReadout::LinearReadout(const LinearReadoutOptions& options, Generator& generator)
    : nn::Linear({.in_features = options.in_features,
                  .out_features = options.out_features,
                  .bias = options.bias,
                  .device = options.device,
                  .dtype = options.dtype},
                 Undrawn{}),
      constraint_(options.constraint) {
  draw_weight(weight, bias, generator);
}

LinearReadout::LinearReadout(std::int64_t in_features, std::int64_t out_features, bool with_bias, Generator& generator)
    : LinearReadout({.in_features = in_features, .out_features = out_features, .bias = with_bias}, generator) {}

void LinearReadout::reset_parameters(Generator& generator) { draw_weight(weight, bias, generator); }

std::optional<MupType> LinearReadout::mup_type(std::string_view parameter) const {
  return type_of_weight_or_bias(parameter, MupType::output);
}

std::string LinearReadout::describe() const {
  return fmt::format("unit_scaling.LinearReadout({}, {}{})", in_features(), out_features(),
                     bias.defined() ? "" : ", bias=False");
}

Scales LinearReadout::scales(const Tensor& input) const {
  return linear_scales(input, weight, readout_scaling(constraint_));
}

LSTM::LSTM(const LSTMOptions& options, Generator& generator)
    : nn::LSTM({.input_size = options.input_size,
                .hidden_size = options.hidden_size,
                .num_layers = options.num_layers,
                .bias = options.bias,
                .batch_first = options.batch_first,
                .dropout = options.dropout,
                .bidirectional = options.bidirectional,
                .proj_size = options.proj_size,
                .device = options.device,
                .dtype = options.dtype},
               Undrawn{}),
      scaling_{.constraint = options.constraint, .forget_offset = options.forget_offset},
      dropout_(options.dropout) {
  static_cast<void>(LSTM::scales(1));  // refuses now what the first forward would
  LSTM::reset_parameters(generator);
}

LSTM::LSTM(std::int64_t input_size, std::int64_t hidden_size, std::int64_t num_layers, Generator& generator)
    : LSTM({.input_size = input_size, .hidden_size = hidden_size, .num_layers = num_layers}, generator) {}

void LSTM::reset_parameters(Generator& generator) {
  for (const Tensor& parameter : weights()) {
    if (parameter.dim() == 2) {
      init::normal(parameter, 0, 1, generator);
    } else {
      init::zeros(parameter);
    }
  }
}

std::optional<MupType> LSTM::mup_type(std::string_view parameter) const {
  return type_of_weight_or_bias(parameter, MupType::weight);
}

std::string LSTM::describe() const { return described(nn::LSTM::describe()); }

std::vector<LstmScales> LSTM::scales(std::int64_t steps) const {
  return lstm_scales({.input = input_size(),
                      .hidden = hidden_size(),
                      .output = proj_size() > 0 ? proj_size() : hidden_size(),
                      .layers = num_layers(),
                      .directions = bidirectional() ? 2 : 1,
                      .steps = steps},
                     dropout_, scaling_);
}

std::string Dropout::describe() const { return described(nn::Dropout::describe()); }

Scales Dropout::scales() const { return dropout_scales(p()); }

}  // namespace embergrad::nn::unit_scaling

#include <embergrad/nn/lstm.hpp>

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include <embergrad/error.hpp>
#include <embergrad/nn/init.hpp>

namespace embergrad::nn {
namespace {

void check(const LSTMOptions& options) {
  const auto at_least_one = [](const char* name, std::int64_t value) {
    if (value < 1) throw ValueError(fmt::format("LSTM: {} must be at least 1, but is {}", name, value));
  };
  at_least_one("input_size", options.input_size);
  at_least_one("hidden_size", options.hidden_size);
  at_least_one("num_layers", options.num_layers);
  if (options.proj_size < 0 || options.proj_size >= options.hidden_size) {
    throw ValueError(fmt::format("LSTM: proj_size must be in [0, hidden_size = {}), but is {}",
                                 std::int64_t{options.hidden_size}, options.proj_size));
  }
  if (!(options.dropout >= 0 && options.dropout <= 1)) {
    throw ValueError(fmt::format("LSTM: dropout must be in [0, 1], but is {}", options.dropout));
  }
  if (options.dropout > 0 && options.num_layers == 1) {
    throw ValueError(fmt::format("LSTM: dropout acts between layers, so with num_layers = 1 it must be 0, but is {}",
                                 options.dropout));
  }
  if (!is_floating(options.dtype)) {
    throw DTypeError(fmt::format("LSTM: dtype must be floating, but is {}", name_of(options.dtype)));
  }
}

// Rows of a (layers, B, …) state in another order of sequences.
Tensor rows_in(std::span<const std::int64_t> order, std::int64_t layers, Device device) {
  const auto batch = static_cast<std::int64_t>(order.size());
  std::vector<std::int64_t> rows;
  rows.reserve(static_cast<std::size_t>(layers * batch));
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    for (const std::int64_t sequence : order) rows.push_back(layer * batch + sequence);
  }
  return tensor(rows).to(device);
}

Tensor reordered(const Tensor& state, const Tensor& rows) {
  return gather_rows(state.reshape({rows.numel(), state.size(2)}), rows).reshape(state.shape());
}

// The user's h_0 or c_0, in packed order. Checked here: with another number of sequences, reordering would pick some.
Tensor packed_state(const char* name, const Tensor& state, const Shape& shape, const PackedSequence& input) {
  if (!state.defined()) return state;
  if (state.shape() != shape) {
    throw ShapeError(
        fmt::format("lstm: {} must have shape {}, but has {}", name, shape.to_string(), state.shape().to_string()));
  }
  if (input.in_user_order()) return state;
  return reordered(state, rows_in(input.order(), shape[0], state.device()));
}

}  // namespace

LSTM::LSTM(const LSTMOptions& options, Generator& generator) : LSTM(options, Undrawn{}) {
  LSTM::reset_parameters(generator);
}

LSTM::LSTM(const LSTMOptions& options, Undrawn)
    : input_size_(options.input_size),
      hidden_size_(options.hidden_size),
      proj_size_(options.proj_size),
      options_{.num_layers = options.num_layers,
               .bias = options.bias,
               .batch_first = options.batch_first,
               .dropout = options.dropout,
               .bidirectional = options.bidirectional} {
  check(options);
  const std::int64_t gates = 4 * hidden_size_;
  const std::int64_t state = proj_size_ > 0 ? proj_size_ : hidden_size_;
  const int directions = options.bidirectional ? 2 : 1;
  const auto add = [&](const char* name, std::int64_t layer, int direction, const Shape& shape) {
    names_.push_back(fmt::format("{}_l{}{}", name, layer, direction == 1 ? "_reverse" : ""));
    weights_.push_back(empty(shape, {options.dtype, options.device}));
  };
  for (std::int64_t layer = 0; layer < options.num_layers; ++layer) {
    for (int direction = 0; direction < directions; ++direction) {
      add("weight_ih", layer, direction, {gates, layer == 0 ? input_size_ : directions * state});
      add("weight_hh", layer, direction, {gates, state});
      if (options.bias) add("bias_ih", layer, direction, {gates});
      if (options.bias) add("bias_hh", layer, direction, {gates});
      if (proj_size_ > 0) add("weight_hr", layer, direction, {proj_size_, hidden_size_});
    }
  }
  for (Tensor& weight : weights_) weight.set_requires_grad();
}

std::vector<LstmScales> LSTM::scales(std::int64_t) const { return {}; }

LstmOptions LSTM::options_now() const {
  LstmOptions options = options_;
  options.training = is_training();
  return options;
}

LstmResult LSTM::operator()(const Tensor& input, const LstmState& state) const {
  const LayerScope scope(layer_name());
  // What is wrong with the input is for the op to say.
  const bool sequences = input.defined() && input.dim() > 0 && input.numel() > 0;
  return lstm(input, state, weights_, options_now(), {}, scales(sequences ? input.numel() / input.size(-1) : 0));
}

LstmResult LSTM::operator()(const Tensor& input, const Lengths& lengths, const LstmState& state) const {
  const LayerScope scope(layer_name());
  // No lengths mean all of them to the op; here they mean a batch of none.
  if (lengths.values().empty() && input.dim() == 3 && input.size(options_.batch_first ? 0 : 1) != 0) {
    throw ValueError(fmt::format("lstm: lengths must hold one for each of {} sequences, but is empty",
                                 input.size(options_.batch_first ? 0 : 1)));
  }
  const std::span<const std::int64_t> each = lengths.values();
  const std::int64_t steps = std::accumulate(each.begin(), each.end(), std::int64_t{0});
  return lstm(input, state, weights_, options_now(), each, scales(steps));
}

PackedLstmResult LSTM::operator()(const PackedSequence& input, const LstmState& state) const {
  const LayerScope scope(layer_name());
  const std::int64_t layers = options_.num_layers * (options_.bidirectional ? 2 : 1);
  const std::int64_t width = proj_size_ > 0 ? proj_size_ : hidden_size_;
  const LstmState packed{packed_state("h_0", state.h, {layers, input.batch(), width}, input),
                         packed_state("c_0", state.c, {layers, input.batch(), hidden_size_}, input)};
  LstmResult result = lstm_packed(input.values(), input.batch_sizes(), input.batch(), packed, weights_, options_now(),
                                  scales(input.values().size(0)));
  if (!input.in_user_order()) {
    std::vector<std::int64_t> place(input.order().size());
    for (std::size_t k = 0; k < place.size(); ++k) {
      place[static_cast<std::size_t>(input.order()[k])] = static_cast<std::int64_t>(k);
    }
    const Tensor rows = rows_in(place, layers, result.h_n.device());
    result.h_n = reordered(result.h_n, rows);
    result.c_n = reordered(result.c_n, rows);
  }
  return {input.with_values(std::move(result.output)), std::move(result.h_n), std::move(result.c_n)};
}

void LSTM::reset_parameters(Generator& generator) {
  const double bound = 1 / std::sqrt(static_cast<double>(hidden_size_));
  for (Tensor& weight : weights_) init::uniform(weight, -bound, bound, generator);
}

Tensor& LSTM::parameter(std::string_view name) {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (names_[i] == name) return weights_[i];
  }
  throw ValueError(fmt::format("LSTM: there is no parameter \"{}\"", name));
}

void LSTM::members(Visitor& visit) {
  for (std::size_t i = 0; i < names_.size(); ++i) visit(names_[i], weights_[i]);
}

std::string LSTM::describe() const {
  std::string text = fmt::format("LSTM({}, {}", input_size_, hidden_size_);
  if (proj_size_ > 0) text += fmt::format(", proj_size={}", proj_size_);
  if (options_.num_layers != 1) text += fmt::format(", num_layers={}", options_.num_layers);
  if (!options_.bias) text += ", bias=False";
  if (options_.batch_first) text += ", batch_first=True";
  if (options_.dropout > 0) text += fmt::format(", dropout={}", options_.dropout);
  if (options_.bidirectional) text += ", bidirectional=True";
  return text + ")";
}

}  // namespace embergrad::nn

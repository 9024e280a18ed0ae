#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kernels/lstm.hpp"
#include "kernels/memory.hpp"
#include "ops/scales.hpp"
#include "src/memory_pool.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {
namespace {

using detail::PoolVector;
using detail::view;

// The sizes that the parameters tell, after they were checked against each other.
struct Network {
  std::int64_t layers, directions, hidden, output;
  bool bias, projected;
  int per_direction;

  [[nodiscard]] std::int64_t input_of(std::int64_t layer, std::int64_t input) const {
    return layer == 0 ? input : directions * output;
  }
};

Network check_parameters(const OpCheck& check, const Tensor& data, std::span<const Tensor> parameters,
                         const LstmOptions& options) {
  const std::int64_t input = data.shape().back();
  const DType dtype = data.dtype();
  if (options.num_layers < 1)
    check.fail_value(fmt::format("num_layers must be at least 1, but is {}", options.num_layers));
  if (!(options.dropout >= 0 && options.dropout <= 1)) {
    check.fail_value(fmt::format("dropout must be in [0, 1], but is {}", options.dropout));
  }
  Network net{options.num_layers, options.bidirectional ? 2 : 1, 0, 0, options.bias, false, 0};
  const auto sets = static_cast<std::size_t>(net.layers * net.directions);
  const std::size_t plain = options.bias ? 4 : 2;
  if (parameters.size() != sets * plain && parameters.size() != sets * (plain + 1)) {
    check.fail_value(fmt::format(
        "{} layers of {} directions {} bias take {} parameters (or {} with projection), but {} were given", net.layers,
        net.directions, options.bias ? "with" : "without", sets * plain, sets * (plain + 1), parameters.size()));
  }
  net.projected = parameters.size() != sets * plain;
  net.per_direction = static_cast<int>(plain) + (net.projected ? 1 : 0);
  for (const Tensor& parameter : parameters) {
    check.defined("a parameter", parameter);
    if (parameter.dtype() != dtype) {
      check.fail_dtype(fmt::format("input is {}, but a parameter is {}", name_of(dtype), name_of(parameter.dtype())));
    }
    check.same_device(data, parameter);
  }
  if (parameters[1].dim() != 2 || parameters[1].shape()[0] % 4 != 0) {
    check.fail_shape(
        fmt::format("weight_hh_l0 must have shape [4 hidden, output], but has {}", parameters[1].shape().to_string()));
  }
  net.hidden = parameters[1].shape()[0] / 4;
  net.output = parameters[1].shape()[1];
  const auto expect = [&](std::size_t at, const char* name, std::int64_t layer, std::int64_t direction,
                          const Shape& shape) {
    if (parameters[at].shape() == shape) return;
    check.fail_shape(fmt::format("{}_l{}{} must have shape {}, but has {}", name, layer,
                                 direction == 1 ? "_reverse" : "", shape.to_string(),
                                 parameters[at].shape().to_string()));
  };
  std::size_t at = 0;
  for (std::int64_t layer = 0; layer < net.layers; ++layer) {
    for (std::int64_t d = 0; d < net.directions; ++d) {
      expect(at++, "weight_ih", layer, d, {4 * net.hidden, net.input_of(layer, input)});
      expect(at++, "weight_hh", layer, d, {4 * net.hidden, net.output});
      if (net.bias) {
        expect(at++, "bias_ih", layer, d, {4 * net.hidden});
        expect(at++, "bias_hh", layer, d, {4 * net.hidden});
      }
      if (net.projected) expect(at++, "weight_hr", layer, d, {net.output, net.hidden});
    }
  }
  if (!net.projected && net.output != net.hidden) {
    check.fail_shape(fmt::format("weight_hh_l0 must have shape {}, but has {}",
                                 Shape{4 * net.hidden, net.hidden}.to_string(), parameters[1].shape().to_string()));
  }
  return net;
}

void check_state(const OpCheck& check, const char* name, const Tensor& state, const Shape& shape, const Tensor& data) {
  if (!state.defined()) return;
  check.same_dtype(name, state, "input", data);
  check.same_device(state, data);
  check.has_shape(name, state, shape);
}

// Where direction d's part of a parameter list starts.
enum Parameter : int { weight_ih = 0, weight_hh = 1, bias_ih = 2, bias_hh = 3 };

LstmWeights weights_of(std::span<const Tensor> parameters, const Network& net) {
  const auto data = [&](int i) -> const void* { return detail::data_of(parameters[static_cast<std::size_t>(i)]); };
  return {data(weight_ih), data(weight_hh), net.bias ? data(bias_ih) : nullptr, net.bias ? data(bias_hh) : nullptr,
          net.projected ? data(net.per_direction - 1) : nullptr};
}

char* rows_at(const Tensor& tensor, std::int64_t elements) {
  return detail::data_of(tensor) + static_cast<std::size_t>(elements) * item_size(tensor.dtype());
}

void check_lstm_scales(const OpCheck& check, std::span<const LstmScales> scales, std::int64_t layers) {
  if (scales.empty()) return;
  if (static_cast<std::int64_t>(scales.size()) != layers) {
    check.fail_value(fmt::format("scales must hold one for each of {} layers, but holds {}", layers, scales.size()));
  }
  for (const LstmScales& s : scales) {
    for (const double factor : {s.weight_ih, s.weight_hh, s.forget_offset, s.weight_hr, s.out, s.grad_in,
                                s.grad_weight_ih, s.grad_weight_hh, s.grad_bias, s.grad_weight_hr, s.dropout}) {
      check_finite(check, "each of scales", factor);
    }
    // Backward finds h by it.
    if (s.out == 0) check.fail_value("the out of scales must not be 0");
  }
}

LstmFactors factors_of(const LstmScales& s) {
  return {.input = s.weight_ih,
          .recurrent = s.weight_hh,
          .forget_offset = s.forget_offset,
          .projection = s.weight_hr,
          .out = s.out,
          .grad_input = s.weight_ih * s.grad_in,
          .grad_weight_ih = s.weight_ih * s.grad_weight_ih,
          .grad_weight_hh = s.weight_hh * s.grad_weight_hh,
          .grad_bias = s.grad_bias,
          .grad_weight_hr = s.weight_hr * s.grad_weight_hr};
}

// One layer: all that backward needs, and backward itself.
struct Layer {
  Network net;
  LstmFactors factors;
  std::int64_t rows, batch, input;
  PoolVector<std::int64_t> batch_sizes;
  Tensor gates, cells, cells_tanh, before_projection;  // (directions, rows, …)
  Saved data, output, h_0, c_0;
  PoolVector<Saved> parameters;

  [[nodiscard]] LstmSizes sizes(DType dtype, std::int64_t direction) const {
    return {dtype,         static_cast<std::int64_t>(batch_sizes.size()),
            rows,          batch,
            input,         net.hidden,
            net.output,    batch_sizes.data(),
            direction == 1};
  }

  void operator()(const OutputGradients& grads, InputGradients& into) const {
    const Tensor &x = data.get(), &y = output.get(), &h0 = h_0.get(), &c0 = c_0.get();
    const TensorOptions options = x.options();
    const std::int64_t directions = net.directions;
    // The state's gradients are worked on in place: start from copies.
    Tensor grad_h = grads[1].defined() ? grads[1].clone() : zeros({directions, batch, net.output}, options);
    Tensor grad_c = grads[2].defined() ? grads[2].clone() : zeros({directions, batch, net.hidden}, options);
    Tensor grad_input[2];
    PoolVector<Tensor> grad_parameters(parameters.size());
    PoolVector<Tensor> kept;
    for (const Saved& parameter : parameters) kept.push_back(parameter.get());

    LstmLayer<LstmBackward> layer{{}, static_cast<int>(directions)};
    for (std::int64_t d = 0; d < directions; ++d) {
      const std::size_t first = static_cast<std::size_t>(d) * static_cast<std::size_t>(net.per_direction);
      const auto wanted = [&](int i) -> void* {
        const std::size_t at = first + static_cast<std::size_t>(i);
        const bool shared_bias = i == bias_ih && net.bias && into.wants(3 + at + 1);
        if (!into.wants(3 + at) && !shared_bias) return nullptr;
        grad_parameters[at] = empty(kept[at].shape(), options);
        return detail::data_of(grad_parameters[at]);
      };
      if (into.wants(0)) grad_input[d] = empty(x.shape(), options);
      layer.direction[d] = {
          .sizes = sizes(options.dtype, d),
          .weights = weights_of(std::span<const Tensor>(kept).subspan(first), net),
          .factors = factors,
          .input = detail::data_of(x),
          .output = rows_at(y, d * net.output),
          .output_stride = directions * net.output,
          .h_0 = rows_at(h0, d * batch * net.output),
          .c_0 = rows_at(c0, d * batch * net.hidden),
          .gates = rows_at(gates, d * rows * 4 * net.hidden),
          .cells = rows_at(cells, d * rows * net.hidden),
          .cells_tanh = rows_at(cells_tanh, d * rows * net.hidden),
          .before_projection = net.projected ? rows_at(before_projection, d * rows * net.hidden) : nullptr,
          .grad_output = grads[0].defined() ? rows_at(grads[0], d * net.output) : nullptr,
          .grad_output_stride = directions * net.output,
          .grad_h = rows_at(grad_h, d * batch * net.output),
          .grad_c = rows_at(grad_c, d * batch * net.hidden),
          .grad_input = into.wants(0) ? detail::data_of(grad_input[d]) : nullptr,
          .grad_weight_ih = wanted(weight_ih),
          .grad_weight_hh = wanted(weight_hh),
          .grad_bias = net.bias ? wanted(bias_ih) : nullptr,
          .grad_weight_hr = net.projected ? wanted(net.per_direction - 1) : nullptr,
      };
    }
    launch(options.device, layer);

    if (into.wants(0)) into.add(0, directions == 2 ? grad_input[0] + grad_input[1] : std::move(grad_input[0]));
    into.add(1, std::move(grad_h));
    into.add(2, std::move(grad_c));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const int place = static_cast<int>(i) % net.per_direction;
      const bool second_bias = net.bias && place == bias_hh;
      if (second_bias && into.wants(3 + i)) into.add(3 + i, grad_parameters[i - 1]);
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (into.wants(3 + i) && grad_parameters[i].defined()) into.add(3 + i, std::move(grad_parameters[i]));
    }
  }
};

// One layer over packed rows. h_0 (directions, batch, P) and c_0 (directions, batch, H), defined.
LstmResult run_layer(const Tensor& data, std::span<const std::int64_t> batch_sizes, std::int64_t batch,
                     const Tensor& h_0, const Tensor& c_0, std::span<const Tensor> parameters, const Network& net,
                     const LstmScales& scales) {
  const TensorOptions options = data.options();
  const std::int64_t rows = data.shape()[0];
  Layer layer{.net = net,
              .factors = factors_of(scales),
              .rows = rows,
              .batch = batch,
              .input = data.shape()[1],
              .batch_sizes = {batch_sizes.begin(), batch_sizes.end()},
              .gates = empty({net.directions, rows, 4 * net.hidden}, options),
              .cells = empty({net.directions, rows, net.hidden}, options),
              .cells_tanh = empty({net.directions, rows, net.hidden}, options),
              .before_projection = net.projected ? empty({net.directions, rows, net.hidden}, options) : Tensor(),
              .data = {},
              .output = {},
              .h_0 = {},
              .c_0 = {},
              .parameters = {}};
  Tensor outputs[3] = {empty({rows, net.directions * net.output}, options), no_grad([&] { return h_0.clone(); }),
                       no_grad([&] { return c_0.clone(); })};
  LstmLayer<LstmForward> request{{}, static_cast<int>(net.directions)};
  for (std::int64_t d = 0; d < net.directions; ++d) {
    request.direction[d] = {
        .sizes = layer.sizes(options.dtype, d),
        .weights = weights_of(
            parameters.subspan(static_cast<std::size_t>(d) * static_cast<std::size_t>(net.per_direction)), net),
        .factors = layer.factors,
        .input = detail::data_of(data),
        .output = rows_at(outputs[0], d * net.output),
        .output_stride = net.directions * net.output,
        .h = rows_at(outputs[1], d * batch * net.output),
        .c = rows_at(outputs[2], d * batch * net.hidden),
        .gates = rows_at(layer.gates, d * rows * 4 * net.hidden),
        .cells = rows_at(layer.cells, d * rows * net.hidden),
        .cells_tanh = rows_at(layer.cells_tanh, d * rows * net.hidden),
        .before_projection = net.projected ? rows_at(layer.before_projection, d * rows * net.hidden) : nullptr,
    };
  }
  launch(options.device, request);

  PoolVector<TensorRef> inputs{data, h_0, c_0};
  for (const Tensor& parameter : parameters) inputs.emplace_back(parameter);
  if (detail::any_requires_grad(inputs)) {
    layer.data = Saved::input(data);
    layer.output = Saved(outputs[0]);
    layer.h_0 = Saved::input(h_0);
    layer.c_0 = Saved::input(c_0);
    for (const Tensor& parameter : parameters) layer.parameters.push_back(Saved::input(parameter));
    record("lstm", std::span<Tensor>(outputs), std::span<const TensorRef>(inputs), std::move(layer));
  }
  return {outputs[0], outputs[1], outputs[2]};
}

// All layers over packed rows; arguments were checked.
LstmResult run_layers(Tensor data, std::span<const std::int64_t> batch_sizes, std::int64_t batch,
                      const LstmState& state, std::span<const Tensor> parameters, const Network& net,
                      const LstmOptions& options, std::span<const LstmScales> scales) {
  const auto per_layer = static_cast<std::size_t>(net.directions * net.per_direction);
  PoolVector<Tensor> h_n, c_n;
  const auto initial = [&](const Tensor& given, std::int64_t layer, std::int64_t width) {
    return given.defined() ? narrow(given, 0, layer * net.directions, net.directions)
                           : zeros({net.directions, batch, width}, data.options());
  };
  for (std::int64_t layer = 0; layer < net.layers; ++layer) {
    const LstmScales own = scales.empty() ? LstmScales{} : scales[static_cast<std::size_t>(layer)];
    if (layer > 0 && options.dropout > 0) {
      data = dropout(data, {.p = options.dropout, .training = options.training, .generator = options.generator},
                     {.out = own.dropout, .grad_in = own.dropout});
    }
    LstmResult result =
        run_layer(data, batch_sizes, batch, initial(state.h, layer, net.output), initial(state.c, layer, net.hidden),
                  parameters.subspan(static_cast<std::size_t>(layer) * per_layer, per_layer), net, own);
    data = result.output;
    h_n.push_back(result.h_n);
    c_n.push_back(result.c_n);
  }
  if (net.layers == 1) return {data, h_n[0], c_n[0]};
  return {data, cat(std::span<const Tensor>(h_n)), cat(std::span<const Tensor>(c_n))};
}

// Rows of a state (layers · directions, batch, width) in another order of sequences: place k gets sequence order[k].
Tensor rows_in(std::span<const std::int64_t> order, std::int64_t states, Device device) {
  const auto batch = static_cast<std::int64_t>(order.size());
  Tensor rows = empty({states * batch}, {DType::int64, {}});
  auto* row = rows.mutable_data<std::int64_t>();
  for (std::int64_t l = 0; l < states; ++l) {
    for (const std::int64_t sequence : order) *row++ = l * batch + sequence;
  }
  return rows.to(device);
}

Tensor reorder(const Tensor& state, const Tensor& rows) {
  if (!state.defined()) return state;
  const Shape& shape = state.shape();
  return gather_rows(state.reshape({shape[0] * shape[1], shape[2]}), rows).reshape(shape);
}

}  // namespace

namespace {

// A PackingPlan in pooled memory.
struct Packing {
  PoolVector<std::int64_t> batch_sizes, order;
  Tensor pack, unpack;
};

Packing plan(const OpCheck& check, std::span<const std::int64_t> lengths, std::int64_t max_length, std::int64_t batch,
             bool batch_first, bool enforce_sorted) {
  if (static_cast<std::int64_t>(lengths.size()) != batch) {
    check.fail_value(fmt::format("{} lengths were given for {} sequences", lengths.size(), batch));
  }
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    if (lengths[b] < 0 || lengths[b] > max_length) {
      check.fail_value(fmt::format("lengths[{}] is {}, but must be from 0 to {}", b, lengths[b], max_length));
    }
    if (enforce_sorted && b > 0 && lengths[b] > lengths[b - 1]) {
      check.fail_value(fmt::format("lengths[{}] is {} after {}, but enforce_sorted asks for falling lengths", b,
                                   lengths[b], lengths[b - 1]));
    }
  }
  Packing packing;
  packing.order.resize(lengths.size());
  std::iota(packing.order.begin(), packing.order.end(), 0);
  // By falling length, then by place: a total order, so the sort need not be stable.
  std::sort(packing.order.begin(), packing.order.end(), [&](std::int64_t a, std::int64_t b) {
    const std::int64_t x = lengths[static_cast<std::size_t>(a)];
    const std::int64_t y = lengths[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  });
  const std::int64_t total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  packing.pack = empty({total}, {DType::int64, {}});
  packing.unpack = full({max_length * batch}, -1, {DType::int64, {}});
  auto* pack = packing.pack.mutable_data<std::int64_t>();
  auto* unpack = packing.unpack.mutable_data<std::int64_t>();
  std::int64_t row = 0;
  std::int64_t alive = batch;
  for (std::int64_t t = 0; t < max_length; ++t) {
    while (alive > 0 && lengths[static_cast<std::size_t>(packing.order[static_cast<std::size_t>(alive - 1)])] <= t) {
      --alive;
    }
    if (alive == 0) break;
    packing.batch_sizes.push_back(alive);
    for (std::int64_t k = 0; k < alive; ++k, ++row) {
      const std::int64_t b = packing.order[static_cast<std::size_t>(k)];
      const std::int64_t place = batch_first ? b * max_length + t : t * batch + b;
      pack[row] = place;
      unpack[place] = row;
    }
  }
  return packing;
}

}  // namespace

PackingPlan plan_packing(const char* op, std::span<const std::int64_t> lengths, std::int64_t max_length,
                         std::int64_t batch, bool batch_first, bool enforce_sorted) {
  const Packing packing = plan(OpCheck(op), lengths, max_length, batch, batch_first, enforce_sorted);
  return {{packing.batch_sizes.begin(), packing.batch_sizes.end()},
          {packing.order.begin(), packing.order.end()},
          packing.pack,
          packing.unpack};
}

LstmResult lstm_packed(const Tensor& data, std::span<const std::int64_t> batch_sizes, std::int64_t batch,
                       const LstmState& state, std::span<const Tensor> parameters, const LstmOptions& options,
                       std::span<const LstmScales> scales) {
  const OpCheck check("lstm");
  check.computes("data", data);
  check.has_rank("data", data, 2);
  const Network net = check_parameters(check, data, parameters, options);
  check_lstm_scales(check, scales, net.layers);
  std::int64_t rows = 0;
  std::int64_t before = batch;
  for (std::size_t t = 0; t < batch_sizes.size(); ++t) {
    if (batch_sizes[t] < 1 || batch_sizes[t] > before) {
      check.fail_value(fmt::format("batch_sizes[{}] is {}, but must be from 1 to {}", t, batch_sizes[t], before));
    }
    before = batch_sizes[t];
    rows += before;
  }
  if (rows != data.shape()[0]) {
    check.fail_shape(fmt::format("data has {} rows, but batch_sizes add up to {}", data.shape()[0], rows));
  }
  check_state(check, "h_0", state.h, {net.layers * net.directions, batch, net.output}, data);
  check_state(check, "c_0", state.c, {net.layers * net.directions, batch, net.hidden}, data);
  return run_layers(data, batch_sizes, batch, state, parameters, net, options, scales);
}

LstmResult lstm(const Tensor& input, const LstmState& state, std::span<const Tensor> parameters,
                const LstmOptions& options, std::span<const std::int64_t> lengths, std::span<const LstmScales> scales) {
  const OpCheck check("lstm");
  check.computes("input", input);
  if (input.dim() != 2 && input.dim() != 3) {
    check.fail_shape(fmt::format("input must have 2 or 3 dimensions, but has shape {}", input.shape().to_string()));
  }
  const Network net = check_parameters(check, input, parameters, options);
  check_lstm_scales(check, scales, net.layers);
  const std::int64_t states = net.layers * net.directions;

  if (input.dim() == 2) {  // one sequence without a batch dimension
    check_state(check, "h_0", state.h, {states, net.output}, input);
    check_state(check, "c_0", state.c, {states, net.hidden}, input);
    const LstmState batched{state.h.defined() ? state.h.reshape({states, 1, net.output}) : Tensor(),
                            state.c.defined() ? state.c.reshape({states, 1, net.hidden}) : Tensor()};
    LstmOptions one = options;
    one.batch_first = false;
    const std::int64_t steps = input.shape()[0];
    const LstmResult result =
        lstm(input.reshape({steps, 1, input.shape()[1]}), batched, parameters, one, lengths, scales);
    return {result.output.reshape({steps, net.directions * net.output}), result.h_n.reshape({states, net.output}),
            result.c_n.reshape({states, net.hidden})};
  }

  const std::int64_t batch = input.shape()[options.batch_first ? 0 : 1];
  const std::int64_t steps = input.shape()[options.batch_first ? 1 : 0];
  const std::int64_t width = input.shape()[2];
  check_state(check, "h_0", state.h, {states, batch, net.output}, input);
  check_state(check, "c_0", state.c, {states, batch, net.hidden}, input);
  const Shape output_shape = input.shape().slice(0, 2) + net.directions * net.output;

  if (!lengths.empty()) {
    const Packing packing = plan(check, lengths, steps, batch, options.batch_first, options.enforce_sorted);
    PoolVector<std::int64_t> back(packing.order.size());
    for (std::size_t k = 0; k < packing.order.size(); ++k) {
      back[static_cast<std::size_t>(packing.order[k])] = static_cast<std::int64_t>(k);
    }
    LstmState sorted;
    if (state.h.defined() || state.c.defined()) {
      const Tensor rows = rows_in(packing.order, states, input.device());
      sorted = {reorder(state.h, rows), reorder(state.c, rows)};
    }
    const Tensor rows_back = rows_in(back, states, input.device());
    const Tensor data = gather_rows(input.reshape({steps * batch, width}), packing.pack);
    const LstmResult result = run_layers(data, packing.batch_sizes, batch, sorted, parameters, net, options, scales);
    return {gather_rows_or(result.output, packing.unpack, 0).reshape(output_shape), reorder(result.h_n, rows_back),
            reorder(result.c_n, rows_back)};
  }

  const Tensor by_step = options.batch_first ? transpose(input, 0, 1) : input;
  const PoolVector<std::int64_t> batch_sizes(batch == 0 ? 0 : static_cast<std::size_t>(steps), batch);
  const LstmResult result =
      run_layers(by_step.reshape({steps * batch, width}), batch_sizes, batch, state, parameters, net, options, scales);
  const Tensor output = result.output.reshape({steps, batch, net.directions * net.output});
  return {options.batch_first ? transpose(output, 0, 1) : output, result.h_n, result.c_n};
}

}  // namespace embergrad

#include <algorithm>
#include <embergrad/embergrad.hpp>
#include <embergrad/text/order.hpp>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "measure.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

struct Size {
  std::string name;
  int64_t steps, batch, input, hidden, layers;
  bool bidirectional;
};

const std::vector<Size>& sizes() {
  static const std::vector<Size> all = {
      {"small", 25, 32, 128, 128, 1, false},
      {"big", 50, 64, 256, 512, 1, false},
      {"bi2", 30, 32, 100, 200, 2, true},
      {"b1", 20, 1, 64, 64, 1, false},
  };
  return all;
}

/// The first sequence has all steps, the others 1 + floor((0.2 + 0.8 u) (steps - 1)); longest first.
std::vector<int64_t> lengths_of(const Size& size) {
  std::vector<int64_t> lengths = {size.steps};
  for (int64_t b = 1; b < size.batch; ++b) {
    const double u = text::uniform(3, static_cast<uint64_t>(b));
    lengths.push_back(1 + static_cast<int64_t>((0.2 + 0.8 * u) * static_cast<double>(size.steps - 1)));
  }
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  return lengths;
}

/// 0.001 (u - 0.5), the gradient that flows in.
Tensor small_tensor(const Shape& shape) {
  Tensor out = empty(shape);
  auto* element = out.mutable_data<float>();
  for (int64_t i = 0; i < out.numel(); ++i) {
    element[i] = static_cast<float>((text::uniform(5, static_cast<uint64_t>(i)) - 0.5) * 1e-3);
  }
  return out;
}

nlohmann::ordered_json run(const Settings& settings, const Size& size, bool packed, bool backward) {
  manual_seed(1);
  nn::LSTM lstm({.input_size = size.input,
                 .hidden_size = size.hidden,
                 .num_layers = size.layers,
                 .bidirectional = size.bidirectional,
                 .device = settings.device});
  std::vector<Tensor> parameters = lstm.parameters();
  Tensor input = empty({size.steps, size.batch, size.input}, {DType::float32, settings.device});
  {
    const NoGrad guard;
    for (const Tensor& parameter : parameters) nn::init::uniform(parameter, -0.05, 0.05);
    nn::init::uniform(input, -0.05, 0.05);
  }
  input.set_requires_grad(backward);
  const std::vector<int64_t> lengths = lengths_of(size);
  const int64_t tokens = packed ? std::accumulate(lengths.begin(), lengths.end(), int64_t{0}) : size.steps * size.batch;
  const int64_t directions = size.bidirectional ? 2 : 1;
  const int64_t width = directions * size.hidden;
  const Tensor grad_output =
      small_tensor(packed ? Shape{tokens, width} : Shape{size.steps, size.batch, width}).to(settings.device);
  Shown shown;
  Shown shown_weight;

  const auto forward = [&] {
    return packed ? lstm(nn::pack_padded_sequence(input, lengths)).output.values() : lstm(input).output;
  };
  const auto infer = [&] {
    const NoGrad guard;
    shown(forward());
  };
  const auto train = [&] {
    for (Tensor& parameter : parameters) parameter.zero_grad();
    input.zero_grad();
    forward().backward(grad_output);
    shown(input.grad().dense());
    shown_weight(parameters[0].grad().dense());
  };

  const MeasureOptions options{.repeat = settings.repeat, .device = settings.device, .check = [&] {
                                 return shown.value() + shown_weight.value();
                               }};
  auto result = backward ? measure(options, train) : measure(options, infer);
  double flop = 0;
  for (int64_t layer = 0; layer < size.layers; ++layer) {
    const int64_t in = layer == 0 ? size.input : width;
    flop += static_cast<double>(directions * 2 * tokens * 4 * size.hidden * (in + size.hidden));
  }
  if (backward) flop *= 3;
  result["unit"] = "step";
  result["gemm_GFLOP"] = flop / 1e9;
  result["GFLOPs"] = flop / result["median"].get<double>() / 1e9;
  result["timesteps"] = tokens;
  return result;
}

}  // namespace

std::vector<Workload> lstm() {
  std::vector<Workload> all;
  for (const Size& size : sizes()) {
    for (const bool backward : {false, true}) {
      for (const bool packed : {false, true}) {
        if (packed && size.batch == 1) continue;
        all.push_back({.name = (backward ? "lstm_fwdbwd/" : "lstm_fwd/") + size.name + (packed ? "_packed" : ""),
                       .run = [=](const Settings& s) { return run(s, size, packed, backward); }});
      }
    }
  }
  return all;
}

}  // namespace embergrad::bench

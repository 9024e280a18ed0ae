// Whole LSTMs: what packs, runs and pads on a GPU gives the CPU's numbers.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn.hpp>
#include <embergrad/ops.hpp>

#include "device/on_gpu.hpp"
#ifdef EMBERGRAD_EMULATED
#include "emulated/runtime.hpp"
#endif
#include "support/check.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::Device;
using eg::DType;
using eg::Tensor;
using eg::test::Draw;
using eg::test::gpu;
using eg::test::gpu_is_here;
using eg::test::refuses;

namespace {

using Tensors = std::vector<Tensor>;
using Named = std::vector<std::pair<std::string, Tensor>>;

// What forward(lstm, inputs) gives on a device, and the gradients of a loss over all of it: those of the inputs and of
// the weights.
template <class Lstm, class Forward>
Named run_on(Device device, const Lstm& original, const Tensors& inputs, const Forward& forward) {
  eg::manual_seed(5);  // for dropout
  Lstm lstm = nn::clone(original);
  lstm.to(device);
  Tensors there;
  for (const Tensor& input : inputs) there.push_back(input.to(device).detach().clone().set_requires_grad());
  Named results;
  Draw draw(3);
  Tensor loss;
  for (const Tensor& result : forward(lstm, there)) {
    BOOST_TEST((result.device() == device));
    const Tensor part = (result * draw.uniform(result.shape(), result.dtype()).to(device)).sum();
    loss = loss.defined() ? loss + part : part;
    results.emplace_back(fmt::format("result {}", results.size()), result.detach());
  }
  loss.backward();
  for (std::size_t i = 0; i < there.size(); ++i) {
    if (there[i].grad().defined()) results.emplace_back(fmt::format("input {}", i), there[i].grad().to_dense());
  }
  for (const auto& [name, parameter] : lstm.named_parameters()) {
    BOOST_REQUIRE_MESSAGE(parameter.grad().defined(), name);
    results.emplace_back(name, parameter.grad().to_dense());
  }
  return results;
}

template <class Lstm, class Forward>
void same_on_both(const std::string& what, const Lstm& lstm, const Tensors& inputs, const Forward& forward) {
  const Named here = run_on(Device::cpu(), lstm, inputs, forward);
  const Named there = run_on(gpu, lstm, inputs, forward);
  const Named again = run_on(gpu, lstm, inputs, forward);
  BOOST_REQUIRE(here.size() == there.size());
  for (std::size_t i = 0; i < here.size(); ++i) {
    const std::string name = what + ", " + here[i].first;
    const Tensor got = there[i].second.to(Device::cpu());
    BOOST_TEST(eg::test::close_to(name, got, here[i].second));
    BOOST_TEST(eg::test::same_bits(name + ", again", again[i].second.to(Device::cpu()), got));
  }
}

Tensors all_of(const eg::LstmResult& result) { return {result.output, result.h_n, result.c_n}; }

constexpr std::int64_t input_size = 5;
constexpr std::int64_t hidden_size = 7;
const std::vector<std::int64_t> unsorted{3, 6, 0, 1};  // one is empty

}  // namespace

BOOST_AUTO_TEST_SUITE(lstm, *boost::unit_test::precondition(gpu_is_here))

BOOST_AUTO_TEST_CASE(layers) {
  Draw draw(1);
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const bool bidirectional : {false, true}) {
      for (const std::int64_t projection : {0, 3}) {
        const nn::LSTM lstm({.input_size = input_size,
                             .hidden_size = hidden_size,
                             .num_layers = 2,
                             .bias = projection == 0 || bidirectional,
                             .batch_first = bidirectional,
                             .dropout = 0.4,
                             .bidirectional = bidirectional,
                             .proj_size = projection,
                             .dtype = dtype});
        const std::int64_t states = bidirectional ? 4 : 2;
        const Tensor padded =
            draw.uniform(bidirectional ? eg::Shape{4, 6, input_size} : eg::Shape{6, 4, input_size}, dtype);
        const Tensor h = draw.uniform({states, 4, projection > 0 ? projection : hidden_size}, dtype);
        const Tensor c = draw.uniform({states, 4, hidden_size}, dtype);
        const std::string what =
            fmt::format("{}, bidirectional {}, projection {}", name_of(dtype), bidirectional, projection);
        same_on_both(what, lstm, {padded}, [](const nn::LSTM& net, const Tensors& in) { return all_of(net(in[0])); });
        same_on_both(what + ", lengths", lstm, {padded, h, c}, [](const nn::LSTM& net, const Tensors& in) {
          return all_of(net(in[0], unsorted, {in[1], in[2]}));
        });
        same_on_both(what + ", packed", lstm, {padded, h, c}, [bidirectional](const nn::LSTM& net, const Tensors& in) {
          const nn::PackedSequence packed =
              nn::pack_padded_sequence(in[0], unsorted, {.batch_first = bidirectional, .enforce_sorted = false});
          const auto [output, h_n, c_n] = net(packed, {in[1], in[2]});
          const auto [out, lengths] =
              nn::pad_packed_sequence(output, {.batch_first = bidirectional, .padding_value = 2.0});
          BOOST_TEST(lengths.to_vector<std::int64_t>() == unsorted);
          return Tensors{out, h_n, c_n};
        });
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(sequences) {
  Draw draw(2);
  const nn::LSTM lstm(input_size, hidden_size);
  same_on_both(
      "sequences", lstm, {draw.uniform({2, input_size}), draw.uniform({4, input_size}), draw.uniform({1, input_size})},
      [](const nn::LSTM& net, const Tensors& in) {
        const auto [output, h_n, c_n] = net(nn::pack_sequence(in, false));
        return Tensors{output.values(), h_n, c_n, nn::pad_sequence(in, {.padding_side = nn::PaddingSide::left})};
      });
  same_on_both("one sequence", lstm, {draw.uniform({3, input_size})},
               [](const nn::LSTM& net, const Tensors& in) { return all_of(net(in[0])); });
  same_on_both("one step, one unit", nn::LSTM(1, 1), {draw.uniform({1, 1, 1})},
               [](const nn::LSTM& net, const Tensors& in) { return all_of(net(in[0])); });
}

// Every factor is away from 1.
BOOST_AUTO_TEST_CASE(unit_scaled) {
  Draw draw(3);
  const nn::unit_scaling::LSTM lstm(
      {.input_size = input_size, .hidden_size = hidden_size, .num_layers = 2, .bidirectional = true, .proj_size = 3});
  same_on_both("unit scaled", lstm, {draw.uniform({6, 4, input_size})},
               [](const nn::LSTM& net, const Tensors& in) { return all_of(net(in[0], unsorted)); });
}

// Numbers of rows that fill blocks and don't, more units than a block has threads.
BOOST_AUTO_TEST_CASE(larger) {
  Draw draw(4);
  same_on_both("many rows", nn::LSTM(3, 2), {draw.uniform({9, 30, 3})},
               [](const nn::LSTM& net, const Tensors& in) { return all_of(net(in[0])); });
  same_on_both("many units", nn::LSTM(2, 259), {draw.uniform({2, 2, 2})},
               [](const nn::LSTM& net, const Tensors& in) { return all_of(net(in[0])); });
}

BOOST_AUTO_TEST_CASE(tensors_elsewhere_are_refused) {
  const nn::LSTM lstm({.input_size = 2, .hidden_size = 3, .bidirectional = true, .device = gpu});
  const Tensor here = eg::ones({4, 1, 2});
  const Tensor there = here.to(gpu);
  BOOST_TEST(refuses<eg::DeviceError>([&] { return lstm(here); }, {"lstm", "cpu", "cuda:0"}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { return nn::LSTM(2, 3)(there); }, {"lstm", "cpu", "cuda:0"}));
  BOOST_TEST(refuses<eg::DeviceError>(
      [&] {
        return lstm(there, {eg::ones({2, 1, 3}), {}});
      },
      {"lstm", "cpu", "cuda:0"}));
  BOOST_TEST((lstm(there).output.shape() == eg::Shape{4, 1, 6}));
}

#ifdef EMBERGRAD_EMULATED
// Whole steps, packing and padding too: lengths and indices come from the host.
BOOST_AUTO_TEST_CASE(nothing_waits) {
  const nn::LSTM lstm({.input_size = 2, .hidden_size = 3, .num_layers = 2, .bidirectional = true, .device = gpu});
  const Tensor input = eg::ones({6, 4, 2}, {DType::float32, gpu}).set_requires_grad();
  const eg::LstmState state{eg::ones({4, 4, 3}, {DType::float32, gpu}), {}};
  const auto steps = [&] {
    lstm(input).h_n.sum().backward();
    const eg::LstmResult by_lengths = lstm(input, unsorted, state);
    (by_lengths.output.sum() + by_lengths.c_n.sum()).backward();
    const auto [output, h_n, c_n] = lstm(nn::pack_padded_sequence(input, unsorted, {.enforce_sorted = false}), state);
    (nn::pad_packed_sequence(output).padded.sum() + h_n.sum()).backward();
  };
  steps();
  const eg::emulated::Counts before = eg::emulated::counts();
  steps();
  const eg::emulated::Counts after = eg::emulated::counts();
  BOOST_TEST(after.waits == before.waits);
  BOOST_TEST(after.launches > before.launches);
}
#endif

BOOST_AUTO_TEST_SUITE_END()

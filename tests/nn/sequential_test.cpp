#include <embergrad/nn/sequential.hpp>

#include <boost/test/unit_test.hpp>
#include <string>

#include <embergrad/nn/dropout.hpp>
#include <embergrad/nn/linear.hpp>
#include <embergrad/ops.hpp>

#include "support/compare.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::Tensor;
using eg::test::equal_to;

namespace {

// A module with `forward` instead of a call.
struct Twice : nn::Module {
  void members(nn::Visitor&) override {}
  Tensor forward(const Tensor& x) { return x * 2; }
};

std::string names_of(const nn::Module& module) {
  std::string names;
  for (const auto& [name, tensor] : module.named_parameters()) names += (names.empty() ? "" : " ") + name;
  return names;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sequential)

BOOST_AUTO_TEST_CASE(runs_layers_and_functions_in_turn) {
  nn::Sequential net(
      nn::Linear(3, 4), [](const Tensor& x) { return eg::relu(x); }, nn::Linear(4, 2, false), Twice());
  BOOST_TEST(net.size() == 4U);
  BOOST_TEST(names_of(net) == "0.weight 0.bias 2.weight");
  const Tensor x = eg::randn({5, 3});
  const auto& first = *net.get<nn::Linear>(0);
  const auto& second = *net.get<nn::Linear>(2);
  BOOST_TEST(equal_to("output", net(x).detach(), (second(eg::relu(first(x))) * 2).detach()));
  BOOST_TEST(net.get<nn::Dropout>(0) == nullptr);
  BOOST_TEST(net.get<nn::Linear>(9) == nullptr);
  nn::Sequential nothing;
  BOOST_TEST(nothing(x).state() == x.state());
}

BOOST_AUTO_TEST_CASE(a_copy_shares_tensors_but_not_flags) {
  nn::Sequential net(nn::Linear(2, 2), nn::Dropout(0.5));
  nn::Sequential copy = net;
  BOOST_TEST(copy.parameters()[0].state() == net.parameters()[0].state());
  copy.eval();
  BOOST_TEST(net.get<nn::Dropout>(1)->is_training());
  BOOST_TEST(!copy.get<nn::Dropout>(1)->is_training());
  nn::Sequential assigned;
  assigned = copy;
  BOOST_TEST(!assigned.is_training());
  BOOST_TEST(assigned.parameters()[0].state() == net.parameters()[0].state());
  const nn::Sequential deep = nn::clone(net);
  BOOST_TEST(deep.parameters()[0].state() != net.parameters()[0].state());
  BOOST_TEST(equal_to("weight", deep.parameters()[0], net.parameters()[0]));
  const nn::Sequential moved = std::move(net);
  BOOST_TEST(moved.size() == 2U);
}

BOOST_AUTO_TEST_CASE(nests) {
  nn::Sequential inner(nn::Linear(2, 2, false));
  nn::Sequential outer(inner, nn::Linear(2, 1, false));
  BOOST_TEST(names_of(outer) == "0.0.weight 1.weight");
  BOOST_TEST((outer(eg::ones({4, 2})).shape() == eg::Shape{4, 1}));
}

BOOST_AUTO_TEST_CASE(module_list) {
  nn::ModuleList<nn::Linear> layers;
  BOOST_TEST(layers.empty());
  layers.push_back(nn::Linear(2, 3, false));
  layers.emplace_back(3, 2);
  BOOST_TEST(names_of(layers) == "0.weight 1.weight 1.bias");
  Tensor x = eg::ones({1, 2});
  for (const nn::Linear& layer : layers) x = layer(x);
  BOOST_TEST((x.shape() == eg::Shape{1, 2}));
  BOOST_TEST(layers[1].bias.defined());
  const nn::ModuleList<nn::Linear> copy = layers;
  BOOST_TEST(copy[0].weight.state() == layers[0].weight.state());
}

BOOST_AUTO_TEST_SUITE_END()

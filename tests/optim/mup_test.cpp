#include <embergrad/optim/mup.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/tensor.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::MupParameter;
using eg::MupType;
using eg::Shape;
using eg::test::refuses;
using optim::ReadoutConstraint;

namespace {

MupParameter parameter(const std::string& name, const Shape& shape, std::optional<MupType> type,
                       std::optional<std::int64_t> depth = {}) {
  return {.name = name, .parameter = eg::ones(shape).set_requires_grad(), .type = type, .depth = depth};
}

// A tagger's shapes: V 50, d 16, h 9, 5 tags.
std::vector<MupParameter> tagger() {
  return {parameter("table", {50, 16}, MupType::weight),  parameter("weight_ih", {36, 16}, MupType::weight),
          parameter("bias", {36}, MupType::bias),         parameter("norm", {9}, MupType::norm),
          parameter("readout", {5, 18}, MupType::output), parameter("deep", {4, 25}, MupType::weight, 4)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mup)

BOOST_AUTO_TEST_CASE(factors) {
  const auto parameters = tagger();
  const std::vector<double> adam = {0.25, 0.25, 1, 1, 1, 0.1};
  const std::vector<double> sgd = {4, 4, 36, 9, 1, 2.5};
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    BOOST_TEST_CONTEXT(parameters[i].name) {
      const auto close = boost::test_tools::tolerance(1e-14);
      BOOST_TEST(optim::lr_scale_for_adam(parameters[i]) == adam[i], close);
      BOOST_TEST(optim::lr_scale_for_sgd(parameters[i]) == adam[i], close);
      BOOST_TEST(optim::lr_scale_for_sgd(parameters[i], ReadoutConstraint::to_output_scale) == sgd[i], close);
    }
  }
  BOOST_TEST(optim::lr_scale_for_adam(parameter("filter", {3, 2, 8}, MupType::weight)) == 0.25);
  BOOST_TEST(optim::lr_scale_for_adam(parameter("vector", {16}, MupType::weight)) == 0.25);
  BOOST_TEST(optim::lr_scale_for_adam(parameter("empty", {3, 0}, MupType::weight)) == 1);
}

BOOST_AUTO_TEST_CASE(groups) {
  const auto parameters = tagger();
  const optim::AdamW adamw(
      optim::scaled_parameters(parameters, optim::AdamWOptions{.lr = 0.5, .eps = 1e-6, .weight_decay = 0.1}));
  BOOST_TEST(adamw.group_count() == parameters.size());
  BOOST_TEST(adamw.lr(0) == 0.125);
  BOOST_TEST(adamw.lr(2) == 0.5);
  BOOST_TEST(adamw.options(0).eps == 1e-6);
  BOOST_TEST(adamw.parameters(0)[0].state() == parameters[0].parameter.state());
  // the share that a step takes off is that of the option
  for (std::size_t g = 0; g < parameters.size(); ++g) {
    BOOST_TEST(adamw.lr(g) * adamw.options(g).weight_decay == 0.1, boost::test_tools::tolerance(1e-14));
  }
  const optim::Adam adam(optim::scaled_parameters(parameters, optim::AdamOptions{.lr = 0.5, .weight_decay = 0.1},
                                                  {.independent_weight_decay = false}));
  BOOST_TEST(adam.lr(5) == 0.05, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(adam.options(5).weight_decay == 0.1);
  const optim::SGD sgd(optim::scaled_parameters(parameters, optim::SGDOptions{.lr = 0.5, .momentum = 0.9}, {},
                                                ReadoutConstraint::to_output_scale));
  BOOST_TEST(sgd.lr(2) == 18);
  BOOST_TEST(sgd.lr(4) == 0.5);
  BOOST_TEST(sgd.options(2).momentum == 0.9);
  BOOST_TEST(sgd.options(2).weight_decay == 0);
  BOOST_TEST(optim::SGD(optim::scaled_parameters(parameters, optim::SGDOptions{.lr = 0.5})).lr(0) == 0.125);
}

BOOST_AUTO_TEST_CASE(a_rate_of_zero) {
  const auto groups = optim::scaled_parameters(tagger(), optim::AdamWOptions{.lr = 0, .weight_decay = 0.1});
  for (const auto& group : groups) {
    BOOST_TEST(group.options.lr == 0);
    BOOST_TEST(group.options.weight_decay == 0.1);
  }
}

BOOST_AUTO_TEST_CASE(refusals) {
  std::vector<MupParameter> parameters = {parameter("plain.weight", {3, 4}, {})};
  BOOST_TEST(refuses<eg::ValueError>([&] { return optim::scaled_parameters(parameters, optim::AdamOptions{}); },
                                     {"plain.weight must have a u-muP type", "allow_non_unit_scaling_params"}));
  const auto groups = optim::scaled_parameters(parameters, optim::AdamWOptions{.lr = 0.5, .weight_decay = 0.1},
                                               {.allow_non_unit_scaling_params = true});
  BOOST_TEST(groups[0].options.lr == 0.5);
  BOOST_TEST(groups[0].options.weight_decay == 0.2);
  BOOST_TEST(refuses<eg::ValueError>(
      [] {
        return optim::lr_scale_for_adam(parameter("w", {1, 2, 3, 4}, MupType::weight));
      },
      {"w must have 1 to 3 dimensions, but has shape [1, 2, 3, 4]"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return optim::lr_scale_for_adam(parameter("w", {}, MupType::weight)); }));
  BOOST_TEST(refuses<eg::ValueError>([] { return optim::lr_scale_for_sgd(parameter("b", {2}, MupType::bias, 0)); },
                                     {"the depth of b must be at least 1, but is 0"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return optim::lr_scale_for_sgd(parameter("w", {2}, {})); }));
}

BOOST_AUTO_TEST_SUITE_END()

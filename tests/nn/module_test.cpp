#include <embergrad/nn/module.hpp>

#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/optim.hpp>

#include "nn/says.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
using eg::Tensor;
using eg::test::equal_to;
using eg::test::says;

namespace {

struct Tagger : nn::Module {
  nn::Embedding words{10, 4};
  nn::LSTM lstm{4, 3};
  nn::Linear out{3, 2};
  nn::Dropout dropout{0.5};

  void members(nn::Visitor& visit) override {
    visit("words", words);
    visit("lstm", lstm);
    visit("out", out);
    visit("dropout", dropout);
  }
  Tensor forward(const Tensor& ids) { return out(dropout(lstm(words(ids)).output)); }
};

// One tensor under two names.
struct Tied : nn::Module {
  nn::Embedding in{5, 3};
  nn::Linear out{3, 5, false};
  Tied() { out.weight = in.weight; }
  void members(nn::Visitor& visit) override {
    visit("in", in);
    visit("out", out);
  }
};

// Parts of every kind.
struct Zoo : nn::Module {
  std::vector<nn::Linear> layers;
  std::optional<nn::Linear> extra;
  std::unique_ptr<nn::Module> held;
  std::vector<Tensor> scales;
  Tensor count = eg::tensor(7);  // an integer: saved, but no parameter
  Tensor none;

  void members(nn::Visitor& visit) override {
    visit("layers", layers);
    visit("extra", extra);
    visit("held", held);
    visit("scales", scales);
    visit("count", count);
    visit("none", none);
  }
};

struct Named : nn::Module {
  explicit Named(std::string first, std::string second) : names{std::move(first), std::move(second)} {}
  void members(nn::Visitor& visit) override {
    visit(names[0], a);
    visit(names[1], b);
  }
  std::string names[2];
  Tensor a = eg::ones({1});
  Tensor b = eg::ones({1});
};

std::string names_of(const eg::StateDict& state) {
  std::string names;
  for (const auto& [name, tensor] : state) names += (names.empty() ? "" : " ") + name;
  return names;
}

std::string printed(const nn::Module& module) {
  std::ostringstream out;
  out << module;
  return out.str();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(module)

BOOST_AUTO_TEST_CASE(names_are_pytorchs_and_parameters_come_in_the_order_of_naming) {
  const Tagger tagger;
  BOOST_TEST(names_of(tagger.state_dict()) ==
             "words.weight lstm.weight_ih_l0 lstm.weight_hh_l0 lstm.bias_ih_l0 lstm.bias_hh_l0 out.weight out.bias");
  const auto named = tagger.named_parameters();
  const auto parameters = tagger.parameters();
  BOOST_REQUIRE_EQUAL(named.size(), 7U);
  BOOST_REQUIRE_EQUAL(parameters.size(), 7U);
  for (std::size_t i = 0; i < 7; ++i) {
    BOOST_TEST(named[i].second.state() == parameters[i].state());
    BOOST_TEST(parameters[i].requires_grad());
  }
  BOOST_TEST(named[5].first == "out.weight");
}

BOOST_AUTO_TEST_CASE(parts_in_vectors_optionals_and_pointers) {
  Zoo zoo;
  BOOST_TEST(names_of(zoo.state_dict()) == "count");
  BOOST_TEST(zoo.parameters().empty());
  zoo.layers.emplace_back(2, 3);
  zoo.layers.emplace_back(3, 2, false);
  zoo.extra.emplace(1, 1, false);
  zoo.held = std::make_unique<nn::Linear>(1, 2, false);
  zoo.scales = {eg::ones({2}), eg::ones({3})};
  BOOST_TEST(names_of(zoo.state_dict()) ==
             "layers.0.weight layers.0.bias layers.1.weight extra.weight held.weight scales.0 scales.1 count");
  BOOST_TEST(zoo.parameters().size() == 7U);
}

BOOST_AUTO_TEST_CASE(bad_names) {
  BOOST_CHECK_EXCEPTION(Named("a", "").parameters(), eg::ValueError, says({"name", "empty"}));
  BOOST_CHECK_EXCEPTION(Named("a.b", "c").parameters(), eg::ValueError, says({"a.b"}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(Named("a", "a").state_dict()), eg::ValueError, says({"state_dict", "\"a\""}));
}

BOOST_AUTO_TEST_CASE(a_tied_tensor_is_one_parameter_with_two_names) {
  const Tied tied;
  BOOST_TEST(names_of(tied.state_dict()) == "in.weight out.weight");
  BOOST_REQUIRE_EQUAL(tied.parameters().size(), 1U);
  BOOST_TEST(tied.named_parameters()[0].first == "in.weight");
}

BOOST_AUTO_TEST_CASE(copies_share_tensors_but_not_flags) {
  Tagger one;
  Tagger two = one;
  BOOST_TEST(two.out.weight.state() == one.out.weight.state());
  two.eval();
  BOOST_TEST(one.is_training());
  BOOST_TEST(one.dropout.is_training());
  BOOST_TEST(!two.dropout.is_training());
  const auto ids = eg::tensor({{1}, {2}});
  eg::sum(two.forward(ids)).backward();
  BOOST_TEST(one.out.weight.grad().defined());
}

BOOST_AUTO_TEST_CASE(models_move_are_assigned_and_live_in_vectors) {
  Tagger one;
  const Tensor weight = one.out.weight;
  Tagger two = std::move(one);
  BOOST_TEST(two.out.weight.state() == weight.state());
  one = Tagger();  // a moved-from model takes a new value
  BOOST_TEST(one.parameters().size() == 7U);
  one.out = nn::Linear(3, 9);  // a part that is replaced is found
  BOOST_TEST(one.state_dict().at("out.weight").size(0) == 9);
  std::vector<Tagger> models;
  models.reserve(5);  // the sixth makes them move
  for (int i = 0; i < 5; ++i) models.emplace_back();
  models.push_back(two);
  models.erase(models.begin());
  BOOST_TEST(models.back().parameters()[5].state() == weight.state());
  models.resize(2);
  BOOST_TEST(models[1].forward(eg::tensor({{1}, {2}})).size(2) == 2);
}

BOOST_AUTO_TEST_CASE(clone_is_deep_and_keeps_ties_freezing_and_frozen_rows) {
  Tied tied;
  tied.in.weight.set_requires_grad(false);
  eg::detail::freeze_row(tied.in.weight, 2);
  Tied copy = nn::clone(tied);
  BOOST_TEST(copy.in.weight.state() != tied.in.weight.state());
  BOOST_TEST(!copy.in.weight.shares_storage_with(tied.in.weight));
  BOOST_TEST(copy.in.weight.state() == copy.out.weight.state());
  BOOST_TEST(!copy.in.weight.requires_grad());
  BOOST_TEST(eg::detail::frozen_rows(copy.in.weight).size() == 1U);
  BOOST_TEST(equal_to("weight", copy.in.weight, tied.in.weight));

  Tagger tagger;
  eg::sum(tagger.forward(eg::tensor({{1}, {2}}))).backward();
  const Tagger deep = nn::clone(tagger);
  BOOST_TEST(!deep.out.weight.grad().defined());
  BOOST_TEST(deep.out.weight.requires_grad());
  BOOST_TEST(deep.out.weight.is_leaf());
}

BOOST_AUTO_TEST_CASE(train_and_eval_reach_every_part) {
  Tagger tagger;
  const auto ids = eg::tensor({{1}, {2}});
  BOOST_TEST(tagger.dropout.is_training());
  tagger.eval();
  BOOST_TEST(!tagger.is_training());
  BOOST_TEST(!tagger.dropout.is_training());
  BOOST_TEST(equal_to("same", tagger.forward(ids), tagger.forward(ids)));
  tagger.train();
  BOOST_TEST(tagger.dropout.is_training());
}

BOOST_AUTO_TEST_CASE(freezing_and_dropping_gradients) {
  Tagger tagger;
  tagger.words.set_requires_grad(false);
  eg::sum(tagger.forward(eg::tensor({{1}, {2}}))).backward();
  BOOST_TEST(!tagger.words.weight.grad().defined());
  BOOST_TEST(tagger.out.bias.grad().defined());
  BOOST_TEST(tagger.parameters().size() == 7U);
  tagger.zero_grad();
  for (const Tensor& parameter : tagger.parameters()) BOOST_TEST(!parameter.grad().defined());
}

BOOST_AUTO_TEST_CASE(to_converts_floating_tensors_and_keeps_ties) {
  Tied tied;
  const Tensor before = tied.in.weight.clone().detach();
  tied.to(eg::DType::float64);
  BOOST_TEST(equal_to("weight", tied.in.weight, before.to(eg::DType::float64)));
  BOOST_TEST(tied.in.weight.state() == tied.out.weight.state());
  BOOST_TEST(tied.in.weight.requires_grad());
  BOOST_TEST(tied.in.weight.is_leaf());
  const void* state = tied.in.weight.state();
  tied.to(eg::Device::cpu()).to(eg::DType::float64);
  BOOST_TEST(tied.in.weight.state() == state);
  BOOST_CHECK_EXCEPTION(tied.to(eg::DType::int64), eg::DTypeError, says({"int64"}));
  if (!eg::cuda_is_available()) BOOST_CHECK_THROW(tied.to(eg::Device::cuda()), eg::DeviceError);
  Zoo zoo;
  zoo.to(eg::DType::float64);
  BOOST_TEST((zoo.count.dtype() == eg::DType::int64));
}

BOOST_AUTO_TEST_CASE(to_reaches_handles_and_optimizers_made_before) {
  nn::Linear layer(3, 2);
  const Tensor weight = layer.weight;
  eg::optim::Adam optimizer(layer.parameters(), {.lr = 0.1});
  const auto train = [&](eg::DType dtype) {
    optimizer.zero_grad();
    layer(eg::ones({1, 3}, {dtype, {}})).sum().backward();
    optimizer.step();
  };
  train(eg::DType::float32);
  const Tensor before = layer(eg::ones({1, 3}).set_requires_grad()).sum();
  layer.to(eg::DType::float64);
  BOOST_TEST((weight.dtype() == eg::DType::float64));
  BOOST_TEST(weight.state() == layer.weight.state());
  BOOST_TEST(!weight.grad().defined());
  BOOST_CHECK_EXCEPTION(before.backward(), eg::Error, says({"linear", "changed in place"}));
  train(eg::DType::float64);
  BOOST_TEST((optimizer.state(0, "exp_avg").dtype() == eg::DType::float64));
  BOOST_TEST(optimizer.state(0, "step").item() == 2.0);
}

BOOST_AUTO_TEST_CASE(load_takes_what_state_dict_gives) {
  const Tagger from;
  Tagger to;
  to.load_state_dict(from.state_dict());
  for (const auto& [name, tensor] : from.state_dict()) BOOST_TEST(equal_to(name, to.state_dict().at(name), tensor));
  BOOST_TEST(to.out.weight.state() != from.out.weight.state());
  BOOST_TEST(to.out.weight.requires_grad());
}

BOOST_AUTO_TEST_CASE(load_reports_all_problems_together_and_changes_nothing) {
  Tagger tagger;
  const Tagger before = nn::clone(tagger);
  eg::StateDict state;
  for (const auto& [name, tensor] : Tagger().state_dict()) {
    if (name != "out.bias") state.set(name, tensor);
  }
  state.set("out.weight", eg::ones({2, 4}));
  state.set("surplus", eg::ones({1}));
  BOOST_CHECK_EXCEPTION(tagger.load_state_dict(state), eg::ValueError,
                        says({"out.bias", "surplus", "out.weight", "[2, 3]", "[2, 4]"}));
  for (const auto& [name, tensor] : before.state_dict()) {
    BOOST_TEST(equal_to(name, tagger.state_dict().at(name), tensor));
  }
}

BOOST_AUTO_TEST_CASE(errors_name_the_layer) {
  Tagger model;
  const Tensor bad = eg::tensor({1, 12}).reshape({2, 1});
  BOOST_CHECK_EXCEPTION(model.forward(bad), eg::IndexError, [](const eg::Error& error) {
    return std::string_view(error.what()).starts_with("embedding: input[1, 0] is 12");
  });
  BOOST_TEST(model.words.layer_name() == "");
  static_cast<void>(model.parameters());
  BOOST_TEST(model.words.layer_name() == "words");
  BOOST_CHECK_EXCEPTION(model.forward(bad), eg::IndexError, [](const eg::Error& error) {
    return std::string_view(error.what()).starts_with("words: embedding: input[1, 0] is 12");
  });
  BOOST_CHECK_EXCEPTION(model.lstm(eg::ones({2, 1, 5})), eg::Error, says({"lstm: "}));
  BOOST_CHECK_EXCEPTION(model.out(eg::ones({2, 5})), eg::ShapeError, says({"out: linear: "}));
  BOOST_TEST(eg::current_layer() == "");  // also after an error
  // A walk of a part knows less than one of the whole; a part that is moved takes its new place's name.
  struct Outer : nn::Module {
    Tagger tagger;
    void members(nn::Visitor& visit) override { visit("tagger", tagger); }
  };
  Outer outer;
  static_cast<void>(outer.state_dict());
  static_cast<void>(outer.tagger.state_dict());
  BOOST_TEST(outer.tagger.out.layer_name() == "tagger.out");
  Zoo zoo;
  zoo.layers.push_back(outer.tagger.out);
  zoo.eval();
  BOOST_TEST(zoo.layers[0].layer_name() == "layers.0");
}

BOOST_AUTO_TEST_CASE(anomalies_name_op_and_layer) {
  Tagger model;
  const Tensor ids = eg::tensor({1, 2}).reshape({2, 1});
  static_cast<void>(model.parameters());
  eg::no_grad([&] { model.out.weight.set({1, 2}, std::numeric_limits<double>::quiet_NaN()); });
  static_cast<void>(model.forward(ids));
  BOOST_CHECK_EXCEPTION(eg::detect_anomaly([&] { return model.forward(ids); }), eg::ValueError,
                        says({"out: linear: output of shape [2, 1, 2] is NaN at [0, 0, 1]", "input 1"}));
  // Gradients: 0 times infinity, in the layer that hands it on first.
  eg::no_grad([&] {
    model.out.weight.fill(0);
    model.out.weight.set({0, 0}, std::numeric_limits<double>::infinity());
  });
  model.eval();
  const Tensor hidden = eg::zeros({2, 1, 3}).set_requires_grad();
  BOOST_CHECK_EXCEPTION(eg::detect_anomaly([&] {
                          model.out(hidden + 1.0).backward(eg::zeros({2, 1, 2}));
                        }),
                        eg::ValueError, says({"out: backward of linear: the gradient of input 0", "[0, 0, 0]"}));
}

BOOST_AUTO_TEST_CASE(printing_shows_the_tree) {
  BOOST_TEST(printed(Tagger()) ==
             "Tagger(\n"
             "  (words): Embedding(10, 4)\n"
             "  (lstm): LSTM(4, 3)\n"
             "  (out): Linear(3, 2)\n"
             "  (dropout): Dropout(p=0.5)\n"
             ")");
  struct Outer : nn::Module {
    Tied tied;
    nn::Sequential net{nn::Linear(2, 2, false)};
    void members(nn::Visitor& visit) override {
      visit("tied", tied);
      visit("net", net);
    }
  };
  BOOST_TEST(printed(Outer()) ==
             "Outer(\n"
             "  (tied): Tied(\n"
             "    (in): Embedding(5, 3)\n"
             "    (out): Linear(3, 5, bias=False)\n"
             "  )\n"
             "  (net): Sequential(\n"
             "    (0): Linear(2, 2, bias=False)\n"
             "  )\n"
             ")");
  BOOST_TEST(printed(nn::Embedding({.num_embeddings = 9, .embedding_dim = 2, .padding_idx = -1})) ==
             "Embedding(9, 2, padding_idx=8)");
  BOOST_TEST(printed(nn::LSTM({.input_size = 2,
                               .hidden_size = 3,
                               .num_layers = 2,
                               .bias = false,
                               .batch_first = true,
                               .dropout = 0.25,
                               .bidirectional = true,
                               .proj_size = 1})) ==
             "LSTM(2, 3, proj_size=1, num_layers=2, bias=False, batch_first=True, dropout=0.25, bidirectional=True)");
}

BOOST_AUTO_TEST_SUITE_END()

// The op `optimizer`: what its arguments do. Numbers of PyTorch are among the stored cases.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include <embergrad/ops.hpp>
#include <embergrad/safetensors.hpp>

#include "opcheck/cases.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;

BOOST_AUTO_TEST_SUITE(optimizer)

BOOST_AUTO_TEST_CASE(an_optimizer_takes_its_schedule) {
  const auto w = eg::tensor({1.0, 1.0});
  const std::vector<eg::StateDict::Entry> tensors = {
      {"param.0", w}, {"grad.0.0", eg::ones({2})}, {"grad.2.0", eg::ones({2})}};
  const auto run = [&](const std::string& args) {
    return eg::test::run(fmt::format(R"({{"op": "optimizer", "args": {{{}}}}})", args), tensors);
  };
  const auto weight_of = [&](const std::string& args, const std::vector<float>& expected) {
    const auto got = run(args);
    BOOST_TEST_REQUIRE(!got.is_error(), args << ": " << got.error_message);
    BOOST_TEST(eg::test::close_to(args, got.tensors.at("param.0"), eg::tensor(expected)));
  };
  const std::string sgd = R"("optimizer": "SGD", "steps": 3, )";
  weight_of(sgd + R"("options": {"lr": 0.25})", {0.5F, 0.5F});
  weight_of(sgd + R"("options": {"lr": 0.25}, "lr": [0.5, 9, 0.25])", {0.25F, 0.25F});
  weight_of(sgd + R"("options": {"lr": 0.25}, "options_at": {"2": {"lr": 0.125}})", {0.625F, 0.625F});
  weight_of(sgd + R"("options": {"lr": 0.25}, "read_at": [1, 2], "save_load_at": [0, 2], "updates": "dense")",
            {0.5F, 0.5F});
  weight_of(sgd + R"("options": {"lr": 0.25}, "options_at": {"1": {"lr": 0.125}}, "save_load_at": [2])",
            {0.625F, 0.625F});
  weight_of(sgd + R"("options": {"lr": 0.25}, "frozen_rows": [[1]], "save_load_at": [1])", {0.5F, 1.0F});
  weight_of(sgd + R"("options": {"lr": 0.25}, "frozen_rows": [null])", {0.5F, 0.5F});

  const auto got = run(R"("optimizer": "Adam", "steps": 3, "options": {"amsgrad": true})");
  for (const char* name : {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}) {
    BOOST_TEST(got.tensors.contains(std::string("state.0.") + name), name);
  }
  BOOST_TEST(got.tensors.at("state.0.step").item() == 2.0);

  BOOST_TEST(run(R"("optimizer": "Rprop", "steps": 3)").error_class == "Unsupported");
  BOOST_TEST(run(sgd + R"("options": {"foreach": true})").error_class == "Unsupported");
  BOOST_TEST(run(sgd + R"("updates": "lazy")").error_class == "ValueError");
  BOOST_TEST(run(sgd + R"("options": {"lr": -1})").error_class == "ValueError");
  BOOST_TEST(run(sgd + R"("options": {"lr": "fast"})").error_class == "ValueError");
  BOOST_TEST(run(sgd + R"("lr": [0.1])").error_class == "ValueError");
  BOOST_TEST(run(sgd + R"("save_load_at": [3])").error_class == "ValueError");
  BOOST_TEST(run(sgd + R"("options_at": {"last": {}})").error_class == "ValueError");
  BOOST_TEST(run(sgd + R"("frozen_rows": [[2]])").error_class == "IndexError");
  BOOST_TEST(run(R"("optimizer": "SGD", "steps": 2)").error_class == "ValueError");  // grad.2.0 is left over
}

BOOST_AUTO_TEST_CASE(sparse_gradients_are_stepped_dense_where_that_is_asked) {
  const auto run = [](const char* updates) {
    return eg::test::run(
        fmt::format(
            R"({{"op": "optimizer", "args": {{"optimizer": "SGD", "options": {{"lr": 1.0}}, "steps": 1, "updates": "{}"}}}})",
            updates),
        {{"param.0", eg::zeros({3, 1})},
         {"grad.0.0.indices", eg::tensor({2, 0, 2})},
         {"grad.0.0.values", eg::tensor({{1.0}, {2.0}, {4.0}})}});
  };
  const auto got = run("dense");
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST(eg::test::equal_to("param.0", got.tensors.at("param.0"), eg::tensor({{-2.0}, {0.0}, {-5.0}})));
  const auto sparse = run("exact");
  BOOST_TEST_REQUIRE(!sparse.is_error(), sparse.error_message);
  BOOST_TEST(eg::test::equal_to("param.0", sparse.tensors.at("param.0"), got.tensors.at("param.0")));
}

BOOST_AUTO_TEST_SUITE_END()

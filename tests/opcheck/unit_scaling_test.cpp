// The rows of the Python library unit-scaling: names and defaults as its functional has them.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <vector>

#include <embergrad/ops.hpp>
#include <embergrad/safetensors.hpp>

#include "opcheck/cases.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
using eg::Tensor;
using eg::opcheck::CaseResult;
using eg::test::close_to;
using eg::test::equal_to;
using eg::test::run;

namespace {

constexpr eg::TensorOptions f64{eg::DType::float64, {}};

}  // namespace

BOOST_AUTO_TEST_SUITE(unit_scaling)

BOOST_AUTO_TEST_CASE(embedding) {
  const Tensor weight = eg::tensor({{3.0, 4.0}, {0.5, 0.25}, {1.0, 1.0}, {2.0, 0.0}}, f64);
  const Tensor grad = eg::tensor({{1.0, 2.0}}, f64);
  const auto got = run(R"({"op": "unit_scaling.embedding", "args": {}, "requires_grad": ["weight"]})",
                       {{"input", eg::tensor({0})}, {"weight", weight}, {"grad_output", grad}});
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST(equal_to("output", got.tensors.at("output"), eg::tensor({{3.0, 4.0}}, f64)));
  BOOST_TEST(equal_to("gradient", got.tensors.at("grad.weight"),
                      eg::tensor({{2.0, 4.0}, {0.0, 0.0}, {0.0, 0.0}, {0.0, 0.0}}, f64)));

  const auto clipped =
      run(R"({"op": "unit_scaling.embedding", "args": {"max_norm": 1.0, "sparse": true}, "requires_grad": ["weight"]})",
          {{"input", eg::tensor({0})}, {"weight", weight}, {"grad_output", grad}});
  BOOST_TEST_REQUIRE(!clipped.is_error(), clipped.error_message);
  BOOST_TEST(clipped.tensors.at("mutated.weight").at({0, 0}) == 0.6, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(equal_to("rows", clipped.tensors.at("grad.weight.indices"), eg::tensor({0})));
  BOOST_TEST(equal_to("values", clipped.tensors.at("grad.weight.values"), eg::tensor({{2.0, 4.0}}, f64)));
}

BOOST_AUTO_TEST_CASE(linear) {
  const Tensor x = eg::tensor({{1.0, 1.0, 1.0, 1.0}}, f64);
  const Tensor w = eg::tensor({{1.0, 2.0, 3.0, 4.0}}, f64);
  const auto output = [&](const std::string& op, const std::string& args) {
    const auto got = run(R"({"op": "unit_scaling.)" + op + R"(", "args": )" + args + R"(, "requires_grad": ["input"]})",
                         {{"input", x}, {"weight", w}, {"grad_output", eg::ones({1, 1}, f64)}});
    BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
    return std::vector<double>{got.tensors.at("output").item(), got.tensors.at("grad.input").at({0, 3})};
  };
  const auto same = [](const std::vector<double>& got, double out, double gradient) {
    BOOST_TEST(got[0] == out, boost::test_tools::tolerance(1e-12));
    BOOST_TEST(got[1] == gradient, boost::test_tools::tolerance(1e-12));
  };
  same(output("linear", "{}"), 5, 2);
  same(output("linear", R"({"constraint": null})"), 5, 4);
  same(output("linear", R"({"constraint": "amean"})"), 7.5, 3);
  same(output("linear", R"({"scale_power": [1, 0, 0]})"), 2.5, 1);
  same(output("linear_readout", "{}"), 2.5, 4);
  same(output("linear_readout", R"({"constraint": "to_output_scale"})"), 2.5, 1);
  const auto refused = [&](const std::string& args) {
    return run(R"({"op": "unit_scaling.linear", "args": )" + args + "}", {{"input", x}, {"weight", w}}).error_class;
  };
  BOOST_TEST(refused(R"({"constraint": "median"})") == "ValueError");
  BOOST_TEST(refused(R"({"scale_power": [1, 2]})") == "ValueError");
  BOOST_TEST(refused(R"({"power": 2})") == "Unsupported");
}

BOOST_AUTO_TEST_CASE(cross_entropy) {
  const Tensor x = eg::zeros({2, 5}, f64), y = eg::tensor({0, 3});
  const auto got = run(R"({"op": "unit_scaling.cross_entropy", "args": {"mult": 2.0}, "requires_grad": ["input"]})",
                       {{"input", x}, {"target", y}, {"grad_output", eg::ones({}, f64)}});
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST(got.tensors.at("output").item() == std::log(5.0), boost::test_tools::tolerance(1e-12));
  // 5 / √4 · (1/5 - onehot)
  BOOST_TEST(got.tensors.at("grad.input").at({0, 0}) == -2, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(got.tensors.at("grad.input").at({1, 0}) == 0.5, boost::test_tools::tolerance(1e-12));
  const auto refused = [&](const std::string& args) {
    return run(R"({"op": "unit_scaling.cross_entropy", "args": )" + args + "}", {{"input", x}, {"target", y}})
        .error_class;
  };
  BOOST_TEST(refused(R"({"reduction": "none"})") == "ValueError");
  BOOST_TEST(refused(R"({"label_smoothing": 0.1})") == "ValueError");
  BOOST_TEST(refused(R"({"size_average": true})") == "ValueError");
  BOOST_TEST(refused(R"({"label_smoothing": 0.0, "reduce": null})").empty());
  BOOST_TEST(run(R"({"op": "unit_scaling.cross_entropy", "args": {}})",
                 {{"input", x}, {"target", y}, {"weight", eg::ones({5}, f64)}})
                 .error_class == "ValueError");
}

BOOST_AUTO_TEST_CASE(dropout) {
  const Tensor x = eg::ones({4}, f64);
  const auto with = [&](const std::string& args) {
    return run(R"({"op": "unit_scaling.dropout", "args": )" + args + "}", {{"input", x}});
  };
  BOOST_TEST(close_to("evaluated", with(R"({"p": 0.75, "training": false})").tensors.at("output"), x * 0.5));
  BOOST_TEST(equal_to("p = 0", with(R"({"p": 0.0})").tensors.at("output"), x));
  BOOST_TEST(with("{}").error_class == "Unsupported");
  BOOST_TEST(with(R"({"p": 2.0})").error_class == "ValueError");
  BOOST_TEST(with(R"({"p": 0.0, "inplace": true})").error_class == "ValueError");
}

BOOST_AUTO_TEST_SUITE_END()

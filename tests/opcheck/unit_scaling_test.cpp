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

BOOST_AUTO_TEST_CASE(embedding_bag) {
  const Tensor weight = eg::tensor({{3.0, 4.0}, {0.5, 0.25}, {1.0, 1.0}, {2.0, 0.0}}, f64);
  const Tensor input = eg::tensor({0, 2, 3, 2, 1, 2, 2, 2}), grad = eg::tensor({{1.0, 2.0}, {0.0, 0.0}}, f64);
  const std::vector<eg::StateDict::Entry> bags = {
      {"input", input}, {"offsets", eg::tensor({0, 4})}, {"weight", weight}, {"grad_output", grad}};
  const auto answer = [&](const std::string& args) {
    return run(R"({"op": "unit_scaling.embedding_bag", "args": )" + args + R"(, "requires_grad": ["weight"]})", bags);
  };
  // 2 bags of 8 indices: sums over √4, the table's gradient times √(4 / 8)
  const auto sums = answer(R"({"mode": "sum"})");
  BOOST_TEST_REQUIRE(!sums.is_error(), sums.error_message);
  BOOST_TEST(equal_to("sums", sums.tensors.at("output"), eg::tensor({{3.5, 3.0}, {1.75, 1.625}}, f64)));
  const double factor = std::sqrt(0.5);
  BOOST_TEST(close_to("gradient", sums.tensors.at("grad.weight"),
                      eg::tensor({{1.0, 2.0}, {0.0, 0.0}, {2.0, 4.0}, {1.0, 2.0}}, f64) * factor));
  // Without a mode, means, over √(2 / (1/4 + 1/4)): the sums over 4, times 2.
  BOOST_TEST(equal_to("means", answer("{}").tensors.at("output"), sums.tensors.at("output")));

  const auto clipped = answer(R"({"mode": "sum", "max_norm": 1.0, "sparse": true, "padding_idx": -1})");
  BOOST_TEST_REQUIRE(!clipped.is_error(), clipped.error_message);
  BOOST_TEST(clipped.tensors.at("mutated.weight").at({0, 0}) == 0.6, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(equal_to("rows", clipped.tensors.at("grad.weight.indices"), eg::tensor({0, 1, 2})));
  BOOST_TEST(clipped.tensors.at("grad.weight.values").at({0, 0}) == std::sqrt(4.0 / 7),
             boost::test_tools::tolerance(1e-12));

  const auto weighted_by = [&](const Tensor& s) {
    return run(
        R"({"op": "unit_scaling.embedding_bag", "args": {"mode": "sum"}, "requires_grad": ["per_sample_weights"]})",
        {{"input", eg::tensor({{0, 2}})},
         {"weight", weight},
         {"per_sample_weights", s},
         {"grad_output", eg::tensor({{1.0, 2.0}}, f64)}});
  };
  const auto weighted = weighted_by(eg::tensor({{2.0, 1.0}}, f64));
  BOOST_TEST_REQUIRE(!weighted.is_error(), weighted.error_message);
  BOOST_TEST(close_to("weighted", weighted.tensors.at("output"), eg::tensor({{7.0, 9.0}}, f64) / std::sqrt(5.0)));
  BOOST_TEST(close_to("of the weights", weighted.tensors.at("grad.per_sample_weights"),
                      eg::tensor({{11.0, 3.0}}, f64) / std::sqrt(2.0)));
  BOOST_TEST(weighted_by(eg::tensor({2.0, 1.0}, f64)).error_class == "ShapeError");

  BOOST_TEST(answer(R"({"mode": "median"})").error_class == "ValueError");
  BOOST_TEST(answer(R"({"max_norm": -1.0})").error_class == "ValueError");
  BOOST_TEST(answer(R"({"padding_idx": 4})").error_class == "IndexError");
  BOOST_TEST(answer(R"({"touched": true})").error_class == "Unsupported");
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

// One unit that starts from c = 0: h = σ(o) tanh(σ(i) tanh(g)), all four z being x / √2 · (1, 2, 3, 4).
BOOST_AUTO_TEST_CASE(lstm) {
  const auto answer = [](const std::string& args, const std::vector<eg::StateDict::Entry>& more = {}) {
    std::vector<eg::StateDict::Entry> tensors = {
        {"input", eg::tensor({{{0.5, 0.5}}}, f64)},
        {"weight_ih_l0", eg::tensor({{1.0, 1.0}, {2.0, 2.0}, {3.0, 3.0}, {4.0, 4.0}}, f64)},
        {"weight_hh_l0", eg::ones({4, 1}, f64)},
        {"grad_output.output", eg::ones({1, 1, 1}, f64)}};
    tensors.insert(tensors.end(), more.begin(), more.end());
    return run(R"({"op": "unit_scaling.lstm", "args": )" + args + R"(, "requires_grad": ["input"]})", tensors);
  };
  const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };
  const double z = 1 / std::sqrt(2.0);
  const double c = sigmoid(z) * std::tanh(3 * z), h = sigmoid(4 * z) * std::tanh(c);
  const auto is = [](double got, double expected) { BOOST_TEST(got == expected, boost::test_tools::tolerance(1e-12)); };

  const auto plain = answer(R"({"hidden_size": 1, "bias": false})");
  BOOST_TEST_REQUIRE(!plain.is_error(), plain.error_message);
  is(plain.tensors.at("output.output").item(), h / 0.197);
  is(plain.tensors.at("output.h_n").item(), h);
  is(plain.tensors.at("output.c_n").item(), c);
  // The input's gradient has √(2 / 4) / 0.125 of its own, the output's factor under the constraint.
  const double free = plain.tensors.at("grad.input").at({0, 0, 0});
  const auto shared = answer(R"({"hidden_size": 1, "bias": false, "constraint": "to_output_scale"})");
  is(shared.tensors.at("grad.input").at({0, 0, 0}) / free, 0.125 / 0.197 / std::sqrt(0.5));
  BOOST_TEST(equal_to("null",
                      answer(R"({"hidden_size": 1, "bias": false, "constraint": null})").tensors.at("grad.input"),
                      plain.tensors.at("grad.input")));

  // The forget gate has nothing to forget here but c_0.
  const std::vector<eg::StateDict::Entry> state = {{"h_0", eg::zeros({1, 1, 1}, f64)},
                                                   {"c_0", eg::ones({1, 1, 1}, f64)}};
  const auto offset = answer(R"({"hidden_size": 1, "bias": false, "forget_offset": 1})", state);
  BOOST_TEST_REQUIRE(!offset.is_error(), offset.error_message);
  is(offset.tensors.at("output.c_n").item(), sigmoid(2 * z + 1) + c);

  // Two units, both the one above, projected to their sum over √2.
  const auto projected =
      run(R"({"op": "unit_scaling.lstm", "args": {"hidden_size": 2, "proj_size": 1, "bias": false}})",
          {{"input", eg::tensor({{{0.5, 0.5}}}, f64)},
           {"weight_ih_l0",
            eg::tensor({{1.0, 1.0}, {1.0, 1.0}, {2.0, 2.0}, {2.0, 2.0}, {3.0, 3.0}, {3.0, 3.0}, {4.0, 4.0}, {4.0, 4.0}},
                       f64)},
           {"weight_hh_l0", eg::ones({8, 1}, f64)},
           {"weight_hr_l0", eg::ones({1, 2}, f64)}});
  BOOST_TEST_REQUIRE(!projected.is_error(), projected.error_message);
  is(projected.tensors.at("output.h_n").item(), h * std::sqrt(2.0));
  is(projected.tensors.at("output.output").item(), h * std::sqrt(2.0) / 0.197);

  BOOST_TEST(answer(R"({"hidden_size": 1, "bias": false, "forget_offset": 0.5})").error_class == "ValueError");
  BOOST_TEST(answer(R"({"hidden_size": 1, "bias": false, "constraint": "median"})").error_class == "ValueError");
  BOOST_TEST(answer(R"({"hidden_size": 1, "bias": false, "constraint": "to_left_grad_scale"})").error_class ==
             "ValueError");
  BOOST_TEST(answer(R"({"hidden_size": 2, "bias": false})").error_class == "ShapeError");
  BOOST_TEST(answer(R"({"hidden_size": 1, "bias": false, "peephole": true})").error_class == "Unsupported");
  const auto late = answer(R"({"hidden_size": 1, "bias": false})", {{"lengths", eg::tensor({2})}});
  BOOST_TEST(late.error_class == "ValueError");
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

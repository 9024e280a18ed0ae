// What the opcheck program itself does: which answers it gives to which files.
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/safetensors.hpp>

#include "opcheck/runner.hpp"
#include "support/compare.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
namespace fs = std::filesystem;
using eg::opcheck::run_case;
using eg::test::TemporaryDirectory;

namespace {

std::vector<std::string> names_in(const fs::path& directory, const std::string& extension) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == extension) names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// A case that is not read from a file.
eg::Loaded make_case(const std::string& json, const std::vector<eg::StateDict::Entry>& tensors) {
  eg::Loaded file;
  file.metadata["case"] = json;
  for (const auto& [name, tensor] : tensors) file.tensors.set(name, tensor);
  return file;
}

std::string error_of(const std::string& json, const std::vector<eg::StateDict::Entry>& tensors = {}) {
  return run_case(make_case(json, tensors)).error_class;
}

int run_program(const std::string& arguments) {
  const std::string command = fmt::format("'{}' {} 2>/dev/null", EMBERGRAD_OPCHECK, arguments);
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(opcheck)

BOOST_AUTO_TEST_CASE(gives_output_and_gradients) {
  const auto x = eg::tensor({1.0, 2.0, 3.0});
  const auto y = eg::tensor({4.0, 5.0, 6.0});
  const auto grad = eg::tensor({1.0, 10.0, 100.0});
  const auto got = run_case(make_case(R"({"op": "mul", "args": {}, "requires_grad": ["input", "other"]})",
                                      {{"input", x}, {"other", y}, {"grad_output", grad}}));
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST(got.tensors.size() == 3U);
  BOOST_TEST(eg::test::equal_to("output", got.tensors.at("output"), eg::tensor({4.0, 10.0, 18.0})));
  BOOST_TEST(eg::test::equal_to("grad.input", got.tensors.at("grad.input"), eg::tensor({4.0, 50.0, 600.0})));
  BOOST_TEST(eg::test::equal_to("grad.other", got.tensors.at("grad.other"), eg::tensor({1.0, 20.0, 300.0})));
  BOOST_TEST(got.metadata.at("device") == "cpu");
  BOOST_TEST(!x.grad().defined());  // the caller's tensors stay as they are
  BOOST_TEST(!x.requires_grad());
}

BOOST_AUTO_TEST_CASE(without_a_gradient_only_forward_runs) {
  const auto got = run_case(make_case(R"({"op": "exp", "requires_grad": ["input"]})", {{"input", eg::tensor({0.0})}}));
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST(got.tensors.size() == 1U);
}

BOOST_AUTO_TEST_CASE(an_input_without_influence_gets_zeros) {
  const auto got = run_case(
      make_case(R"({"op": "lstm", "args": {"hidden_size": 1, "bias": false}, "requires_grad": ["weight_hh_l0"]})",
                {{"input", eg::zeros({0, 1, 1})},
                 {"weight_ih_l0", eg::ones({4, 1})},
                 {"weight_hh_l0", eg::ones({4, 1})},
                 {"grad_output.h_n", eg::ones({1, 1, 1})}}));
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST(eg::test::equal_to("gradient", got.tensors.at("grad.weight_hh_l0"), eg::zeros({4, 1})));
}

BOOST_AUTO_TEST_CASE(packed_sequences_come_back_as_long_as_the_longest) {
  const auto run = [](const std::vector<std::int64_t>& lengths, const eg::Tensor& gradient) {
    return run_case(make_case(
        R"({"op": "lstm", "args": {"hidden_size": 1, "bias": false, "enforce_sorted": false}, "requires_grad": ["input"]})",
        {{"input", eg::ones({4, 2, 1})},
         {"weight_ih_l0", eg::ones({4, 1})},
         {"weight_hh_l0", eg::ones({4, 1})},
         {"lengths", eg::tensor(lengths)},
         {"grad_output.output", gradient}}));
  };
  const auto got = run({1, 3}, eg::ones({3, 2, 1}));
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST((got.tensors.at("output.output").shape() == eg::Shape{3, 2, 1}));
  const auto& grad = got.tensors.at("grad.input");
  BOOST_TEST((grad.shape() == eg::Shape{4, 2, 1}));
  BOOST_TEST(grad.at({2, 1, 0}) != 0.0);
  BOOST_TEST(grad.at({1, 0, 0}) == 0.0);
  BOOST_TEST(grad.at({3, 1, 0}) == 0.0);
  BOOST_TEST(run({1, 5}, eg::ones({4, 2, 1})).error_class == "ValueError");
  BOOST_TEST(run({}, eg::ones({4, 2, 1})).error_class == "ShapeError");
}

BOOST_AUTO_TEST_CASE(what_is_not_known_is_unsupported) {
  const auto x = eg::tensor({1.0});
  BOOST_TEST(error_of(R"({"op": "fold"})") == "Unsupported");
  BOOST_TEST(error_of(R"({"op": "exp", "args": {"out": null}})", {{"input", x}}) == "Unsupported");
  BOOST_TEST(error_of(R"({"op": "exp"})", {{"input", x}, {"scale", x}}) == "Unsupported");
}

BOOST_AUTO_TEST_CASE(bags_name_what_has_changed) {
  const auto table = eg::tensor({{3.0, 4.0}, {0.0, 1.0}, {6.0, 8.0}});
  const auto run = [&](const std::string& args, const eg::Tensor& weight, const eg::Tensor& grad) {
    return run_case(make_case(R"({"op": "embedding_bag", "args": {)" + args + R"(}, "requires_grad": ["weight"]})",
                              {{"input", eg::tensor({2, 0, 2})},
                               {"offsets", eg::tensor({0, 2})},
                               {"weight", weight},
                               {"grad_output", grad}}));
  };
  const auto got = run(R"("mode": "sum", "max_norm": "inf", "sparse": true)", table, eg::ones({2, 2}));
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST(eg::test::equal_to("output", got.tensors.at("output"), eg::tensor({{9.0, 12.0}, {6.0, 8.0}})));
  BOOST_TEST(eg::test::equal_to("mutated", got.tensors.at("mutated.weight"), table));
  BOOST_TEST(eg::test::equal_to("indices", got.tensors.at("grad.weight.indices"), eg::tensor({0, 2})));
  BOOST_TEST(eg::test::equal_to("values", got.tensors.at("grad.weight.values"), eg::tensor({{1.0, 1.0}, {2.0, 2.0}})));
  BOOST_TEST(!run(R"("max_norm": null)", table, eg::ones({2, 2})).tensors.contains("mutated.weight"));

  const auto half = table.to(eg::DType::float16);
  for (const eg::DType dtype : {eg::DType::float16, eg::DType::float32}) {
    const auto narrow = run("", half, eg::ones({2, 2}).to(dtype));
    BOOST_TEST_REQUIRE(!narrow.is_error(), narrow.error_message);
    BOOST_TEST((narrow.tensors.at("output").dtype() == eg::DType::float16));
    BOOST_TEST((narrow.tensors.at("grad.weight").dtype() == eg::DType::float16));
  }
  BOOST_TEST(run(R"("mode": "median")", table, eg::ones({2, 2})).error_class == "ValueError");
  BOOST_TEST(run(R"("max_norm": 0)", table, eg::ones({2, 2})).error_class == "ValueError");
  BOOST_TEST(run(R"("padding": 1)", table, eg::ones({2, 2})).error_class == "Unsupported");
}

BOOST_AUTO_TEST_CASE(bad_values_are_value_errors) {
  const auto x = eg::ones({2, 2});
  const std::vector<eg::StateDict::Entry> input = {{"input", x}};
  BOOST_TEST(error_of(R"({"op": "sum", "args": {"keepdim": 1}})", input) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "sum", "args": {"dim": "all"}})", input) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "sum", "args": {"dim": [0.5]}})", input) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "transpose", "args": {"dim0": 0}})", input) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "narrow", "args": {"dim": 0, "start": 0, "length": 18446744073709551615}})", input) ==
             "ValueError");
  BOOST_TEST(error_of(R"({"op": "nll_loss", "args": {"reduction": "avg"}})",
                      {{"input", x}, {"target", eg::tensor({0, 1})}}) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "linear", "args": {"bias": 1}})", {{"input", x}, {"weight", x}}) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "mul"})", input) == "ValueError");  // no tensor `other`
  BOOST_TEST(error_of(R"({"op": "exp", "requires_grad": ["x"]})", input) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "exp", "requires_grad": ["input"]})", {{"input", x}, {"grad_output.second", x}}) ==
             "ValueError");
  BOOST_TEST(error_of(R"({"op": "lstm", "args": {"hidden_size": 4611686018427387904, "bias": false}})",
                      {{"input", x}, {"weight_ih_l0", eg::ones({0, 2})}, {"weight_hh_l0", eg::ones({0, 2})}}) ==
             "ValueError");
  BOOST_TEST(error_of(R"({"op": "softmax", "args": {"dim": 4294967296}})", input) == "IndexError");
  BOOST_TEST(error_of(R"({"op": "exp", "requires_grad": ["input"]})", {{"input", x}, {"grad_output", eg::ones({2})}}) ==
             "ShapeError");
  BOOST_TEST(error_of(R"({"op": "exp", "requires_grad": ["input"]})", {{"input", eg::tensor({1})}}) == "DTypeError");
}

BOOST_AUTO_TEST_CASE(operands_may_be_numbers) {
  const auto x = eg::tensor({1.0, 2.0, 3.0});
  const auto mask = eg::tensor({1, 0, 1});
  const auto outputs = [](const std::string& json, const std::vector<eg::StateDict::Entry>& tensors) {
    const auto got = run_case(make_case(json, tensors));
    BOOST_TEST_REQUIRE(!got.is_error(), json << ": " << got.error_message);
    return got.tensors;
  };
  const auto gives = [&](const std::string& json, const std::vector<eg::StateDict::Entry>& tensors,
                         const eg::Tensor& expected) {
    BOOST_TEST(eg::test::close_to(json, outputs(json, tensors).at("output"), expected));
  };
  gives(R"({"op": "pow", "args": {"exponent": 2}})", {{"input", x}}, eg::tensor({1.0, 4.0, 9.0}));
  gives(R"({"op": "pow", "args": {"self": 2}})", {{"exponent", x}}, eg::tensor({2.0, 4.0, 8.0}));
  gives(R"({"op": "pow"})", {{"input", x}, {"exponent", x}}, eg::tensor({1.0, 4.0, 27.0}));
  gives(R"({"op": "clamp", "args": {"min": "-inf", "max": 2}})", {{"input", x}}, eg::tensor({1.0, 2.0, 2.0}));
  gives(R"({"op": "clamp", "args": {"max": null}})", {{"input", x}, {"min", eg::tensor(2.5)}},
        eg::tensor({2.5, 2.5, 3.0}));
  gives(R"({"op": "where", "args": {"other": 0}})", {{"condition", mask}, {"input", x}}, eg::tensor({1.0, 0.0, 3.0}));
  gives(R"({"op": "where", "args": {"input": 1, "other": 2}})", {{"condition", mask}}, eg::tensor({1, 2, 1}));
  gives(R"({"op": "masked_fill", "args": {"value": "nan"}})", {{"input", x}, {"mask", mask}},
        eg::masked_fill(x, mask, std::nan("")));
  gives(R"({"op": "max"})", {{"input", x}}, eg::tensor(3.0));
  gives(R"({"op": "max"})", {{"input", x}, {"other", eg::tensor(2.0)}}, eg::tensor({2.0, 2.0, 3.0}));
  gives(R"({"op": "argmax", "args": {"keepdim": true}})", {{"input", x}}, eg::tensor({2}));
  const auto both = outputs(R"({"op": "max", "args": {"dim": -1}})", {{"input", x}});
  BOOST_TEST(both.at("output.values").item() == 3.0);
  BOOST_TEST(both.at("output.indices").item() == 2.0);
  BOOST_TEST(error_of(R"({"op": "clamp", "args": {"min": 1}})", {{"input", x}, {"max", x}}) == "Unsupported");
  BOOST_TEST(error_of(R"({"op": "clamp"})", {{"input", x}}) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "pow"})", {{"input", x}}) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "max", "args": {"keepdim": true}})", {{"input", x}}) == "ValueError");
}

BOOST_AUTO_TEST_CASE(arithmetic_and_comparisons_take_numbers) {
  const auto x = eg::tensor({1.0, 2.0, 4.0});
  const auto gives = [&](const std::string& op, const std::string& number, const eg::Tensor& expected) {
    const auto got =
        run_case(make_case(fmt::format(R"({{"op": "{}", "args": {{"other": {}}}}})", op, number), {{"input", x}}));
    BOOST_TEST_REQUIRE(!got.is_error(), op << ": " << got.error_message);
    BOOST_TEST(eg::test::equal_to(op, got.tensors.at("output"), expected));
  };
  gives("add", "2", eg::tensor({3.0, 4.0, 6.0}));
  gives("sub", "0.5", eg::tensor({0.5, 1.5, 3.5}));
  gives("mul", "2", eg::tensor({2.0, 4.0, 8.0}));
  gives("div", "\"inf\"", eg::tensor({0.0, 0.0, 0.0}));
  gives("eq", "2", eg::tensor({0, 1, 0}).to(eg::DType::int32));
  gives("ne", "2", eg::tensor({1, 0, 1}).to(eg::DType::int32));
  gives("lt", "2", eg::tensor({1, 0, 0}).to(eg::DType::int32));
  gives("le", "2", eg::tensor({1, 1, 0}).to(eg::DType::int32));
  gives("gt", "2", eg::tensor({0, 0, 1}).to(eg::DType::int32));
  gives("ge", "2", eg::tensor({0, 1, 1}).to(eg::DType::int32));
  BOOST_TEST(error_of(R"({"op": "eq"})", {{"input", x}}) == "ValueError");
  BOOST_TEST(error_of(R"({"op": "add", "args": {"alpha": 2}})", {{"input", x}, {"other", x}}) == "Unsupported");
}

BOOST_AUTO_TEST_CASE(copies_and_views) {
  const auto x = eg::tensor({1.0, 2.0});
  const auto gradient_of = [&](const std::string& op) {
    const auto got = run_case(make_case(fmt::format(R"({{"op": "{}", "requires_grad": ["input"]}})", op),
                                        {{"input", x}, {"grad_output", x}}));
    BOOST_TEST_REQUIRE(!got.is_error(), op << ": " << got.error_message);
    BOOST_TEST(eg::test::equal_to(op, got.tensors.at("output"), x));
    return got.tensors.at("grad.input");
  };
  BOOST_TEST(eg::test::equal_to("clone", gradient_of("clone"), x));
  BOOST_TEST(eg::test::equal_to("detach", gradient_of("detach"), eg::zeros({2})));
  const auto got = run_case(make_case(R"({"op": "view", "args": {"shape": [-1, 1]}})", {{"input", x}}));
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST((got.tensors.at("output").shape() == eg::Shape{2, 1}));
}

BOOST_AUTO_TEST_CASE(what_is_given_twice_is_refused) {
  const auto x = eg::ones({2});
  const auto mask = eg::tensor({1, 0});
  const auto refused = [](const std::string& json, const std::vector<eg::StateDict::Entry>& tensors) {
    BOOST_TEST(error_of(json, tensors) == "ValueError", json);
  };
  const std::vector<eg::StateDict::Entry> two = {{"input", x}, {"other", x}};
  refused(R"({"op": "max", "args": {"dim": 0}})", two);
  refused(R"({"op": "min", "args": {"keepdim": false}})", two);
  refused(R"({"op": "add", "args": {"other": 1}})", two);
  refused(R"({"op": "pow", "args": {"exponent": 2}})", {{"input", x}, {"exponent", x}});
  refused(R"({"op": "pow", "args": {"self": 2}})", {{"input", x}, {"exponent", x}});
  refused(R"({"op": "pow", "args": {"self": 2, "input": 2}})", {{"exponent", x}});
  refused(R"({"op": "clamp", "args": {"min": 1}})", {{"input", x}, {"min", x}});
  refused(R"({"op": "where", "args": {"other": 1}})", {{"condition", mask}, {"input", x}, {"other", x}});
  refused(R"({"op": "masked_fill", "args": {"value": 1}})", {{"input", x}, {"mask", mask}, {"value", eg::tensor(1.0)}});
}

BOOST_AUTO_TEST_CASE(null_is_the_absent_option) {
  const auto x = eg::ones({2, 3});
  const auto got = run_case(make_case(R"({"op": "sum", "args": {"dim": null, "keepdim": null}})", {{"input", x}}));
  BOOST_TEST_REQUIRE(!got.is_error(), got.error_message);
  BOOST_TEST(eg::test::equal_to("output", got.tensors.at("output"), eg::tensor(6.0)));
}

BOOST_AUTO_TEST_CASE(what_is_no_case_is_a_format_error) {
  BOOST_TEST(run_case({}).error_class == "FormatError");
  BOOST_TEST(error_of("[") == "FormatError");
  BOOST_TEST(error_of("3") == "FormatError");
  BOOST_TEST(error_of(R"({"args": {}})") == "FormatError");
  BOOST_TEST(error_of(R"({"op": "exp", "args": []})") == "FormatError");
  BOOST_TEST(error_of(R"({"op": "exp", "requires_grad": "input"})") == "FormatError");
  const auto nested = [](std::size_t depth) {
    const std::string lists = std::string(depth, '[') + std::string(depth, ']');
    return error_of(R"({"op": "exp", "args": {"x": )" + lists + "}}", {{"input", eg::ones({1})}});
  };
  BOOST_TEST(nested(62) == "Unsupported");  // inside two objects
  BOOST_TEST(nested(63) == "FormatError");
  BOOST_TEST(nested(100'000) == "FormatError");
}

BOOST_AUTO_TEST_CASE(the_program_answers_every_case) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "cases");
  const auto place = [&](const char* name) { return directory / (std::string("cases/") + name); };
  const auto x = eg::tensor({1.0, 2.0});
  const auto good = make_case(R"({"op": "neg"})", {{"input", x}});
  const auto unknown = make_case(R"({"op": "fold"})", {{"input", x}});
  eg::save(place("good.safetensors"), good.tensors, good.metadata);
  eg::save(place("unknown.safetensors"), unknown.tensors, unknown.metadata);
  eg::save(place("no_case.safetensors"), good.tensors);
  eg::test::write_bytes(place("garbage.safetensors"), "this is not a tensor file at all");
  eg::test::write_bytes(place("empty.safetensors"), "");
  fs::create_directory(place("directory.safetensors"));
  eg::test::write_bytes(place("notes.txt"), "not a case");

  const std::string results = directory / "made/results";
  BOOST_TEST(run_program(fmt::format("'{}' '{}'", directory / "cases", results)) == 0);
  BOOST_TEST(names_in(results, ".safetensors") == std::vector<std::string>{"good"}, boost::test_tools::per_element());
  const auto written = eg::load(results + "/good.safetensors");
  BOOST_TEST(eg::test::equal_to("output", written.tensors.at("output"), eg::tensor({-1.0, -2.0})));
  BOOST_TEST(written.metadata.at("device") == "cpu");
  BOOST_TEST(first_line(results + "/unknown.error") == "Unsupported");
  BOOST_TEST(first_line(results + "/no_case.error") == "FormatError");
  BOOST_TEST(first_line(results + "/garbage.error") == "FormatError");
  BOOST_TEST(first_line(results + "/empty.error") == "FormatError");
  BOOST_TEST(first_line(results + "/directory.error") == "IoError");
  BOOST_TEST(!fs::exists(results + "/notes.error"));

  // An earlier answer of the other kind does not stay beside the new one.
  eg::save(place("unknown.safetensors"), good.tensors, good.metadata);
  BOOST_TEST(run_program(fmt::format("--device cpu '{}' '{}'", directory / "cases", results)) == 0);
  BOOST_TEST(fs::exists(results + "/unknown.safetensors"));
  BOOST_TEST(!fs::exists(results + "/unknown.error"));
}

BOOST_AUTO_TEST_CASE(wrong_arguments_exit_with_2) {
  const TemporaryDirectory directory;
  const std::string here = "'" + directory.path().string() + "'";
  BOOST_TEST(run_program("") == 2);
  BOOST_TEST(run_program(here) == 2);
  BOOST_TEST(run_program("--device tpu " + here + " " + here + "/out") == 2);
  BOOST_TEST(run_program("--colour " + here + " " + here + "/out") == 2);
  BOOST_TEST(run_program(here + "/none " + here + "/out") == 2);
  BOOST_TEST(run_program(here + " " + here) == 2);
  if (!eg::cuda_is_available()) BOOST_TEST(run_program("--device cuda " + here + " " + here + "/out") == 2);
  BOOST_TEST(run_program(here + " " + here + "/out") == 0);  // no case is no error
}

BOOST_AUTO_TEST_SUITE_END()

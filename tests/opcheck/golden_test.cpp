// The stored cases of tests/golden against PyTorch's answers, and what the opcheck program itself does.
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/safetensors.hpp>

#include "opcheck/runner.hpp"
#include "support/compare.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
namespace fs = std::filesystem;
using eg::opcheck::CaseResult;
using eg::opcheck::run_case;
using eg::opcheck::run_file;
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

// What differs from the expected answer, in words; empty if nothing does.
std::string disagreement(const CaseResult& got, const eg::StateDict& expected) {
  if (got.is_error()) return got.error_class + ": " + got.error_message;
  for (const auto& [name, tensor] : expected) {
    if (!got.tensors.contains(name)) return name + " is missing";
    const auto text = eg::test::difference(name, got.tensors.at(name), tensor, eg::test::tolerance(tensor.dtype()));
    if (!text.empty()) return text;
  }
  for (const auto& [name, tensor] : got.tensors) {
    if (!expected.contains(name)) return name + " is not in the expected answer";
  }
  return {};
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

BOOST_AUTO_TEST_SUITE(golden)

BOOST_AUTO_TEST_CASE(answers_are_pytorchs) {
  const fs::path golden = EMBERGRAD_TEST_GOLDEN;
  const auto cases = names_in(golden / "cases", ".safetensors");
  BOOST_TEST_REQUIRE(cases.size() > 100U);
  for (const std::string& name : cases) {
    const CaseResult got = run_file((golden / "cases" / (name + ".safetensors")).string());
    const fs::path refused = golden / "expected" / (name + ".error");
    if (fs::exists(refused)) {
      BOOST_TEST((got.is_error() && got.error_class != "Unsupported" && got.error_class != "Error"),
                 name << ": expected an error, got "
                      << (got.is_error() ? got.error_class + ": " + got.error_message : "an answer"));
      continue;
    }
    const auto expected = eg::load((golden / "expected" / (name + ".safetensors")).string());
    const std::string text = disagreement(got, expected.tensors);
    BOOST_TEST(text.empty(), name << ": " << text);
  }
}

BOOST_AUTO_TEST_CASE(every_answer_has_its_case) {
  const fs::path golden = EMBERGRAD_TEST_GOLDEN;
  auto answers = names_in(golden / "expected", ".safetensors");
  const auto refusals = names_in(golden / "expected", ".error");
  answers.insert(answers.end(), refusals.begin(), refusals.end());
  std::sort(answers.begin(), answers.end());
  const auto cases = names_in(golden / "cases", ".safetensors");
  BOOST_TEST(cases == answers, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

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

BOOST_AUTO_TEST_CASE(what_is_not_known_is_unsupported) {
  const auto x = eg::tensor({1.0});
  BOOST_TEST(error_of(R"({"op": "fold"})") == "Unsupported");
  BOOST_TEST(error_of(R"({"op": "exp", "args": {"out": null}})", {{"input", x}}) == "Unsupported");
  BOOST_TEST(error_of(R"({"op": "exp"})", {{"input", x}, {"scale", x}}) == "Unsupported");
  const auto table = eg::ones({2, 2});
  const auto rows = eg::tensor({0});
  BOOST_TEST(error_of(R"({"op": "embedding", "args": {"max_norm": 1.0}})", {{"input", rows}, {"weight", table}}) ==
             "Unsupported");
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
  BOOST_TEST(error_of(R"({"op": "softmax", "args": {"dim": 4294967296}})", input) == "IndexError");
  BOOST_TEST(error_of(R"({"op": "exp", "requires_grad": ["input"]})", {{"input", x}, {"grad_output", eg::ones({2})}}) ==
             "ShapeError");
  BOOST_TEST(error_of(R"({"op": "exp", "requires_grad": ["input"]})", {{"input", eg::tensor({1})}}) == "DTypeError");
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

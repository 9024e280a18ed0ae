// The stored cases of tests/golden against PyTorch's answers.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include <embergrad/safetensors.hpp>

#include "opcheck/runner.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace fs = std::filesystem;
using eg::opcheck::CaseResult;
using eg::opcheck::run_file;

namespace {

std::vector<std::string> names_in(const fs::path& directory, const std::string& extension) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == extension) names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// As tensors of one type differ; in 16 bits, what was rounded once may be rounded the other way.
std::string difference(const std::string& name, const eg::Tensor& got, const eg::Tensor& expected) {
  const bool is_16_bit = expected.dtype() == eg::DType::float16 || expected.dtype() == eg::DType::bfloat16;
  if (!is_16_bit || got.dtype() != expected.dtype()) {
    return eg::test::difference(name, got, expected, eg::test::tolerance(expected.dtype()));
  }
  return eg::test::difference(name, got.to(eg::DType::float32), expected.to(eg::DType::float32), {1e-2, 1e-2});
}

// What differs from the expected answer, in words; empty if nothing does.
std::string disagreement(const CaseResult& got, const eg::StateDict& expected) {
  if (got.is_error()) return got.error_class + ": " + got.error_message;
  for (const auto& [name, tensor] : expected) {
    if (!got.tensors.contains(name)) return name + " is missing";
    const auto text = difference(name, got.tensors.at(name), tensor);
    if (!text.empty()) return text;
  }
  for (const auto& [name, tensor] : got.tensors) {
    if (!expected.contains(name)) return name + " is not in the expected answer";
  }
  return {};
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

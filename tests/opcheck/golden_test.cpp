// The stored cases of tests/golden against PyTorch's answers.
#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <charconv>
#include <filesystem>
#include <string>
#include <vector>

#include <embergrad/device.hpp>
#include <embergrad/row_sparse.hpp>
#include <embergrad/safetensors.hpp>

#include "opcheck/cases.hpp"
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

using Tensors = std::vector<eg::StateDict::Entry>;

// The steps that the optimizers' stored answers share, the first `count` of them.
Tensors steps_of(const eg::StateDict& file, int count, bool table_alone) {
  Tensors found;
  for (const auto& [name, tensor] : file) {
    int step = 0;
    if (name.starts_with("grad.")) std::from_chars(name.data() + 5, name.data() + name.size(), step);
    const bool is_input = name.starts_with("grad.") || name.starts_with("param.");
    if (is_input && step < count && !(table_alone && name.ends_with(".1"))) found.emplace_back(name, tensor);
  }
  return found;
}

// The same with dense gradients alone.
Tensors made_dense(const Tensors& tensors, std::int64_t rows) {
  Tensors dense;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    if (name.ends_with(".values")) continue;
    if (!name.ends_with(".indices")) {
      dense.push_back(tensors[i]);
      continue;
    }
    const std::string gradient = name.substr(0, name.rfind('.'));
    const auto values = std::find_if(tensors.begin(), tensors.end(),
                                     [&](const auto& entry) { return entry.first == gradient + ".values"; });
    dense.emplace_back(gradient, eg::RowSparse::from_rows(tensor, values->second, rows).to_dense());
  }
  return dense;
}

boost::test_tools::assertion_result has_gpu(boost::unit_test::test_unit_id /*test*/) { return eg::cuda_is_available(); }

// Every stored case, computed on the device.
void check_answers(eg::Device device) {
  const fs::path golden = EMBERGRAD_TEST_GOLDEN;
  const auto cases = names_in(golden / "cases", ".safetensors");
  BOOST_TEST_REQUIRE(cases.size() > 100U);
  for (const std::string& name : cases) {
    const CaseResult got = run_file((golden / "cases" / (name + ".safetensors")).string(), device);
    const fs::path refused = golden / "expected" / (name + ".error");
    if (fs::exists(refused)) {
      BOOST_TEST((got.is_error() && got.error_class != "Unsupported" && got.error_class != "Error"),
                 name << " on " << device.to_string() << ": expected an error, got "
                      << (got.is_error() ? got.error_class + ": " + got.error_message : "an answer"));
      continue;
    }
    const auto expected = eg::load((golden / "expected" / (name + ".safetensors")).string());
    const std::string text = disagreement(got, expected.tensors);
    BOOST_TEST(text.empty(), name << " on " << device.to_string() << ": " << text);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden)

BOOST_AUTO_TEST_CASE(answers_are_pytorchs) { check_answers(eg::Device::cpu()); }

BOOST_AUTO_TEST_CASE(answers_of_a_gpu_are_pytorchs, *boost::unit_test::precondition(has_gpu)) {
  check_answers(eg::Device::cuda());
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

BOOST_AUTO_TEST_CASE(optimizers_go_where_pytorchs_go) {
  const eg::Loaded file = eg::load((fs::path(EMBERGRAD_TEST_GOLDEN) / "optimizers.safetensors").string());
  BOOST_TEST_REQUIRE(file.metadata.size() > 150U);
  for (const auto& [name, args] : file.metadata) {
    if (name == "torch") continue;
    const bool is_sparse_alone = name.starts_with("SparseAdam");
    const Tensors steps = steps_of(file.tensors, std::stoi(name.substr(name.rfind('.') + 1)), is_sparse_alone);
    eg::StateDict expected;
    for (const auto& [key, tensor] : file.tensors) {
      if (key.starts_with(name + ".")) expected.set(key.substr(name.size() + 1), tensor);
    }
    const auto goes_there = [&, &name = name, &args = args](const Tensors& given, const std::string& updates) {
      const auto got = eg::test::run(fmt::format(R"({{"op": "optimizer", "args": {{{}{}}}}})", args, updates), given);
      const std::string text = disagreement(got, expected);
      BOOST_TEST(text.empty(), name << updates << ": " << text);
    };
    if (is_sparse_alone) {
      goes_there(steps, "");
      continue;
    }
    goes_there(steps, R"(, "updates": "exact")");
    goes_there(steps, R"(, "updates": "exact", "read_at": [0, 2], "save_load_at": [1])");
    goes_there(steps, R"(, "updates": "dense")");
    goes_there(made_dense(steps, file.tensors.at("param.0").size(0)), R"(, "updates": "dense")");
  }
}

BOOST_AUTO_TEST_SUITE_END()

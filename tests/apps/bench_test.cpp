// Runs the program embergrad-bench as a user does. Nothing here looks at how long anything took.
#include <sys/wait.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <embergrad/safetensors.hpp>

#include "support/temporary_directory.hpp"

namespace {

using embergrad::test::read_bytes;
using embergrad::test::TemporaryDirectory;

const std::string sample = std::string(EMBERGRAD_TEST_DATA) + "/../../apps/lstm_tagger/sample";

struct Result {
  int status = -1;
  std::string out, err, json;
};

Result run(const std::string& arguments) {
  const TemporaryDirectory place;
  const std::string command =
      "cd '" + place.path().string() + "' && '" EMBERGRAD_BENCH "' " + arguments + " </dev/null >out 2>err";
  const int status = std::system(command.c_str());
  BOOST_TEST_REQUIRE(WIFEXITED(status), arguments);
  Result result{WEXITSTATUS(status), read_bytes(place / "out"), read_bytes(place / "err"), ""};
  if (std::filesystem::exists(place / "results.json")) result.json = read_bytes(place / "results.json");
  return result;
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench)

BOOST_AUTO_TEST_CASE(list_names_every_case) {
  const Result result = run("--list");
  BOOST_TEST(result.status == 0);
  std::vector<std::string> expected = {"op_overhead/fwd",
                                       "op_overhead/const",
                                       "op_overhead/leaf",
                                       "bag_fwd/1M_sum_zipf",
                                       "bag_fwd/1M_mean_zipf",
                                       "bag_fwd/1M_sum_uniform",
                                       "bag_fwd/10M_sum_zipf",
                                       "bag_fwd/10M_sum_uniform",
                                       "bag_fwdbwd/1M_sum_zipf_sparse",
                                       "bag_fwdbwd/1M_mean_zipf_sparse",
                                       "bag_fwdbwd/1M_sum_uniform_sparse",
                                       "bag_fwdbwd/10M_sum_uniform_sparse",
                                       "bag_fwdbwd/1M_sum_zipf_sparse_values",
                                       "bag_fwdbwd/1M_mean_zipf_sparse_values",
                                       "bag_fwdbwd/1M_sum_uniform_sparse_values",
                                       "bag_fwdbwd/10M_sum_uniform_sparse_values",
                                       "bag_fwdbwd/1M_sum_zipf_dense",
                                       "bag_rows/10k",
                                       "bag_rows/1M",
                                       "bag_rows/100M"};
  for (const std::string group : {"emb_train/50k_", "emb_train/400k_", "emb_train/2M_", "bag_train/1M_zipf_",
                                  "bag_train/1M_uniform_", "bag_train/10M_zipf_", "bag_train/10M_uniform_"}) {
    for (const std::string rule : {"sgd", "sgdmom", "adam", "adamw", "adagrad"}) {
      for (const std::string mode : {"_exact", "_touched_only", "_dense"}) expected.push_back(group + rule + mode);
    }
  }
  for (const std::string size : {"10k", "10M"}) {
    for (const std::string& name :
         {"row_train/" + size + "_adamw_exact", "settle_all/" + size, "settle_all/" + size + "_copy"}) {
      expected.push_back(name);
    }
  }
  const std::vector<std::string> others = {
      "lstm_fwd/small",      "lstm_fwd/small_packed", "lstm_fwdbwd/small",     "lstm_fwdbwd/small_packed",
      "lstm_fwd/big",        "lstm_fwd/big_packed",   "lstm_fwdbwd/big",       "lstm_fwdbwd/big_packed",
      "lstm_fwd/bi2",        "lstm_fwd/bi2_packed",   "lstm_fwdbwd/bi2",       "lstm_fwdbwd/bi2_packed",
      "lstm_fwd/b1",         "lstm_fwdbwd/b1",        "tagger_tutorial/train", "tagger_tutorial/infer",
      "tagger_train/packed", "tagger_infer/packed",   "bagclass_train/b32",    "bagclass_train/b1",
      "ceiling/copy",        "ceiling/matmul-fp32",   "ceiling/tiny-kernel"};
  expected.insert(expected.end(), others.begin(), others.end());
  for (const std::string size : {"100k-d64", "1m-d128", "10m-d128", "10m-d32"}) {
    for (const std::string rows : {"uniform", "zipf-1.05"}) {
      for (const char* work : {"forward-sum", "forward-mean", "forward-max", "train-sgd-sparse", "train-sparseadam",
                               "train-adam-touched_only", "train-adam-exact", "train-adam-dense"}) {
        expected.push_back("embeddingbag/" + size + "/" + rows + "/" + work);
      }
    }
  }
  for (const std::string size : {"t128-b64-h256", "t128-b64-h512", "t64-b32-h256-bi", "t256-b16-h128",
                                 "t128-b128-h1024", "t128-b64-h512-l2-bi"}) {
    for (const std::string layout : {"/fixed", "/packed"}) {
      for (const char* work : {"forward-inference", "forward-backward"}) {
        expected.push_back("lstm/" + size + layout + "/fp32/" + work);
      }
    }
  }
  for (const std::string size : {"b32-h256", "b128-h256", "b32-h256-v1m", "b32-h512"}) {
    for (const std::string optimizer : {"adam-dense", "adam-exact", "sparseadam+adam"}) {
      expected.push_back("tagger/" + size + "/" + optimizer + "/fp32/train-step");
    }
  }
  BOOST_TEST(lines_of(result.out) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(unknown_names_are_refused_before_anything_runs) {
  for (const std::string name : {"nope", "op_overhead/nope", "op_overhead/fwd,nope", "'nope*'", "op_over"}) {
    const Result result = run("--workload " + name + " --json results.json");
    BOOST_TEST(result.status == 2, name);
    BOOST_TEST(says(result.err, "nope") != (name == "op_over"), result.err);
    BOOST_TEST(says(result.err, "--list"), result.err);
    BOOST_TEST(result.out.empty(), result.out);
    BOOST_TEST(result.json.empty(), name);
  }
}

BOOST_AUTO_TEST_CASE(senseless_options_are_refused) {
  for (const std::string arguments : {"--threads 0", "--threads two", "--repeat 0", "--nope", "nope"}) {
    const Result result = run("--workload op_overhead/fwd " + arguments);
    BOOST_TEST(result.status == 2, arguments);
    BOOST_TEST(!result.err.empty(), arguments);
  }
}

BOOST_AUTO_TEST_CASE(losses_are_those_of_one_case_that_trains) {
  const Result two = run("--workload bagclass_train --ewt '" + sample + "' --losses out.safetensors");
  BOOST_TEST(two.status == 2);
  BOOST_TEST(says(two.err, "takes one case, but --workload names 2"), two.err);
  const Result untrained = run("--workload tagger_infer --ewt '" + sample + "' --losses out.safetensors");
  BOOST_TEST(untrained.status == 2);
  BOOST_TEST(says(untrained.err, "tagger_infer/packed trains no model"), untrained.err);
}

BOOST_AUTO_TEST_CASE(workloads_that_read_the_treebank_ask_for_it) {
  for (const std::string workload : {"tagger_train", "tagger_infer/packed", "bagclass_train/b1", "all", "'tagger_*'"}) {
    const Result missing = run("--workload " + workload);
    BOOST_TEST(missing.status == 2, workload);
    for (const char* part : {"--ewt", "train.conllu", "dev.conllu"}) BOOST_TEST(says(missing.err, part), missing.err);
    const Result empty = run("--ewt . --workload " + workload);
    BOOST_TEST(empty.status == 2, workload);
    BOOST_TEST(says(empty.err, "'.' has no train.conllu"), empty.err);
  }
}

BOOST_AUTO_TEST_CASE(a_case_is_measured_and_written_as_json) {
  const Result result = run("--workload tagger_tutorial/infer --repeat 1 --threads 2 --json results.json");
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.err.empty(), result.err);
  BOOST_TEST(says(result.out, "tagger_tutorial/infer"), result.out);
  // What scripts that join our results with a peer's rely on.
  for (const char* key : {"median", "min", "max", "n", "groups", "warm", "cpu_per_wall", "foreign", "lin", "checksum",
                          "changed", "unit", "peak_MiB", "threads", "case", "sentences_per_s"}) {
    BOOST_TEST(says(result.json, '"' + std::string(key) + "\": "), key);
  }
  BOOST_TEST(says(result.json, "\"case\": \"tagger_tutorial/infer\""), result.json);
  BOOST_TEST(says(result.json, "\"threads\": 2"), result.json);
  BOOST_TEST(says(result.json, "\"groups\": 1"), result.json);
  BOOST_TEST(says(result.json, "\"changed\": true"), result.json);
}

// Small enough for the CPU; rows, lengths and checksums are worked out by another program from the same definitions.
BOOST_AUTO_TEST_CASE(sizes_for_gpus_run_on_the_cpu_when_named) {
  const Result result =
      run("--workload 'embeddingbag/100k-d64/*/train-adam-exact',ceiling/tiny-kernel --repeat 1 --json results.json");
  BOOST_TEST(result.status == 0, result.err);
  BOOST_TEST(!says(result.json, "\"changed\": false"), result.json);
  for (const char* part : {"\"bytes\": ", "\"device\": \"cpu\"", "\"distinct\": 55855", "\"checksum\": 113939562709360",
                           "\"distinct\": 18625", "\"checksum\": 110085088631122"}) {
    BOOST_TEST(says(result.json, part), part << " in " << result.json);
  }
}

BOOST_AUTO_TEST_CASE(a_family_and_a_pattern_select_their_cases) {
  const Result result = run("--workload tagger_train,'*/infer' --repeat 1 --json results.json --ewt '" + sample + "'");
  BOOST_TEST(result.status == 0, result.err);
  for (const char* name : {"tagger_train/packed", "tagger_tutorial/infer"}) BOOST_TEST(says(result.json, name));
  for (const char* name : {"tagger_infer", "op_overhead", "tutorial/train"}) BOOST_TEST(!says(result.json, name));
  BOOST_TEST(!says(result.json, "\"changed\": false"), result.json);
  for (const char* key : {"tokens_per_s", "tokens", "vocab", "tags"}) BOOST_TEST(says(result.json, key));
}

BOOST_AUTO_TEST_CASE(the_bag_classifier_learns_genres) {
  // The sample has one genre; a third of its sentences get another.
  const TemporaryDirectory place;
  std::string train = read_bytes(sample + "/train.conllu");
  const std::string id = "# sent_id = ";
  for (auto at = train.find(id); at != std::string::npos; at = train.find(id, at + id.size())) {
    if (train.find("-train-1", at) < train.find('\n', at)) train.insert(at + id.size(), "other-");
  }
  embergrad::test::write_bytes(place / "train.conllu", train);
  embergrad::test::write_bytes(place / "dev.conllu", "");
  const Result result =
      run("--workload bagclass_train --repeat 1 --json results.json --ewt '" + place.path().string() + "'");
  BOOST_TEST(result.status == 0, result.err);
  for (const char* part : {"bagclass_train/b32", "bagclass_train/b1", "words_per_s", "vocab"}) {
    BOOST_TEST(says(result.json, part), part);
  }
  BOOST_TEST(!says(result.json, "\"changed\": false"), result.json);

  const std::string file = place / "losses.safetensors";
  const Result told = run("--workload bagclass_train/b32 --ewt '" + place.path().string() + "' --losses " + file);
  BOOST_TEST(told.status == 0, told.err);
  BOOST_TEST(told.out.empty(), told.out);
  const embergrad::Loaded losses = embergrad::load(file);
  BOOST_TEST(losses.metadata.at("case") == "bagclass_train/b32");
  const auto each = losses.tensors.at("losses").to_vector();
  BOOST_TEST(std::abs(each.front() - std::log(2)) < 0.05F);
  BOOST_TEST(each.back() < each.front());
  for (const char* name : {"bag.weight", "out.weight", "out.bias"}) {
    const auto before = losses.tensors.at(std::string("model.") + name).to_vector();
    const auto after = losses.tensors.at(std::string("after.") + name).to_vector();
    BOOST_TEST(before.size() == after.size());
    BOOST_TEST(before != after, name);
  }

  embergrad::test::write_bytes(place / "train.conllu", train.substr(train.find('\n') + 1));  // a sent_id is missing
  BOOST_TEST(run("--workload bagclass_train --repeat 1 --ewt '" + place.path().string() + "'").status == 1);
}

BOOST_AUTO_TEST_CASE(a_case_that_fails_is_told) {
  const TemporaryDirectory bad;
  embergrad::test::write_bytes(bad / "train.conllu", "no CoNLL-U\n\n");
  embergrad::test::write_bytes(bad / "dev.conllu", "no CoNLL-U\n\n");
  const Result result =
      run("--workload tagger_train --repeat 1 --json results.json --ewt '" + bad.path().string() + "'");
  BOOST_TEST(result.status == 1);
  BOOST_TEST(says(result.out, "FAILED"), result.out);
  BOOST_TEST(says(result.err, "train.conllu:1:"), result.err);
  BOOST_TEST(says(result.json, "[]"), result.json);
}

BOOST_AUTO_TEST_CASE(results_that_cannot_be_written_are_told_at_once) {
  const Result result = run("--workload op_overhead/fwd --json no/such/place.json");
  BOOST_TEST(result.status == 1);
  BOOST_TEST(says(result.err, "no/such/place.json"), result.err);
}

BOOST_AUTO_TEST_SUITE_END()

// --device of the programs: what is refused, what is said, and that a run may go on elsewhere.
#include <boost/test/unit_test.hpp>
#include <common/device_choice.hpp>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <embergrad/device.hpp>
#include <embergrad/error.hpp>

#include "apps/tagger_support.hpp"

namespace {

namespace eg = embergrad;
using embergrad::test::is_one_line;
using embergrad::test::Place;
using embergrad::test::read_bytes;
using embergrad::test::Result;
using embergrad::test::sample;
using embergrad::test::small;

// What the library says of a GPU that can't be used; empty where there is one.
std::string missing(eg::Device device) {
  try {
    eg::synchronize(device);
    return {};
  } catch (const eg::DeviceError& error) {
    const std::string text = error.what();
    BOOST_TEST(text.starts_with("synchronize: "), text);
    return text.substr(text.find(": ") + 2);
  }
}

// Each program, and what it may be asked to do with --device.
std::vector<std::pair<std::string, std::string>> all_commands() {
  return {{EMBERGRAD_TAGGER, "train"},
          {EMBERGRAD_TAGGER, "eval --model m x"},
          {EMBERGRAD_TAGGER, "tag --model m x.txt"},
          {EMBERGRAD_CLASSIFY, "train"},
          {EMBERGRAD_CLASSIFY, "eval --model m x"},
          {EMBERGRAD_CLASSIFY, "predict --model m x"},
          {EMBERGRAD_LAB, ""},
          {EMBERGRAD_BENCH, "--workload op_overhead/fwd --repeat 1"}};
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

BOOST_AUTO_TEST_SUITE(device)

BOOST_AUTO_TEST_CASE(names) {
  using common::named_device;
  BOOST_TEST((named_device("cpu") == eg::Device::cpu()));
  BOOST_TEST((named_device("cuda") == eg::Device::cuda(0)));
  BOOST_TEST((named_device("auto") == eg::Device::cuda(0)));
  BOOST_TEST((named_device("cuda:0") == eg::Device::cuda(0)));
  BOOST_TEST((named_device("cuda:17") == eg::Device::cuda(17)));
  for (const char* bad : {"", "gpu", "CUDA", "cuda:", "cuda:-0", "cuda:-1", "cuda:+1", "cuda: 1", "cuda:1x", "cuda:1.0",
                          "cuda:99999999999", "cpu:0", "auto:0", "cuda,cpu"}) {
    BOOST_TEST(!named_device(bad).has_value(), bad);
  }
}

BOOST_AUTO_TEST_CASE(bad_values_are_refused_by_name) {
  for (const auto& [program, command] : all_commands()) {
    for (const std::string bad : {"gpu", "cuda:", "cuda:-1", "cpu:0"}) {
      const Place place(program);
      const Result got = place.run(command + " --device " + bad);
      BOOST_TEST_CONTEXT(program << " " << command << " --device " << bad << ": " << got.err) {
        BOOST_TEST(got.status == 2);
        BOOST_TEST(got.out.empty());
        BOOST_TEST(contains(got.err, "--device: " + bad + " is none of cpu, cuda, cuda:N or auto"));
        BOOST_TEST(place.is_empty());
      }
    }
  }
}

// Where there is no GPU, or no such GPU: the library's reason, before anything is done.
BOOST_AUTO_TEST_CASE(what_is_not_there_is_refused_with_the_reason) {
  for (const std::string name : {"cuda", "cuda:0", "cuda:63"}) {
    const std::string reason = missing(common::named_device(name).value());
    if (reason.empty()) continue;
    for (const auto& [program, command] : all_commands()) {
      const Place place(program);
      const Result got = place.run(command + " --device " + name);
      BOOST_TEST_CONTEXT(program << " " << command << " --device " << name << ": " << got.err) {
        BOOST_TEST(got.status == 2);
        BOOST_TEST(got.out.empty());
        BOOST_TEST(contains(got.err, "--device: " + reason));
        if (program != EMBERGRAD_BENCH) BOOST_TEST(is_one_line(got.err));
        BOOST_TEST(place.is_empty());
      }
    }
  }
}

// auto: one line on standard error says why it is the CPU; the result is the CPU's.
BOOST_AUTO_TEST_CASE(without_a_gpu_auto_takes_the_cpu_and_says_why) {
  const std::string reason = missing(eg::Device::cuda());
  if (!reason.empty()) {
    const Place place;
    const std::string command = "train --epochs 1" + small;
    (void)place.good(command + "--model here");
    const Result got = place.good(command + "--model there --device auto");
    BOOST_TEST(got.err == "embergrad-tagger: --device auto: computing on the CPU: " + reason + "\n");
    BOOST_TEST(contains(got.out, ", on cpu\n"), got.out);
    BOOST_TEST(read_bytes(place / "here") == read_bytes(place / "there"));
    const Result tagged = place.good("tag --model here --quiet --device auto '" + sample + "dev.conllu'");
    BOOST_TEST(tagged.err == got.err);
    const Result cpu = place.good("tag --model here --quiet --device cpu '" + sample + "dev.conllu'");
    BOOST_TEST(cpu.err.empty());
    BOOST_TEST(cpu.out == tagged.out);

    const Place other(EMBERGRAD_BENCH);
    const Result bench = other.good("--workload tagger_tutorial/infer --repeat 1 --device auto --json results.json");
    BOOST_TEST(bench.err == "embergrad-bench: --device auto: computing on the CPU: " + reason + "\n");
    BOOST_TEST(contains(bench.out, "device: cpu\n"), bench.out);
    BOOST_TEST(contains(read_bytes(other / "results.json"), "\"device\": \"cpu\""));
  }
}

BOOST_AUTO_TEST_CASE(the_lab_says_where) {
  const Place place(EMBERGRAD_LAB);
  const std::string options = " --optimizer sgd --rows 50 --dim 4 --steps 5 --seeds 1 --no-sweep ";
  const Result got = place.good(options + "--device cpu");
  BOOST_TEST(contains(got.out, "1 thread, on cpu\n"), got.out);
  BOOST_TEST(contains(read_bytes(place / "update-lab/manifest.json"), "\"device\": \"cpu\""));
}

#ifdef EMBERGRAD_EMULATED_TAGGER

// What a program measures of training is the same on both devices, but for times.
BOOST_AUTO_TEST_CASE(the_lab_measures_the_same) {
  const std::string options =
      " --optimizer adam --updates dense --rows 40 --dim 5 --batch 20 --steps 12 --seeds 1 --no-sweep --quiet ";
  const Place place(EMBERGRAD_EMULATED_LAB);
  std::map<std::string, std::vector<std::string>> numbers;
  for (const std::string device : {"cpu", "cuda", "cuda:1"}) {
    (void)place.good(options + "--out " + device + " --device " + device);
    for (const std::string& line : embergrad::test::lines_of(read_bytes(place / (device + "/results.csv")))) {
      if (!contains(line, "seconds") && !contains(line, "step_time")) numbers[device].push_back(line);
    }
    const std::string named = device == "cuda" ? "cuda:0" : device;
    BOOST_TEST(contains(read_bytes(place / (device + "/manifest.json")), "\"device\": \"" + named + "\""));
  }
  BOOST_TEST(numbers["cpu"].size() > 20);
  BOOST_TEST(numbers["cuda"] == numbers["cpu"], boost::test_tools::per_element());
  BOOST_TEST(numbers["cuda:1"] == numbers["cpu"], boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_workload_says_its_gpu) {
  const Place place(EMBERGRAD_EMULATED_BENCH);
  const Result got = place.good("--workload op_overhead/leaf --repeat 1 --device cuda:1 --json results.json");
  BOOST_TEST(contains(got.out, "device: cuda:1\n"), got.out);
  const std::string json = read_bytes(place / "results.json");
  for (const char* part : {"\"device\": \"cuda:1\"", "\"gemm\": \"cuBLAS\"", "\"changed\": true"}) {
    BOOST_TEST(contains(json, part), json);
  }
}

// A workload that a GPU can't do says so by its name, and the next one runs.
BOOST_AUTO_TEST_CASE(a_workload_that_fails_on_a_gpu_is_named) {
  const Place place(EMBERGRAD_EMULATED_BENCH);
  const Result got = place.run("--workload bag_fwd/10M_sum_uniform,ceiling/tiny-kernel --repeat 1 --device cuda");
  BOOST_TEST(got.status == 1);
  const std::string problem = "out of memory on cuda:0: 2560000000 bytes wanted";  // an emulated GPU has a gibibyte
  BOOST_TEST(contains(got.err, "bag_fwd/10M_sum_uniform on cuda:0: " + problem), got.err);
  BOOST_TEST(contains(got.out, "FAILED"), got.out);
  BOOST_TEST(contains(got.out, "ceiling/tiny-kernel"), got.out);
}

// Two runs on one device give the same bytes, stopped or not; where a run goes on is no part of it.
BOOST_AUTO_TEST_CASE(a_run_goes_on_elsewhere) {
  const std::string tagger = " --epochs 1 --batch 32 --embedding-dim 6 --hidden 5 --threads 1 --quiet";
  const std::string classifier = " --epochs 2 --batch 64 --dim 8 --buckets 64 --char-ngrams 0 --threads 1 --quiet";
  for (const auto& [program, options] : std::map<std::string, std::string>{{EMBERGRAD_EMULATED_TAGGER, tagger},
                                                                           {EMBERGRAD_EMULATED_CLASSIFY, classifier}}) {
    const Place place(program);
    const bool is_tagger = program == EMBERGRAD_EMULATED_TAGGER;
    const auto train = [&, command = "train" + options](const std::string& model, const std::string& more) {
      return place.good(command + " --model " + model + " " + more);
    };
    BOOST_TEST_CONTEXT(program) {
      const Result one = train("one", "--device cuda");
#if !defined(__SANITIZE_ADDRESS__)  // which says that it knows little of fibers
      BOOST_TEST(one.err.empty(), one.err);
#endif
      (void)train("two", "--device auto");
      for (const char* end : {"", ".resume"}) {
        BOOST_TEST((read_bytes(place / ("one" + std::string(end))) == read_bytes(place / ("two" + std::string(end)))));
      }
      const std::string part = is_tagger ? "--stop-after 5" : "--epochs 1";
      for (const auto& [name, first, then] :
           {std::tuple("stopped", "cuda", "cuda"), {"there", "cpu", "cuda"}, {"back", "cuda:1", "cpu"}}) {
        std::string begin = "train" + options;
        if (!is_tagger) begin.replace(begin.find("--epochs 2"), 10, "");
        (void)place.good(begin + " --model " + name + " " + part + " --device " + first);
        const Result end = train(name, std::string("--resume --device ") + then);
        BOOST_TEST(contains(end.out, "dev accuracy"), end.out);
      }
      BOOST_TEST((read_bytes(place / "one") == read_bytes(place / "stopped")));
      const std::string data =
          is_tagger ? "'" + sample + "dev.conllu'"
                    : "'" + std::string(EMBERGRAD_TEST_DATA) + "/../../apps/bag_classifier/sample/dev.csv'";
      const Result there = place.good("eval --model one --device cuda " + data);
      const Result here = place.good("eval --model one --device cpu " + data);
      BOOST_TEST(there.out == here.out);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_run_says_its_gpu) {
  const Place place(EMBERGRAD_EMULATED_CLASSIFY);
  const Result got =
      place.good("train --optimizer adam --epochs 1 --dim 4 --buckets 16 --char-ngrams 0 --device cuda:1");
  BOOST_TEST(contains(got.out, ", on cuda:1\n"), got.out);
  const Result third = place.run("train --model third --device cuda:2");
  BOOST_TEST(third.status == 2);
  BOOST_TEST(contains(third.err, "--device: cuda:2 is not available: cuda:2 asked for, 2 devices there"), third.err);
}

#endif

BOOST_AUTO_TEST_SUITE_END()

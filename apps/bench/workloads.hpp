/// @file
/// The workloads, one source file per family. What each one is, to the last number, stands in docs/benchmarks.md.
#pragma once

#include <cstdint>
#include <embergrad/embergrad.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace embergrad::bench {

/// What the command line tells a workload.
struct Settings {
  int64_t repeat = 7;    ///< groups of steps
  Device device = {};    ///< where it is measured
  std::string ewt = {};  ///< directory of the treebank, for the workloads that read it
};

/// One case of a family, named `family/case` as the peers' script names it.
struct Workload {
  std::string name;
  bool reads_ewt = false;
  bool for_gpus = false;  ///< of a size for GPUs: on the CPU `all` leaves it out
  std::function<nlohmann::ordered_json(const Settings&)> run = {};  ///< what `measure` gives, `unit` and extras
  std::function<StateDict(const Settings&)> losses = {};            ///< what `trajectory` gives, if the case trains
};

/// 1000 tiny ops in a row and their backward: what an op costs beside its work.
[[nodiscard]] std::vector<Workload> op_overhead();
/// EmbeddingBag over tables of 1 and 10 million rows, forward and with backward.
[[nodiscard]] std::vector<Workload> bag();
/// Tables trained by sparse gradients under every mode of idle rows; all rows brought up to date at once.
[[nodiscard]] std::vector<Workload> train_rows();
/// LSTM layers of four sizes, forward and with backward, padded to one length and packed.
[[nodiscard]] std::vector<Workload> lstm();
/// A tagger of six hidden units, one sentence at a time.
[[nodiscard]] std::vector<Workload> tagger_tutorial();
/// A tagger of a real treebank, 32 sentences at a time: training and evaluation.
[[nodiscard]] std::vector<Workload> tagger();
/// A classifier of sentences from the mean of word vectors, 32 at a time and one at a time.
[[nodiscard]] std::vector<Workload> bagclass();
/// What a device reaches: copying, products, the smallest kernel.
[[nodiscard]] std::vector<Workload> ceilings();
/// EmbeddingBag, LSTM layers and a tagger's step, of sizes for GPUs.
[[nodiscard]] std::vector<Workload> gpu_sizes();

}  // namespace embergrad::bench

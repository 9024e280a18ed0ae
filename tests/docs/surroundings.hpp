// The names that examples in the headers' comments take for granted. Declared, never defined: examples are compiled
// only.
#pragma once

#include <embergrad/embergrad.hpp>
#include <embergrad/text/batches.hpp>
#include <embergrad/text/collate.hpp>
#include <embergrad/text/corpus.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <fstream>

#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

using namespace embergrad;          // NOLINT: as the comments, which stand inside
using namespace embergrad::optim;   // NOLINT
using namespace embergrad::report;  // NOLINT
using namespace embergrad::text;    // NOLINT

struct LabelledBatch {
  Tensor labels;
};

struct SomeModel : nn::Module {
  void members(nn::Visitor& visit) override;
  nn::PackedSequence forward(const nn::PackedSequence& words);
  Tensor forward(const LabelledBatch& batch);
};

extern SomeModel model;
extern std::vector<LabelledBatch> dev;
extern optim::SGD optimizer;
extern optim::StepLR scheduler;
extern const Corpus corpus;
extern const Vocabulary words;
extern const Vocabulary tags;
extern const std::string bytes;
extern const std::string form;
extern const std::vector<std::string> gold;
extern const std::vector<std::string> predicted;
extern const std::vector<Sample> samples;
extern const Tensor loss;
extern int64_t epoch;
extern int64_t step;
void train_one_epoch(SomeModel& model);
double dev_accuracy(SomeModel& model);

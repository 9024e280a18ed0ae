/// @file
/// What the program notes in a resume file, FILE.resume, beside what `embergrad::optim::Checkpoint` has: with which
/// options and data the run began, and where it stands.
#pragma once

#include <cstdint>
#include <embergrad/optim/checkpoint.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/text/corpus.hpp>
#include <optional>
#include <string>

namespace tagger {

/// Where a run stands.
struct Position {
  int64_t epoch = 1;    ///< the epoch under way, or the next one
  int64_t batches = 0;  ///< of it that are done
  int64_t steps = 0;    ///< of all epochs that are done
  double loss = 0;      ///< sum over the words of the epoch so far
  int64_t words = 0;    ///< of the epoch so far

  int64_t best_epoch = 0;  ///< 0: no epoch was finished
  int64_t best_correct = -1;
  double best_accuracy = 0;
};

/// What has to be the same when a run goes on.
struct Origin {
  std::string options;  ///< JSON object: what determines the numbers, by the names of the command line
  std::string data;     ///< JSON object: `data_json` by part
};

/// A JSON object that tells a corpus from others: sizes, and a hash of all words and tags.
[[nodiscard]] std::string data_json(const embergrad::text::Corpus& corpus);

/// The notes for a resume file.
[[nodiscard]] embergrad::Metadata resume_notes(const Origin& origin, const Position& position);

/// The size of word vectors that a resume file notes; nothing where it notes none that makes sense.
[[nodiscard]] std::optional<int64_t> noted_embedding_dim(const embergrad::optim::Checkpoint& checkpoint);

/// Reads the notes of a resume file. FormatError that names the file for one of another program or a damaged one;
/// ValueError that names every option that differs, and the data that changed.
/// @param path  for messages
/// @param batches  batches in an epoch
[[nodiscard]] Position read_position(const embergrad::optim::Checkpoint& checkpoint, const std::string& path,
                                     const Origin& origin, int64_t batches);

/// The state of the EarlyStopping, with this patience (0: none), of a run that stands there.
[[nodiscard]] std::string stopping_state(const Position& position, int64_t patience);

}  // namespace tagger

/// @file
/// Checkpoints: all that a training program needs to stop and go on as if it never had.
#pragma once

#include <map>
#include <string>

#include <embergrad/optim/optimizer.hpp>
#include <embergrad/optim/schedule.hpp>
#include <embergrad/random.hpp>
#include <embergrad/safetensors.hpp>

namespace embergrad::optim {

/// The parts of a training program whose state goes into a checkpoint, each under a name of its own (not empty, no
/// dots). They are referred to, not copied: made once, it serves for saving and for loading.
/// @code
/// const optim::CheckpointParts parts{.model = model.state_dict(),
///                                    .optimizers = {{"optimizer", &optimizer}},
///                                    .schedulers = {{"scheduler", &scheduler}}};
/// optim::save_checkpoint("model.safetensors.resume", parts, {{"epoch", std::to_string(epoch)}});
/// …
/// const auto checkpoint = optim::load_checkpoint("model.safetensors.resume", parts);
/// epoch = std::stoll(checkpoint.metadata().at("epoch"));
/// @endcode
struct CheckpointParts {
  StateDict model;  ///< parameters and buffers by name; also names the parameters of the optimizers
  std::map<std::string, Optimizer*> optimizers = {};    ///< all that step
  std::map<std::string, LRScheduler*> schedulers = {};  ///< those whose `step` the program calls
  /// Beside `default_generator()`, which is always part of a checkpoint, under the name "default".
  std::map<std::string, Generator*> generators = {};
};

/// Writes a checkpoint: a safetensors file with `model.NAME`, `optimizer.NAME.KEY` (keys by parameter name, see
/// `Optimizer::state_dict`), `scheduler.NAME.KEY`, `generator.NAME` (int64: seed and tick) and `own.NAME`,
/// and a checksum over all of it. It is written under another name, synced and renamed, so that `path` holds the old
/// one or the new one, whole. The same state gives the same bytes.
/// @param metadata  the program's own notes: options, position in the data; keys that begin with `embergrad.` are
///     reserved
/// @param own  tensors of the program's own
/// IoError; ValueError for names that are not allowed, null parts, and parameters of an optimizer that the model does
/// not name.
void save_checkpoint(const std::string& path, const CheckpointParts& parts, const Metadata& metadata = {},
                     const StateDict& own = {});

/// A checkpoint that was read, complete and in memory. So a program can look at its own notes and refuse what does not
/// fit before it takes anything over.
class Checkpoint {
 public:
  /// Reads a file of `save_checkpoint`. IoError; FormatError, which names the file, for one that is cut off, damaged
  /// (its checksum does not fit), no checkpoint (a model file, for example), or of another version.
  explicit Checkpoint(const std::string& path);

  /// What the program noted.
  [[nodiscard]] const Metadata& metadata() const { return metadata_; }
  /// The program's own tensors.
  [[nodiscard]] const StateDict& own() const { return own_; }

  /// Puts the state of all parts in place: tensors of the model are overwritten where they are, generators go on where
  /// they were. Options of optimizers and schedulers (`lr`, `weight_decay`, `step_size`, …) become those of the file,
  /// whatever the program made them with, as in PyTorch: to change one, do so afterwards. Strict both ways: what the
  /// file lacks, what it has beyond `parts`, and what does not fit (shapes, types of optimizers and schedulers, groups)
  /// is a ValueError or ShapeError that names the file, and then nothing is changed.
  void restore(const CheckpointParts& parts) const;

 private:
  std::string path_;
  Metadata metadata_;
  StateDict model_;
  std::map<std::string, StateDict> optimizers_;
  std::map<std::string, StateDict> schedulers_;
  std::map<std::string, Generator> generators_;
  StateDict own_;
};

/// Reads a checkpoint and restores all parts, options such as `lr` included; throws as these do. The result holds notes
/// and tensors of the program's own.
Checkpoint load_checkpoint(const std::string& path, const CheckpointParts& parts);

}  // namespace embergrad::optim

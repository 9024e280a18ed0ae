/// @file
/// Random numbers: Philox4x32-10 (Salmon et al. 2011), counter based.
#pragma once

#include <cstdint>

namespace embergrad {

/// A stream of random numbers. Every drawing op takes one tick; element i of the op's output is a function of (seed,
/// tick, i) alone, so results don't depend on threads or device. Copies go their own ways. Not for use by several
/// threads at once.
class Generator {
 public:
  /// Starts at tick 0 of a seed's stream.
  explicit Generator(std::uint64_t seed = 0) : seed_(seed) {}

  /// The key of one drawing op.
  struct Ticket {
    std::uint64_t seed;  ///< of the stream
    std::uint64_t tick;  ///< which op of the stream
  };
  /// Takes the next tick.
  Ticket next() { return {seed_, tick_++}; }

  /// Starts anew from `seed`, tick 0.
  void manual_seed(std::uint64_t seed) { seed_ = seed, tick_ = 0; }
  /// The seed it was started from.
  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  /// Ticks taken since.
  [[nodiscard]] std::uint64_t tick() const { return tick_; }
  /// For checkpoints: goes on where a saved generator stood.
  void set_state(std::uint64_t seed, std::uint64_t tick) { seed_ = seed, tick_ = tick; }

 private:
  std::uint64_t seed_;
  std::uint64_t tick_ = 0;
};

/// The generator that layers and ops use when none is given; one per process, meant for one thread.
[[nodiscard]] Generator& default_generator();

/// Seeds the default generator (`torch.manual_seed`).
void manual_seed(std::uint64_t seed);

}  // namespace embergrad

/// @file
/// A progress line with rate and time left.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace embergrad::report {

/// What a Progress shows, and where.
struct ProgressOptions {
  std::string label = {};              ///< in front of the line
  int64_t total = 0;                   ///< units to do; 0: not known, so no share and no time left
  std::string unit = "items";          ///< what is counted
  std::FILE* out = stderr;             ///< where to; must outlive the Progress
  double seconds_per_line = 10.0;      ///< at most one line in so many seconds where `out` is no terminal
  std::optional<bool> terminal = {};   ///< whether `out` is a terminal; asked of the system if not given
  std::optional<int> columns = {};     ///< the terminal's width; asked at each drawing if not given
  std::function<double()> clock = {};  ///< seconds that never run backwards; std::chrono::steady_clock if not given
};

/// Shows how far a long piece of work has come.
///
/// On a terminal: one line that is drawn again at its place, at most ten times a second, and cut to the terminal's
/// width so that it never wraps; the line of `finish`, which stays, is written in full. Elsewhere (a file, a pipe):
/// plain lines, at most one every `seconds_per_line`, and the one of `finish`.
///
/// @code
/// Progress progress({.label = "epoch 1/5", .total = 204576, .unit = "words"});
/// for (const auto& batch : batches(corpus, words, tags)) progress.advance(batch.word_count, "loss 0.51");
/// progress.finish("loss 0.49");
/// // epoch 1/5  43%  88123/204576 words  12345 words/s  0:09 left  loss 0.51
/// // epoch 1/5  204576 words  12345 words/s  0:16  loss 0.49
/// @endcode
///
/// Belongs to one thread. `advance` costs a look at the clock; drawing reuses its buffers. A failing `out` is ignored.
class Progress {
 public:
  /// The clock starts here; nothing is shown yet. Throws ValueError for a negative `total`, for `seconds_per_line` that
  /// is negative or no number, and for no `out`.
  explicit Progress(ProgressOptions options);

  /// Ends the line that stands unfinished on a terminal.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `count` more units are done. `note` goes to the line's end if one is drawn.
  void advance(int64_t count, std::string_view note = {});

  /// Shows the last line: all that was done, its rate and its time. Later calls of `advance` and `finish` do nothing.
  void finish(std::string_view note = {});

  /// Units done so far.
  [[nodiscard]] int64_t done() const { return done_; }

 private:
  [[nodiscard]] double now() const;
  [[nodiscard]] int columns() const;
  void show(double elapsed, std::string_view note, bool last);

  ProgressOptions options_;
  bool terminal_ = false;
  bool finished_ = false;
  int64_t done_ = 0;
  double start_ = 0.0;
  double next_ = 0.0;   // when the next line is due
  bool drawn_ = false;  // a line stands on the terminal
  std::string line_;
};

}  // namespace embergrad::report

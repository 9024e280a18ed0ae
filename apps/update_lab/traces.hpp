/// @file
/// Traces: which rows of the table each step looks up.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "setting.hpp"

namespace lab {

/// The rows that steps 1, 2, … look up: the same for every mode, others for every seed.
class Trace {
 public:
  virtual ~Trace() = default;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// What step `step` looks up, in this order; a row may come several times.
  [[nodiscard]] virtual std::vector<int64_t> lookups(int64_t step, uint64_t seed) const = 0;
  /// The share of all lookups that each row has in the long run.
  [[nodiscard]] virtual std::vector<double> shares() const = 0;

 protected:
  Trace() = default;
};

/// A trace out of a file: one line for each bag or sentence, row numbers from 0, separated by one space.
class TraceFile {
 public:
  /// Reads and checks the file. IoError; FormatError that names the line.
  explicit TraceFile(const std::string& path);

  /// One more than the largest row number.
  [[nodiscard]] int64_t rows() const { return rows_; }
  [[nodiscard]] const std::vector<std::vector<int64_t>>& lines() const { return lines_; }

 private:
  std::vector<std::vector<int64_t>> lines_;
  int64_t rows_ = 0;
};

/// The Zipf law: `setting.batch` lookups a step, each drawn on its own; or `setting.touched`, so many different rows,
/// each once, drawn one after the other.
[[nodiscard]] std::unique_ptr<Trace> make_zipf_trace(const Setting& setting);

/// The lines of a file: `setting.batch` a step, in an order that changes with seed and epoch.
[[nodiscard]] std::unique_ptr<Trace> make_file_trace(std::shared_ptr<const TraceFile> file, const Setting& setting);

}  // namespace lab

/// @file
/// What was measured: a table with one number a line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "setting.hpp"

namespace lab {

// --- quantities. Of each run at each measured step:
inline constexpr const char* train_loss = "train_loss";        ///< mean over the steps since the last measured one
inline constexpr const char* loss = "loss";                    ///< of the evaluation
inline constexpr const char* accuracy = "accuracy";            ///< of the evaluation; tagger
inline constexpr const char* seconds = "seconds";              ///< of training so far
inline constexpr const char* step_time = "step_time";          ///< median over the steps since the last measured one
inline constexpr const char* step_bytes = "step_bytes";        ///< that the last step had to move, computed
inline constexpr const char* rows_touched = "rows_touched";    ///< different rows a step, mean since the last one
inline constexpr const char* rows_written = "rows_written";    ///< of the table in the last step
inline constexpr const char* state_bytes = "state_bytes";      ///< kept beside the parameters for as long as they live
inline constexpr const char* history_bytes = "history_bytes";  ///< kept for idle rows
inline constexpr const char* distance_mean = "distance_mean";  ///< of the table from the dense run's, in its RMS
inline constexpr const char* distance_max = "distance_max";
inline constexpr const char* distance_by_lookups = "distance_by_lookups";  ///< mean over the rows of a bin
inline constexpr const char* distance_by_gap = "distance_by_gap";
inline constexpr const char* rows_by_lookups = "rows_by_lookups";  ///< rows of a bin
inline constexpr const char* rows_by_gap = "rows_by_gap";
// At the last step, of the embedding; what the bins say.
inline constexpr const char* health = "health";
// Of a sweep:
inline constexpr const char* sweep_rows = "sweep_rows";        ///< step_time for tables of other sizes
inline constexpr const char* sweep_touched = "sweep_touched";  ///< step_time for other shares of touched rows

/// One number.
struct Record {
  Setting setting;  ///< of a sweep: with the rows and the share that were tried
  Updates updates = Updates::exact;
  uint64_t seed = 0;
  int64_t step = 0;
  std::string quantity = {};
  std::string bin = {};   ///< for quantities that come by bins
  std::string unit = {};  ///< "s" for all times
  double value = 0;
};

/// Names of the columns of the CSV, with commas.
[[nodiscard]] std::string csv_header();
/// The records as CSV, numbers with all their digits.
[[nodiscard]] std::string to_csv(const std::vector<Record>& records);
/// Reads a file that to_csv made. IoError; FormatError that names the line.
[[nodiscard]] std::vector<Record> read_results(const std::string& path);

/// The mode of that name; nothing if there is none.
[[nodiscard]] std::optional<Updates> updates_named(std::string_view name);

/// Rows fall into bins by a count: 0, 1-3, 4-15, 16-63, …
[[nodiscard]] std::size_t bin_of(int64_t count);
inline constexpr std::size_t bin_count = 8;
/// "0", "1-3", …, "4096+"
[[nodiscard]] std::string bin_name(std::size_t bin);

}  // namespace lab

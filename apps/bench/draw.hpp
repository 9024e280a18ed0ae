/// @file
/// The inputs of the workloads, to the last number those of the peers' script.
#pragma once

#include <cstdint>
#include <embergrad/tensor.hpp>
#include <vector>

namespace embergrad::bench {

/// Row numbers of a table of `rows` rows, uniform or so that row r has probability ~ (r + 1)^-1.05.
[[nodiscard]] std::vector<int64_t> draw_rows(uint64_t seed, int64_t rows, bool zipf, int64_t count);

/// Row numbers of a table of `rows` rows, uniform or by a bounded Pareto law of exponent 1.05, spread over the table:
/// for tables whose Zipf law would take long to sum up.
[[nodiscard]] std::vector<int64_t> draw_spread_rows(uint64_t seed, int64_t rows, bool skewed, int64_t count);

/// How sentences' lengths are spread.
enum class Lengths {
  spread,    ///< from a quarter of the longest up
  treebank,  ///< mean near 25
};
/// Lengths of a batch of sequences, longest first.
[[nodiscard]] std::vector<int64_t> draw_lengths(uint64_t seed, int64_t batch, int64_t longest, Lengths kind);

/// Tells row numbers from others: the sum of each times its place (mod 65521, from 1), modulo 2^61 - 1.
[[nodiscard]] int64_t checksum_of(const std::vector<int64_t>& rows);

/// How many different ones there are.
[[nodiscard]] int64_t distinct_count(std::vector<int64_t> rows);

/// float32 numbers on [-0.5e-3, 0.5e-3): the gradient of an output.
[[nodiscard]] Tensor draw_gradient(const Shape& shape);

}  // namespace embergrad::bench

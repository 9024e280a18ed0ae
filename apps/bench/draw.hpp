/// @file
/// The inputs of the workloads, to the last number those of the peers' script.
#pragma once

#include <cstdint>
#include <embergrad/tensor.hpp>
#include <vector>

namespace embergrad::bench {

/// Row numbers of a table of `rows` rows, uniform or so that row r has probability ~ (r + 1)^-1.05.
[[nodiscard]] std::vector<int64_t> draw_rows(uint64_t seed, int64_t rows, bool zipf, int64_t count);

/// float32 numbers on [-0.5e-3, 0.5e-3): the gradient of an output.
[[nodiscard]] Tensor draw_gradient(const Shape& shape);

}  // namespace embergrad::bench

// Indices that were made on a GPU can't be checked without waiting for it. They are watched: a kernel looks for a bad
// one, notes the first on the GPU, and hands the op indices that are safe to follow. It is reported before anything
// is changed that must last, and whenever the host waits anyway.
#pragma once

#include <embergrad/tensor.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace embergrad::detail {

// Who is told of in "op: argument[position] is value, expected".
struct IndexArgument {
  const char* op;
  const char* name;
};

// All of `index` must be in [0, range), or `also`. IndexError at once where the host knows the elements; else they are
// watched. Returns what to use: `index`, or a copy on its device with 0 for what is outside.
[[nodiscard]] Tensor checked_indices(IndexArgument argument, const std::function<std::string()>& expected,
                                     const Tensor& index, std::int64_t range, std::optional<std::int64_t> also);

// Waits for a GPU if indices were watched there since the last report; IndexError for the first bad one. The GPU goes
// on as if it had not been.
void report_watched_indices(Device device);

}  // namespace embergrad::detail

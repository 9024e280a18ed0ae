/// @file
/// What a figure has to be quoted with: by which program, on which machine.
#pragma once

#include <string>

namespace common {

/// Compiler, its version, and the flags of this build.
[[nodiscard]] std::string compiler();

/// Where float32 matrix products are computed.
[[nodiscard]] std::string matrix_products();

/// The processor's name as the system tells it.
[[nodiscard]] std::string processor();

/// How many processors the system shows.
[[nodiscard]] int processor_count();

}  // namespace common

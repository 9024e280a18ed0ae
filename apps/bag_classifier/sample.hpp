/// @file
/// The small data that are used where none are named.
#pragma once

#include <string_view>

namespace classify {

extern const std::string_view sample_train;  ///< CSV
extern const std::string_view sample_dev;    ///< CSV

}  // namespace classify

/// @file
/// The small corpus that is used where no data is named.
#pragma once

#include <string_view>

namespace tagger {

extern const std::string_view sample_train;  ///< CoNLL-U
extern const std::string_view sample_dev;    ///< CoNLL-U

}  // namespace tagger

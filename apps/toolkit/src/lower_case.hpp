/// @file
/// Lower case without a locale, so that every machine has the same.
#pragma once

#include <string>
#include <string_view>

namespace embergrad::text {

/// `text` (UTF-8) with the letters of the Latin, Greek, Cyrillic and Armenian scripts made small, as Unicode maps
/// single characters; İ, whose small form depends on the language, and everything else stays as it is.
std::string lower_case(std::string_view text);

}  // namespace embergrad::text

/// @file
/// Text inside XML and HTML.
#pragma once

#include <string>
#include <string_view>

namespace embergrad::report {

/// The text as content of an element or of an attribute in double quotes: `& < > "` and `'` become references; what is
/// no UTF-8, and control characters, become U+FFFD, but for line breaks and tabs.
[[nodiscard]] std::string escaped(std::string_view text);

}  // namespace embergrad::report

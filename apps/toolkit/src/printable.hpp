/// @file
/// Text from files, made fit for a message or a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace embergrad::text {

/// `text` (UTF-8) with control characters written as `\xNN`, cut after about `most` bytes with `…` at a character's
/// border: data must not be able to steer the terminal that shows a message.
std::string printable(std::string_view text, std::size_t most = 40);

}  // namespace embergrad::text

/// @file
/// Characters of UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace embergrad::text {

/// What may stand at the start of a file.
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// Bytes of the well-formed character at `i`, 0 if there is none.
std::size_t character_length(std::string_view text, std::size_t i);

/// Where the first byte stands that is not UTF-8, `text.size()` if there is none.
std::size_t first_fault(std::string_view text);

/// Whether a byte of UTF-8 continues a character.
constexpr bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

}  // namespace embergrad::text

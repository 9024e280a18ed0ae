#include "printable.hpp"

#include <fmt/format.h>

#include <iterator>

namespace embergrad::text {

std::string printable(std::string_view text, std::size_t most) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool inside_character = (byte & 0xC0U) == 0x80U;
    if (!inside_character && shown.size() >= most) {
      shown += "…";
      break;
    }
    // U+0080 to U+009F are control characters, too: C2 80 to C2 9F.
    const bool c1 = byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c1) {
      fmt::format_to(std::back_inserter(shown), "\\x{:02X}", static_cast<unsigned char>(text[++i]));
    } else if (byte < 0x20 || byte == 0x7F) {
      fmt::format_to(std::back_inserter(shown), "\\x{:02X}", byte);
    } else {
      shown += text[i];
    }
  }
  return shown;
}

}  // namespace embergrad::text

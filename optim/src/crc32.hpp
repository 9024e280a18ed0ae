// CRC-32 as in zlib, PNG and Ethernet.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace embergrad::optim {

// [k][b]: what byte b leaves with k zero bytes behind it.
inline constexpr auto crc32_tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> all{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1U) ^ ((rest & 1U) != 0 ? 0xEDB88320U : 0U);
    all[0][byte] = rest;
  }
  for (std::size_t k = 1; k < all.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = all[k - 1][byte];
      all[k][byte] = (before >> 8U) ^ all[0][before & 0xFFU];
    }
  }
  return all;
}();

class Crc32 {
 public:
  void add(const void* bytes, std::size_t count) {
    static_assert(std::endian::native == std::endian::little, "eight bytes are taken in the order of the file");
    const auto* at = static_cast<const unsigned char*>(bytes);
    // Slicing by 8 (Kounavis & Berry 2005): one byte at a time would take longer than writing a file.
    for (; count >= 8; at += 8, count -= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, at, sizeof word);
      word ^= state_;
      state_ = 0;
      for (std::size_t i = 0; i < 8; ++i) state_ ^= crc32_tables[7 - i][(word >> (8 * i)) & 0xFFU];
    }
    for (; count > 0; ++at, --count) state_ = (state_ >> 8U) ^ crc32_tables[0][(state_ ^ *at) & 0xFFU];
  }
  // With a zero byte behind it.
  void add_text(std::string_view text) {
    add(text.data(), text.size());
    add("", 1);
  }
  [[nodiscard]] std::uint32_t value() const { return ~state_; }

 private:
  std::uint32_t state_ = 0xFFFFFFFFU;
};

}  // namespace embergrad::optim

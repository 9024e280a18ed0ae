#include <embergrad/text/lines.hpp>

#include <fmt/format.h>

#include <array>
#include <embergrad/error.hpp>
#include <istream>
#include <utility>

#include "input.hpp"
#include "utf8.hpp"

namespace embergrad::text {
namespace {

unsigned char byte_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

}  // namespace

std::string read_file(const std::string& path) {
  Input file(path);
  std::string bytes;
  std::size_t used = 0;
  bytes.resize(file.size_hint() + 1);
  while (true) {
    if (used == bytes.size()) bytes.resize(2 * bytes.size() + 65536);
    const std::size_t got = file.read(bytes.data() + used, bytes.size() - used);
    if (got == 0) break;
    used += got;
  }
  bytes.resize(used);
  return bytes;
}

std::string read_stream(std::istream& in, const std::string& name) {
  std::string bytes;
  std::array<char, 65536> block = {};
  while (in) {
    in.read(block.data(), static_cast<std::streamsize>(block.size()));
    bytes.append(block.data(), static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad() || !in.eof()) throw IoError(fmt::format("{}: can't be read", name));
  return bytes;
}

Lines::Lines(std::string_view bytes, std::string name, LinesOptions options)
    : bytes_(bytes), name_(std::move(name)), options_(options) {
  if (bytes_.starts_with(byte_order_mark)) position_ = byte_order_mark.size();
}

std::optional<Line> Lines::next() {
  if (position_ >= bytes_.size()) return std::nullopt;
  std::string_view text = bytes_.substr(position_);
  if (const auto end = text.find('\n'); end != std::string_view::npos) text = text.substr(0, end);
  position_ += text.size() + 1;
  ++number_;
  if (text.ends_with('\r')) text.remove_suffix(1);
  check(text);
  return Line{.number = number_, .text = text};
}

void Lines::check(std::string_view line) const {
  if (number_ == 1 && (line.starts_with("\xFF\xFE") || line.starts_with("\xFE\xFF"))) {
    refuse("not UTF-8: the file starts with the byte order mark of UTF-16");
  }
  if (const auto nul = line.find('\0'); nul != std::string_view::npos) {
    refuse(fmt::format("a NUL byte at byte {} of the line: not a text file, or a damaged one", nul + 1));
  }
  if (const auto fault = first_fault(line); fault != line.size()) {
    refuse(
        fmt::format("not UTF-8: byte 0x{:02X} at byte {} of the line (cut off inside a character, or in another "
                    "encoding such as Windows-1252?)",
                    byte_at(line, fault), fault + 1));
  }
  if (options_.lone_cr) return;
  if (const auto cr = line.find('\r'); cr != std::string_view::npos) {
    refuse(fmt::format("a carriage return inside the line, at byte {}: lines end with LF or CR LF", cr + 1));
  }
}

void Lines::refuse(const std::string& reason) const { refuse(number_, reason); }

void Lines::refuse(int64_t line, const std::string& reason) const {
  throw FormatError(fmt::format("{}:{}: {}", name_, line, reason));
}

void Lines::refuse_file(const std::string& reason) const { throw FormatError(fmt::format("{}: {}", name_, reason)); }

}  // namespace embergrad::text

#include <embergrad/text/lines.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <embergrad/error.hpp>
#include <istream>
#include <system_error>
#include <utility>

#include "utf8.hpp"

namespace embergrad::text {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

[[noreturn]] void refuse_io(const std::string& path, const char* what, int error) {
  throw IoError(fmt::format("{}: {}: {}", path, what, std::generic_category().message(error)));
}

/// Closes the descriptor on every way out.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

unsigned char byte_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

/// Where the first byte stands that is not UTF-8, `text.size()` if there is none.
std::size_t first_fault(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    // Most text is ASCII: eight bytes at a time.
    uint64_t block = 0;
    if (text.size() - i >= sizeof block) {
      std::memcpy(&block, text.data() + i, sizeof block);
      if ((block & 0x8080808080808080U) == 0) {
        i += sizeof block;
        continue;
      }
    }
    const std::size_t length = character_length(text, i);
    if (length == 0) return i;
    i += length;
  }
  return text.size();
}

}  // namespace

std::string read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) refuse_io(path, "can't be opened", errno);
  struct stat status = {};
  if (::fstat(file.number(), &status) != 0) refuse_io(path, "can't be read", errno);

  // The size is only a hint: pipes and /proc say 0, and a file may grow while it is read.
  std::string bytes;
  std::size_t used = 0;
  bytes.resize(static_cast<std::size_t>(status.st_size) + 1);
  while (true) {
    if (used == bytes.size()) bytes.resize(2 * bytes.size() + 65536);
    const ssize_t got = ::read(file.number(), bytes.data() + used, bytes.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse_io(path, "can't be read", errno);
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
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

#include <embergrad/report/json_lines.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <embergrad/error.hpp>
#include <iterator>
#include <system_error>
#include <type_traits>
#include <utility>

#include "utf8.hpp"

namespace embergrad::report {
namespace {

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20U || c == '\x7F') {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
    } else if (const std::size_t length = text::character_length(text, i); length > 0) {
      out += text.substr(i, length);
      i += length;
      continue;
    } else {
      out += "\xEF\xBF\xBD";  // U+FFFD
    }
    ++i;
  }
  out += '"';
}

template <class T>
void append_floating(std::string& out, T value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 32> digits = {};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  const std::string_view text(digits.data(), static_cast<std::size_t>(end - digits.data()));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

}  // namespace

void JsonValue::append_to(std::string& text) const {
  std::visit(
      [&text](auto value) {
        using T = decltype(value);
        if constexpr (std::is_same_v<T, std::nullptr_t>) {
          text += "null";
        } else if constexpr (std::is_same_v<T, bool>) {
          text += value ? "true" : "false";
        } else if constexpr (std::is_integral_v<T>) {
          fmt::format_to(std::back_inserter(text), "{}", value);
        } else if constexpr (std::is_floating_point_v<T>) {
          append_floating(text, value);
        } else {
          append_string(text, value);
        }
      },
      value_);
}

JsonLines::JsonLines(std::string path, const JsonLinesOptions& options) : path_(std::move(path)) {
  const auto refuse = [this](const char* what) {
    const int error = errno;
    if (file_ >= 0) ::close(file_);
    throw IoError(fmt::format("{}: {}: {}", path_, what, std::generic_category().message(error)));
  };
  // Read access too, for a look at the last byte.
  const int flags = (options.append ? O_RDWR : O_WRONLY | O_TRUNC) | O_APPEND | O_CREAT | O_CLOEXEC;
  file_ = ::open(path_.c_str(), flags, 0666);
  if (file_ < 0) refuse("can't be opened");
  if (!options.append) return;
  char last = '\n';
  const off_t size = ::lseek(file_, 0, SEEK_END);
  if (size > 0 && ::pread(file_, &last, 1, size - 1) != 1) refuse("can't be read");
  at_line_start_ = last == '\n';
}

JsonLines::~JsonLines() {
  if (file_ >= 0) ::close(file_);
}

JsonLines::JsonLines(JsonLines&& other) noexcept
    : path_(std::move(other.path_)),
      line_(std::move(other.line_)),
      at_line_start_(other.at_line_start_),
      file_(std::exchange(other.file_, -1)) {}

JsonLines& JsonLines::operator=(JsonLines&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(line_, other.line_);
  std::swap(at_line_start_, other.at_line_start_);
  std::swap(file_, other.file_);
  return *this;
}

void JsonLines::write(std::span<const JsonField> fields) {
  for (std::size_t i = 1; i < fields.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (fields[i].name == fields[k].name) {
        std::string name;
        append_string(name, fields[i].name);
        throw ValueError(fmt::format("JsonLines::write: the name {} stands there twice", name));
      }
    }
  }
  line_ = at_line_start_ ? "{" : "\n{";
  for (const JsonField& field : fields) {
    if (line_.back() != '{') line_ += ',';
    append_string(line_, field.name);
    line_ += ':';
    field.value.append_to(line_);
  }
  line_ += "}\n";
  put(line_);
}

void JsonLines::put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(file_, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      throw IoError(fmt::format("{}: can't be written: {}", path_, std::generic_category().message(errno)));
    }
    text.remove_prefix(static_cast<std::size_t>(wrote));
    at_line_start_ = text.empty();
  }
}

}  // namespace embergrad::report

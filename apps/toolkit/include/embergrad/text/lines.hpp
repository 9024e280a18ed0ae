/// @file
/// Reading text files line by line under one set of rules: UTF-8, LF line ends, no NUL, faults told as `file:line:
/// reason`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace embergrad::text {

/// All bytes of a file, a pipe or a device that ends. Throws IoError with the operating system's reason when it can't
/// be opened or read, and for a directory.
[[nodiscard]] std::string read_file(const std::string& path);

/// All bytes up to the end of `in` (standard input, for example); `name` stands for the file in the IoError that a
/// failing stream gives.
[[nodiscard]] std::string read_stream(std::istream& in, const std::string& name);

/// One line of a file.
struct Line {
  int64_t number = 0;          ///< counted from 1; only LF counts
  std::string_view text = {};  ///< without its LF and without one CR before it; a view into the bytes given to Lines
};

/// What Lines takes beyond the common rules.
struct LinesOptions {
  bool lone_cr = false;  ///< accept a CR that doesn't end a line (CSV may hold one inside quotes)
};

/// The lines of a text, one after the other, each checked when it is asked for: so the fault that a reader meets first
/// is the first one in the file, whoever finds it, Lines or the reader.
///
/// A byte order mark at the very start is skipped. The last line needs no LF. Refused with FormatError: a NUL byte,
/// what is not UTF-8 (overlong forms, surrogates and values above U+10FFFF included), and, unless `lone_cr`, a CR
/// inside a line. Takes time linear in the number of bytes and copies none of them.
///
/// @code
/// Lines lines(bytes, "train.txt");
/// while (const auto line = lines.next()) {
///   if (line->text.empty()) lines.refuse("an empty line");   // FormatError: train.txt:7: an empty line
/// }
/// @endcode
class Lines {
 public:
  /// `bytes` must outlive the object; `name` is the file's name in messages.
  Lines(std::string_view bytes, std::string name, LinesOptions options = {});

  /// The next line, or nothing at the end. Throws FormatError (see above).
  [[nodiscard]] std::optional<Line> next();

  /// Throws FormatError `name:line: reason` for the line that `next` gave last.
  [[noreturn]] void refuse(const std::string& reason) const;

  /// The same for an earlier line.
  [[noreturn]] void refuse(int64_t line, const std::string& reason) const;

  /// Throws FormatError `name: reason`, for a fault of the whole file.
  [[noreturn]] void refuse_file(const std::string& reason) const;

 private:
  void check(std::string_view line) const;

  std::string_view bytes_;
  std::string name_;
  LinesOptions options_;
  std::size_t position_ = 0;
  int64_t number_ = 0;
};

}  // namespace embergrad::text

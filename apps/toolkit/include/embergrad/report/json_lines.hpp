/// @file
/// A log that other programs read: JSON Lines, one object a line.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace embergrad::report {

/// A value of a JsonField: null, true or false, a number or a string. Strings are not copied.
class JsonValue {
 public:
  // NOLINTBEGIN(google-explicit-constructor): a field is written {"loss", 0.5}
  /// null
  JsonValue(std::nullptr_t) {}
  /// A floating number.
  JsonValue(float value) : value_(value) {}
  /// A floating number.
  JsonValue(double value) : value_(value) {}
  /// A string.
  JsonValue(std::string_view value) : value_(value) {}
  /// A string.
  JsonValue(const std::string& value) : value_(std::string_view(value)) {}
  /// A string; null for a null pointer.
  JsonValue(const char* value) {
    if (value != nullptr) value_ = std::string_view(value);
  }
  /// true or false
  template <std::same_as<bool> T>
  JsonValue(T value) : value_(value) {}
  /// An integer.
  template <std::signed_integral T>
  JsonValue(T value) : value_(static_cast<std::int64_t>(value)) {}
  /// An integer.
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) JsonValue(T value) : value_(static_cast<std::uint64_t>(value)) {}
  // NOLINTEND(google-explicit-constructor)

  /// Appends the value to `text` as JSON; see JsonLines for how.
  void append_to(std::string& text) const;

 private:
  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, float, double, std::string_view> value_;
};

/// A name and its value.
struct JsonField {
  std::string_view name;      ///< in the object, each once; not copied
  JsonValue value = nullptr;  ///< what stands there
};

/// How to open a JsonLines.
struct JsonLinesOptions {
  bool append = false;  ///< go on behind what is there (a resumed run) instead of starting anew
};

/// Writes objects to a file, one a line.
///
/// @code
/// JsonLines log("train.jsonl");
/// log.write({{"epoch", epoch}, {"step", step}, {"loss", loss.item()}, {"lr", 1e-3}, {"note", "best"}});
/// // {"epoch":3,"step":1200,"loss":0.4375,"lr":0.001,"note":"best"}
/// @endcode
///
/// - A line is handed to the operating system whole, in one write, as `write` returns: a reader sees whole lines, and
///   what was written outlives a crash of the program (not of the machine).
/// - Fields stand in the order given. Floating numbers are the shortest decimals that give the same float or double
///   again, always with a point or an exponent; integers have all their digits.
/// - JSON has no NaN and no infinities: they become null, so that a column holds numbers and nothing else.
/// - Strings are UTF-8; control characters are escaped, and each byte that is not UTF-8 becomes U+FFFD.
///
/// Belongs to one thread. Movable.
class JsonLines {
 public:
  /// Opens `path` and empties it, unless `append`. Appending to a file whose last line has no end (a write cut off by a
  /// full disk) starts on a line of its own. Throws IoError with the system's reason.
  explicit JsonLines(std::string path, const JsonLinesOptions& options = {});
  /// Closes the file.
  ~JsonLines();
  /// Takes the file over.
  JsonLines(JsonLines&& other) noexcept;
  /// Swaps the files.
  JsonLines& operator=(JsonLines&& other) noexcept;
  JsonLines(const JsonLines&) = delete;
  JsonLines& operator=(const JsonLines&) = delete;

  /// Writes one object. Throws ValueError for a name that stands there twice, before anything is written, and IoError
  /// with the system's reason if the line could not be written whole (what is written later starts on a line of its
  /// own). No allocation once the longest line was seen.
  void write(std::span<const JsonField> fields);
  /// The same of fields written in place.
  void write(std::initializer_list<JsonField> fields) { write(std::span(fields.begin(), fields.size())); }

  /// The path that was given.
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void put(std::string_view text);

  std::string path_;
  std::string line_;
  bool at_line_start_ = true;
  int file_ = -1;
};

}  // namespace embergrad::report

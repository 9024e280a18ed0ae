#include <embergrad/text/csv.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <embergrad/error.hpp>
#include <embergrad/text/lines.hpp>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "printable.hpp"

namespace embergrad::text {
namespace {

constexpr char quote = '"';

/// Splits records off, one after the other. Fields are views into the bytes; doubled quotes are made single in place,
/// which changes only what was read already.
class Records {
 public:
  Records(std::string& bytes, const std::string& name, char separator)
      : bytes_(bytes), separator_(separator), lines_(bytes, name, {.lone_cr = true}) {}

  /// The fields of the next record, or nothing at the end.
  const std::vector<std::string_view>* next() {
    const auto line = lines_.next();
    if (!line) return nullptr;
    start_ = line->number;
    fields_.clear();
    rest_ = line->text;
    while (true) {
      fields_.push_back(rest_.starts_with(quote) ? quoted_field() : plain_field());
      if (rest_.empty()) return &fields_;
      rest_.remove_prefix(1);  // the separator
    }
  }

  /// The line on which the record starts that `next` gave last.
  [[nodiscard]] std::int64_t line() const { return start_; }
  [[nodiscard]] const Lines& lines() const { return lines_; }

 private:
  // Both take a field off `rest_` and leave a separator or nothing in front.
  std::string_view plain_field() {
    const std::string_view field = rest_.substr(0, rest_.find(separator_));
    if (field.find(quote) != std::string_view::npos) {
      lines_.refuse(fmt::format("a quote inside a field that does not start with one: '{}'", printable(field)));
    }
    if (field.find('\r') != std::string_view::npos) {
      lines_.refuse("a carriage return outside of quotes: lines end with LF or CR LF");
    }
    rest_.remove_prefix(field.size());
    return field;
  }

  std::string_view quoted_field() {
    rest_.remove_prefix(1);
    const std::size_t begin = place();
    std::optional<std::size_t> end;  // of what was moved together, once there was a doubled quote
    const auto keep = [&](std::size_t from, std::size_t to) {
      if (!end) return;
      std::copy(bytes_.begin() + static_cast<std::ptrdiff_t>(from), bytes_.begin() + static_cast<std::ptrdiff_t>(to),
                bytes_.begin() + static_cast<std::ptrdiff_t>(*end));
      *end += to - from;
    };
    std::size_t from = begin;  // what is not kept yet
    while (true) {
      const auto found = rest_.find(quote);
      if (found == std::string_view::npos) {
        const auto line = lines_.next();
        if (!line) lines_.refuse(start_, "a quoted field without its closing quote");
        rest_ = line->text;
        continue;
      }
      rest_.remove_prefix(found + 1);
      if (!rest_.starts_with(quote)) break;
      const std::size_t to = place();  // behind the first of two quotes
      if (!end) {
        end = to;
      } else {
        keep(from, to);
      }
      rest_.remove_prefix(1);
      from = place();
    }
    const std::size_t close = place() - 1;
    keep(from, close);
    if (!rest_.empty() && rest_.front() != separator_) {
      lines_.refuse(fmt::format("text after a closing quote: '{}'", printable(rest_)));
    }
    const std::size_t stop = end.value_or(close);
    return std::string_view(bytes_).substr(begin, stop - begin);
  }

  /// Where `rest_` starts in the bytes.
  [[nodiscard]] std::size_t place() const { return static_cast<std::size_t>(rest_.data() - bytes_.data()); }

  std::string& bytes_;
  char separator_;
  Lines lines_;
  std::string_view rest_;
  std::vector<std::string_view> fields_;
  std::int64_t start_ = 0;
};

bool contains(std::span<const std::string> names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void check(const CsvOptions& options) {
  const auto separator = static_cast<unsigned char>(options.separator);
  if (separator >= 0x80 || options.separator == quote || options.separator == '\r' || options.separator == '\n' ||
      options.separator == '\0') {
    throw ValueError(fmt::format("read_csv: byte 0x{:02X} can't separate fields", separator));
  }
  const std::span<const std::string> columns = options.columns;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (contains(columns.first(i), columns[i])) {
      throw ValueError(fmt::format("read_csv: the column '{}' is asked for twice", printable(columns[i])));
    }
  }
  for (const std::string& name : options.filled) {
    if (!columns.empty() && !contains(columns, name)) {
      throw ValueError(fmt::format("read_csv: filled names '{}', which is not among columns", printable(name)));
    }
  }
}

template <class Names>
std::string list_of(const Names& names) {
  std::string text;
  for (const auto& name : names) text += fmt::format("{}'{}'", text.empty() ? "" : ", ", printable(name));
  return text;
}

/// For each column its place in a record.
std::vector<std::size_t> places_of(const std::vector<std::string>& columns, const std::vector<std::string_view>& header,
                                   const Lines& lines) {
  std::vector<std::size_t> places;
  for (const std::string& column : columns) {
    const auto found = std::find(header.begin(), header.end(), column);
    if (found == header.end()) {
      lines.refuse(1, fmt::format("the header has no column '{}': it names {}", printable(column), list_of(header)));
    }
    places.push_back(static_cast<std::size_t>(found - header.begin()));
  }
  return places;
}

}  // namespace

CsvTable read_csv(const std::string& path, const CsvOptions& options) {
  check(options);
  return parse_csv(read_file(path), path, options);
}

CsvTable parse_csv(std::string bytes, const std::string& name, const CsvOptions& options) {
  check(options);
  const auto file = std::make_shared<std::string>(std::move(bytes));
  Records records(*file, name, options.separator);
  const auto* header = records.next();
  if (header == nullptr) records.lines().refuse_file("no header: the file is empty");
  std::vector<std::string_view> sorted = *header;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    records.lines().refuse(1, fmt::format("the header names '{}' twice", printable(*twice)));
  }

  CsvTable table;
  table.name_ = name;
  table.columns_ = options.columns;
  if (table.columns_.empty()) table.columns_.assign(header->begin(), header->end());
  const std::vector<std::size_t> places = places_of(table.columns_, *header, records.lines());
  const std::vector<std::size_t> filled = places_of(options.filled, *header, records.lines());
  const std::vector<std::string> names(header->begin(), header->end());
  const std::size_t wanted = names.size();
  while (const auto* record = records.next()) {
    if (record->size() != wanted) {
      records.lines().refuse(records.line(), fmt::format("{} field{} where the header has {}", record->size(),
                                                         record->size() == 1 ? "" : "s", wanted));
    }
    for (const std::size_t place : filled) {
      if (!(*record)[place].empty()) continue;
      records.lines().refuse(records.line(), fmt::format("column '{}' is empty", printable(names[place])));
    }
    for (const std::size_t place : places) table.fields_.push_back((*record)[place]);
    table.lines_.push_back(records.line());
  }
  table.bytes_ = file;
  return table;
}

std::int64_t CsvTable::column(std::string_view name) const {
  const auto found = std::find(columns_.begin(), columns_.end(), name);
  if (found == columns_.end()) {
    throw ValueError(fmt::format("CsvTable: no column '{}'; there are {}", printable(name), list_of(columns_)));
  }
  return found - columns_.begin();
}

std::string_view CsvTable::at(std::int64_t record, std::int64_t column) const {
  const auto width = static_cast<std::int64_t>(columns_.size());
  if (record < 0 || record >= size()) throw IndexError(fmt::format("CsvTable: record {} of {}", record, size()));
  if (column < 0 || column >= width) throw IndexError(fmt::format("CsvTable: column {} of {}", column, width));
  return fields_[static_cast<std::size_t>(record * width + column)];
}

std::vector<std::string_view> CsvTable::texts(std::string_view column) const {
  std::vector<std::string_view> all;
  all.reserve(lines_.size());
  for (auto i = static_cast<std::size_t>(this->column(column)); i < fields_.size(); i += columns_.size()) {
    all.push_back(fields_[i]);
  }
  return all;
}

template <class T, class Parse>
std::vector<T> CsvTable::parsed(std::string_view column, const char* wanted, const Parse& parse) const {
  const std::int64_t place = this->column(column);
  std::vector<T> all;
  all.reserve(lines_.size());
  for (std::int64_t record = 0; record < size(); ++record) {
    const std::string_view field = at(record, place);
    T value = 0;
    const std::from_chars_result result = parse(field.data(), field.data() + field.size(), value);
    if (result.ec == std::errc::result_out_of_range) {
      refuse(record, fmt::format("column '{}': '{}' is out of range", printable(column), printable(field)));
    }
    if (result.ec != std::errc() || result.ptr != field.data() + field.size()) {
      refuse(record, fmt::format("column '{}': '{}' is no {}", printable(column), printable(field), wanted));
    }
    all.push_back(value);
  }
  return all;
}

std::vector<std::int64_t> CsvTable::integers(std::string_view column) const {
  return parsed<std::int64_t>(column, "integer", [](const char* begin, const char* end, std::int64_t& value) {
    return std::from_chars(begin, end, value);
  });
}

std::vector<double> CsvTable::numbers(std::string_view column) const {
  return parsed<double>(column, "decimal number", [](const char* begin, const char* end, double& value) {
    const auto result = std::from_chars(begin, end, value);
    // `nan` and `inf` are read as well, but are no decimals.
    return std::isfinite(value) ? result : std::from_chars_result{begin, std::errc::invalid_argument};
  });
}

std::int64_t CsvTable::line(std::int64_t record) const {
  if (record < 0 || record >= size()) throw IndexError(fmt::format("CsvTable: record {} of {}", record, size()));
  return lines_[static_cast<std::size_t>(record)];
}

void CsvTable::refuse(std::int64_t record, const std::string& reason) const {
  throw FormatError(fmt::format("{}:{}: {}", name_, line(record), reason));
}

LabelledTexts read_labelled_csv(const std::string& path, const LabelledCsvOptions& options) {
  return parse_labelled_csv(read_file(path), path, options);
}

LabelledTexts parse_labelled_csv(std::string bytes, const std::string& name, const LabelledCsvOptions& options) {
  LabelledTexts all;
  all.table =
      parse_csv(std::move(bytes), name,
                {.separator = options.separator, .columns = {options.text, options.label}, .filled = {options.label}});
  if (all.table.empty()) throw FormatError(fmt::format("{}: no records", name));
  all.texts = all.table.texts(options.text);
  all.labels = all.table.texts(options.label);
  return all;
}

}  // namespace embergrad::text

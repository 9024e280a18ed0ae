/// @file
/// Tables from CSV files (RFC 4180).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace embergrad::text {

/// How to read CSV.
struct CsvOptions {
  char separator = ',';  ///< between fields: `;` and tab are usual, too
  /// The columns that are needed, by the names in the header, in any order; the file may have others, which are checked
  /// but not kept. Empty: all.
  std::vector<std::string> columns = {};
  /// Columns in which no field may be empty; of `columns`, unless that is empty.
  std::vector<std::string> filled = {};
};

/// The records of a CSV file: texts by record and column, and whole columns as numbers. Holds the file's bytes once,
/// shared between copies, and one view a field.
///
/// @code
/// const CsvTable ratings = read_csv("ratings.csv", {.columns = {"user", "item", "rating"}});
/// const Tensor users = tensor(ratings.integers("user"));      // (records), int64
/// const Tensor stars = tensor(ratings.numbers("rating"));     // (records), float64
/// for (const std::string_view item : ratings.texts("item")) std::cout << item << '\n';
/// @endcode
class CsvTable {
 public:
  /// No record and no column.
  CsvTable() = default;

  /// Number of records; the header is none.
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(lines_.size()); }
  /// Whether there is no record.
  [[nodiscard]] bool empty() const { return lines_.empty(); }

  /// The names of the columns that are kept: those asked for, in the order asked for, or all, as in the header.
  [[nodiscard]] const std::vector<std::string>& columns() const { return columns_; }

  /// The place of a column in `columns()`. Throws ValueError naming those that are there.
  [[nodiscard]] std::int64_t column(std::string_view name) const;

  /// One field, without its quotes; valid as long as this table or a copy of it lives. Throws IndexError.
  [[nodiscard]] std::string_view at(std::int64_t record, std::int64_t column) const;

  /// All fields of a column. Throws ValueError for a column that is not there, as all below.
  [[nodiscard]] std::vector<std::string_view> texts(std::string_view column) const;

  /// The same as integers in decimal digits, with a minus sign or none. Throws FormatError `file:line: reason` for the
  /// first field that is no such number or too large for int64.
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view column) const;

  /// The same as decimal numbers such as `3`, `-0.5` or `1e-3`, each the nearest double. Throws FormatError `file:line:
  /// reason` for the first field that is none: empty, `nan`, `inf`, spaces around it, out of a double's range.
  [[nodiscard]] std::vector<double> numbers(std::string_view column) const;

  /// The line of the file on which a record starts, counted from 1. Throws IndexError.
  [[nodiscard]] std::int64_t line(std::int64_t record) const;

  /// Throws FormatError `file:line: reason` for a record: for rules of one's own. Throws IndexError.
  [[noreturn]] void refuse(std::int64_t record, const std::string& reason) const;

 private:
  friend CsvTable parse_csv(std::string bytes, const std::string& name, const CsvOptions& options);

  template <class T, class Parse>
  [[nodiscard]] std::vector<T> parsed(std::string_view column, const char* wanted, const Parse& parse) const;

  std::shared_ptr<const std::string> bytes_;
  std::string name_;
  std::vector<std::string> columns_;
  std::vector<std::string_view> fields_;  // record by record
  std::vector<std::int64_t> lines_;       // of each record
};

/// Reads a CSV file.
///
/// The rules: UTF-8, lines as Lines takes them (LF or CR LF, a byte order mark skipped, no NUL). The first record is
/// the header; its names differ. Every record has as many fields as the header. A field may stand in double quotes, and
/// then hold separators, line breaks, single CRs (all kept as they are) and, doubled, quotes; outside of quotes neither
/// a quote nor a CR may stand. Spaces belong to the field. An empty line is a record of one empty field, and so refused
/// where there are more columns. Lines in messages are lines of the file; a record's line is the one it starts on.
///
/// Throws FormatError `path:line: reason` for the first fault in the file, FormatError `path: reason` for a file
/// without a header, IoError where the file can't be read, ValueError for a separator that is no ASCII character or a
/// quote, CR, LF or NUL, for a column asked for twice, and for a `filled` one that is not among `columns`. Time and
/// memory are linear in the file's size; no length is limited.
[[nodiscard]] CsvTable read_csv(const std::string& path, const CsvOptions& options = {});

/// The same from bytes in memory; `name` stands for the path in messages.
[[nodiscard]] CsvTable parse_csv(std::string bytes, const std::string& name, const CsvOptions& options = {});

/// How to read a labelled text.
struct LabelledCsvOptions {
  std::string text = "text";       ///< the column of texts
  std::string label = "category";  ///< the column of labels
  char separator = ',';            ///< as in CsvOptions
};

/// Texts and their classes, for classification. Views into the file's bytes, which live as long as this or a copy.
struct LabelledTexts {
  CsvTable table = {};                        ///< what the views point into
  std::vector<std::string_view> texts = {};   ///< may be empty, and may hold line breaks
  std::vector<std::string_view> labels = {};  ///< never empty

  /// Number of texts.
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(texts.size()); }
};

/// Reads texts and labels, as `read_csv` does; besides, there is at least one record and no label is empty
/// (FormatError).
/// @code
/// const auto train = read_labelled_csv("train.csv");   // text,category
/// const auto classes = Vocabulary::of_labels(train.labels);
/// @endcode
[[nodiscard]] LabelledTexts read_labelled_csv(const std::string& path, const LabelledCsvOptions& options = {});

/// The same from bytes in memory; `name` stands for the path in messages.
[[nodiscard]] LabelledTexts parse_labelled_csv(std::string bytes, const std::string& name,
                                               const LabelledCsvOptions& options = {});

}  // namespace embergrad::text

#include "results.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <embergrad/text/csv.hpp>
#include <iterator>
#include <utility>

namespace lab {
namespace {

namespace text = embergrad::text;

constexpr std::array columns = {"task",  "trace",    "optimizer", "updates", "lr",    "momentum", "weight_decay",
                                "beta2", "schedule", "rows",      "dim",     "batch", "touched",  "steps",
                                "seed",  "step",     "quantity",  "bin",     "unit",  "value"};

/// A field of CSV, in quotes where it has to be.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string field(const std::optional<double>& value) { return value ? fmt::format("{}", *value) : ""; }

/// Reads the fields of one record.
class Reader {
 public:
  Reader(const text::CsvTable& table, int64_t record) : table_(table), record_(record) {}

  std::string text() { return std::string(table_.at(record_, column_++)); }
  template <class Number>
  Number number() {
    const std::string text = this->text();
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
      table_.refuse(record_, fmt::format("{}: '{}' is no number", columns[column_ - 1], text));
    }
    return value;
  }
  std::optional<double> optional() {
    if (table_.at(record_, column_).empty()) {
      ++column_;
      return {};
    }
    return number<double>();
  }
  template <class Value>
  Value named(std::initializer_list<Value> values) {
    const std::string text = this->text();
    for (const Value value : values) {
      if (text == name_of(value)) return value;
    }
    table_.refuse(record_, fmt::format("{}: '{}' is not known", columns[column_ - 1], text));
  }

 private:
  const text::CsvTable& table_;
  int64_t record_;
  std::size_t column_ = 0;
};

}  // namespace

std::string csv_header() {
  std::string header;
  for (const char* column : columns) header += (header.empty() ? "" : ",") + std::string(column);
  return header;
}

std::string to_csv(const std::vector<Record>& records) {
  std::string csv = csv_header() + "\n";
  for (const Record& r : records) {
    const Setting& s = r.setting;
    fmt::format_to(std::back_inserter(csv), "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
                   name_of(s.task), field(s.trace), s.optimizer, name_of(r.updates), s.lr, field(s.momentum),
                   field(s.weight_decay), field(s.beta2), name_of(s.schedule), s.rows, s.dim, s.batch, field(s.touched),
                   s.steps, r.seed, r.step, r.quantity, field(r.bin), r.unit, r.value);
  }
  return csv;
}

std::vector<Record> read_results(const std::string& path) {
  const text::CsvTable table = text::read_csv(path, {.columns = {columns.begin(), columns.end()}});
  std::vector<Record> records;
  records.reserve(static_cast<std::size_t>(table.size()));
  for (int64_t i = 0; i < table.size(); ++i) {
    Reader read(table, i);
    Record r;
    Setting& s = r.setting;
    s.task = read.named({Task::regression, Task::tagger});
    s.trace = read.text();
    s.optimizer = read.text();
    r.updates = read.named({Updates::exact, Updates::touched_only, Updates::dense});
    s.lr = read.number<double>();
    s.momentum = read.optional();
    s.weight_decay = read.optional();
    s.beta2 = read.optional();
    s.schedule = read.named({Schedule::constant, Schedule::linear, Schedule::cosine, Schedule::onecycle});
    s.rows = read.number<int64_t>();
    s.dim = read.number<int64_t>();
    s.batch = read.number<int64_t>();
    s.touched = read.optional();
    s.steps = read.number<int64_t>();
    r.seed = read.number<uint64_t>();
    r.step = read.number<int64_t>();
    r.quantity = read.text();
    r.bin = read.text();
    r.unit = read.text();
    r.value = read.number<double>();
    records.push_back(std::move(r));
  }
  return records;
}

std::size_t bin_of(int64_t count) {
  std::size_t bin = 0;
  for (; count > 0 && bin + 1 < bin_count; count /= 4) ++bin;
  return bin;
}

std::string bin_name(std::size_t bin) {
  if (bin == 0) return "0";
  const int64_t least = int64_t{1} << (2 * (bin - 1));
  return bin + 1 == bin_count ? fmt::format("{}+", least) : fmt::format("{}-{}", least, 4 * least - 1);
}

}  // namespace lab

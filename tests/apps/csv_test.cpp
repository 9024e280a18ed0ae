#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/text/csv.hpp>
#include <embergrad/text/lines.hpp>
#include <embergrad/text/order.hpp>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bad_files.hpp"

namespace {

using embergrad::FormatError;
using embergrad::IndexError;
using embergrad::IoError;
using embergrad::ValueError;
using embergrad::text::CsvOptions;
using embergrad::text::CsvTable;
using embergrad::text::Lines;
using embergrad::text::parse_csv;
using embergrad::text::parse_labelled_csv;
using embergrad::text::read_csv;
using embergrad::text::read_labelled_csv;

using Rows = std::vector<std::vector<std::string>>;

/// Header and records.
Rows rows_of(const CsvTable& table) {
  Rows rows = {table.columns()};
  for (int64_t r = 0; r < table.size(); ++r) {
    rows.emplace_back();
    for (std::size_t c = 0; c < table.columns().size(); ++c) {
      rows.back().emplace_back(table.at(r, static_cast<int64_t>(c)));
    }
  }
  return rows;
}

Rows rows_of(const std::string& bytes, const CsvOptions& options = {}) {
  return rows_of(parse_csv(bytes, "f", options));
}

std::string message_of(const std::string& bytes, const CsvOptions& options = {}) {
  return bad_files::refusal([&] { (void)parse_csv(bytes, "f", options); }).value_or("accepted");
}

/// The rules again by another road, one byte after the other: header and records, or nothing for what is refused.
std::optional<Rows> reference(std::string bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.erase(0, 3);
  bool text = true;
  try {
    Lines lines(bytes, "", {.lone_cr = true});
    while (lines.next()) {
    }
  } catch (const FormatError&) {
    text = false;
  }
  if (!text || bytes.empty()) return std::nullopt;
  if (bytes.back() == '\r') bytes += '\n';
  if (bytes.back() != '\n') bytes += '\n';

  enum class State { start, plain, quoted, closed };
  State state = State::start;
  Rows rows = {{""}};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    std::string& field = rows.back().back();
    if (state == State::quoted) {
      if (c != '"') {
        field += c;
      } else {
        state = State::closed;
      }
      continue;
    }
    if (c == '"' && state == State::closed) {
      field += c;
      state = State::quoted;
    } else if (c == '"' && state == State::start) {
      state = State::quoted;
    } else if (c == ',') {
      rows.back().emplace_back();
      state = State::start;
    } else if (c == '\n' || (c == '\r' && bytes[i + 1] == '\n')) {
      if (c == '\r') ++i;
      rows.push_back({""});
      state = State::start;
    } else if (c == '"' || c == '\r' || state == State::closed) {
      return std::nullopt;
    } else {
      field += c;
      state = State::plain;
    }
  }
  if (state == State::quoted) return std::nullopt;
  rows.pop_back();
  for (const auto& row : rows) {
    if (row.size() != rows.front().size()) return std::nullopt;
  }
  for (std::size_t i = 0; i < rows[0].size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (rows[0][i] == rows[0][k]) return std::nullopt;
    }
  }
  return rows;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(csv)

BOOST_AUTO_TEST_CASE(answers_every_bad_file_as_expected) {
  auto rows = bad_files::expectations(".csv");
  BOOST_TEST(rows.size() == 14U);
  for (auto& row : rows) {
    if (row.words == "-") row.words = "0";  // a table has no words
    bad_files::check(row,
                     [](const std::string& path) { return std::pair(read_labelled_csv(path).size(), int64_t{0}); });
  }
}

BOOST_AUTO_TEST_CASE(reads_what_the_files_say) {
  const auto quotes = read_labelled_csv(bad_files::folder + "csv_ok_quotes.csv");
  const std::vector<std::string> expected = {"Hello, world", "He said \"hi\"", "two\r\nlines"};
  BOOST_TEST(quotes.texts == expected, boost::test_tools::per_element());
  BOOST_TEST(quotes.labels == (std::vector<std::string>{"a", "b", "a"}), boost::test_tools::per_element());
  const auto empty = read_labelled_csv(bad_files::folder + "csv_ok_empty_text.csv");
  BOOST_TEST(empty.texts == (std::vector<std::string>{"hello", "", "", "!!!"}), boost::test_tools::per_element());
  const auto copy = [] { return read_labelled_csv(bad_files::folder + "csv_ok_bom.csv"); }();
  BOOST_TEST(copy.texts.at(0) == "hello");
}

BOOST_AUTO_TEST_CASE(fields) {
  BOOST_TEST((rows_of("a,b\n1,2\n") == Rows{{"a", "b"}, {"1", "2"}}));
  BOOST_TEST((rows_of("a,b\r\n , x \r\n,\r\n\"\",\"\"") == Rows{{"a", "b"}, {" ", " x "}, {"", ""}, {"", ""}}));
  BOOST_TEST((rows_of("\"a\"\"\",\"\"\"b\",\"\"\"\",\"c\"\"\"\"d\"\"e\"\n,,,f") ==
              Rows{{"a\"", "\"b", "\"", "c\"\"d\"e"}, {"", "", "", "f"}}));
  BOOST_TEST((rows_of("\"a\n\r\n\"\"\rb,\"\n\"\"\"\n\"\"\"\r\n") == Rows{{"a\n\r\n\"\rb,"}, {"\"\n\""}}));
  BOOST_TEST((rows_of("a\n\n x\n") == Rows{{"a"}, {""}, {" x"}}));
  BOOST_TEST((rows_of("a\r") == Rows{{"a"}}));
}

BOOST_AUTO_TEST_CASE(another_separator) {
  BOOST_TEST((rows_of("a;b\n1,5;\"x;y\"\n", {.separator = ';'}) == Rows{{"a", "b"}, {"1,5", "x;y"}}));
  BOOST_TEST((rows_of("a\tb\n1\t2\n", {.separator = '\t'}) == Rows{{"a", "b"}, {"1", "2"}}));
  for (const char wrong : {'"', '\n', '\r', '\0', '\xE2'}) {
    BOOST_CHECK_THROW((void)rows_of("a\n", {.separator = wrong}), ValueError);
  }
}

BOOST_AUTO_TEST_CASE(columns_by_name) {
  const CsvTable table = parse_csv("user,junk,item\n1,\"x\ny\",5\n-2,,6\n", "f", {.columns = {"item", "user"}});
  BOOST_TEST(table.columns() == (std::vector<std::string>{"item", "user"}), boost::test_tools::per_element());
  BOOST_TEST(table.size() == 2);
  BOOST_TEST(table.integers("user") == (std::vector<int64_t>{1, -2}), boost::test_tools::per_element());
  BOOST_TEST(table.texts("item") == (std::vector<std::string>{"5", "6"}), boost::test_tools::per_element());
  BOOST_TEST(table.at(1, 0) == "6");
  BOOST_TEST(table.line(1) == 4);
  BOOST_CHECK_EXCEPTION((void)table.texts("junk"), ValueError, [](const ValueError& error) {
    return std::string(error.what()) == "CsvTable: no column 'junk'; there are 'item', 'user'";
  });
  for (const auto& [record, column] : std::vector<std::pair<int64_t, int64_t>>{{-1, 0}, {2, 0}, {0, -1}, {0, 2}}) {
    BOOST_CHECK_THROW((void)table.at(record, column), IndexError);
  }
  BOOST_CHECK_THROW((void)table.line(2), IndexError);
  BOOST_CHECK_EXCEPTION(table.refuse(1, "odd"), FormatError,
                        [](const FormatError& error) { return std::string(error.what()) == "f:4: odd"; });
  BOOST_CHECK_THROW((void)rows_of("a,b\n", {.columns = {"a", "a"}}), ValueError);
  BOOST_CHECK_THROW((void)rows_of("a,b\n", {.columns = {"a"}, .filled = {"b"}}), ValueError);
  BOOST_TEST(CsvTable().empty());
}

BOOST_AUTO_TEST_CASE(numbers) {
  const auto column = [](const std::string& fields) { return parse_csv("x\n" + fields, "f"); };
  BOOST_TEST(
      column("0\n-1\n9223372036854775807\n-9223372036854775808").integers("x") ==
          (std::vector<int64_t>{0, -1, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}),
      boost::test_tools::per_element());
  BOOST_TEST(column("0\n-0.5\n1e-3\n.25\n1e308\n\"2.5\"").numbers("x") ==
                 (std::vector<double>{0, -0.5, 1e-3, 0.25, 1e308, 2.5}),
             boost::test_tools::per_element());
  const auto integers = [&](const std::string& field) {
    return bad_files::refusal([&] { (void)column("1\n" + field + "\n").integers("x"); }).value_or("accepted");
  };
  const auto reals = [&](const std::string& field) {
    return bad_files::refusal([&] { (void)column("1\n" + field + "\n").numbers("x"); }).value_or("accepted");
  };
  BOOST_TEST(integers("abc") == "f:3: column 'x': 'abc' is no integer");
  BOOST_TEST(integers("") == "f:3: column 'x': '' is no integer");
  BOOST_TEST(integers("9223372036854775808") == "f:3: column 'x': '9223372036854775808' is out of range");
  for (const char* bad : {"1.0", "+1", " 1", "1 ", "0x10", "1e3", "--1", "-"}) {
    BOOST_TEST(integers(bad).starts_with("f:3: "), bad);
  }
  BOOST_TEST(reals("1,5").starts_with("f:3: 2 fields"));
  BOOST_TEST(reals("nan") == "f:3: column 'x': 'nan' is no decimal number");
  BOOST_TEST(reals("1e999") == "f:3: column 'x': '1e999' is out of range");
  for (const char* bad : {"", "inf", "-Infinity", "+1", " 1", "1 ", "0x1p3", "1e", ".", "1..2", "\x1b"}) {
    BOOST_TEST(reals(bad).starts_with("f:3: "), bad);
  }
}

BOOST_AUTO_TEST_CASE(names_the_fault) {
  BOOST_TEST(message_of("") == "f: no header: the file is empty");
  BOOST_TEST(message_of("\xEF\xBB\xBF") == "f: no header: the file is empty");
  BOOST_TEST(message_of("a,b,a\n") == "f:1: the header names 'a' twice");
  BOOST_TEST(message_of("a,b\n", {.columns = {"c"}}) == "f:1: the header has no column 'c': it names 'a', 'b'");
  BOOST_TEST(message_of("a,b\n1\n") == "f:2: 1 field where the header has 2");
  BOOST_TEST(message_of("a,b\n\"\n\n\",1\n1,2,3\n") == "f:5: 3 fields where the header has 2");
  BOOST_TEST(message_of("a,b\n1,2\n\n") == "f:3: 1 field where the header has 2");
  BOOST_TEST(message_of("a\n\"x\ny\n") == "f:2: a quoted field without its closing quote");
  BOOST_TEST(message_of("a\n\"x\ny\"z\n") == "f:3: text after a closing quote: 'z'");
  BOOST_TEST(message_of("a\nx\"y\n") == "f:2: a quote inside a field that does not start with one: 'x\"y'");
  BOOST_TEST(message_of("a\nx\ry\n") == "f:2: a carriage return outside of quotes: lines end with LF or CR LF");
  BOOST_TEST(message_of("a\n\"x\"\r\r\n").starts_with("f:2: text after a closing quote"));
  BOOST_TEST(message_of("a,b\n\"1\n\",\n2\n", {.filled = {"b"}}) == "f:2: column 'b' is empty");
  BOOST_TEST(message_of("a,b\n1\n2,\n", {.filled = {"b"}}) == "f:2: 1 field where the header has 2");
  BOOST_TEST(message_of("a\n\"x\ny\xFF\"\n").starts_with("f:3: not UTF-8"));
  BOOST_TEST(bad_files::refusal([] { (void)parse_labelled_csv("text,category\n", "f"); }).value() == "f: no records");
  BOOST_CHECK_THROW((void)read_csv("/no/such/file.csv"), IoError);
  BOOST_CHECK_THROW((void)read_csv(bad_files::folder), IoError);
}

BOOST_AUTO_TEST_CASE(agrees_with_a_plain_reading_of_the_rules) {
  const uint64_t seed = 20;
  const std::vector<std::string> pieces = {",",   "\"",       "\"\"", "\n",  "\r\n", "\r",   "a",
                                           "b c", "\xC3\xA9", ",\"",  "\",", "\n\"", "\"\n", ""};
  uint64_t draws = 0;
  const auto below = [&](std::size_t n) {
    return static_cast<std::size_t>(embergrad::text::uniform(seed, draws++) * static_cast<double>(n));
  };
  // Valid files of random fields, quoted where they must be or by chance, and then changed at a few places.
  const auto valid = [&] {
    const std::size_t width = 1 + below(3);
    std::string bytes = below(4) == 0 ? "\xEF\xBB\xBF" : "";
    const std::string line_end = below(2) == 0 ? "\n" : "\r\n";
    for (std::size_t row = 0, rows = 1 + below(4); row < rows; ++row) {
      for (std::size_t column = 0; column < width; ++column) {
        std::string field = row == 0 ? std::string(1, static_cast<char>('p' + column)) : "";
        for (std::size_t n = below(4); n > 0; --n) field += pieces[below(pieces.size())];
        if (below(2) == 0 || field.find_first_of(",\"\r\n") != std::string::npos) {
          for (std::size_t i = 0; i < field.size(); ++i) {
            if (field[i] == '"') field.insert(i++, 1, '"');
          }
          field = '"' + field + '"';
        }
        bytes += (column == 0 ? "" : ",") + field;
      }
      bytes += line_end;
    }
    if (below(3) == 0) bytes.resize(bytes.size() - line_end.size());
    return bytes;
  };
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = valid();
    for (std::size_t n = below(3); n > 0 && !bytes.empty(); --n) {
      const std::size_t place = below(bytes.size());
      switch (below(4)) {
        case 0:
          bytes.erase(place, 1 + below(3));
          break;
        case 1:
          bytes.insert(place, pieces[below(pieces.size())]);
          break;
        case 2:
          bytes[place] = static_cast<char>(below(256));
          break;
        default:
          bytes.resize(place);
      }
    }
    const auto expected = reference(bytes);
    std::optional<Rows> got;
    const auto message = bad_files::refusal([&] { got = rows_of(bytes); });
    (got ? accepted : refused)++;
    BOOST_REQUIRE_MESSAGE(got == expected, "seed " << seed << ", round " << round << ": " << bytes << "\n"
                                                   << message.value_or(""));
  }
  BOOST_TEST(accepted > 5000);
  BOOST_TEST(refused > 3000);
}

BOOST_AUTO_TEST_CASE(long_inputs) {
  const std::string field(std::size_t{5} << 20, 'x');
  BOOST_TEST((parse_csv("a\n" + field, "f").at(0, 0) == field));
  std::string quotes = "a\n\"";
  for (int i = 0; i < 1000000; ++i) quotes += "\"\"\n";
  const CsvTable table = parse_csv(quotes + "\"\nb\n", "f");
  BOOST_TEST(table.at(0, 0).size() == 2000000U);
  BOOST_TEST(table.line(1) == 1000003);
  std::string rows = "a,b\n";
  for (int i = 0; i < 200000; ++i) rows += "1,2\n";
  BOOST_TEST(parse_csv(rows, "f").size() == 200000);
  std::string wide = "c0";
  for (int i = 1; i < 20000; ++i) wide += ",c" + std::to_string(i);
  BOOST_TEST(parse_csv(wide, "f").columns().size() == 20000U);
}

BOOST_AUTO_TEST_SUITE_END()

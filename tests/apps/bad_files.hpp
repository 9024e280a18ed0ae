/// @file
/// The nasty inputs of tests/data/bad and what is expected of the readers, as expect.tsv tells it.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <embergrad/error.hpp>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace bad_files {

inline const std::string folder = std::string(EMBERGRAD_TEST_DATA) + "/bad/";

/// One row of expect.tsv.
struct Expectation {
  std::string file, mode, verdict, line, units, words;
};

/// The rows for files whose name ends with `ending`.
inline std::vector<Expectation> expectations(const std::string& ending) {
  std::ifstream in(folder + "expect.tsv");
  std::vector<Expectation> rows;
  std::string text;
  while (std::getline(in, text)) {
    std::istringstream cells(text);
    Expectation row;
    for (std::string* cell : {&row.file, &row.mode, &row.verdict, &row.line, &row.units, &row.words}) {
      std::getline(cells, *cell, '\t');
    }
    if (row.file.ends_with(ending)) rows.push_back(row);
  }
  return rows;
}

/// A file's bytes, read by another road than the library's.
inline std::string bytes_of(const std::string& file) {
  std::ifstream in(folder + file, std::ios::binary);
  BOOST_REQUIRE_MESSAGE(in.is_open(), folder + file);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The message of the FormatError that `read` throws, or nothing.
inline std::optional<std::string> refusal(const std::function<void()>& read) {
  try {
    read();
  } catch (const embergrad::FormatError& error) {
    return error.what();
  }
  return std::nullopt;
}

/// Checks one row; `read` gives units and words.
inline void check(const Expectation& row,
                  const std::function<std::pair<int64_t, int64_t>(const std::string& path)>& read) {
  const std::string path = folder + row.file;
  BOOST_TEST_CONTEXT(row.file << ", mode " << row.mode) {
    std::pair<int64_t, int64_t> got;
    const auto message = refusal([&] { got = read(path); });
    if (row.verdict == "accept") {
      BOOST_TEST(!message.has_value(), message.value_or(""));
      BOOST_TEST(std::to_string(got.first) == row.units);
      BOOST_TEST(std::to_string(got.second) == row.words);
      return;
    }
    BOOST_TEST(row.verdict == "refuse");
    BOOST_REQUIRE_MESSAGE(message.has_value(), "accepted");
    const std::string start = row.line == "-" ? path + ": " : path + ":" + row.line + ": ";
    BOOST_TEST(message->starts_with(start), *message);
    BOOST_TEST(message->size() > start.size());
    for (const char c : *message) BOOST_TEST(static_cast<unsigned char>(c) >= 0x20U);
  }
}

}  // namespace bad_files

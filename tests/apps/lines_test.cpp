#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/text/lines.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "bad_files.hpp"

namespace {

using embergrad::FormatError;
using embergrad::IoError;
using embergrad::text::Lines;
using embergrad::text::LinesOptions;

/// Every line as number:text, or the refusal's message.
std::vector<std::string> read(const std::string& bytes, LinesOptions options = {}) {
  std::vector<std::string> all;
  const auto message = bad_files::refusal([&] {
    Lines lines(bytes, "f", options);
    while (const auto line = lines.next()) all.push_back(std::to_string(line->number) + ":" + std::string(line->text));
  });
  if (message) all.push_back(*message);
  return all;
}

void check_lines(const std::string& bytes, const std::vector<std::string>& expected) {
  BOOST_TEST(read(bytes) == expected, boost::test_tools::per_element());
}

bool accepted(const std::string& bytes) {
  return !bad_files::refusal([&] { (void)Lines(bytes, "f").next(); });
}

std::string utf8(uint32_t code) {
  const auto byte = [](uint32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  if (code < 0x80) return {byte(code)};
  if (code < 0x800) return {byte(0xC0 | code >> 6), byte(0x80 | (code & 63))};
  if (code < 0x10000) return {byte(0xE0 | code >> 12), byte(0x80 | (code >> 6 & 63)), byte(0x80 | (code & 63))};
  return {byte(0xF0 | code >> 18), byte(0x80 | (code >> 12 & 63)), byte(0x80 | (code >> 6 & 63)),
          byte(0x80 | (code & 63))};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lines)

BOOST_AUTO_TEST_CASE(splits_at_lf_alone) {
  check_lines("", {});
  check_lines("\xEF\xBB\xBF", {});
  check_lines("\n", {"1:"});
  check_lines("a", {"1:a"});
  check_lines("a\nb\n", {"1:a", "2:b"});
  check_lines(
      "\xEF\xBB\xBF"
      "a\r\n\r\nb\x0b\x0c\x1c\u0085\u2028",
      {"1:a", "2:", "3:b\x0b\x0c\x1c\u0085\u2028"});
  check_lines(
      "a\n\xEF\xBB\xBF"
      "b",
      {"1:a",
       "2:\xEF\xBB\xBF"
       "b"});
  check_lines("a\r", {"1:a"});
}

BOOST_AUTO_TEST_CASE(refuses_a_carriage_return_inside_a_line_unless_told) {
  check_lines("a\nb\rc\n", {"1:a", "f:2: a carriage return inside the line, at byte 2: lines end with LF or CR LF"});
  check_lines("a\r\r\n", {"f:1: a carriage return inside the line, at byte 2: lines end with LF or CR LF"});
  BOOST_TEST(read("a\rb\r\n", {.lone_cr = true}) == std::vector<std::string>{"1:a\rb"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(refuses_nul_and_other_encodings) {
  check_lines(std::string("ok\na\0b\n", 7),
              {"1:ok", "f:2: a NUL byte at byte 2 of the line: not a text file, or a damaged one"});
  BOOST_TEST(read("ok\ncaf\xE9!\n").back().starts_with("f:2: not UTF-8: byte 0xE9 at byte 4 of the line"));
  BOOST_TEST(read("\xFF\xFE"
                  "a")
                 .back() == "f:1: not UTF-8: the file starts with the byte order mark of UTF-16");
  BOOST_TEST(read("12345678\xE2\x82").back().starts_with("f:1: not UTF-8: byte 0xE2 at byte 9"));
}

BOOST_AUTO_TEST_CASE(utf8_is_what_unicode_says) {
  std::string everything;
  std::set<std::string> two_bytes;
  for (uint32_t code = 1; code <= 0x10FFFF; ++code) {
    if (code == '\n' || code == '\r' || (code >= 0xD800 && code <= 0xDFFF)) continue;
    everything += utf8(code);
    if (code >= 0x80 && code < 0x800) two_bytes.insert(utf8(code));
  }
  BOOST_TEST(accepted(everything));
  int wrong = 0;
  for (uint32_t a = 0x80; a < 0x100; ++a) {
    for (uint32_t b = 0x80; b < 0x100; ++b) {
      const std::string pair = {static_cast<char>(a), static_cast<char>(b)};
      wrong += accepted(pair) != two_bytes.contains(pair) ? 1 : 0;
    }
  }
  BOOST_TEST(wrong == 0);
  for (uint32_t code = 0xD800; code <= 0xDFFF; ++code) wrong += accepted(utf8(code)) ? 1 : 0;
  BOOST_TEST(wrong == 0);
  for (const char* bad :
       {"\xE0\x80\xAF", "\xE0\x9F\xBF", "\xF0\x80\x80\xAF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xF8\x88\x80\x80\x80", "\xE2\x82", "\xE2\x82z", "\xF0\x9F\x98", "\x80"}) {
    BOOST_TEST(!accepted(bad));
    BOOST_TEST(!accepted("1234567" + std::string(bad) + "12345678"));
  }
}

BOOST_AUTO_TEST_CASE(refusals_name_the_line) {
  Lines lines("a\nb\n", "dir/f.txt");
  (void)lines.next();
  (void)lines.next();
  const auto says = [](const char* text) {
    return [text](const FormatError& error) { return std::string(error.what()) == text; };
  };
  BOOST_CHECK_EXCEPTION(lines.refuse("bad"), FormatError, says("dir/f.txt:2: bad"));
  BOOST_CHECK_EXCEPTION(lines.refuse(1, "bad"), FormatError, says("dir/f.txt:1: bad"));
  BOOST_CHECK_EXCEPTION(lines.refuse_file("bad"), FormatError, says("dir/f.txt: bad"));
}

BOOST_AUTO_TEST_CASE(reads_files_pipes_and_streams_whole) {
  BOOST_TEST(embergrad::text::read_file(bad_files::folder + "bad_binary.conllu") ==
             bad_files::bytes_of("bad_binary.conllu"));
  BOOST_TEST(embergrad::text::read_file(bad_files::folder + "empty.conllu").empty());
  BOOST_TEST(embergrad::text::read_file("/proc/self/status").starts_with("Name:"));  // a size of 0, yet not empty
  BOOST_CHECK_THROW((void)embergrad::text::read_file("/no/such/file"), IoError);
  BOOST_CHECK_THROW((void)embergrad::text::read_file("/"), IoError);
  BOOST_CHECK_THROW((void)embergrad::text::read_file(""), IoError);
  for (const std::size_t size : {0UL, 1UL, 65535UL, 65536UL, 65537UL, 300000UL}) {
    const std::string bytes(size, 'x');
    std::istringstream in(bytes);
    BOOST_TEST((embergrad::text::read_stream(in, "<stdin>") == bytes));
  }
  std::istringstream broken("abc");
  broken.setstate(std::ios::badbit);
  BOOST_CHECK_THROW((void)embergrad::text::read_stream(broken, "<stdin>"), IoError);
}

BOOST_AUTO_TEST_SUITE_END()

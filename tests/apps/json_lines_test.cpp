#include <unistd.h>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <embergrad/error.hpp>
#include <embergrad/report/json_lines.hpp>
#include <embergrad/text/order.hpp>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <utility>

namespace {

using embergrad::IoError;
using embergrad::ValueError;
using embergrad::report::JsonField;
using embergrad::report::JsonLines;
using embergrad::report::JsonValue;

std::string json(const JsonValue& value) {
  std::string text;
  value.append_to(text);
  return text;
}

/// A path of a file that is not there yet and is gone at the end.
struct Scratch {
  std::string path =
      (std::filesystem::temp_directory_path() / ("embergrad_json_lines_" + std::to_string(::getpid()))).string();
  Scratch() { std::filesystem::remove(path); }
  ~Scratch() { std::filesystem::remove(path); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string bytes() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(json_lines)

BOOST_AUTO_TEST_CASE(values_as_json) {
  BOOST_TEST(json(nullptr) == "null");
  BOOST_TEST(json(true) == "true");
  BOOST_TEST(json(false) == "false");
  BOOST_TEST(json(0) == "0");
  BOOST_TEST(json(-7) == "-7");
  BOOST_TEST(json(std::numeric_limits<int64_t>::min()) == "-9223372036854775808");
  BOOST_TEST(json(std::numeric_limits<uint64_t>::max()) == "18446744073709551615");
  BOOST_TEST(json(0.1) == "0.1");
  BOOST_TEST(json(0.1F) == "0.1");
  BOOST_TEST(json(static_cast<double>(0.1F)) == "0.10000000149011612");
  BOOST_TEST(json(1.0) == "1.0");
  BOOST_TEST(json(-0.0) == "-0.0");
  BOOST_TEST(json(1e300) == "1e+300");
  BOOST_TEST(json(std::numeric_limits<double>::quiet_NaN()) == "null");
  BOOST_TEST(json(std::numeric_limits<float>::infinity()) == "null");
  BOOST_TEST(json(-std::numeric_limits<double>::infinity()) == "null");
  BOOST_TEST(json("a") == "\"a\"");
  BOOST_TEST(json(std::string("a\"\\\n\t\r\x1b\x7f/é\xF0\x9F\x98\x80")) ==
             "\"a\\\"\\\\\\n\\t\\u000d\\u001b\\u007f/é\xF0\x9F\x98\x80\"");
  BOOST_TEST(json(std::string("a\0b", 3)) == "\"a\\u0000b\"");
  BOOST_TEST(json("x\xFF\xC0\xAFy\xE2\x82") == "\"x\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDy\xEF\xBF\xBD\xEF\xBF\xBD\"");
  const char* none = nullptr;
  BOOST_TEST(json(none) == "null");
}

BOOST_AUTO_TEST_CASE(numbers_come_back_to_the_bit) {
  const uint64_t seed = 7;
  for (uint64_t i = 0; i < 20000; ++i) {
    const uint64_t bits = embergrad::text::mix(seed, i);
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (value != value || value - value != 0) continue;
    const std::string text = json(value);
    BOOST_REQUIRE_MESSAGE(std::strtod(text.c_str(), nullptr) == value, "seed " << seed << ", number " << i);
    BOOST_REQUIRE(text.find_first_of(".e") != std::string::npos);
    const auto single = static_cast<float>(embergrad::text::uniform(seed, i));
    BOOST_REQUIRE(std::strtof(json(single).c_str(), nullptr) == single);
  }
}

BOOST_AUTO_TEST_CASE(one_object_a_line_at_once) {
  const Scratch scratch;
  JsonLines log(scratch.path);
  BOOST_TEST(scratch.bytes().empty());
  log.write({{"epoch", 3}, {"loss", 0.4375}, {"note", "best\n"}, {"ok", true}, {"none"}});
  BOOST_TEST(scratch.bytes() == "{\"epoch\":3,\"loss\":0.4375,\"note\":\"best\\n\",\"ok\":true,\"none\":null}\n");
  log.write({});
  log.write({{"", 1U}});
  BOOST_CHECK_THROW(log.write({{"a", 1}, {"b", 2}, {"a", 3}}), ValueError);
  BOOST_TEST(scratch.bytes().ends_with("}\n{}\n{\"\":1}\n"));
  JsonLines moved = std::move(log);
  moved.write({{"a", 1}});
  BOOST_TEST(scratch.bytes().ends_with("{\"a\":1}\n"));
  BOOST_TEST(moved.path() == scratch.path);
}

BOOST_AUTO_TEST_CASE(starts_anew_or_goes_on) {
  const Scratch scratch;
  JsonLines(scratch.path).write({{"a", 1}});
  JsonLines(scratch.path, {.append = true}).write({{"a", 2}});
  BOOST_TEST(scratch.bytes() == "{\"a\":1}\n{\"a\":2}\n");
  JsonLines(scratch.path).write({{"a", 3}});
  BOOST_TEST(scratch.bytes() == "{\"a\":3}\n");
  std::ofstream(scratch.path, std::ios::app) << "{\"a\":";
  JsonLines log(scratch.path, {.append = true});
  log.write({{"a", 4}});
  log.write({{"a", 5}});
  BOOST_TEST(scratch.bytes() == "{\"a\":3}\n{\"a\":\n{\"a\":4}\n{\"a\":5}\n");
}

BOOST_AUTO_TEST_CASE(tells_when_it_cannot_write) {
  BOOST_CHECK_EXCEPTION(JsonLines("/no/such/log.jsonl"), IoError, [](const IoError& error) {
    return std::string(error.what()) == "/no/such/log.jsonl: can't be opened: No such file or directory";
  });
  BOOST_CHECK_THROW(JsonLines("/"), IoError);
  if (::access("/dev/full", W_OK) == 0) {
    JsonLines full("/dev/full");
    for (int i = 0; i < 2; ++i) {
      BOOST_CHECK_EXCEPTION(full.write({{"a", 1}}), IoError, [](const IoError& error) {
        return std::string(error.what()) == "/dev/full: can't be written: No space left on device";
      });
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

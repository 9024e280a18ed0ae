// For BOOST_CHECK_EXCEPTION: does the message hold all these words?
#pragma once

#include <boost/test/unit_test.hpp>
#include <exception>
#include <string>
#include <vector>

namespace embergrad::test {

inline auto says(std::vector<std::string> parts) {
  return [parts = std::move(parts)](const std::exception& error) {
    const std::string message = error.what();
    for (const std::string& part : parts) {
      BOOST_TEST(message.find(part) != std::string::npos, "\"" << part << "\" should be in \"" << message << "\"");
    }
    return true;
  };
}

}  // namespace embergrad::test

// Looking into XML.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace embergrad::test {

// Whether every element is closed in turn, attributes are quoted and references known; `singles` need no end (HTML).
inline boost::test_tools::assertion_result is_well_formed(std::string_view text,
                                                          const std::vector<std::string_view>& singles = {}) {
  const auto no = [](const std::string& why) {
    boost::test_tools::assertion_result result(false);
    result.message() << why;
    return result;
  };
  std::vector<std::string> open;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '&') {
      const std::string_view rest = text.substr(i);
      bool known = false;
      for (const char* reference : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) known |= rest.starts_with(reference);
      if (!known) return no("unknown reference: " + std::string(rest.substr(0, 10)));
    }
    if (text[i] == '>') return no("a stray >");
    if (text[i] != '<') continue;
    std::size_t end = i;
    bool quoted = false;
    while (end < text.size() && (quoted || text[end] != '>')) {
      if (text[end] == '"') quoted = !quoted;
      if (end > i && text[end] == '<') return no("a stray <");
      ++end;
    }
    if (end == text.size()) return no("an element without its end");
    const std::string_view inside = text.substr(i + 1, end - i - 1);
    const std::string name(inside.substr(0, inside.find_first_of(" /", 1)));
    if (name == "style") {  // of HTML: no markup inside
      end = text.find("</style>", end) + 7;
    } else if (inside.starts_with('/')) {
      if (open.empty() || "/" + open.back() != inside) return no("closes what is not open: " + std::string(inside));
      open.pop_back();
    } else if (!inside.ends_with('/') && !inside.starts_with('!')) {
      bool single = false;
      for (const std::string_view each : singles) single |= each == name;
      if (!single) open.push_back(name);
    }
    i = end;
  }
  return open.empty() ? boost::test_tools::assertion_result(true) : no("not closed: " + open.back());
}

// How often `part` stands in `text`.
inline int times(std::string_view text, std::string_view part) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) ++count;
  return count;
}

}  // namespace embergrad::test

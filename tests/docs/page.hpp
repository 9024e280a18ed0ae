// What the programs made of the documentation's pages are held together by.
#pragma once

#include <string_view>

namespace docs {

/// Puts a page's program on the list that main looks into.
struct Page {
  Page(const char* name, void (*run)());
};

void write_file(const char* name, std::string_view content);

/// Throws unless `expected` is what was printed to std::cout since the last call.
void check_printed(const char* page, int line, std::string_view expected);

}  // namespace docs

using docs::check_printed;  // NOLINT: for the programs
using docs::write_file;     // NOLINT

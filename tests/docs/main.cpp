// Runs the snippets of one page, in an empty directory of its own: test_docs PAGE [FILE TO HAVE THERE]…
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

#include "docs/page.hpp"

namespace docs {
namespace {

std::map<std::string, void (*)()>& pages() {
  static std::map<std::string, void (*)()> all;
  return all;
}

std::ostringstream printed;

}  // namespace

Page::Page(const char* name, void (*run)()) { pages()[name] = run; }

void write_file(const char* name, std::string_view content) { std::ofstream(name, std::ios::binary) << content; }

void check_printed(const char* page, int line, std::string_view expected) {
  const std::string got = printed.str();
  printed.str("");
  if (got == expected) return;
  throw std::runtime_error(std::string(page) + ":" + std::to_string(line) + ": the page says\n" +
                           std::string(expected) + "but printed was\n" + got);
}

}  // namespace docs

int main(int count, char** arguments) try {
  const std::string name = count > 1 ? arguments[1] : "";
  const auto page = docs::pages().find(name);
  if (page == docs::pages().end()) throw std::runtime_error("no page is called \"" + name + "\"");
  namespace fs = std::filesystem;
  const fs::path directory = "run-" + name;
  fs::remove_all(directory);
  fs::create_directory(directory);
  for (int i = 2; i < count; ++i) fs::copy(arguments[i], directory);
  fs::current_path(directory);

  std::streambuf* const console = std::cout.rdbuf(docs::printed.rdbuf());
  try {
    page->second();
  } catch (...) {
    std::cout.rdbuf(console);
    throw;
  }
  std::cout.rdbuf(console);
  if (!docs::printed.str().empty()) {
    throw std::runtime_error(name + ": printed, but not on the page:\n" + docs::printed.str());
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}

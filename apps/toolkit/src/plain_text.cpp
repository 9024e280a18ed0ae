#include <embergrad/text/plain_text.hpp>

#include <algorithm>
#include <embergrad/error.hpp>
#include <embergrad/text/lines.hpp>
#include <memory>
#include <ostream>
#include <utility>

#include "check_tags.hpp"

namespace embergrad::text {
namespace {
constexpr std::string_view separators = " \t";
}  // namespace

Corpus read_text(const std::string& path) { return parse_text(read_file(path), path); }

Corpus parse_text(std::string bytes, const std::string& name) {
  const auto file = std::make_shared<const std::string>(std::move(bytes));
  std::vector<Word> words;
  std::vector<int64_t> ends;
  Lines lines(*file, name);
  while (const auto line = lines.next()) {
    const std::size_t before = words.size();
    std::string_view rest = line->text;
    while (true) {
      rest.remove_prefix(std::min(rest.find_first_not_of(separators), rest.size()));
      if (rest.empty()) break;
      const std::string_view form = rest.substr(0, rest.find_first_of(separators));
      words.push_back({.form = form, .tag = {}});
      rest.remove_prefix(form.size());
    }
    if (words.size() > before) ends.push_back(static_cast<int64_t>(words.size()));
  }
  return Corpus(file, std::move(words), std::move(ends), CorpusFormat::text);
}

void write_text(std::ostream& out, const Corpus& corpus, const std::vector<std::vector<std::string>>& tags) {
  if (corpus.format() != CorpusFormat::text) {
    throw ValueError("write_text: the corpus was not read from plain text");
  }
  const std::string_view bytes = corpus.source();
  check_tags("write_text", corpus, tags, std::string_view(" \t\r\n\0", 5));

  const auto put = [&out](std::string_view text) { out.write(text.data(), static_cast<std::streamsize>(text.size())); };
  Lines lines(bytes, "");
  std::size_t s = 0;
  while (const auto line = lines.next()) {
    if (line->text.find_first_not_of(separators) != std::string_view::npos) {
      const Sentence sentence = corpus[static_cast<int64_t>(s)];
      for (std::size_t w = 0; w < sentence.size(); ++w) {
        if (w > 0) put(" ");
        put(sentence[w].form);
        put("/");
        put(tags[s][w]);
      }
      ++s;
    }
    put("\n");
  }
  if (!out.flush()) throw IoError("write_text: the output stream failed");
}

}  // namespace embergrad::text

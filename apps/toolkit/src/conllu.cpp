#include <embergrad/text/conllu.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <embergrad/error.hpp>
#include <embergrad/text/lines.hpp>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <utility>

#include "check_tags.hpp"
#include "printable.hpp"

namespace embergrad::text {
namespace {

constexpr std::size_t column_count = 10;
constexpr std::size_t form_column = 1;
constexpr std::size_t tag_column = 3;

using Columns = std::array<std::string_view, column_count>;

/// The first ten columns, and how many there are.
std::size_t split(std::string_view line, Columns& columns) {
  std::size_t count = 0;
  std::size_t start = 0;
  while (true) {
    const std::size_t tab = line.find('\t', start);
    if (count < column_count) columns[count] = line.substr(start, tab == std::string_view::npos ? tab : tab - start);
    ++count;
    if (tab == std::string_view::npos) return count;
    start = tab + 1;
  }
}

/// Decimal digits without a leading zero. Stops at the largest number, which no sentence reaches: 2^64 + 2 is not 2.
std::optional<uint64_t> number(std::string_view digits) {
  if (digits.empty() || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  constexpr uint64_t most = std::numeric_limits<uint64_t>::max();
  uint64_t value = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    const auto units = static_cast<uint64_t>(digit - '0');
    value = value > (most - units) / 10 ? most : 10 * value + units;
  }
  return value;
}

/// Follows the IDs of one block of lines after the other, whatever the other columns hold.
class Ids {
 public:
  explicit Ids(const Lines& lines) : lines_(lines) {}

  /// Takes the ID of a line; true if the line is a word.
  bool take(int64_t line, std::string_view id) {
    if (const auto word = number(id)) {
      if (*word != words_ + 1) lines_.refuse(fmt::format("ID {} where {} was due", printable(id), words_ + 1));
      ++words_;
      empty_nodes_ = 0;
      return true;
    }
    const std::size_t mark = id.find_first_of("-.");
    const auto left = number(id.substr(0, mark));
    const auto right = mark == std::string_view::npos ? std::nullopt : number(id.substr(mark + 1));
    if (!left || !right) lines_.refuse(fmt::format("'{}' is no ID", printable(id)));
    if (id[mark] == '-') {
      take_range(line, id, *left, *right);
    } else {
      take_empty_node(id, *left, *right);
    }
    return false;
  }

  /// The block ends here. True if it held a word.
  bool end_block() {
    if (range_end_ > words_) {
      lines_.refuse(range_line_, fmt::format("the range reaches to word {}, but the sentence ends with word {}",
                                             range_end_, words_));
    }
    const bool any = words_ > 0;
    words_ = empty_nodes_ = range_end_ = 0;
    return any;
  }

 private:
  void take_range(int64_t line, std::string_view id, uint64_t first, uint64_t last) {
    if (last < first) lines_.refuse(fmt::format("range {} runs backwards", printable(id)));
    if (first != words_ + 1) {
      lines_.refuse(
          fmt::format("range {} does not stand before its first word: {} comes next", printable(id), words_ + 1));
    }
    if (first <= range_end_) lines_.refuse(fmt::format("range {} overlaps the one before", printable(id)));
    range_end_ = last;
    range_line_ = line;
  }

  void take_empty_node(std::string_view id, uint64_t word, uint64_t node) {
    if (word != words_ || node != empty_nodes_ + 1) {
      lines_.refuse(
          fmt::format("empty node {} where {}.{} would be in order", printable(id), words_, empty_nodes_ + 1));
    }
    ++empty_nodes_;
  }

  const Lines& lines_;
  uint64_t words_ = 0;
  uint64_t empty_nodes_ = 0;
  uint64_t range_end_ = 0;
  int64_t range_line_ = 0;
};

[[noreturn]] void refuse_columns(const Lines& lines, const Line& line, std::size_t count) {
  if (line.text.starts_with("version https://git-lfs.github.com/")) {
    lines.refuse("a Git LFS pointer in place of the data: fetch the file itself");
  }
  lines.refuse(fmt::format("{} column{} instead of ten, separated by single tabs: '{}'", count, count == 1 ? "" : "s",
                           printable(line.text)));
}

}  // namespace

Corpus read_conllu(const std::string& path, const ConlluOptions& options) {
  return parse_conllu(read_file(path), path, options);
}

Corpus parse_conllu(std::string bytes, const std::string& name, const ConlluOptions& options) {
  const auto file = std::make_shared<const std::string>(std::move(bytes));
  std::vector<Word> words;
  std::vector<int64_t> ends;
  Lines lines(*file, name);
  Ids ids(lines);
  Columns columns;

  const auto end_block = [&] {
    if (ids.end_block()) ends.push_back(static_cast<int64_t>(words.size()));
  };
  while (const auto line = lines.next()) {
    const std::string_view text = line->text;
    if (text.find_first_not_of(' ') == std::string_view::npos) {
      end_block();
      continue;
    }
    if (text.front() == '#') continue;
    const std::size_t count = split(text, columns);
    if (count != column_count) refuse_columns(lines, *line, count);
    if (!ids.take(line->number, columns[0])) continue;
    const Word word{.form = columns[form_column], .tag = columns[tag_column]};
    if (word.form.empty()) lines.refuse("the form, column 2, is empty");
    if (options.purpose == Purpose::train && (word.tag.empty() || word.tag == "_")) {
      lines.refuse(fmt::format("word {} has no tag in column 4", printable(columns[0])));
    }
    words.push_back(word);
  }
  end_block();
  if (options.purpose == Purpose::train && ends.empty()) lines.refuse_file("no sentence in the file");
  return Corpus(file, std::move(words), std::move(ends), CorpusFormat::conllu);
}

void write_conllu(std::ostream& out, const Corpus& corpus, const std::vector<std::vector<std::string>>& tags) {
  if (corpus.format() != CorpusFormat::conllu) throw ValueError("write_conllu: the corpus was read from plain text");
  const std::string_view bytes = corpus.source();
  check_tags("write_conllu", corpus, tags, std::string_view("\t\r\n\0", 4));

  const auto put = [&out](std::string_view text) { out.write(text.data(), static_cast<std::streamsize>(text.size())); };
  std::size_t copied = 0;
  for (std::size_t s = 0; s < tags.size(); ++s) {
    const Sentence sentence = corpus[static_cast<int64_t>(s)];
    for (std::size_t w = 0; w < sentence.size(); ++w) {
      const auto place = static_cast<std::size_t>(sentence[w].tag.data() - bytes.data());
      put(bytes.substr(copied, place - copied));
      put(tags[s][w]);
      copied = place + sentence[w].tag.size();
    }
  }
  put(bytes.substr(copied));
  if (!out.flush()) throw IoError("write_conllu: the output stream failed");
}

}  // namespace embergrad::text

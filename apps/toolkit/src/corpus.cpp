#include <embergrad/text/corpus.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <embergrad/error.hpp>
#include <functional>
#include <utility>

namespace embergrad::text {
namespace {

std::string_view without_spaces(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

/// Whether `part` lies in `whole`; they may be parts of different objects, which only std::less compares.
bool lies_in(std::string_view part, std::string_view whole) {
  const std::less_equal<const char*> not_behind;
  return not_behind(whole.data(), part.data()) && not_behind(part.data() + part.size(), whole.data() + whole.size());
}

/// The line that starts at `start`, without its end.
std::string_view line_at(std::string_view bytes, std::size_t start) {
  std::string_view line = bytes.substr(start);
  line = line.substr(0, line.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// Whether a line ends a sentence, as in `read_conllu`.
bool is_blank(std::string_view line) { return line.find_first_not_of(' ') == std::string_view::npos; }

}  // namespace

Corpus::Corpus(std::shared_ptr<const std::string> bytes, std::vector<Word> words, std::vector<int64_t> ends,
               CorpusFormat format)
    : files_{std::move(bytes)}, words_(std::move(words)), ends_(std::move(ends)), format_(format) {
  int64_t before = 0;
  for (const int64_t end : ends_) {
    if (end <= before)
      throw ValueError(fmt::format("Corpus: a sentence ends at word {}, the one before at {}", end, before));
    before = end;
  }
  if (before != word_count()) {
    throw ValueError(fmt::format("Corpus: the last sentence ends at word {} of {}", before, word_count()));
  }
}

Sentence Corpus::operator[](int64_t i) const {
  if (i < 0 || i >= size()) throw IndexError(fmt::format("Corpus: sentence {} of {}", i, size()));
  const auto at = static_cast<std::size_t>(i);
  const auto start = at == 0 ? std::size_t{0} : static_cast<std::size_t>(ends_[at - 1]);
  return Sentence(words_).subspan(start, static_cast<std::size_t>(ends_[at]) - start);
}

std::vector<std::string_view> Corpus::comments(int64_t i) const {
  const std::string_view form = (*this)[i].front().form;
  std::vector<std::string_view> found;
  if (format_ != CorpusFormat::conllu) return found;
  const auto file = std::find_if(files_.begin(), files_.end(), [&](const auto& one) { return lies_in(form, *one); });
  if (file == files_.end()) return found;

  // Back to the first line of the block, then on to its last.
  const std::string_view bytes = **file;
  const auto line_start = [&](std::size_t place) {
    const auto end = bytes.substr(0, place).rfind('\n');
    return end == std::string_view::npos ? std::size_t{0} : end + 1;
  };
  std::size_t start = line_start(static_cast<std::size_t>(form.data() - bytes.data()));
  while (start > 0) {
    const std::size_t before = line_start(start - 1);
    if (is_blank(line_at(bytes, before))) break;
    start = before;
  }
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (start == 0 && bytes.starts_with(byte_order_mark)) start = byte_order_mark.size();
  while (start < bytes.size()) {
    const std::string_view line = line_at(bytes, start);
    if (is_blank(line)) break;
    if (line.front() == '#') found.push_back(without_spaces(line.substr(1)));
    const auto end = bytes.find('\n', start);
    if (end == std::string_view::npos) break;
    start = end + 1;
  }
  return found;
}

std::optional<std::string_view> Corpus::comment(int64_t i, std::string_view key) const {
  for (const std::string_view line : comments(i)) {
    const auto sign = line.find('=');
    if (sign == std::string_view::npos || without_spaces(line.substr(0, sign)) != key) continue;
    return without_spaces(line.substr(sign + 1));
  }
  return std::nullopt;
}

std::vector<int64_t> Corpus::lengths() const {
  std::vector<int64_t> lengths;
  lengths.reserve(ends_.size());
  int64_t start = 0;
  for (const int64_t end : ends_) {
    lengths.push_back(end - start);
    start = end;
  }
  return lengths;
}

Corpus Corpus::select(std::span<const int64_t> sentences) const {
  Corpus chosen;
  chosen.files_ = files_;
  chosen.format_ = format_;
  chosen.whole_ = false;
  chosen.ends_.reserve(sentences.size());
  for (const int64_t i : sentences) {
    const Sentence sentence = (*this)[i];
    chosen.words_.insert(chosen.words_.end(), sentence.begin(), sentence.end());
    chosen.ends_.push_back(chosen.word_count());
  }
  return chosen;
}

void Corpus::append(const Corpus& other) {
  if (files_.empty()) {
    *this = other;
    return;
  }
  if (this == &other) {  // inserting a vector into itself is not allowed
    append(Corpus(other));
    return;
  }
  const int64_t shift = word_count();
  files_.insert(files_.end(), other.files_.begin(), other.files_.end());
  words_.insert(words_.end(), other.words_.begin(), other.words_.end());
  ends_.reserve(ends_.size() + other.ends_.size());
  for (const int64_t end : other.ends_) ends_.push_back(shift + end);
  whole_ = false;
}

std::string_view Corpus::source() const {
  if (!whole_) throw ValueError("Corpus: a selection or several files together have no one source to write again");
  return files_.empty() ? std::string_view() : std::string_view(*files_.front());
}

}  // namespace embergrad::text

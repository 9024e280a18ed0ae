#include <embergrad/text/corpus.hpp>

#include <fmt/format.h>

#include <embergrad/error.hpp>
#include <utility>

namespace embergrad::text {

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

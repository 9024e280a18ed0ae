#include "features.hpp"

#include <algorithm>
#include <utility>

namespace classify {
namespace {

namespace eg = embergrad;

bool is_space(unsigned char byte) { return byte <= ' ' || byte == 0x7F; }

bool in_word(unsigned char byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || byte == '\'';
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool open = false;  // whether the next letter belongs to the last word
  for (const char byte : text) {
    const char small = byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + ('a' - 'A')) : byte;
    const bool letter = in_word(static_cast<unsigned char>(small));
    if (letter && open) {
      words.back() += small;
    } else if (letter || !is_space(static_cast<unsigned char>(small))) {
      words.emplace_back(1, small);
    }
    open = letter;
  }
  return words;
}

Features::Features(eg::text::Vocabulary words, const FeatureOptions& options)
    : words_(std::move(words)),
      options_(options),
      chars_({.minn = options.min_chars,
              .maxn = options.max_chars,
              .bucket = options.buckets,
              .first_id = words_.size()}) {}

int64_t Features::rows() const {
  const bool hashes = options_.word_ngrams > 1 || options_.max_chars > 0;
  return words_.size() + (hashes ? options_.buckets : 0);
}

std::vector<int64_t> Features::ids(std::string_view text) const {
  const std::vector<std::string> words = words_of(text);
  std::vector<int64_t> ids;
  std::vector<uint64_t> hashes;
  for (const std::string& word : words) {
    if (const auto id = words_.find(word)) ids.push_back(*id);
    chars_.append(word, ids);
    // As a signed number, as fastText has it.
    hashes.push_back(static_cast<uint64_t>(static_cast<int32_t>(eg::text::fasttext_hash(word))));
  }
  const auto longest = static_cast<std::size_t>(options_.word_ngrams);
  for (std::size_t start = 0; start < hashes.size(); ++start) {
    uint64_t hash = hashes[start];
    for (std::size_t i = start + 1; i < std::min(hashes.size(), start + longest); ++i) {
      hash = hash * 116049371U + hashes[i];
      ids.push_back(words_.size() + static_cast<int64_t>(hash % static_cast<uint64_t>(options_.buckets)));
    }
  }
  return ids;
}

}  // namespace classify

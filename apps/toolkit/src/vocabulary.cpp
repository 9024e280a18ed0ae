#include <embergrad/text/vocabulary.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <embergrad/error.hpp>
#include <set>
#include <utility>

#include "printable.hpp"

namespace embergrad::text {
namespace {
constexpr std::size_t special_count = 2;
constexpr const char* pad_name = "<pad>";
constexpr const char* unknown_name = "<unk>";
}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> words, bool has_specials)
    : words_(std::move(words)), has_specials_(has_specials) {
  const std::size_t first = has_specials_ ? special_count : 0;
  if (has_specials_ && (words_.size() < special_count || words_[0] != pad_name || words_[1] != unknown_name)) {
    throw ValueError(fmt::format("Vocabulary: the list does not start with {}, {}", pad_name, unknown_name));
  }
  ids_.reserve(words_.size() - first);
  for (std::size_t i = first; i < words_.size(); ++i) {
    const auto [place, is_new] = ids_.emplace(words_[i], static_cast<int64_t>(i));
    if (!is_new) {
      throw ValueError(fmt::format("Vocabulary: '{}' has ids {} and {}", printable(words_[i]), place->second, i));
    }
  }
}

namespace {

using Counts = std::unordered_map<std::string_view, int64_t>;

/// The specials, then what is frequent enough.
std::vector<std::string> most_frequent_first(const Counts& counts, int64_t min_count) {
  std::vector<std::pair<std::string_view, int64_t>> kept;
  for (const auto& entry : counts) {
    if (entry.second >= min_count) kept.emplace_back(entry);
  }
  std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<std::string> words = {pad_name, unknown_name};
  words.reserve(special_count + kept.size());
  for (const auto& entry : kept) words.emplace_back(entry.first);
  return words;
}

void check(const VocabularyOptions& options) {
  if (options.min_count < 1)
    throw ValueError(fmt::format("Vocabulary: min_count is {}, less than 1", options.min_count));
}

}  // namespace

Vocabulary Vocabulary::of_words(const Corpus& corpus, const VocabularyOptions& options) {
  check(options);
  Counts counts;
  for (const Word& word : corpus.words()) ++counts[word.form];
  return Vocabulary(most_frequent_first(counts, options.min_count), true);
}

Vocabulary Vocabulary::of_words(std::span<const std::string_view> words, const VocabularyOptions& options) {
  check(options);
  Counts counts;
  for (const std::string_view word : words) ++counts[word];
  return Vocabulary(most_frequent_first(counts, options.min_count), true);
}

Vocabulary Vocabulary::of_tags(const Corpus& corpus) {
  std::set<std::string_view> tags;
  for (const Word& word : corpus.words()) {
    if (word.tag.empty() || word.tag == "_") {
      throw ValueError(fmt::format("Vocabulary::of_tags: the word '{}' has no tag", printable(word.form)));
    }
    tags.insert(word.tag);
  }
  return Vocabulary({tags.begin(), tags.end()}, false);
}

Vocabulary Vocabulary::of_labels(std::span<const std::string_view> labels) {
  const std::set<std::string_view> names(labels.begin(), labels.end());
  return Vocabulary({names.begin(), names.end()}, false);
}

int64_t Vocabulary::id(std::string_view word) const {
  if (const auto found = find(word)) return *found;
  if (has_specials_) return unknown_id;
  throw ValueError(fmt::format("Vocabulary: '{}' is not one of its {} strings", printable(word), size()));
}

std::optional<int64_t> Vocabulary::find(std::string_view word) const {
  const auto place = ids_.find(word);
  return place == ids_.end() ? std::nullopt : std::optional<int64_t>(place->second);
}

const std::string& Vocabulary::name(int64_t id) const {
  if (id < 0 || id >= size()) throw IndexError(fmt::format("Vocabulary: id {}, but there are {}", id, size()));
  return words_[static_cast<std::size_t>(id)];
}

std::vector<int64_t> Vocabulary::ids(std::span<const std::string_view> words) const {
  std::vector<int64_t> ids;
  ids.reserve(words.size());
  for (const std::string_view word : words) ids.push_back(id(word));
  return ids;
}

std::vector<int64_t> Vocabulary::form_ids(Sentence sentence) const {
  std::vector<int64_t> ids;
  ids.reserve(sentence.size());
  for (const Word& word : sentence) ids.push_back(id(word.form));
  return ids;
}

std::vector<int64_t> Vocabulary::tag_ids(Sentence sentence) const {
  std::vector<int64_t> ids;
  ids.reserve(sentence.size());
  for (const Word& word : sentence) ids.push_back(id(word.tag));
  return ids;
}

std::vector<std::string> Vocabulary::names(std::span<const int64_t> ids) const {
  std::vector<std::string> names;
  names.reserve(ids.size());
  for (const int64_t one : ids) names.push_back(name(one));
  return names;
}

}  // namespace embergrad::text

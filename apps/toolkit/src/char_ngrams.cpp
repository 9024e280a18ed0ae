#include <embergrad/text/char_ngrams.hpp>

#include <fmt/format.h>

#include <embergrad/error.hpp>
#include <limits>

#include "utf8.hpp"

namespace embergrad::text {

CharNgrams::CharNgrams(const CharNgramOptions& options) : options_(options) {
  constexpr int64_t most_buckets = int64_t{1} << 32;
  const auto check = [](const char* name, int64_t value, int64_t least, int64_t most) {
    if (value >= least && value <= most) return;
    throw ValueError(fmt::format("CharNgrams: {} is {}, not {} … {}", name, value, least, most));
  };
  check("minn", options.minn, 0, most_characters);
  if (options.maxn != 0) check("maxn", options.maxn, options.minn, most_characters);
  check("bucket", options.bucket, 1, most_buckets);
  check("first_id", options.first_id, 0, std::numeric_limits<int64_t>::max() - most_buckets);
}

void CharNgrams::append(std::string_view word, std::vector<int64_t>& ids) const {
  // The bytes of <word>, without making that string.
  const std::size_t size = word.size() + 2;
  const auto byte = [&](std::size_t i) { return i == 0 ? '<' : (i == size - 1 ? '>' : word[i - 1]); };
  for (std::size_t start = 0; start < size; ++start) {
    if (continues_character(byte(start))) continue;
    uint32_t hash = fasttext_hash({});
    std::size_t end = start;
    for (int64_t n = 1; n <= options_.maxn && end < size; ++n) {
      do {
        const char one = byte(end++);
        hash = fasttext_hash(std::string_view(&one, 1), hash);
      } while (end < size && continues_character(byte(end)));
      const bool mark_alone = n == 1 && (start == 0 || end == size);
      if (n >= options_.minn && !mark_alone) ids.push_back(options_.first_id + hash % options_.bucket);
    }
  }
}

std::vector<int64_t> CharNgrams::ids(std::string_view word) const {
  std::vector<int64_t> ids;
  append(word, ids);
  return ids;
}

}  // namespace embergrad::text

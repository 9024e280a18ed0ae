#include "check_tags.hpp"

#include <fmt/format.h>

#include <embergrad/error.hpp>

#include "printable.hpp"

namespace embergrad::text {

void check_tags(const char* writer, const Corpus& corpus, const std::vector<std::vector<std::string>>& tags,
                std::string_view forbidden) {
  if (static_cast<int64_t>(tags.size()) != corpus.size()) {
    throw ValueError(fmt::format("{}: tags for {} sentences, but there are {}", writer, tags.size(), corpus.size()));
  }
  for (std::size_t s = 0; s < tags.size(); ++s) {
    const std::size_t words = corpus[static_cast<int64_t>(s)].size();
    if (tags[s].size() != words) {
      throw ValueError(fmt::format("{}: sentence {} got {} tags for {} words", writer, s, tags[s].size(), words));
    }
    for (const std::string& tag : tags[s]) {
      if (tag.empty() || tag.find_first_of(forbidden) != std::string::npos) {
        throw ValueError(fmt::format("{}: '{}' in sentence {} can't be written as a tag", writer, printable(tag), s));
      }
    }
  }
}

}  // namespace embergrad::text

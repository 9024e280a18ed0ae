#include "files.hpp"

#include <common/files.hpp>

namespace tagger {

std::string counts(const embergrad::text::Corpus& corpus) {
  return common::count(corpus.size(), "sentence") + ", " + common::count(corpus.word_count(), "word");
}

}  // namespace tagger

#include "files.hpp"

namespace tagger {

std::string counts(const embergrad::text::Corpus& corpus) {
  return count(corpus.size(), "sentence") + ", " + count(corpus.word_count(), "word");
}

}  // namespace tagger

/// @file
/// What the commands share about files.
#pragma once

#include <embergrad/text/corpus.hpp>
#include <string>

namespace tagger {

/// "3 sentences, 1 word"
[[nodiscard]] std::string counts(const embergrad::text::Corpus& corpus);

}  // namespace tagger

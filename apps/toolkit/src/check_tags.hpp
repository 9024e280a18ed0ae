/// @file
/// What the writers of tagged files demand of the tags they are given.
#pragma once

#include <embergrad/text/corpus.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace embergrad::text {

/// Throws ValueError, naming `writer`, unless there is one tag a word and none of them holds a character of
/// `forbidden`.
void check_tags(const char* writer, const Corpus& corpus, const std::vector<std::vector<std::string>>& tags,
                std::string_view forbidden);

}  // namespace embergrad::text

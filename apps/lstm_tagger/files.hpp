/// @file
/// What the commands share about files.
#pragma once

#include <common/files.hpp>
#include <embergrad/text/corpus.hpp>
#include <string>

namespace tagger {

using program::check_output;
using program::count;
using program::name_of_input;
using program::read_input;
using program::shown;
using program::write_file;

/// "3 sentences, 1 word"
[[nodiscard]] std::string counts(const embergrad::text::Corpus& corpus);

}  // namespace tagger

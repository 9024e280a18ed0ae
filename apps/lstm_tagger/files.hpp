/// @file
/// What the commands share about files.
#pragma once

#include <common/files.hpp>
#include <embergrad/text/corpus.hpp>
#include <string>

namespace tagger {

using common::check_distinct;
using common::check_output;
using common::count;
using common::FileLock;
using common::name_of_input;
using common::NamedFile;
using common::read_input;
using common::shown;
using common::write_file;

/// "3 sentences, 1 word"
[[nodiscard]] std::string counts(const embergrad::text::Corpus& corpus);

}  // namespace tagger

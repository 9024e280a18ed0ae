/// @file
/// Plain text: one sentence a line, its words separated by spaces or tabs.
#pragma once

#include <embergrad/text/corpus.hpp>
#include <iosfwd>
#include <string>
#include <vector>

namespace embergrad::text {

/// Reads plain text. Lines as Lines takes them; only spaces and tabs separate words (a no-break space is part of a
/// word). A line without a word makes no sentence. No word has a tag.
///
/// Throws FormatError `path:line: reason` for the first fault in the file and IoError where it can't be read. Time and
/// memory are linear in the file's size.
[[nodiscard]] Corpus read_text(const std::string& path);

/// The same from bytes in memory; `name` stands for the path in messages.
[[nodiscard]] Corpus parse_text(std::string bytes, const std::string& name);

/// Writes one line for each line that was read: `form/TAG` for its words, with single spaces between them; a line
/// without a word stays as an empty one. Lines end with LF, the last one too. Where a form holds a slash, the last one
/// separates.
///
/// @code{.txt}
/// The cat  sat .          The/DET cat/NOUN sat/VERB ./PUNCT
/// @endcode
///
/// Throws, before anything is written, ValueError for a corpus that is not one whole text file, for numbers of
/// sentences or words that don't fit, and for a tag that is empty or holds a space, tab, CR, LF or NUL; IoError when
/// the stream fails.
void write_text(std::ostream& out, const Corpus& corpus, const std::vector<std::vector<std::string>>& tags);

}  // namespace embergrad::text

/// @file
/// CoNLL-U, the format of Universal Dependencies: reading words and tags, and writing a file again with new tags.
#pragma once

#include <embergrad/text/corpus.hpp>
#include <iosfwd>
#include <string>
#include <vector>

namespace embergrad::text {

/// What a file is read for.
enum class Purpose {
  train,  ///< training and evaluation: every word needs a tag, and there must be a sentence
  tag,    ///< to be tagged: the tag column is not looked at, a file without a word is fine
};

/// How to read CoNLL-U.
struct ConlluOptions {
  Purpose purpose = Purpose::train;  ///< what the file is read for
};

/// Reads a CoNLL-U file: forms are column 2, tags are UPOS, column 4.
///
/// The rules: UTF-8, lines as Lines takes them. An empty line, or one of spaces only, ends a sentence; lines that start
/// with
/// `#` are comments. Every other line has ten columns between single tabs and an ID: 1, 2, 3 … for words; `a-b` (a
/// range) before word a, overlapping no other and ending within the sentence; `n.m` (an empty node) after word n, m =
/// 1, 2 …. Ranges and empty nodes are no words. A form is not empty; everything else in it is data. Any tag but the
/// empty one and
/// `_` is a class of its own. A block without a word makes no sentence.
///
/// Throws FormatError `path:line: reason` for the first fault in the file, FormatError `path: no sentence …` for
/// training on a file without one, IoError where the file can't be read. Time and memory are linear in the file's size;
/// no length is limited.
[[nodiscard]] Corpus read_conllu(const std::string& path, const ConlluOptions& options = {});

/// The same from bytes in memory; `name` stands for the path in messages.
[[nodiscard]] Corpus parse_conllu(std::string bytes, const std::string& name, const ConlluOptions& options = {});

/// Writes the file that `corpus` was read from with `tags[sentence][word]` in the tag column of its words. Everything
/// else stays as it was, to the byte: comments, ranges, empty nodes, blank lines, line ends, a byte order mark, a
/// missing last LF.
///
/// Throws, before anything is written, ValueError for a corpus that is not one whole CoNLL-U file, for numbers of
/// sentences or words that don't fit, and for a tag that is empty or holds a tab, CR, LF or NUL; IoError when the
/// stream fails.
void write_conllu(std::ostream& out, const Corpus& corpus, const std::vector<std::vector<std::string>>& tags);

}  // namespace embergrad::text

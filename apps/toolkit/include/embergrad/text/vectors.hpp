/// @file
/// Word vectors that others trained, from the files of GloVe, word2vec and fastText.
#pragma once

#include <cstdint>
#include <embergrad/tensor.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

namespace embergrad::text {

/// The formats of files of word vectors.
enum class VectorFormat {
  automatic,        ///< found out from the beginning of the file
  glove,            ///< text, a line a word: the word and its numbers, separated by blanks
  word2vec_text,    ///< the same below a line with the number of vectors and their dimension; fastText's `.vec` as well
  word2vec_binary,  ///< that line; then for each word its bytes, a blank and its numbers as little-endian float32
};

/// The format's usual name: "GloVe", "word2vec text", …
[[nodiscard]] const char* name_of(VectorFormat format);

/// How to read a file of word vectors.
struct VectorOptions {
  /// Where the file's beginning does not tell: a file without a header whose first word and only number are whole
  /// numbers, for example.
  VectorFormat format = VectorFormat::automatic;
  bool lower_case = true;  ///< words that the file lacks take the vector of their lower-case form
};

/// What was found in a file of word vectors, for the words of a vocabulary.
struct VectorReport {
  VectorFormat format = VectorFormat::automatic;  ///< the file's; not `automatic`
  int64_t dim = 0;                                ///< numbers in a vector
  int64_t vectors = 0;                            ///< in the file
  int64_t exact = 0;                              ///< words of the vocabulary that stand there as they are
  int64_t lower_case = 0;                         ///< others that stand there in lower case
  int64_t duplicates = 0;             ///< vectors left out, as their word, one of those looked for, had one further up
  int64_t not_utf8 = 0;               ///< vectors left out, as their word is not UTF-8
  std::vector<int64_t> found = {};    ///< ids of the exact and the lower-case ones, ascending: the rows that were set
  std::vector<int64_t> missing = {};  ///< ids of all other words, ascending; specials are in neither list
};

/// One line that tells the counts, and a second one if vectors were left out; no line end behind them.
std::ostream& operator<<(std::ostream& out, const VectorReport& report);

/// A file of word vectors that is read once, from front to back: a pipe will do, and only the vectors that are asked
/// for are held in memory.
/// @code
/// VectorFile file("glove.6B.100d.txt");
/// nn::Embedding table({.num_embeddings = words.size(), .embedding_dim = file.dim(), .padding_idx = 0});
/// const VectorReport report = file.read(words, table.weight);
/// std::cout << report << "\n";
/// table.freeze_rows(report.found);   // what is missing is learned, what was found stays
/// @endcode
///
/// Text is UTF-8 with LF or CR LF; a byte order mark at the start is skipped. Blanks are spaces and tabs. A vector's
/// numbers are the last `dim` fields of its line, so that words may hold blanks (`. . .` in glove.840B.300d), unless
/// there is a number among the fields that are too many, at their end: then the line has too many numbers. Every number
/// must be decimal, finite and within float32's range; what is too small for it becomes 0. Without a header, `dim` is
/// the count of numbers behind the first word.
///
/// Everything in the file is checked, used or not. Refused with FormatError `file:line: reason`, for binary files
/// `file: vector N (byte M): reason`: numbers that are no such numbers, too many or too few of them, an empty line, a
/// line without a word, NUL bytes, lines above 4 MiB, binary words that are empty or above 64 KiB, more or fewer
/// vectors than the header says, a dimension of 0 or above `most_dim`, a file without vectors, and, by name, compressed
/// files and fastText's own models (`.bin`). Words that are not UTF-8 (word2vec cuts long ones anywhere) match nothing
/// and are counted.
class VectorFile {
 public:
  static constexpr int64_t most_dim = 65536;  ///< the largest dimension that is read

  /// Opens the file and finds out format and dimension. IoError; FormatError.
  explicit VectorFile(const std::string& path, const VectorOptions& options = {});
  ~VectorFile();
  VectorFile(VectorFile&& other) noexcept;             ///< leaves `other` good for nothing but assignment
  VectorFile& operator=(VectorFile&& other) noexcept;  ///< as the constructor

  /// Numbers in a vector.
  [[nodiscard]] int64_t dim() const;
  /// The file's format; not `automatic`.
  [[nodiscard]] VectorFormat format() const;

  /// Copies the vectors of the words of `words` into the rows of `table` that are their ids, converted to its element
  /// type. A word's own vector goes before that of its lower-case form, wherever they stand in the file; where a word
  /// stands there twice, the first one counts. Rows of specials and of words that are not found stay as they are, as
  /// does the whole table when the file is refused. The change is in place and not recorded.
  ///
  /// Lower case is Unicode's, of single letters of the Latin, Greek, Cyrillic and Armenian scripts.
  /// @param table  (rows, dim) with at least `words.size()` rows, of a floating type, on any device. ShapeError, which
  ///     names the file; DTypeError
  /// ValueError for a second call; FormatError and IoError (see above).
  [[nodiscard]] VectorReport read(const Vocabulary& words, const Tensor& table);

 private:
  class Reader;
  std::unique_ptr<Reader> reader_;
};

/// `VectorFile(path, options).read(words, table)`.
VectorReport read_vectors(const std::string& path, const Vocabulary& words, const Tensor& table,
                          const VectorOptions& options = {});

}  // namespace embergrad::text

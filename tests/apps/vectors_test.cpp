#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <embergrad/error.hpp>
#include <embergrad/nn/embedding.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/text/vectors.hpp>
#include <limits>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bad_files.hpp"
#include "support/temporary_directory.hpp"

namespace {

using embergrad::DType;
using embergrad::DTypeError;
using embergrad::FormatError;
using embergrad::full;
using embergrad::IoError;
using embergrad::ShapeError;
using embergrad::Tensor;
using embergrad::ValueError;
using embergrad::test::TemporaryDirectory;
using embergrad::test::write_bytes;
using embergrad::text::read_vectors;
using embergrad::text::VectorFile;
using embergrad::text::VectorFormat;
using embergrad::text::VectorOptions;
using embergrad::text::VectorReport;
using embergrad::text::Vocabulary;

using Ids = std::vector<int64_t>;
using Row = std::vector<float>;
using Strings = std::vector<std::string>;

constexpr float untouched = 9;

Vocabulary vocabulary(const Strings& words) {
  Strings all = {"<pad>", "<unk>"};
  all.insert(all.end(), words.begin(), words.end());
  return Vocabulary(all, true);
}

/// What is read of a file with these bytes.
struct Read {
  VectorReport report;
  Tensor table;

  [[nodiscard]] Row row(int64_t id) const { return table[id].to_vector(); }
};

Read read(const std::string& bytes, const Strings& words, int64_t dim, const VectorOptions& options = {}) {
  const TemporaryDirectory place;
  write_bytes(place / "f", bytes);
  const Vocabulary all = vocabulary(words);
  Read got{.report = {}, .table = full({all.size(), dim}, untouched)};
  got.report = read_vectors(place / "f", all, got.table, options);
  return got;
}

/// How a file with these bytes is refused, its name left out.
std::string message_of(const std::string& bytes, int64_t dim = 2, const VectorOptions& options = {}) {
  const TemporaryDirectory place;
  write_bytes(place / "f", bytes);
  const Vocabulary words = vocabulary({"a", "b", "c"});
  const Tensor table = full({words.size(), dim}, untouched);
  const auto message = bad_files::refusal([&] { (void)read_vectors(place / "f", words, table, options); });
  if (!message) return "accepted";
  for (const float x : table.to_vector()) BOOST_TEST(x == untouched);
  const std::string name = place / "f";
  BOOST_TEST(message->starts_with(name), *message);
  for (const char c : *message) BOOST_TEST(static_cast<unsigned char>(c) >= 0x20U);
  return "f" + message->substr(name.size());
}

std::string binary(const std::vector<std::pair<std::string, Row>>& vectors, const std::string& end = "\n") {
  std::string bytes = std::to_string(vectors.size()) + " " + std::to_string(vectors.front().second.size()) + "\n";
  for (const auto& [word, numbers] : vectors) {
    bytes += word + " ";
    for (const float x : numbers) {
      const auto four = std::bit_cast<std::array<char, 4>>(x);
      bytes.append(four.data(), four.size());
    }
    bytes += end;
  }
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(vectors)

BOOST_AUTO_TEST_CASE(glove) {
  const Read got = read("the 0.25 -1.5\ncat 1e-2 3\nof 4 5\n", {"cat", "dog", "the"}, 2);
  BOOST_TEST(got.row(2) == (Row{0.01F, 3}), boost::test_tools::per_element());
  BOOST_TEST(got.row(4) == (Row{0.25F, -1.5F}), boost::test_tools::per_element());
  for (const int64_t id : {0, 1, 3}) BOOST_TEST(got.row(id) == Row(2, untouched), boost::test_tools::per_element());
  BOOST_TEST((got.report.format == VectorFormat::glove));
  BOOST_TEST(got.report.dim == 2);
  BOOST_TEST(got.report.vectors == 3);
  BOOST_TEST(got.report.exact == 2);
  BOOST_TEST(got.report.lower_case == 0);
  BOOST_TEST(got.report.duplicates == 0);
  BOOST_TEST(got.report.not_utf8 == 0);
  BOOST_TEST(got.report.found == (Ids{2, 4}), boost::test_tools::per_element());
  BOOST_TEST(got.report.missing == (Ids{3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(every_spelling_of_text) {
  const std::string bom = "\xEF\xBB\xBF";
  for (const std::string bytes :
       {"a 1 2\nb 3 4\n", "a 1 2\nb 3 4", "a 1 2\r\nb 3 4\r\n", "a\t1\t2\nb  3\t 4\n", "a 1 2 \nb 3 4 \n",
        "2 2\na 1 2\nb 3 4\n", "2 2 \r\na 1 2 \r\nb 3 4 ", "2\t2\na 1 2\nb 3.0 4e0\n"}) {
    for (const std::string& start : {std::string(), bom}) {
      const Read got = read(start + bytes, {"a", "b"}, 2);
      BOOST_TEST_CONTEXT(bytes) {
        BOOST_TEST(got.row(2) == (Row{1, 2}), boost::test_tools::per_element());
        BOOST_TEST(got.row(3) == (Row{3, 4}), boost::test_tools::per_element());
        BOOST_TEST(got.report.vectors == 2);
        BOOST_TEST((got.report.format == (bytes[0] == '2' ? VectorFormat::word2vec_text : VectorFormat::glove)));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(word2vec_binary) {
  const std::vector<std::pair<std::string, Row>> vectors = {{"a", {1, -0.5F}}, {"caf\xC3\xA9", {0, 1e-30F}}};
  for (const std::string end : {"\n", ""}) {
    const Read got = read(binary(vectors, end), {"café", "b", "a"}, 2);
    BOOST_TEST((got.report.format == VectorFormat::word2vec_binary));
    BOOST_TEST(got.row(2) == (Row{0, 1e-30F}), boost::test_tools::per_element());
    BOOST_TEST(got.row(4) == (Row{1, -0.5F}), boost::test_tools::per_element());
    BOOST_TEST(got.report.missing == (Ids{3}), boost::test_tools::per_element());
  }
  // Bytes of numbers that look like ends of lines and blanks.
  const float odd = std::bit_cast<float>(0x200A0A20U);
  for (const std::string end : {"\n", ""}) {
    const Read got = read(binary({{"a", {odd, odd}}, {"b", {odd, 1}}}, end), {"a", "b"}, 2);
    BOOST_TEST(got.row(2) == (Row{odd, odd}), boost::test_tools::per_element());
    BOOST_TEST(got.row(3) == (Row{odd, 1}), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(words_that_hold_blanks) {
  const Read got = read(". . . 1 2\nat name@domain.com 3 4\na 5 6\n1 7 8\n", {". . .", "at name@domain.com", "1"}, 2);
  BOOST_TEST(got.row(2) == (Row{1, 2}), boost::test_tools::per_element());
  BOOST_TEST(got.row(3) == (Row{3, 4}), boost::test_tools::per_element());
  BOOST_TEST(got.row(4) == (Row{7, 8}), boost::test_tools::per_element());
  BOOST_TEST(got.report.vectors == 4);
  // Only spaces and tabs are blanks: these are a no-break space and a NEL.
  const Read others = read("1\u00A0000 1 2\n\u0085 3 4\n", {"1\u00A0000", "\u0085"}, 2);
  BOOST_TEST(others.report.exact == 2);
}

BOOST_AUTO_TEST_CASE(exact_goes_before_lower_case_wherever_it_stands) {
  const Strings words = {"The", "the", "THE", "Über", "Ωμέγα", "MOСКВА", "dog", "İ"};
  for (const std::string bytes : {"the 1\nThe 2\nüber 3\nωμέγα 4\nmoсква 5\nDog 6\ni 7\n",
                                  "The 2\nthe 1\nDog 6\ni 7\nmoсква 5\nωμέγα 4\nüber 3\n"}) {
    const Read got = read(bytes, words, 1);
    const std::vector<float> rows = got.table.to_vector();
    BOOST_TEST(rows == (Row{9, 9, 2, 1, 1, 3, 4, 5, 9, 9}), boost::test_tools::per_element());
    BOOST_TEST(got.report.exact == 2);
    BOOST_TEST(got.report.lower_case == 4);
    BOOST_TEST(got.report.found == (Ids{2, 3, 4, 5, 6, 7}), boost::test_tools::per_element());
    BOOST_TEST(got.report.missing == (Ids{8, 9}), boost::test_tools::per_element());
    const Read strict = read(bytes, words, 1, {.lower_case = false});
    BOOST_TEST(strict.table.to_vector() == (Row{9, 9, 2, 1, 9, 9, 9, 9, 9, 9}), boost::test_tools::per_element());
    BOOST_TEST(strict.report.lower_case == 0);
  }
}

BOOST_AUTO_TEST_CASE(the_first_of_duplicates_counts) {
  const Read got = read("a 1\nx 2\na 3\nb 4\na 5\nx 6\n", {"a", "b", "B"}, 1);
  BOOST_TEST(got.table.to_vector() == (Row{9, 9, 1, 4, 4}), boost::test_tools::per_element());
  BOOST_TEST(got.report.duplicates == 2);  // nobody looks for x
  BOOST_TEST(got.report.vectors == 6);
}

BOOST_AUTO_TEST_CASE(specials_are_no_words) {
  const Read got = read("<pad> 1\n<unk> 2\na 3\n", {"a"}, 1);
  BOOST_TEST(got.table.to_vector() == (Row{9, 9, 3}), boost::test_tools::per_element());
  const TemporaryDirectory place;
  write_bytes(place / "f", "<pad> 1\n<unk> 2\na 3\n");
  const Tensor table = full({4, 1}, untouched);  // more rows than words
  const VectorReport report = read_vectors(place / "f", Vocabulary({"<unk>", "b", "<pad>"}, false), table);
  BOOST_TEST(table.to_vector() == (Row{2, 9, 1, 9}), boost::test_tools::per_element());
  BOOST_TEST(report.missing == (Ids{1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(words_that_are_not_utf8_are_counted) {
  const Read text = read("2 1\ncaf\xE9 1\na 2\n", {"a", "café"}, 1);
  BOOST_TEST((text.report.format == VectorFormat::word2vec_text));
  BOOST_TEST(text.report.not_utf8 == 1);
  BOOST_TEST(text.report.vectors == 2);
  BOOST_TEST(text.row(2) == Row{2}, boost::test_tools::per_element());
  BOOST_TEST(read("caf\xE9 1\na 2\n", {"a", "café"}, 1).report.not_utf8 == 1);
  BOOST_TEST(read(binary({{"a\xC3", {1}}, {"a", {2}}}), {"a"}, 1).report.not_utf8 == 1);
}

BOOST_AUTO_TEST_CASE(any_table_of_floats) {
  const TemporaryDirectory place;
  write_bytes(place / "f", "a 0.5 -2\n");
  const Vocabulary words = vocabulary({"a"});
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16}) {
    const Tensor table = full({3, 2}, untouched, {.dtype = dtype});
    (void)read_vectors(place / "f", words, table);
    BOOST_TEST(table.to_vector() == (Row{9, 9, 9, 9, 0.5F, -2}), boost::test_tools::per_element());
  }
  embergrad::nn::Embedding layer({.num_embeddings = 3, .embedding_dim = 2, .padding_idx = 0});
  (void)read_vectors(place / "f", words, layer.weight);
  BOOST_TEST(layer.weight[2].to_vector() == (Row{0.5F, -2}), boost::test_tools::per_element());
  BOOST_TEST(layer.weight.requires_grad());
  BOOST_CHECK_THROW(read_vectors(place / "f", words, full({3, 2}, 1, {.dtype = DType::int64})), DTypeError);
  for (const embergrad::Shape& shape : {embergrad::Shape{3, 3}, {3, 1}, {2, 2}, {6}, {1, 3, 2}}) {
    BOOST_CHECK_EXCEPTION(read_vectors(place / "f", words, full(shape, 1)), ShapeError, [&](const ShapeError& error) {
      return std::string(error.what()) == place / "f" + ": the table is " + shape.to_string() +
                                              ", but the vectors have 2 numbers and the vocabulary 3 words";
    });
  }
}

BOOST_AUTO_TEST_CASE(a_file_says_what_it_is_before_it_is_read) {
  const TemporaryDirectory place;
  write_bytes(place / "f", "3 4\n");
  BOOST_TEST(VectorFile(place / "f").dim() == 4);
  write_bytes(place / "f", ". . 1 2 3\n");
  VectorFile file(place / "f");
  BOOST_TEST(file.dim() == 3);
  BOOST_TEST((file.format() == VectorFormat::glove));
  VectorFile moved = std::move(file);
  const Vocabulary words = vocabulary({". ."});
  const Tensor table = full({3, 3}, untouched);
  BOOST_TEST(moved.read(words, table).exact == 1);
  BOOST_CHECK_THROW((void)moved.read(words, table), ValueError);
}

BOOST_AUTO_TEST_CASE(a_pipe_will_do) {
  std::array<int, 2> ends = {};
  BOOST_TEST_REQUIRE(::pipe(ends.data()) == 0);
  std::string bytes = "20000 3\n";
  for (int i = 0; i < 20000; ++i) bytes += "w" + std::to_string(i) + " 1 2 3\n";
  std::thread writer([&] {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t written = ::write(ends[1], bytes.data() + at, bytes.size() - at);
      if (written <= 0) break;
      at += static_cast<std::size_t>(written);
    }
    ::close(ends[1]);
  });
  const Vocabulary words = vocabulary({"w0", "w19999"});
  VectorFile file("/dev/fd/" + std::to_string(ends[0]));
  const Tensor table = full({4, file.dim()}, untouched);
  BOOST_TEST(file.read(words, table).exact == 2);
  writer.join();
  ::close(ends[0]);
}

BOOST_AUTO_TEST_CASE(formats_can_be_forced) {
  // A word that is a number, with one number.
  BOOST_TEST(read("12 7\n13 8\n", {"13"}, 1, {.format = VectorFormat::glove}).row(2) == Row{8},
             boost::test_tools::per_element());
  BOOST_TEST(message_of("12 7\n13 8\n", 7) == "f:2: 1 number behind '13', where the header says 7");
  // Numbers whose bytes are letters.
  const float letters = std::bit_cast<float>(0x41424344U);
  const std::string bytes = binary({{"a", {letters}}});
  BOOST_TEST(message_of(bytes, 1) == "f:2: 'DCBA' is no decimal number");
  BOOST_TEST(read(bytes, {"a"}, 1, {.format = VectorFormat::word2vec_binary}).row(2) == Row{letters},
             boost::test_tools::per_element());
  BOOST_TEST(message_of("a 1 2\n", 2, {.format = VectorFormat::word2vec_text}) ==
             "f:1: 'a 1 2' where word2vec text has the number of vectors and their dimension");
  BOOST_TEST(message_of("a 1 2\n", 2, {.format = VectorFormat::word2vec_binary}).starts_with("f:1: 'a 1 2' where "));
}

BOOST_AUTO_TEST_CASE(bad_text_is_refused_by_line) {
  const std::map<std::string, std::string> bad = {
      {"", "f: no vectors: the file is empty"},
      {"\n", "f:1: '' is neither a word with its numbers nor a header (number of vectors, dimension)"},
      {"hello\n", "f:1: 'hello' is neither a word with its numbers nor a header (number of vectors, dimension)"},
      {"\x1b[31m\n", "f:1: '\\x1B[31m' is neither a word with its numbers nor a header (number of vectors, dimension)"},
      {"a 1 2\nb 3\n", "f:2: 1 number behind 'b', where line 1 has 2"},
      {"a 1 2\nb\n", "f:2: 0 numbers behind 'b', where line 1 has 2"},
      {"a 1 2\nb 3 4 5\n", "f:2: 3 numbers behind 'b', where line 1 has 2"},
      {"a 1 2\nb c 3 4 5\n", "f:2: 3 numbers behind 'c', where line 1 has 2"},
      {"a 1 2\nb 3 x\n", "f:2: 'x' is no decimal number"},
      {"a 1 2\nb 3 4x\n", "f:2: '4x' is no decimal number"},
      {"a 1 2\nb 3 0x4\n", "f:2: '0x4' is no decimal number"},
      {"a 1 2\nb 3 +4\n", "f:2: '+4' is no decimal number"},
      {"a 1 2\nb 3 4,5\n", "f:2: '4,5' is no decimal number"},
      {"a 1 2\nb 3 nan\n", "f:2: 'nan' is not finite"},
      {"a 1 2\nx -inf 4\n", "f:2: '-inf' is not finite"},
      {"a 1 2\nb 3 1e39\n", "f:2: '1e39' is out of the range of float32"},
      {"a 1 2\nb 3 1e999\n", "f:2: '1e999' is out of the range of float32"},
      {"a 1 2\n\nb 3 4\n", "f:2: an empty line"},
      {"a 1 2\n\n", "f:2: an empty line"},
      {"a 1 2\n 3 4\n", "f:2: a blank where the line's word should start"},
      {"a 1 2\n3 4\n", "f:2: 1 number behind '3', where line 1 has 2"},
      {std::string("a 1 2\nb\0 3 4\n", 13), "f:2: a NUL byte at byte 2 of the line: not a text file, or a damaged one"},
      {"a 1 2\rb 3 4\r", "f:1: a carriage return inside the line, at byte 6: lines end with LF or CR LF"},
      {"3 2\na 1 2\nb 3 4\n", "f: 2 vectors, but the header says 3"},
      {"2 2\na 1 2\n", "f: 1 vector, but the header says 2"},
      {"1 2\n", "f: 0 vectors, but the header says 1"},
      {"1 2", "f: 0 vectors, but the header says 1"},
      {"1 2\na 1 2\nb 3 4\n", "f:3: more than the 1 vectors that the header says"},
      {"2 2\na 1 2\nb 3\n", "f:3: 1 number behind 'b', where the header says 2"},
      {"0 2\n", "f:1: the header says that there are no vectors"},
      {"1 0\na\n", "f:1: the header says that the vectors have no numbers"},
      {"1 65537\na 1\n", "f:1: a dimension of 65537, where 65536 is the most that is read"},
      {"\xFF\xFE"
       "a",
       "f: not UTF-8: it starts with the byte order mark of UTF-16"},
      {"\x1F\x8B\x08", "f: compressed by gzip; gunzip unpacks it"},
      {"PK\x03\x04", "f: a zip archive; unzip unpacks it"},
      {"BZh91AY", "f: compressed by bzip2; bunzip2 unpacks it"},
      {std::string("\xFD\x37zXZ\0", 6), "f: compressed by xz; unxz unpacks it"},
      {"\x28\xB5\x2F\xFD", "f: compressed by zstd; unzstd unpacks it"},
      {"\xBA\x16\x4F\x2F\x0C", "f: a fastText model; its vectors are in the .vec file beside it"},
  };
  for (const auto& [bytes, message] : bad) BOOST_TEST(message_of(bytes) == message);
  BOOST_TEST(message_of(std::string(5 << 20, 'x')) ==
             "f:1: a line of more than 4194304 bytes: not a file of word vectors");
  BOOST_TEST(message_of("a 1 2\n" + std::string(5 << 20, ' ')) ==
             "f:2: a line of more than 4194304 bytes: not a file of word vectors");
  // What is too small for float32 is none of these.
  BOOST_TEST(read("a 1e-50 -1e-44\n", {"a"}, 2).row(2) == (Row{0, -1e-44F}), boost::test_tools::per_element());
  const TemporaryDirectory place;
  const Tensor table = full({2, 1}, 0);
  BOOST_CHECK_THROW(read_vectors(place / "missing", vocabulary({}), table), IoError);
  BOOST_CHECK_THROW(read_vectors(place.path().string(), vocabulary({}), table), IoError);
}

BOOST_AUTO_TEST_CASE(bad_binary_is_refused_by_vector_and_byte) {
  const std::string good = binary({{"a", {1, 2}}, {"b", {3, 4}}});  // 4 bytes, then 11 a vector
  const auto forced = [](const std::string& bytes) {
    return message_of(bytes, 2, {.format = VectorFormat::word2vec_binary});
  };
  BOOST_TEST(forced(good) == "accepted");
  BOOST_TEST(forced(good.substr(0, good.size() - 1)) == "accepted");
  BOOST_TEST(forced(good.substr(0, good.size() - 2)) ==
             "f: vector 2 (byte 15): cut off: the file ends 7 bytes into its 8 bytes of numbers");
  BOOST_TEST(message_of(good.substr(0, good.size() - 2)) ==
             "f: vector 2 (byte 15): cut off: the file ends 7 bytes into its 8 bytes of numbers");
  BOOST_TEST(forced(good.substr(0, 16)) == "f: vector 2 (byte 15): cut off: the file ends inside its word");
  BOOST_TEST(forced(good.substr(0, 15)) == "f: 1 vector, but the header says 2");
  BOOST_TEST(forced(good.substr(0, 14)) == "f: 1 vector, but the header says 2");
  BOOST_TEST(forced(good + "c") == "f: vector 3 (byte 26): more than the 2 vectors that the header says");
  BOOST_TEST(forced(good + "\n") == "f: vector 3 (byte 26): more than the 2 vectors that the header says");
  const float infinity = std::numeric_limits<float>::infinity();
  BOOST_TEST(message_of(binary({{"a", {1, infinity}}})) == "f: vector 1 (byte 4): number 2 of 'a' is inf");
  BOOST_TEST(forced(binary({{"", {1, 2}}})) == "f: vector 1 (byte 4): no word");
  BOOST_TEST(forced(binary({{"a\nb", {1, 2}}})) == "f: vector 1 (byte 4): a byte 0x0A in its word, 'a'");
  BOOST_TEST(forced(binary({{std::string(70000, 'x'), {1, 2}}})) ==
             "f: vector 1 (byte 4): a word of more than 65536 bytes");
  BOOST_TEST(forced("1 2\n" + std::string(70000, 'x')).starts_with("f: vector 1 (byte 4): a word of more than"));
}

BOOST_AUTO_TEST_CASE(what_is_printed) {
  const auto text = [](const VectorReport& report) {
    std::ostringstream out;
    out << report;
    return out.str();
  };
  BOOST_TEST(text(read("a 1 2\nb 3 4\n", {"a", "B", "c", "d"}, 2).report) ==
             "2 vectors of 2 (GloVe): 1 of 4 words exact, 1 lower-case, 2 missing");
  BOOST_TEST(text(read("1 2\na 1 2\n", {"a"}, 2).report) ==
             "1 vector of 2 (word2vec text): 1 of 1 word exact, 0 lower-case, 0 missing");
  BOOST_TEST(text(read("a 1\na 2\n\xE9 3\n\xE8 4\n", {"a"}, 1).report) ==
             "4 vectors of 1 (GloVe): 1 of 1 word exact, 0 lower-case, 0 missing\n"
             "left out: 1 duplicate, 2 words not UTF-8");
}

namespace {

/// Random words and numbers.
class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  float number() { return std::uniform_real_distribution<float>(-2, 2)(engine_); }
  std::string word() {
    static const Strings letters = {"a", "b", "C", "é", "Ж", "漢", "😀", "1", "."};
    std::string text;
    for (std::size_t i = 0; i <= below(12); ++i) text += letters[below(letters.size())];
    return text;
  }

 private:
  std::mt19937 engine_;
};

using Vectors = std::vector<std::pair<std::string, Row>>;

std::string as_text(const Vectors& vectors, bool header) {
  std::ostringstream out;
  out.precision(9);
  if (header) out << vectors.size() << " " << vectors.front().second.size() << "\n";
  for (const auto& [word, numbers] : vectors) {
    out << word;
    for (const float x : numbers) out << " " << x;
    out << "\n";
  }
  return out.str();
}

}  // namespace

BOOST_AUTO_TEST_CASE(all_formats_give_the_bits_that_were_written) {
  constexpr unsigned seed = 3;
  Random random(seed);
  const std::size_t dim = 117;
  Vectors vectors;
  std::map<std::string, Row> first;  // of duplicates
  Strings words;
  while (vectors.size() < 6000) {
    Row row(dim);
    for (float& x : row) x = random.number();
    const std::string word = random.word();
    if (first.emplace(word, row).second && random.below(3) == 0) words.push_back(word);
    vectors.emplace_back(word, row);
  }
  for (const std::string& bytes :
       {as_text(vectors, false), as_text(vectors, true), binary(vectors), binary(vectors, "")}) {
    const Read got = read(bytes, words, dim, {.lower_case = false});
    BOOST_TEST(bytes.size() > std::size_t{2} << 20);  // so that it takes several blocks
    BOOST_TEST(got.report.vectors == static_cast<int64_t>(vectors.size()));
    BOOST_TEST(got.report.exact == static_cast<int64_t>(words.size()));
    bool same = true;
    for (std::size_t i = 0; i < words.size(); ++i) {
      same = same && got.row(static_cast<int64_t>(i) + 2) == first.at(words[i]);
    }
    BOOST_TEST(same);
  }
}

// Whatever stands in a file: it is read or refused with a message on one line.
BOOST_AUTO_TEST_CASE(garbage_is_read_or_refused) {
  constexpr unsigned seed = 11;
  BOOST_TEST_MESSAGE("seed " << seed);
  Random random(seed);
  const Vectors vectors = {{"a", {1.5F, -2, 3e-5F}}, {"b", {0, 1, 2}}, {"é", {5, 6, 7}}, {"the", {0.25F, 1, 1}}};
  const std::vector<std::string> files = {as_text(vectors, false), as_text(vectors, true), binary(vectors),
                                          binary(vectors, "")};
  const int file = ::memfd_create("vectors", 0);  // so many files are slow on a disk
  BOOST_TEST_REQUIRE(file >= 0);
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const Vocabulary words = vocabulary({"a", "é", "The", "x"});
  int read = 0, refused = 0;
  for (int run = 0; run < 10000; ++run) {
    std::string bytes = files[random.below(files.size())];
    for (std::size_t flips = random.below(4); flips > 0; --flips) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    if (random.below(2) == 0) bytes.resize(random.below(bytes.size() + 1));
    if (random.below(8) == 0) bytes.insert(random.below(bytes.size() + 1), bytes);
    BOOST_TEST_REQUIRE(::ftruncate(file, 0) == 0);
    BOOST_TEST_REQUIRE(::pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    const VectorFormat format = static_cast<VectorFormat>(random.below(4));
    try {
      VectorFile garbage(path, {.format = format});
      const Tensor table = full({words.size(), garbage.dim()}, untouched);
      const VectorReport report = garbage.read(words, table);
      BOOST_TEST_REQUIRE(report.found.size() + report.missing.size() == 4U);
      BOOST_TEST_REQUIRE(report.exact + report.lower_case == static_cast<int64_t>(report.found.size()));
      for (const float x : table.to_vector()) BOOST_TEST_REQUIRE(std::isfinite(x));
      ++read;
    } catch (const FormatError& error) {
      const std::string message = error.what();
      BOOST_TEST_REQUIRE(message.starts_with(path));
      for (const char c : message) BOOST_TEST_REQUIRE(static_cast<unsigned char>(c) >= 0x20U);
      ++refused;
    }
  }
  ::close(file);
  BOOST_TEST_MESSAGE(read << " read, " << refused << " refused");
  BOOST_TEST(read > 1000);
  BOOST_TEST(refused > 1000);
}

BOOST_AUTO_TEST_SUITE_END()

#include <embergrad/text/vectors.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <optional>
#include <ostream>
#include <span>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "input.hpp"
#include "lower_case.hpp"
#include "printable.hpp"
#include "utf8.hpp"

namespace embergrad::text {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t block = std::size_t{128} << 10;
constexpr std::size_t longest_line = std::size_t{4} << 20;
constexpr std::size_t longest_word = std::size_t{64} << 10;  // of a binary file
constexpr std::size_t sample_size = std::size_t{64} << 10;   // what tells text from binary

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

/// The bytes of a file from front to back, of which those stay in memory that are not skipped yet.
class Bytes {
 public:
  explicit Bytes(const std::string& path) : input_(path) {}

  /// What was read and not skipped; valid until the next call of `more`.
  [[nodiscard]] std::string_view rest() const { return std::string_view(buffer_).substr(begin_, end_ - begin_); }

  /// Makes `rest` longer; false at the end of the file.
  bool more() {
    if (begin_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (end_ == buffer_.size()) buffer_.resize(std::max(block, 2 * buffer_.size()));
    const std::size_t got = input_.read(buffer_.data() + end_, buffer_.size() - end_);
    end_ += got;
    return got > 0;
  }

  /// Sees to it that `rest` has `size` bytes; false if the file ends before.
  bool have(std::size_t size) {
    while (end_ - begin_ < size) {
      if (!more()) return false;
    }
    return true;
  }

  void skip(std::size_t size) {
    begin_ += size;
    position_ += static_cast<int64_t>(size);
  }

  /// Of the first byte of `rest` in the file.
  [[nodiscard]] int64_t position() const { return position_; }
  [[nodiscard]] const std::string& path() const { return input_.path(); }

 private:
  Input input_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  int64_t position_ = 0;
};

enum class Number { good, none, not_finite, out_of_range };

/// A whole field as a number.
Number parse(std::string_view field, float& value) {
  const char* const end = field.data() + field.size();
  const auto [stop, error] = std::from_chars(field.data(), end, value);
  if (error == std::errc::invalid_argument || stop != end) return Number::none;
  if (error == std::errc()) return std::isfinite(value) ? Number::good : Number::not_finite;
  double wide = 0;
  if (std::from_chars(field.data(), end, wide).ec != std::errc() || std::abs(wide) > 1) return Number::out_of_range;
  value = static_cast<float>(wide);
  return Number::good;
}

bool is_number(std::string_view field) {
  float value = 0;
  return parse(field, value) == Number::good;
}

/// Appends what stands between blanks. A line that starts with one has an empty field in front.
void split(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  std::size_t i = 0;
  do {
    const std::size_t start = i;
    while (i < line.size() && !is_blank(line[i])) ++i;
    fields.push_back(line.substr(start, i - start));
    while (i < line.size() && is_blank(line[i])) ++i;
  } while (i < line.size());
}

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  split(line, fields);
  return fields;
}

/// Numbers at the end of a line's fields, of which the first is a word.
std::size_t numbers_at_end(std::span<const std::string_view> fields) {
  std::size_t count = 0;
  while (count + 1 < fields.size() && is_number(fields[fields.size() - 1 - count])) ++count;
  return count;
}

std::string_view without_cr(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

struct Header {
  int64_t count;
  int64_t dim;
};

std::optional<Header> header_of(std::string_view line) {
  const auto fields = split(without_cr(line));
  if (fields.size() != 2) return std::nullopt;
  int64_t numbers[2] = {};
  for (std::size_t i = 0; i < 2; ++i) {
    const char* const end = fields[i].data() + fields[i].size();
    const auto [stop, error] = std::from_chars(fields[i].data(), end, numbers[i]);
    if (error != std::errc() || stop != end || numbers[i] < 0) return std::nullopt;
  }
  return Header{.count = numbers[0], .dim = numbers[1]};
}

/// Whether the bytes below a header are those of a text file.
bool is_text(std::string_view sample, int64_t dim) {
  // A first line with numbers is text, whatever follows: another encoding, or something broken further down.
  const std::string_view line = without_cr(sample.substr(0, sample.find('\n')));
  const bool clean = std::none_of(line.begin(), line.end(), [](char c) { return is_control(c) && c != '\t'; });
  if (clean && numbers_at_end(split(line)) >= static_cast<std::size_t>(std::min<int64_t>(dim, 2))) return true;
  const bool controls = std::any_of(sample.begin(), sample.end(),
                                    [](char c) { return is_control(c) && c != '\t' && c != '\r' && c != '\n'; });
  // The sample may end inside a character.
  constexpr std::size_t longest_character = 4;
  return !controls && first_fault(sample) + longest_character > sample.size();
}

struct Magic {
  std::string_view bytes;
  const char* what;
};

/// How files begin that are taken for word vectors by mistake.
constexpr Magic others[] = {
    {"\x1F\x8B"sv, "compressed by gzip; gunzip unpacks it"},
    {"PK\x03\x04"sv, "a zip archive; unzip unpacks it"},
    {"BZh"sv, "compressed by bzip2; bunzip2 unpacks it"},
    {"\xFD\x37zXZ\x00"sv, "compressed by xz; unxz unpacks it"},
    {"\x28\xB5\x2F\xFD"sv, "compressed by zstd; unzstd unpacks it"},
    {"\x37\x7A\xBC\xAF\x27\x1C"sv, "a 7z archive; 7z x unpacks it"},
    {"\xBA\x16\x4F\x2F"sv, "a fastText model; its vectors are in the .vec file beside it"},
    {"\x93NUMPY"sv, "a NumPy array, which has no words"},
    {"\x80\x02"sv, "a Python pickle"},
    {"\x80\x03"sv, "a Python pickle"},
    {"\x80\x04"sv, "a Python pickle"},
    {"\xFF\xFE"sv, "not UTF-8: it starts with the byte order mark of UTF-16"},
    {"\xFE\xFF"sv, "not UTF-8: it starts with the byte order mark of UTF-16"},
};

/// The strings that are looked for, and the vectors found so far.
class Matches {
 public:
  Matches(const Vocabulary& words, bool lower_case, std::size_t dim) : words_(words), dim_(dim) {
    const std::vector<std::string>& names = words.words();
    first_ = words.has_specials() ? static_cast<std::size_t>(Vocabulary::unknown_id) + 1 : 0;
    lower_.resize(lower_case ? names.size() : 0);
    rows_.reserve(names.size());
    for (std::size_t i = first_; i < names.size(); ++i) {
      rows_.emplace(names[i], none);
      if (!lower_case) continue;
      lower_[i] = text::lower_case(names[i]);
      rows_.emplace(lower_[i], none);
    }
  }

  /// Takes the next vector of the file, or leaves it.
  void add(std::string_view word, std::span<const float> numbers) {
    if (first_fault(word) != word.size()) {
      ++not_utf8_;
      return;
    }
    const auto place = rows_.find(word);
    if (place == rows_.end()) return;
    if (place->second != none) {
      ++duplicates_;
      return;
    }
    place->second = values_.size() / dim_;
    values_.insert(values_.end(), numbers.begin(), numbers.end());
  }

  /// Copies what was found and completes the report.
  void finish(const Tensor& table, VectorReport& report) {
    const NoGrad guard;
    const Shape row({static_cast<int64_t>(dim_)});
    for (std::size_t i = first_; i < words_.words().size(); ++i) {
      const auto id = static_cast<int64_t>(i);
      std::size_t at = rows_.at(words_.words()[i]);
      if (at != none) {
        ++report.exact;
      } else if (!lower_.empty() && (at = rows_.at(lower_[i])) != none) {
        ++report.lower_case;
      } else {
        report.missing.push_back(id);
        continue;
      }
      report.found.push_back(id);
      table[id].copy_from(tensor(std::span<const float>(values_).subspan(at * dim_, dim_), row));
    }
    report.duplicates = duplicates_;
    report.not_utf8 = not_utf8_;
  }

 private:
  static constexpr auto none = static_cast<std::size_t>(-1);

  const Vocabulary& words_;
  std::size_t dim_;
  std::size_t first_ = 0;  // id behind the specials
  std::vector<std::string> lower_;
  std::unordered_map<std::string_view, std::size_t> rows_;  // into values_, or none
  std::vector<float> values_;
  int64_t duplicates_ = 0;
  int64_t not_utf8_ = 0;
};

}  // namespace

const char* name_of(VectorFormat format) {
  switch (format) {
    case VectorFormat::automatic:
      return "automatic";
    case VectorFormat::glove:
      return "GloVe";
    case VectorFormat::word2vec_text:
      return "word2vec text";
    case VectorFormat::word2vec_binary:
      return "word2vec binary";
  }
  return "?";
}

class VectorFile::Reader {
 public:
  Reader(const std::string& path, const VectorOptions& options)
      : file_(path), lower_case_(options.lower_case), format_(options.format) {
    file_.have(byte_order_mark.size() * 2);
    for (const Magic& other : others) {
      if (file_.rest().starts_with(other.bytes)) refuse_file(other.what);
    }
    if (file_.rest().starts_with(byte_order_mark)) file_.skip(byte_order_mark.size());
    if (format_ == VectorFormat::glove || !take_header()) count_numbers();
    numbers_.resize(static_cast<std::size_t>(dim_));
  }

  [[nodiscard]] int64_t dim() const { return dim_; }
  [[nodiscard]] VectorFormat format() const { return format_; }

  VectorReport read(const Vocabulary& words, const Tensor& table) {
    if (table.dim() != 2 || table.size(0) < words.size() || table.size(1) != dim_) {
      throw ShapeError(fmt::format("{}: the table is {}, but the vectors have {} numbers and the vocabulary {} words",
                                   file_.path(), table.shape().to_string(), dim_, words.size()));
    }
    if (!is_floating(table.dtype())) {
      throw DTypeError(
          fmt::format("{}: a table of {} can't hold vectors", file_.path(), embergrad::name_of(table.dtype())));
    }
    if (std::exchange(done_, true)) throw ValueError(fmt::format("{}: was read already", file_.path()));
    Matches matches(words, lower_case_, numbers_.size());
    if (format_ == VectorFormat::word2vec_binary) {
      read_binary(matches);
    } else {
      read_text(matches);
    }
    VectorReport report{.format = format_, .dim = dim_, .vectors = vectors_};
    matches.finish(table.detach(), report);
    return report;
  }

 private:
  // --- what is wrong

  [[noreturn]] void refuse_file(const std::string& reason) const {
    throw FormatError(fmt::format("{}: {}", file_.path(), reason));
  }
  [[noreturn]] void refuse_line(const std::string& reason) const {
    throw FormatError(fmt::format("{}:{}: {}", file_.path(), line_, reason));
  }
  /// Of a binary file.
  [[noreturn]] void refuse_vector(const std::string& reason) const {
    throw FormatError(fmt::format("{}: vector {} (byte {}): {}", file_.path(), vectors_ + 1, file_.position(), reason));
  }
  [[noreturn]] void refuse_count() const {
    refuse_file(fmt::format("{} vector{}, but the header says {}", vectors_, vectors_ == 1 ? "" : "s", *count_));
  }
  /// Who says how many numbers a vector has.
  [[nodiscard]] std::string dim_said() const {
    return count_ ? fmt::format("the header says {}", dim_) : fmt::format("line 1 has {}", dim_);
  }

  // --- lines

  /// The next line without its end, which stays in the file until it is skipped; nothing at the end.
  std::optional<std::string_view> peek() {
    std::size_t searched = 0;
    while (true) {
      const std::string_view rest = file_.rest();
      const std::size_t end = rest.find('\n', searched);
      if (end != std::string_view::npos && end <= longest_line) return rest.substr(0, end);
      if (rest.size() > longest_line) {
        refuse_line(fmt::format("a line of more than {} bytes: not a file of word vectors", longest_line));
      }
      searched = rest.size();
      if (!file_.more()) return rest.empty() ? std::nullopt : std::optional(rest);
    }
  }
  /// Skips the line that `peek` gave.
  void skip(std::string_view line) {
    file_.skip(std::min(line.size() + 1, file_.rest().size()));
    ++line_;
  }

  // --- the beginning

  /// Takes the header off the file, if there is one, and finds out the format.
  bool take_header() {
    // Longer lines, or none at all as in some other binary file, hold no header.
    constexpr std::size_t longest_header = 64;
    file_.have(longest_header);
    const std::string_view line = file_.rest().substr(0, file_.rest().find('\n'));
    const auto header = line.size() < longest_header ? header_of(line) : std::nullopt;
    if (!header) {
      if (format_ != VectorFormat::automatic) {
        refuse_line(fmt::format("'{}' where {} has the number of vectors and their dimension",
                                printable(without_cr(line)), name_of(format_)));
      }
      format_ = VectorFormat::glove;
      return false;
    }
    set_dim(header->dim);
    count_ = header->count;
    if (*count_ == 0) refuse_line("the header says that there are no vectors");
    skip(line);
    if (format_ != VectorFormat::automatic) return true;
    file_.have(sample_size);
    const bool text = is_text(file_.rest().substr(0, sample_size), dim_);
    format_ = text ? VectorFormat::word2vec_text : VectorFormat::word2vec_binary;
    return true;
  }

  /// The dimension of a file without a header.
  void count_numbers() {
    const auto line = peek();
    if (!line) refuse_file("no vectors: the file is empty");
    check_bytes(*line);
    const std::size_t count = numbers_at_end(split(without_cr(*line)));
    if (count == 0) {
      refuse_line(fmt::format("'{}' is neither a word with its numbers nor a header (number of vectors, dimension)",
                              printable(without_cr(*line))));
    }
    set_dim(static_cast<int64_t>(count));
  }

  void set_dim(int64_t dim) {
    if (dim == 0) refuse_line("the header says that the vectors have no numbers");
    if (dim > most_dim) {
      refuse_line(fmt::format("a dimension of {}, where {} is the most that is read", dim, most_dim));
    }
    dim_ = dim;
  }

  // --- text

  void read_text(Matches& matches) {
    while (const auto line = peek()) {
      if (vectors_ == count_) refuse_line(fmt::format("more than the {} vectors that the header says", *count_));
      const std::string_view entry = without_cr(*line);
      std::string_view word = quick_word(entry);
      if (word.empty()) word = careful_word(entry);
      check_bytes(word);
      matches.add(word, numbers_);
      ++vectors_;
      skip(*line);
    }
    if (count_ && vectors_ != *count_) refuse_count();
  }

  void check_bytes(std::string_view text) const {
    if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
      refuse_line(fmt::format("a NUL byte at byte {} of the line: not a text file, or a damaged one", nul + 1));
    }
    if (const auto cr = without_cr(text).find('\r'); cr != std::string_view::npos) {
      refuse_line(fmt::format("a carriage return inside the line, at byte {}: lines end with LF or CR LF", cr + 1));
    }
  }

  /// Reads a line as nearly all are: a word without blanks, then the numbers. The word, empty for any other line.
  std::string_view quick_word(std::string_view line) {
    const char* at = line.data();
    const char* const end = at + line.size();
    while (at != end && !is_blank(*at)) ++at;
    const std::string_view word = line.substr(0, static_cast<std::size_t>(at - line.data()));
    bool finite = true;
    for (float& number : numbers_) {
      if (at == end || !is_blank(*at)) return {};
      while (at != end && is_blank(*at)) ++at;
      const auto [stop, error] = std::from_chars(at, end, number);
      if (error != std::errc()) return {};
      finite = finite && std::isfinite(number);
      at = stop;
    }
    while (at != end && is_blank(*at)) ++at;
    return at == end && finite ? word : std::string_view();
  }

  /// Reads any line, or says what is wrong with it. The word.
  std::string_view careful_word(std::string_view line) {
    split(line, fields_);
    if (fields_.front().empty()) {
      refuse_line(fields_.size() == 1 ? "an empty line" : "a blank where the line's word should start");
    }
    const auto dim = static_cast<std::size_t>(dim_);
    const auto refuse_length = [&](std::size_t count) {
      refuse_line(fmt::format("{} number{} behind '{}', where {}", count, count == 1 ? "" : "s",
                              printable(fields_[fields_.size() - 1 - count]), dim_said()));
    };
    if (fields_.size() - 1 < dim) refuse_length(fields_.size() - 1);
    const std::size_t first = fields_.size() - dim;
    for (std::size_t i = 0; i < dim; ++i) {
      const std::string_view field = fields_[first + i];
      const auto refuse_number = [&](const char* what) { refuse_line(fmt::format("'{}' {}", printable(field), what)); };
      switch (parse(field, numbers_[i])) {
        case Number::good:
          break;
        case Number::none:
          refuse_number("is no decimal number");
          break;
        case Number::not_finite:
          refuse_number("is not finite");
          break;
        case Number::out_of_range:
          refuse_number("is out of the range of float32");
          break;
      }
    }
    if (first > 1 && is_number(fields_[first - 1])) refuse_length(numbers_at_end(fields_));
    const std::string_view last = fields_[first - 1];
    return line.substr(0, static_cast<std::size_t>(last.data() + last.size() - line.data()));
  }

  // --- binary

  void read_binary(Matches& matches) {
    const std::size_t bytes = numbers_.size() * sizeof(float);
    for (; vectors_ < *count_; ++vectors_) {
      skip_line_end();
      const std::size_t blank = find_blank();
      const std::string_view found = file_.rest().substr(0, blank);
      if (found.empty()) refuse_vector("no word");
      const auto fault = std::find_if(found.begin(), found.end(), [](char c) { return c == '\n' || c == '\0'; });
      if (fault != found.end()) {
        refuse_vector(fmt::format("a byte 0x{:02X} in its word, '{}'", static_cast<unsigned char>(*fault),
                                  printable(found.substr(0, static_cast<std::size_t>(fault - found.begin())))));
      }
      if (!file_.have(blank + 1 + bytes)) {
        refuse_vector(fmt::format("cut off: the file ends {} bytes into its {} bytes of numbers",
                                  file_.rest().size() - blank - 1, bytes));
      }
      std::memcpy(numbers_.data(), file_.rest().data() + blank + 1, bytes);
      const auto odd = std::find_if(numbers_.begin(), numbers_.end(), [](float x) { return !std::isfinite(x); });
      const std::string_view word = file_.rest().substr(0, blank);
      if (odd != numbers_.end()) {
        refuse_vector(fmt::format("number {} of '{}' is {}", odd - numbers_.begin() + 1, printable(word), *odd));
      }
      matches.add(word, numbers_);
      file_.skip(blank + 1 + bytes);
    }
    skip_line_end();
    if (file_.have(1)) refuse_vector(fmt::format("more than the {} vectors that the header says", *count_));
  }

  /// Skips the LF that word2vec itself puts behind each vector; other programs do not.
  void skip_line_end() {
    if (file_.have(1) && file_.rest().front() == '\n') file_.skip(1);
  }

  /// Where the blank stands that ends the next word.
  std::size_t find_blank() {
    if (!file_.have(1)) refuse_count();
    std::size_t size = 64;
    while (true) {
      const bool enough = file_.have(size);
      const std::size_t blank = file_.rest().substr(0, size).find(' ');
      if (blank != std::string_view::npos) return blank;
      if (!enough) refuse_vector("cut off: the file ends inside its word");
      if (size >= longest_word) refuse_vector(fmt::format("a word of more than {} bytes", longest_word));
      size *= 2;
    }
  }

  Bytes file_;
  bool lower_case_;
  VectorFormat format_;
  int64_t dim_ = 0;
  std::optional<int64_t> count_;  // of the header
  int64_t line_ = 1;              // the one under way
  int64_t vectors_ = 0;
  bool done_ = false;
  std::vector<float> numbers_;  // of the vector under way
  std::vector<std::string_view> fields_;
};

VectorFile::VectorFile(const std::string& path, const VectorOptions& options)
    : reader_(std::make_unique<Reader>(path, options)) {}
VectorFile::~VectorFile() = default;
VectorFile::VectorFile(VectorFile&& other) noexcept = default;
VectorFile& VectorFile::operator=(VectorFile&& other) noexcept = default;

int64_t VectorFile::dim() const { return reader_->dim(); }
VectorFormat VectorFile::format() const { return reader_->format(); }
VectorReport VectorFile::read(const Vocabulary& words, const Tensor& table) { return reader_->read(words, table); }

VectorReport read_vectors(const std::string& path, const Vocabulary& words, const Tensor& table,
                          const VectorOptions& options) {
  return VectorFile(path, options).read(words, table);
}

std::ostream& operator<<(std::ostream& out, const VectorReport& report) {
  const auto words = static_cast<int64_t>(report.found.size() + report.missing.size());
  const auto plural = [](int64_t n) { return n == 1 ? "" : "s"; };
  out << fmt::format("{} vector{} of {} ({}): {} of {} word{} exact, {} lower-case, {} missing", report.vectors,
                     plural(report.vectors), report.dim, name_of(report.format), report.exact, words, plural(words),
                     report.lower_case, report.missing.size());
  if (report.duplicates > 0 || report.not_utf8 > 0) {
    out << fmt::format("\nleft out: {} duplicate{}, {} word{} not UTF-8", report.duplicates, plural(report.duplicates),
                       report.not_utf8, plural(report.not_utf8));
  }
  return out;
}

}  // namespace embergrad::text

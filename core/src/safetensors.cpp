#include <embergrad/safetensors.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <system_error>
#include <unordered_map>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>

#include "src/tensor_state.hpp"
#include "untrusted_json.hpp"

namespace embergrad {

static_assert(std::endian::native == std::endian::little, "files are little-endian and read as they stand");

void StateDict::set(std::string name, Tensor tensor) {
  const auto [place, added] = places_.try_emplace(name, entries_.size());
  if (added) {
    entries_.emplace_back(std::move(name), std::move(tensor));
  } else {
    entries_[place->second].second = std::move(tensor);
  }
}

const Tensor& StateDict::at(std::string_view name) const {
  const auto place = places_.find(name);
  if (place == places_.end()) throw ValueError(fmt::format("StateDict: there is no tensor \"{}\"", name));
  return entries_[place->second].second;
}

bool StateDict::contains(std::string_view name) const { return places_.contains(name); }

namespace {

constexpr std::uint64_t length_bytes = 8;
constexpr std::uint64_t max_header = 100'000'000;  // of the format itself
constexpr std::size_t alignment = 8;
constexpr const char* metadata_key = "__metadata__";
constexpr const char* tied_key = "embergrad.tied";

struct DTypeCode {
  DType dtype;
  const char* code;
};
constexpr DTypeCode dtype_codes[] = {{DType::float64, "F64"},   {DType::float32, "F32"}, {DType::float16, "F16"},
                                     {DType::bfloat16, "BF16"}, {DType::int64, "I64"},   {DType::int32, "I32"}};

const char* code_of(DType dtype) {
  for (const auto& entry : dtype_codes) {
    if (entry.dtype == dtype) return entry.code;
  }
  return "?";
}

// The elements on the host. Through the typed accessor, which is the door for readers of a whole tensor.
const char* bytes_of(const Tensor& tensor) {
  const auto as = [&]<class T>(const T*) { return reinterpret_cast<const char*>(tensor.data<T>()); };
  switch (tensor.dtype()) {
    case DType::float32:
      return as(static_cast<const float*>(nullptr));
    case DType::float64:
      return as(static_cast<const double*>(nullptr));
    case DType::float16:
      return as(static_cast<const Float16*>(nullptr));
    case DType::bfloat16:
      return as(static_cast<const BFloat16*>(nullptr));
    case DType::int32:
      return as(static_cast<const std::int32_t*>(nullptr));
    case DType::int64:
      return as(static_cast<const std::int64_t*>(nullptr));
  }
  return nullptr;
}

std::uint64_t byte_count(const Tensor& tensor) {
  return static_cast<std::uint64_t>(tensor.numel()) * item_size(tensor.dtype());
}

// Text from a file may be long, binary or end a terminal's line: shown as a short JSON string.
std::string shown(std::string_view text) {
  constexpr std::size_t longest = 100;
  const nlohmann::json head = std::string(text.substr(0, longest));
  return head.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + (text.size() > longest ? "…" : "");
}

std::string json_string(const char* what, const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw ValueError(fmt::format("save: {} {} is not UTF-8", what, shown(text)));
  }
}

[[noreturn]] void throw_io(const std::string& path, const char* action, int code = errno) {
  throw IoError(fmt::format("{}: cannot {}: {}", path, action, std::generic_category().message(code)));
}

// An open file descriptor.
class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0) {
    do descriptor_ = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    while (descriptor_ < 0 && errno == EINTR);
  }
  ~File() {
    if (is_open()) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  File(File&&) = delete;
  File& operator=(File&&) = delete;

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

// --- reading -------------------------------------------------------------------------------------------------------

struct Entry {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Header {
  std::vector<Entry> entries;
  Metadata metadata;
};

// Takes the header's JSON apart as it is read. No tree of values is built, so nothing grows or nests beyond what the
// format has, and a key that comes twice is seen.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}
  [[nodiscard]] Header take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (place_ == Place::start) {
      place_ = Place::header;
    } else if (place_ == Place::header && key_ == metadata_key) {
      if (had_metadata_) refuse("{} comes twice", metadata_key);
      had_metadata_ = true;
      place_ = Place::metadata;
    } else if (place_ == Place::header) {
      entry_ = Entry();
      entry_.name = key_;
      had_dtype_ = had_shape_ = had_offsets_ = false;
      place_ = Place::entry;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::entry) {
      const char* missing = !had_dtype_ ? "dtype" : !had_shape_ ? "shape" : !had_offsets_ ? "data_offsets" : nullptr;
      if (missing != nullptr) refuse("tensor {} has no {}", shown(entry_.name), missing);
      header_.entries.push_back(std::move(entry_));
    }
    place_ = place_ == Place::header ? Place::done : Place::header;
    return true;
  }

  bool key(std::string& name) override {
    if (place_ == Place::entry) {
      bool* had = name == "dtype"          ? &had_dtype_
                  : name == "shape"        ? &had_shape_
                  : name == "data_offsets" ? &had_offsets_
                                           : nullptr;
      if (had == nullptr) refuse("tensor {} has an unknown field {}", shown(entry_.name), shown(name));
      if (*had) refuse("tensor {} has {} twice", shown(entry_.name), shown(name));
      *had = true;
    }
    key_ = std::move(name);
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::metadata) {
      if (!header_.metadata.try_emplace(key_, std::move(value)).second) {
        refuse("the metadata key {} comes twice", shown(key_));
      }
    } else if (place_ == Place::entry && key_ == "dtype") {
      const auto* code = std::find_if(std::begin(dtype_codes), std::end(dtype_codes),
                                      [&](const DTypeCode& known) { return value == known.code; });
      if (code == std::end(dtype_codes)) {
        refuse("tensor {} has dtype {}, which is not supported (F64, F32, F16, BF16, I64, I32 are)", shown(entry_.name),
               shown(value));
      }
      entry_.dtype = code->dtype;
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::entry && key_ == "shape") {
      place_ = Place::shape;
    } else if (place_ == Place::entry && key_ == "data_offsets") {
      offsets_ = 0;
      place_ = Place::offsets;
    } else {
      unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets && offsets_ != 2) {
      refuse("data_offsets of tensor {} holds {} numbers, not 2", shown(entry_.name), offsets_);
    }
    place_ = Place::entry;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (place_ == Place::shape) {
      if (entry_.shape.rank() == Shape::max_rank) {
        refuse("tensor {} has more than {} dimensions", shown(entry_.name), Shape::max_rank);
      }
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        refuse("tensor {} has an extent of {}", shown(entry_.name), value);
      }
      entry_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets) {
      if (offsets_ < 2) (offsets_ == 0 ? entry_.begin : entry_.end) = value;
      ++offsets_;
    } else {
      unexpected("a number");
    }
    return true;
  }

  bool number_integer(std::int64_t value) override { unexpected(fmt::format("the number {}", value)); }
  bool number_float(double, const std::string& text) override { unexpected("the number " + shown(text)); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool null() override { unexpected("null"); }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    refuse("the header is not JSON: error at its byte {}", position);
  }

 private:
  enum class Place { start, header, metadata, entry, shape, offsets, done };

  template <class... Parts>
  [[noreturn]] void refuse(fmt::format_string<Parts...> text, Parts&&... parts) const {
    throw FormatError(path_ + ": " + fmt::format(text, std::forward<Parts>(parts)...));
  }

  [[noreturn]] void unexpected(const std::string& got) const {
    switch (place_) {
      case Place::start:
        refuse("the header is {}, not a JSON object", got);
      case Place::metadata:
        refuse("the metadata value of {} is {}, not a string", shown(key_), got);
      case Place::entry:
        refuse("{} of tensor {} is {}", key_, shown(entry_.name), got);
      case Place::shape:
        refuse("shape of tensor {} holds {}", shown(entry_.name), got);
      case Place::offsets:
        refuse("data_offsets of tensor {} holds {}", shown(entry_.name), got);
      case Place::header:
      case Place::done:
        break;
    }
    refuse("the header's value of {} is {}, not an object", shown(key_), got);
  }

  const std::string& path_;
  Header header_;
  Place place_ = Place::start;
  std::string key_;
  bool had_metadata_ = false;
  Entry entry_;
  bool had_dtype_ = false;
  bool had_shape_ = false;
  bool had_offsets_ = false;
  std::size_t offsets_ = 0;
};

// Bytes of a tensor, or nothing if they can't be counted. Zero extents don't hide an overflow of the others: strides
// are products too.
std::optional<std::uint64_t> bytes_needed(const Entry& entry) {
  auto bytes = static_cast<std::int64_t>(item_size(entry.dtype));
  bool none = false;
  for (const std::int64_t extent : entry.shape) {
    none |= extent == 0;
    if (extent != 0 && __builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  }
  return none ? 0 : static_cast<std::uint64_t>(bytes);
}

// Each tensor inside the data, as long as its shape says, and together all of the data without overlap.
// Returns the tensors' numbers in the order of their data.
std::vector<std::size_t> check_layout(const std::string& path, const std::vector<Entry>& entries,
                                      std::uint64_t data_size) {
  const auto refuse = [&](const Entry& entry, const std::string& reason) {
    throw FormatError(fmt::format("{}: tensor {}: {}", path, shown(entry.name), reason));
  };
  std::vector<std::size_t> order(entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});

  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return entries[a].name < entries[b].name; });
  const auto same = std::adjacent_find(order.begin(), order.end(),
                                       [&](auto a, auto b) { return entries[a].name == entries[b].name; });
  if (same != order.end()) refuse(entries[*same], "comes twice");

  for (const Entry& entry : entries) {
    if (entry.begin > entry.end || entry.end > data_size) {
      refuse(entry, fmt::format("data_offsets are [{}, {}], but there are {} bytes of data", entry.begin, entry.end,
                                data_size));
    }
    const auto needed = bytes_needed(entry);
    if (!needed || *needed != entry.end - entry.begin) {
      refuse(entry, fmt::format("{} {} takes {} bytes, but data_offsets hold {}", code_of(entry.dtype),
                                entry.shape.to_string(), needed ? std::to_string(*needed) : "too many",
                                entry.end - entry.begin));
    }
  }

  std::sort(order.begin(), order.end(), [&](auto a, auto b) {
    return std::pair(entries[a].begin, entries[a].end) < std::pair(entries[b].begin, entries[b].end);
  });
  std::uint64_t covered = 0;
  for (const std::size_t i : order) {
    const Entry& entry = entries[i];
    if (entry.begin < covered) refuse(entry, fmt::format("begins at byte {}, inside another tensor", entry.begin));
    if (entry.begin > covered)
      refuse(entry, fmt::format("bytes {} to {} before it belong to no tensor", covered, entry.begin));
    covered = entry.end;
  }
  if (covered != data_size) {
    throw FormatError(fmt::format("{}: the last {} bytes belong to no tensor", path, data_size - covered));
  }
  return order;
}

void read_exactly(const File& file, const std::string& path, char* to, std::uint64_t count, std::uint64_t from) {
  while (count > 0) {
    const ssize_t got = ::pread(file.descriptor(), to, static_cast<std::size_t>(count), static_cast<off_t>(from));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_io(path, "read");
    if (got == 0) throw FormatError(fmt::format("{}: became shorter while it was read", path));
    to += got;
    from += static_cast<std::uint64_t>(got);
    count -= static_cast<std::uint64_t>(got);
  }
}

// Gives the tensors that were stored once their other names back.
void restore_ties(const std::string& path, Loaded& loaded) {
  const auto note = loaded.metadata.find(tied_key);
  if (note == loaded.metadata.end()) return;
  const auto refuse = [&](const std::string& reason) {
    throw FormatError(fmt::format("{}: metadata {}: {}", path, tied_key, reason));
  };
  const nlohmann::json names = detail::parse_untrusted_json(note->second);
  if (!names.is_object()) refuse("not a JSON object");
  std::vector<StateDict::Entry> tied;
  for (const auto& [name, stored] : names.items()) {
    if (!stored.is_string()) refuse(fmt::format("the value of {} is not a string", shown(name)));
    const auto& target = stored.get_ref<const std::string&>();
    if (loaded.tensors.contains(name)) refuse(fmt::format("tensor {} is stored too", shown(name)));
    if (!loaded.tensors.contains(target)) refuse(fmt::format("there is no tensor {}", shown(target)));
    tied.emplace_back(name, loaded.tensors.at(target));
  }
  for (auto& [name, tensor] : tied) loaded.tensors.set(std::move(name), std::move(tensor));
  loaded.metadata.erase(note);
}

// --- writing -------------------------------------------------------------------------------------------------------

// A file that is written under a temporary name beside its target and takes the target's name at the end.
class Replacement {
 public:
  explicit Replacement(const std::string& path) : path_(path), target_(follow_links(path)) {
    directory_ = target_.parent_path().empty() ? "." : target_.parent_path();
    struct stat old {};
    const bool exists = ::stat(target_.c_str(), &old) == 0;
    if (exists && S_ISDIR(old.st_mode)) throw_io(path_, "write", EISDIR);
    if (exists && !S_ISREG(old.st_mode)) throw IoError(path_ + ": cannot write: not a regular file");
    if (exists && ::access(target_.c_str(), W_OK) != 0) throw_io(path_, "write");
    create();
    if (exists && ::fchmod(file_->descriptor(), old.st_mode & 0777) != 0) fail("set the mode of");
  }
  ~Replacement() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  Replacement(Replacement&&) = delete;
  Replacement& operator=(Replacement&&) = delete;

  void write(const char* bytes, std::uint64_t count) {
    while (count > 0) {
      const ssize_t written = ::write(file_->descriptor(), bytes, static_cast<std::size_t>(count));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("write");
      bytes += written;
      count -= static_cast<std::uint64_t>(written);
    }
  }

  void commit() {
    if (::fsync(file_->descriptor()) != 0) fail("write");
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("replace");
    temporary_.clear();
    // The new name reaches the disk with its directory. Some file systems can't sync one, or it may not be readable.
    const File directory(directory_.string(), O_RDONLY | O_DIRECTORY);
    if (directory.is_open() && ::fsync(directory.descriptor()) != 0 && errno != EINVAL && errno != ENOTSUP) {
      throw_io(directory_.string(), "sync");
    }
  }

 private:
  [[noreturn]] void fail(const char* action) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    temporary_.clear();
    throw_io(path_, action, code);
  }

  // A link keeps pointing where it points; what it points at is replaced.
  static std::filesystem::path follow_links(const std::string& path) {
    std::filesystem::path target = path;
    std::error_code none;
    for (int links = 0; std::filesystem::is_symlink(target, none); ++links) {
      if (links == 40) throw_io(path, "write", ELOOP);
      const auto next = std::filesystem::read_symlink(target, none);
      if (none) throw_io(path, "write", none.value());
      target = next.is_absolute() ? next : target.parent_path() / next;
    }
    return target;
  }

  // The first choice of a name is the same for each save of a file, so that what a killed program left is found, and
  // removed, without a look at the whole folder. Whoever writes such a file holds a lock on it, which ends with the
  // program: one that is locked belongs to another save that is under way, and then the name is a number.
  void create() {
    static std::atomic<std::uint64_t> number{0};
    constexpr std::size_t longest = 200;  // most file systems take 255 bytes
    const std::string usual = fmt::format(".embergrad-{}.tmp", target_.filename().string().substr(0, longest));
    for (int attempt = 0; attempt < 100; ++attempt) {
      const bool is_usual = attempt == 0;
      const std::string name =
          (directory_ / (is_usual ? usual : fmt::format(".embergrad-{}-{}.tmp", ::getpid(), number++))).string();
      if (is_usual) remove_leftover(name);
      file_.emplace(name, O_WRONLY | O_CREAT | O_EXCL, mode_t{0666});
      if (file_->is_open() && (!is_usual || holds(*file_, name, true))) {
        temporary_ = name;
        return;
      }
      if (!file_->is_open() && errno != EEXIST) break;
    }
    throw_io(path_, "write");
  }

  // Locks an open file, unless someone else has, or the name is another file's by now. Not every file system has locks.
  static bool holds(const File& file, const std::string& name, bool where_there_are_no_locks) {
    struct stat opened {};
    struct stat named {};
    if (::flock(file.descriptor(), LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK && where_there_are_no_locks;
    return ::fstat(file.descriptor(), &opened) == 0 && ::lstat(name.c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
  }

  static void remove_leftover(const std::string& name) {
    const File left(name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
    if (left.is_open() && holds(left, name, false)) ::unlink(name.c_str());
  }

  std::string path_;
  std::filesystem::path target_;
  std::filesystem::path directory_;
  std::string temporary_;
  std::optional<File> file_;
};

// Names of tensors that are another name's tensor: other name -> stored name.
std::map<std::string, std::string> find_ties(const StateDict& tensors) {
  std::map<std::string, std::string> tied;
  std::unordered_map<const void*, std::vector<const StateDict::Entry*>> stored;
  for (const StateDict::Entry& entry : tensors) {
    const std::string& name = entry.first;
    const Tensor& tensor = entry.second;
    if (tensor.numel() == 0) continue;
    auto& here = stored[tensor.state()->data];
    const auto twin = std::find_if(here.begin(), here.end(), [&](const StateDict::Entry* other) {
      return other->second.shares_storage_with(tensor) && other->second.dtype() == tensor.dtype() &&
             other->second.shape() == tensor.shape();
    });
    if (twin != here.end()) {
      tied.emplace(name, (*twin)->first);
    } else {
      here.push_back(&entry);
    }
  }
  return tied;
}

}  // namespace

void save(const std::string& path, const StateDict& tensors, const Metadata& metadata) {
  for (const auto& [name, tensor] : tensors) {
    if (name == metadata_key) throw ValueError(fmt::format("save: a tensor can't be named {}", metadata_key));
    if (!tensor.defined()) throw ValueError(fmt::format("save: tensor {} is undefined", shown(name)));
  }
  if (metadata.contains(tied_key)) throw ValueError(fmt::format("save: the metadata key {} is reserved", tied_key));

  const auto tied = find_ties(tensors);
  Metadata written = metadata;
  if (!tied.empty()) {
    for (const auto& [name, target] : tied) json_string("tensor name", name);
    written[tied_key] = nlohmann::json(tied).dump();
  }

  // Data stands widest elements first, so that every tensor is aligned; the header keeps the caller's order.
  std::vector<const StateDict::Entry*> stored;
  for (const auto& entry : tensors) {
    if (!tied.contains(entry.first)) stored.push_back(&entry);
  }
  std::vector<const StateDict::Entry*> order = stored;
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const auto size_a = item_size(a->second.dtype());
    const auto size_b = item_size(b->second.dtype());
    return size_a != size_b ? size_a > size_b : a->first < b->first;
  });
  std::unordered_map<const StateDict::Entry*, std::uint64_t> begins;
  std::uint64_t offset = 0;
  for (const auto* entry : order) {
    begins[entry] = offset;
    offset += byte_count(entry->second);
  }

  std::vector<std::string> parts;
  if (!written.empty()) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : written) {
      pairs.push_back(json_string("metadata key", key) + ":" + json_string("metadata value", value));
    }
    parts.push_back(fmt::format("\"{}\":{{{}}}", metadata_key, fmt::join(pairs, ",")));
  }
  for (const auto* entry : stored) {
    const auto& [name, tensor] = *entry;
    parts.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                json_string("tensor name", name), code_of(tensor.dtype()),
                                fmt::join(tensor.shape().begin(), tensor.shape().end(), ","), begins[entry],
                                begins[entry] + byte_count(tensor)));
  }
  std::string header = fmt::format("{{{}}}", fmt::join(parts, ","));
  header.append((alignment - header.size() % alignment) % alignment, ' ');
  if (header.size() > max_header) {
    throw ValueError(fmt::format("save: {}: names and metadata take {} bytes, the format allows {}", path,
                                 header.size(), max_header));
  }
  const std::uint64_t length = header.size();

  Replacement file(path);
  file.write(reinterpret_cast<const char*>(&length), length_bytes);
  file.write(header.data(), header.size());
  for (const auto* entry : order) {
    detail::settle_rows(entry->second);
    const Tensor host = entry->second.to(Device::cpu());
    if (host.numel() > 0) file.write(bytes_of(host), byte_count(host));
  }
  file.commit();
}

Loaded load(const std::string& path) {
  // Not blocking, so that a named pipe is refused instead of waited for.
  const File file(path, O_RDONLY | O_NONBLOCK);
  if (!file.is_open()) throw_io(path, "open");
  struct stat status {};
  if (::fstat(file.descriptor(), &status) != 0) throw_io(path, "read");
  if (S_ISDIR(status.st_mode)) throw_io(path, "read", EISDIR);
  if (!S_ISREG(status.st_mode)) throw IoError(path + ": cannot read: not a regular file");

  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < length_bytes) {
    throw FormatError(fmt::format("{}: not a safetensors file: it has {} bytes", path, size));
  }
  std::uint64_t length = 0;
  read_exactly(file, path, reinterpret_cast<char*>(&length), length_bytes, 0);
  if (length > max_header || length > size - length_bytes) {
    throw FormatError(fmt::format("{}: not a safetensors file, or cut off: the header claims {} bytes, {} follow", path,
                                  length, size - length_bytes));
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  read_exactly(file, path, text.data(), length, length_bytes);
  if (!text.starts_with('{')) {
    throw FormatError(fmt::format("{}: not a safetensors file: the header is not a JSON object", path));
  }
  // The parser takes a zero byte for the end of the text.
  if (const auto zero = text.find('\0'); zero != std::string::npos) {
    throw FormatError(fmt::format("{}: the header is not JSON: error at its byte {}", path, zero));
  }
  HeaderReader reader(path);
  nlohmann::json::sax_parse(text, &reader);
  Header header = reader.take();
  const auto order = check_layout(path, header.entries, size - length_bytes - length);

  std::vector<Tensor> tensors(header.entries.size());
  for (const std::size_t i : order) {
    const Entry& entry = header.entries[i];
    tensors[i] = empty(entry.shape, {entry.dtype, Device::cpu()});
    if (entry.end == entry.begin) continue;
    read_exactly(file, path, tensors[i].state()->data, entry.end - entry.begin, length_bytes + length + entry.begin);
  }
  Loaded loaded;
  loaded.metadata = std::move(header.metadata);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    loaded.tensors.set(std::move(header.entries[i].name), std::move(tensors[i]));
  }
  restore_ties(path, loaded);
  return loaded;
}

void load_into(const StateDict& target, const StateDict& source) {
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<std::string> misshapen;
  for (const auto& [name, tensor] : target) {
    if (!source.contains(name) || !source.at(name).defined()) {
      missing.push_back(name);
    } else if (!tensor.defined()) {
      throw ValueError(fmt::format("load_into: tensor {} of the target is undefined", shown(name)));
    } else if (source.at(name).shape() != tensor.shape()) {
      misshapen.push_back(fmt::format("{} (expected {}, got {})", name, tensor.shape().to_string(),
                                      source.at(name).shape().to_string()));
    }
  }
  for (const auto& entry : source) {
    if (!target.contains(entry.first)) unexpected.push_back(entry.first);
  }
  std::vector<std::string> reasons;
  const auto report = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) reasons.push_back(fmt::format("{}: {}", what, fmt::join(names, ", ")));
  };
  report("missing", missing);
  report("unexpected", unexpected);
  report("of another shape", misshapen);
  const std::string message = fmt::format("load_into: {}", fmt::join(reasons, "; "));
  if (!missing.empty() || !unexpected.empty()) throw ValueError(message);
  if (!misshapen.empty()) throw ShapeError(message);

  const NoGrad guard;
  for (const auto& [name, tensor] : target) {
    Tensor handle = tensor;
    handle.copy_from(source.at(name));
  }
}

}  // namespace embergrad

#include "files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <embergrad/error.hpp>
#include <embergrad/text/lines.hpp>
#include <filesystem>
#include <iostream>
#include <system_error>

namespace common {
namespace {

namespace fs = std::filesystem;
using embergrad::IoError;

std::string reason_of(int code) { return std::generic_category().message(code); }

/// Where a file is or will be, whatever the way there.
fs::path place_of(const std::string& path) {
  constexpr int most_links = 40;
  fs::path place = fs::absolute(path);
  std::error_code none;
  // A link to a file that is not there yet counts as well, which weakly_canonical does not follow.
  for (int i = 0; i < most_links && fs::is_symlink(place, none); ++i) {
    place = place.parent_path() / fs::read_symlink(place, none);
  }
  return fs::weakly_canonical(place, none);
}

bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code none;
  return fs::equivalent(a, b, none) || place_of(a) == place_of(b);
}

}  // namespace

std::string name_of_input(const std::string& path) { return path == standard_input ? "standard input" : path; }

std::string read_input(const std::string& path) {
  if (path == standard_input) return embergrad::text::read_stream(std::cin, name_of_input(path));
  return embergrad::text::read_file(path);
}

std::string count(int64_t number, std::string_view noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

std::string shown(std::string_view text) {
  std::string fit(text);
  for (std::size_t i = 0; i < fit.size(); ++i) {
    const auto byte = static_cast<unsigned char>(fit[i]);
    // U+0080 to U+009F, C2 80 to C2 9F, are control characters, too.
    const bool c1 = byte == 0xC2 && i + 1 < fit.size() && static_cast<unsigned char>(fit[i + 1]) < 0xA0;
    if (c1) fit.erase(i, 1);
    if (c1 || byte < 0x20 || byte == 0x7F) fit[i] = '?';
  }
  return fit;
}

void check_output(const std::string& path, bool force) {
  if (path.empty()) throw IoError("the name of a file to write is empty");
  std::error_code none;
  const fs::file_status status = fs::status(path, none);
  if (fs::is_directory(status)) throw IoError(fmt::format("{}: cannot write: is a directory", path));
  if (fs::exists(status) && !force) throw IoError(fmt::format("{}: exists already; --force replaces it", path));
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    throw IoError(fmt::format("{}: cannot write to its folder: {}", path, reason_of(errno)));
  }
}

void check_distinct(const std::vector<NamedFile>& outputs, const std::vector<NamedFile>& inputs) {
  std::vector<NamedFile> all = outputs;
  all.insert(all.end(), inputs.begin(), inputs.end());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (std::size_t k = i + 1; k < all.size(); ++k) {
      if (!is_same_file(all[i].path, all[k].path)) continue;
      throw embergrad::ValueError(
          fmt::format("{}: {} is the same file as {} ({})", all[k].name, all[k].path, all[i].name, all[i].path));
    }
  }
}

FileLock::FileLock(const std::string& path) : name_(place_of(path).string() + ".lock") {
  struct stat opened = {};
  struct stat named = {};
  do {
    if (file_ >= 0) ::close(file_);
    file_ = ::open(name_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (file_ < 0) throw IoError(fmt::format("{}.lock: cannot write: {}", path, reason_of(errno)));
    // A file system without locks has none to refuse.
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(file_);
      throw IoError(fmt::format("{}: another run is at work on it ({}.lock is locked)", path, path));
    }
    // Whoever had the lock may have removed the file meanwhile.
  } while (::fstat(file_, &opened) != 0 || ::stat(name_.c_str(), &named) != 0 || opened.st_dev != named.st_dev ||
           opened.st_ino != named.st_ino);
}

FileLock::~FileLock() {
  // What is not empty is not of this program.
  struct stat status = {};
  if (::fstat(file_, &status) == 0 && status.st_size == 0) ::unlink(name_.c_str());
  ::close(file_);
}

void write_file(const std::string& path, std::string_view bytes) {
  // What is no regular file (a device, a pipe) can't be replaced, only written to.
  std::error_code none;
  const bool in_place = fs::exists(path, none) && !fs::is_regular_file(path, none);
  const std::string name = in_place ? path : fmt::format("{}.{}.tmp", path, ::getpid());
  const int file = ::open(name.c_str(), O_WRONLY | O_CLOEXEC | (in_place ? 0 : O_CREAT | O_EXCL), 0666);
  if (file < 0) throw IoError(fmt::format("{}: cannot write: {}", path, reason_of(errno)));
  const auto fail = [&] {
    const int code = errno;
    ::close(file);
    if (!in_place) ::unlink(name.c_str());
    throw IoError(fmt::format("{}: cannot write: {}", path, reason_of(code)));
  };
  while (!bytes.empty()) {
    const ::ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) fail();
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (!in_place && (::fsync(file) != 0 || ::rename(name.c_str(), path.c_str()) != 0)) fail();
  ::close(file);
}

}  // namespace common

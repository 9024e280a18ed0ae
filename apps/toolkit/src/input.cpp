#include "input.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <embergrad/error.hpp>
#include <system_error>
#include <utility>

namespace embergrad::text {
namespace {

[[noreturn]] void refuse_io(const std::string& path, const char* what, int error) {
  throw IoError(fmt::format("{}: {}: {}", path, what, std::generic_category().message(error)));
}

}  // namespace

Input::Input(std::string path) : path_(std::move(path)), number_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (number_ < 0) refuse_io(path_, "can't be opened", errno);
}

Input::~Input() { ::close(number_); }

std::size_t Input::read(char* to, std::size_t most) {
  while (true) {
    const ssize_t got = ::read(number_, to, most);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) refuse_io(path_, "can't be read", errno);
  }
}

std::size_t Input::size_hint() const {
  struct stat status = {};
  if (::fstat(number_, &status) != 0) refuse_io(path_, "can't be read", errno);
  return static_cast<std::size_t>(status.st_size);
}

}  // namespace embergrad::text

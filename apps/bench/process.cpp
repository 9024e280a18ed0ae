#include "process.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <embergrad/error.hpp>

namespace embergrad::bench {

ProcessResult run_self(const std::vector<std::string>& arguments) {
  static constexpr const char* self = "/proc/self/exe";
  const auto fail = [](int error) { throw IoError(fmt::format("{}: can't be run: {}", self, std::strerror(error))); };
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) fail(errno);

  std::vector<std::string> owned = {"embergrad-bench"};
  owned.insert(owned.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  pointers.reserve(owned.size() + 1);
  for (std::string& each : owned) pointers.push_back(each.data());
  pointers.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  pid_t child = 0;
  const int error = posix_spawn(&child, self, &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);

  ProcessResult result;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; error == 0 && (got = read(ends[0], buffer.data(), buffer.size())) != 0;) {
    if (got > 0) {
      result.output.append(buffer.data(), static_cast<std::size_t>(got));
    } else if (errno != EINTR) {
      break;
    }
  }
  close(ends[0]);
  if (error != 0) fail(error);

  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return result;
}

}  // namespace embergrad::bench

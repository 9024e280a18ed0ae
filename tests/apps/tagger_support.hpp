// Running a program as a user does: embergrad-tagger, unless another one is named.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/temporary_directory.hpp"

namespace embergrad::test {

inline const std::string sample = std::string(EMBERGRAD_TEST_DATA) + "/../../apps/lstm_tagger/sample/";
inline const std::string small = " --embedding-dim 16 --hidden 16 --threads 1 ";

struct Result {
  int status = -1;
  std::string out, err;
};

// One line, with nothing on it that steers a terminal.
inline bool is_one_line(const std::string& text) {
  return !text.empty() && text.find('\n') == text.size() - 1 &&
         std::none_of(text.begin(), text.end() - 1, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// A directory of the test's own, in which the program runs.
class Place : public TemporaryDirectory {
 public:
  explicit Place(std::string program = EMBERGRAD_TAGGER) : program_(std::move(program)) {}

  // `PROGRAM ARGUMENTS`, arguments as the shell takes them. `input`: a file.
  [[nodiscard]] Result run(const std::string& arguments, const std::string& input = "/dev/null") const {
    const TemporaryDirectory said;
    const std::string command = "cd '" + path().string() + "' && '" + program_ + "' " + arguments + " <'" + input +
                                "' >'" + said / "out" + "' 2>'" + said / "err" + "'";
    const int status = std::system(command.c_str());
    BOOST_TEST_REQUIRE(WIFEXITED(status), arguments);
    return {WEXITSTATUS(status), read_bytes(said / "out"), read_bytes(said / "err")};
  }

  // The same, when it is known to go well.
  [[nodiscard]] Result good(const std::string& arguments, const std::string& input = "/dev/null") const {
    Result result = run(arguments, input);
    BOOST_TEST_REQUIRE(result.status == 0, arguments << ": " << result.err);
    return result;
  }

  [[nodiscard]] bool is_empty() const { return std::filesystem::is_empty(path()); }
  [[nodiscard]] const std::string& program() const { return program_; }

 private:
  std::string program_;
};

// A running program whose output goes to files.
class Running {
 public:
  Running(const Place& place, const std::vector<std::string>& arguments) {
    std::vector<std::string> words = {place.program()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string out = said_ / "out";
    const std::string err = said_ / "err";
    child_ = ::fork();
    if (child_ != 0) return;
    if (::chdir(place.path().c_str()) != 0) ::_exit(99);
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT, 0600), 1);
    ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT, 0600), 2);
    ::execv(argv[0], argv.data());
    ::_exit(98);
  }
  ~Running() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void wait_until(const std::function<bool()>& done) const {
    for (int i = 0; i < 6000 && !done(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    BOOST_TEST_REQUIRE(done());
  }
  [[nodiscard]] bool says(const std::string& text) const {
    return std::filesystem::exists(said_ / "out") && read_bytes(said_ / "out").find(text) != std::string::npos;
  }
  Result stop(int signal) {
    ::kill(child_, signal);
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), read_bytes(said_ / "out"),
            read_bytes(said_ / "err")};
  }

 private:
  TemporaryDirectory said_;
  ::pid_t child_ = -1;
};

}  // namespace embergrad::test

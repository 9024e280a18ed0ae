#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <embergrad/error.hpp>
#include <embergrad/report/progress.hpp>
#include <string>
#include <utility>

namespace {

using embergrad::ValueError;
using embergrad::report::Progress;
using embergrad::report::ProgressOptions;

/// A file whose text can be read while it is written, and a clock that stands still until told.
struct Fixture {
  std::FILE* out = std::tmpfile();
  double time = 1000.0;

  Fixture() { BOOST_REQUIRE(out != nullptr); }
  ~Fixture() { std::fclose(out); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  ProgressOptions options(bool terminal, int columns = 80) {
    return {.label = "epoch 1/5",
            .total = 1000,
            .unit = "words",
            .out = out,
            .terminal = terminal,
            .columns = columns,
            .clock = [this] { return time; }};
  }

  std::string text() {
    std::string all;
    std::rewind(out);
    for (int c = std::fgetc(out); c != EOF; c = std::fgetc(out)) all += static_cast<char>(c);
    std::fseek(out, 0, SEEK_END);
    return all;
  }
};

int count(const std::string& text, char wanted) {
  int found = 0;
  for (const char c : text) found += c == wanted ? 1 : 0;
  return found;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(progress, Fixture)

BOOST_AUTO_TEST_CASE(plain_lines_come_seldom) {
  Progress line(options(false));
  for (int i = 1; i <= 250; ++i) {
    time += 0.125;
    line.advance(2, "loss 0.51");
  }
  line.finish("loss 0.49");
  line.finish();
  line.advance(1);
  BOOST_TEST(text() ==
             "epoch 1/5  16%  160/1000 words  16.0 words/s  0:53 left  loss 0.51\n"
             "epoch 1/5  32%  320/1000 words  16.0 words/s  0:43 left  loss 0.51\n"
             "epoch 1/5  48%  480/1000 words  16.0 words/s  0:33 left  loss 0.51\n"
             "epoch 1/5  500 words  16.0 words/s  0:32  loss 0.49\n");
}

BOOST_AUTO_TEST_CASE(a_terminal_line_is_drawn_at_most_ten_times_a_second) {
  Progress line(options(true));
  for (int i = 0; i < 100; ++i) {
    time += 0.0101;
    line.advance(5);
  }
  const int drawings = count(text(), '\r');
  BOOST_TEST(drawings >= 9);
  BOOST_TEST(drawings <= 10);
  BOOST_TEST(count(text(), '\n') == 0);
  line.finish("loss 0.49");
  BOOST_TEST(text().ends_with("\repoch 1/5  500 words  495 words/s  0:02  loss 0.49\x1b[K\n"));
}

BOOST_AUTO_TEST_CASE(a_terminal_line_never_wraps) {
  for (const int columns : {1, 2, 10, 31, 80}) {
    Fixture one;
    ProgressOptions narrow = one.options(true, columns);
    narrow.label = "épreuve\n";
    Progress line(std::move(narrow));
    one.time += 1;
    line.advance(1, std::string(200, 'x'));
    const std::string drawn = one.text();
    BOOST_TEST(drawn.starts_with('\r'));
    BOOST_TEST(drawn.ends_with("\x1b[K"));
    BOOST_TEST(count(drawn, '\n') == 0);
    const int characters = static_cast<int>(drawn.size()) - 4;
    BOOST_TEST(characters < columns);
    BOOST_TEST(characters >= columns - 3);
  }
}

BOOST_AUTO_TEST_CASE(an_unfinished_line_is_ended) {
  {
    Progress line(options(true));
    time += 1;
    line.advance(1);
  }
  BOOST_TEST(text().ends_with("\x1b[K\n"));
}

BOOST_AUTO_TEST_CASE(nothing_done_says_nothing) {
  { const Progress line(options(true)); }
  { const Progress line(options(false)); }
  BOOST_TEST(text().empty());
}

BOOST_AUTO_TEST_CASE(odd_numbers) {
  ProgressOptions open = options(false);
  open.total = 0;
  open.seconds_per_line = 0;
  Progress unknown(open);
  unknown.advance(0);  // no time has passed, nothing is done
  time += 4000;
  unknown.advance(1);
  BOOST_TEST(text() == "epoch 1/5  0 words\nepoch 1/5  1 words  0.00 words/s\n");
  unknown.finish();
  BOOST_TEST(text().ends_with("  1:06:40\n"));

  ProgressOptions over = options(false);
  over.label = "";
  over.total = 3;
  over.seconds_per_line = 0;
  Progress more(over);
  time += 1;
  more.advance(4);
  BOOST_TEST(text().ends_with("\n100%  4/3 words  4.00 words/s\n"));
}

BOOST_AUTO_TEST_CASE(wrong_options) {
  ProgressOptions wrong = options(false);
  wrong.total = -1;
  BOOST_CHECK_THROW(Progress{wrong}, ValueError);
  wrong = options(false);
  wrong.seconds_per_line = std::nan("");
  BOOST_CHECK_THROW(Progress{wrong}, ValueError);
  wrong = options(false);
  wrong.out = nullptr;
  BOOST_CHECK_THROW(Progress{wrong}, ValueError);
}

BOOST_AUTO_TEST_CASE(a_real_terminal_tells_its_width) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) {
    BOOST_TEST_MESSAGE("no pseudo terminal here: skipped");
    return;
  }
  winsize size = {};
  size.ws_col = 20;
  BOOST_REQUIRE(::ioctl(master, TIOCSWINSZ, &size) == 0);
  std::FILE* terminal = std::fopen(::ptsname(master), "w");
  BOOST_REQUIRE(terminal != nullptr);
  ::setenv("TERM", "xterm", 1);
  {
    ProgressOptions asked = options(false);
    asked.out = terminal;
    asked.terminal.reset();
    asked.columns.reset();
    Progress line(asked);
    time += 1;
    line.advance(500);
    char drawn[256] = {};
    const auto got = ::read(master, drawn, sizeof drawn);
    BOOST_TEST(std::string(drawn, static_cast<std::size_t>(got)) == "\repoch 1/5  50%  500\x1b[K");
  }
  std::fclose(terminal);
  ::close(master);
}

BOOST_AUTO_TEST_SUITE_END()

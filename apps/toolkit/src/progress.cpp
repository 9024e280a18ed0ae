#include <embergrad/report/progress.hpp>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <embergrad/error.hpp>
#include <iterator>
#include <limits>
#include <utility>

namespace embergrad::report {
namespace {

constexpr double seconds_per_drawing = 0.1;
constexpr int usual_columns = 80;

/// Whether lines can be drawn over there.
bool is_terminal(std::FILE* out) {
  const char* type = std::getenv("TERM");
  return ::isatty(::fileno(out)) == 1 && type != nullptr && std::string_view(type) != "dumb";
}

/// Replaces control characters by spaces and cuts `line` to `most` columns. What is not ASCII
/// counts as two columns, as the widest characters take: better a column unused than a line that wraps.
void fit(std::string& line, int most) {
  int columns = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    if (byte < 0x20 || byte == 0x7F) line[i] = ' ';
    const bool continues = (byte & 0xC0U) == 0x80U;
    const int wide = continues ? 0 : (byte < 0x80 ? 1 : 2);
    if (columns > most - wide) {
      line.resize(i);
      return;
    }
    columns += wide;
  }
}

void append_rate(std::string& line, double per_second, const std::string& unit) {
  const int decimals = per_second >= 100 ? 0 : (per_second >= 10 ? 1 : 2);
  fmt::format_to(std::back_inserter(line), "  {:.{}f} {}/s", per_second, decimals, unit);
}

/// `m:ss` or `h:mm:ss`.
void append_span(std::string& line, double seconds) {
  constexpr double most = 3599999;  // 999:59:59; also keeps the conversion below defined
  const auto whole = static_cast<int64_t>(std::ceil(std::clamp(seconds, 0.0, most)));
  const auto end = std::back_inserter(line);
  if (whole >= 3600) {
    fmt::format_to(end, "{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    fmt::format_to(end, "{}:{:02}", whole / 60, whole % 60);
  }
}

}  // namespace

Progress::Progress(ProgressOptions options) : options_(std::move(options)) {
  if (options_.total < 0) throw ValueError(fmt::format("Progress: total is {}, less than 0", options_.total));
  if (!(options_.seconds_per_line >= 0)) {
    throw ValueError(fmt::format("Progress: seconds_per_line is {}, less than 0", options_.seconds_per_line));
  }
  if (options_.out == nullptr) throw ValueError("Progress: out is no file");
  terminal_ = options_.terminal.value_or(is_terminal(options_.out));
  start_ = now();
  next_ = start_ + (terminal_ ? seconds_per_drawing : options_.seconds_per_line);
}

Progress::~Progress() {
  if (!drawn_ || finished_) return;
  std::fputc('\n', options_.out);
  std::fflush(options_.out);
}

void Progress::advance(int64_t count, std::string_view note) {
  if (finished_) return;
  done_ += count;
  const double time = now();
  if (time < next_) return;
  next_ = time + (terminal_ ? seconds_per_drawing : options_.seconds_per_line);
  show(time - start_, note, false);
}

void Progress::finish(std::string_view note) {
  if (finished_) return;
  finished_ = true;
  show(now() - start_, note, true);
}

void Progress::show(double elapsed, std::string_view note, bool last) {
  line_ = options_.label;
  const auto end = std::back_inserter(line_);
  if (!line_.empty()) line_ += "  ";
  const bool share = !last && options_.total > 0;
  if (share) {
    const double percent = 100.0 * static_cast<double>(done_) / static_cast<double>(options_.total);
    fmt::format_to(end, "{:.0f}%  {}/{} {}", std::floor(std::clamp(percent, 0.0, 100.0)), done_, options_.total,
                   options_.unit);
  } else {
    fmt::format_to(end, "{} {}", done_, options_.unit);
  }
  if (elapsed > 0 && done_ > 0) {
    append_rate(line_, static_cast<double>(done_) / elapsed, options_.unit);
    if (share && done_ < options_.total) {
      line_ += "  ";
      append_span(line_, elapsed / static_cast<double>(done_) * static_cast<double>(options_.total - done_));
      line_ += " left";
    }
  }
  if (last) {
    line_ += "  ";
    append_span(line_, elapsed);
  }
  if (!note.empty()) {
    line_ += "  ";
    line_ += note;
  }

  // The last column stays free: some terminals move on as soon as it is written.
  fit(line_, terminal_ && !last ? columns() - 1 : std::numeric_limits<int>::max());
  if (terminal_) {
    line_.insert(line_.begin(), '\r');
    line_ += "\x1b[K";  // what is left of the line that stood there
    drawn_ = true;
  }
  if (!terminal_ || last) line_ += '\n';
  std::fwrite(line_.data(), 1, line_.size(), options_.out);
  std::fflush(options_.out);
}

double Progress::now() const {
  if (options_.clock) return options_.clock();
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int Progress::columns() const {
  if (options_.columns) return std::max(*options_.columns, 1);
  winsize size = {};
  if (::ioctl(::fileno(options_.out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual_columns;
  return size.ws_col;
}

}  // namespace embergrad::report

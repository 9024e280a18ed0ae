#include <embergrad/report/svg_plot.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <embergrad/error.hpp>
#include <iterator>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>

#include "markup.hpp"
#include "utf8.hpp"

namespace embergrad::report {
namespace {

constexpr double title_size = 15;
constexpr double axis_size = 13;
constexpr double text_size = 12;
constexpr double line_height = 18;
constexpr double bin_line = 15;
constexpr double legend_sample = 28;

constexpr std::array<const char*, palette_size> palette = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                           "#E69F00", "#56B4E9", "#000000"};
constexpr const char* ink = R"(class="eg-ink" fill="#1A1A1A")";

double power_of_ten(int exponent) { return std::pow(10.0, exponent); }

// --- text

/// Width of a text in pixels, rather too large than too small: which font a viewer has is not known.
double width_of(std::string_view text, double size) {
  double width = 0;
  for (const char c : text) {
    if (text::continues_character(c)) continue;
    if (std::string_view("ijlI.,:;|!'()[] ").find(c) != std::string_view::npos) {
      width += 0.36;
    } else if (std::string_view("mwMW@%").find(c) != std::string_view::npos) {
      width += 0.95;
    } else {
      width += c >= 'A' && c <= 'Z' ? 0.70 : 0.61;
    }
  }
  return width * size;
}

/// The text, shortened if it would be too wide.
std::string cut_to(std::string text, double width, double size) {
  if (width_of(text, size) <= width) return text;
  while (!text.empty() && width_of(text, size) + size > width) {
    while (text.size() > 1 && text::continues_character(text.back())) text.pop_back();
    text.pop_back();
  }
  return text + "…";
}

/// A text with an exponent behind it: "10" and -3.
struct Label {
  std::string text;
  std::optional<int> exponent = {};

  [[nodiscard]] double width(double size) const {
    return width_of(text, size) + (exponent ? width_of(fmt::format("{}", *exponent), 0.75 * size) : 0);
  }
};

/// "−3": a minus sign is longer than a hyphen.
std::string with_minus(std::string number) {
  if (number.starts_with('-')) number.replace(0, 1, "−");
  return number;
}

/// "12,500.0"
std::string number_text(double value, int decimals) {
  std::string digits = fmt::format("{:.{}f}", std::abs(value), decimals);
  const std::size_t whole = std::min(digits.find('.'), digits.size());
  for (std::size_t at = whole; whole > 4 && at > 3;) digits.insert(at -= 3, ",");
  const bool is_zero = digits.find_first_not_of("0.,") == std::string::npos;
  return (value < 0 && !is_zero ? "−" : "") + digits;
}

// --- axes

struct Tick {
  double value;
  Label label;
};

/// An axis with its ends and ticks, and where values lie on it: from 0 to 1.
struct Ruler {
  bool is_log = false;
  double low = 0;
  double high = 1;
  std::vector<Tick> ticks = {};
  std::vector<double> minor = {};
  int exponent = 0;  // what all ticks of a linear axis share

  [[nodiscard]] bool has_place(double value) const { return std::isfinite(value) && (!is_log || value > 0); }
  [[nodiscard]] double place(double value) const {
    return is_log ? std::log10(value / low) / std::log10(high / low) : (value - low) / (high - low);
  }
  [[nodiscard]] double clamped_place(double value) const {
    return std::clamp(has_place(value) ? place(value) : 0.0, 0.0, 1.0);
  }
};

/// 1, 2 or 5 times a power of ten, at least `least`.
double round_step(double least) {
  const double power = power_of_ten(static_cast<int>(std::floor(std::log10(least))));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

Ruler linear_ruler(double low, double high, int most_ticks) {
  if (low == high) {
    const double margin = low == 0 ? 1 : 0.5 * std::abs(low);
    low -= low == 0 ? 0 : margin;
    high += margin;
  }
  const double step = round_step((high - low) / most_ticks);
  const double first = std::floor(low / step + 1e-6);
  const double last = std::ceil(high / step - 1e-6);
  Ruler ruler{.low = first * step, .high = last * step};
  const int largest = static_cast<int>(std::floor(std::log10(std::max(std::abs(ruler.low), std::abs(ruler.high)))));
  if (largest >= 6 || largest <= -4) {
    ruler.exponent = static_cast<int>(std::floor(largest / 3.0)) * 3;
  }
  const double unit = power_of_ten(ruler.exponent);
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step / unit) + 1e-6)));
  for (double at = first; at <= last; ++at) {
    ruler.ticks.push_back({at * step, {number_text(at * step / unit, decimals)}});
  }
  return ruler;
}

Ruler bins_ruler(const std::vector<std::string>& bins) {
  Ruler ruler{.low = -0.5, .high = static_cast<double>(bins.size()) - 0.5};
  for (std::size_t i = 0; i < bins.size(); ++i) ruler.ticks.push_back({static_cast<double>(i), {bins[i]}});
  return ruler;
}

/// 1, 2 or 5 times a power of ten, at most or at least `value`.
double round_log(double value, bool up) {
  const int power = static_cast<int>(std::floor(std::log10(value)));
  constexpr std::array<double, 5> factors = {0.5, 1, 2, 5, 10};
  if (up) {
    for (const double factor : factors) {
      if (factor * power_of_ten(power) >= value * (1 - 1e-9)) return factor * power_of_ten(power);
    }
    return 10 * power_of_ten(power);
  }
  for (auto factor = factors.rbegin(); factor != factors.rend(); ++factor) {
    if (*factor * power_of_ten(power) <= value * (1 + 1e-9)) return *factor * power_of_ten(power);
  }
  return power_of_ten(power);
}

Ruler log_ruler(double low, double high, int most_ticks) {
  Ruler ruler{.is_log = true, .low = round_log(low, false), .high = round_log(high, true)};
  if (ruler.low == ruler.high) {
    ruler.low = round_log(0.99 * ruler.low, false);
    ruler.high = round_log(1.01 * ruler.high, true);
  }
  const auto is_inside = [&](double value) {
    return value >= ruler.low * (1 - 1e-9) && value <= ruler.high * (1 + 1e-9);
  };
  const int first = static_cast<int>(std::floor(std::log10(ruler.low) + 1e-9));
  const int last = static_cast<int>(std::ceil(std::log10(ruler.high) - 1e-9));
  int powers = 0;
  for (int power = first; power <= last; ++power) powers += is_inside(power_of_ten(power)) ? 1 : 0;
  const int stride = std::max(1, (powers + most_ticks - 1) / most_ticks);
  const bool subdivided = powers <= 2;
  // Plain numbers as long as they are short.
  const bool plain = ruler.low >= 1e-3 && ruler.high <= 1e4;
  for (int power = first; power <= last; ++power) {
    for (int factor = 1; factor < 10; ++factor) {
      const double value = factor * power_of_ten(power);
      if (!is_inside(value)) continue;
      const bool is_power = factor == 1;
      if ((is_power && power % stride == 0) || (subdivided && (factor == 2 || factor == 5))) {
        Label label{is_power ? "10" : fmt::format("{}×10", factor), power};
        if (plain) label = {number_text(value, std::max(0, -power))};
        ruler.ticks.push_back({value, std::move(label)});
      } else if (stride == 1 || is_power) {
        ruler.minor.push_back(value);
      }
    }
  }
  return ruler;
}

/// Least and largest of some values.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

Ruler ruler_of(const Axis& axis, Range range, int most_ticks) {
  if (!axis.bins.empty()) return bins_ruler(axis.bins);
  const bool is_log = axis.scale == Scale::log;
  if (axis.min) range.add(*axis.min);
  if (axis.max) range.add(*axis.max);
  if (range.low > range.high) range = is_log ? Range{1, 10} : Range{0, 1};
  return is_log ? log_ruler(range.low, range.high, most_ticks) : linear_ruler(range.low, range.high, most_ticks);
}

// --- checks

void check_axis(const LinePlot& plot, const Axis& axis, const char* name) {
  const auto refuse = [&](const std::string& reason) {
    throw ValueError(fmt::format("to_svg: {} axis of '{}': {}", name, plot.title, reason));
  };
  const bool is_log = axis.scale == Scale::log;
  if (is_log && !axis.bins.empty()) refuse("bins go with a linear axis");
  for (const auto& limit : {axis.min, axis.max}) {
    if (limit && !std::isfinite(*limit)) refuse(fmt::format("limit {} is not finite", *limit));
    if (limit && is_log && *limit <= 0) refuse(fmt::format("limit {} is not above 0", *limit));
  }
  if (axis.min && axis.max && *axis.min >= *axis.max) {
    refuse(fmt::format("min {} is not below max {}", *axis.min, *axis.max));
  }
}

void check(const LinePlot& plot) {
  const auto refuse = [&](const std::string& reason) {
    throw ValueError(fmt::format("to_svg: '{}': {}", plot.title, reason));
  };
  constexpr int most = 10000;
  if (plot.width < 200 || plot.height < 150 || plot.width > most || plot.height > most) {
    refuse(fmt::format("{} x {} pixels; at least 200 x 150 and at most {} x {}", plot.width, plot.height, most, most));
  }
  check_axis(plot, plot.x, "x");
  check_axis(plot, plot.y, "y");
  for (const Series& series : plot.series) {
    const auto wrong = [&](const std::string& reason) { refuse(fmt::format("series '{}': {}", series.name, reason)); };
    if (series.x.size() != series.y.size()) {
      wrong(fmt::format("{} values of x, {} of y", series.x.size(), series.y.size()));
    }
    if (!series.spread.empty() && series.spread.size() != series.y.size()) {
      wrong(fmt::format("{} values of y, {} of spread", series.y.size(), series.spread.size()));
    }
    if (std::any_of(series.spread.begin(), series.spread.end(), [](double each) { return each < 0; })) {
      wrong("a spread is negative");
    }
    if (series.color < 0) wrong(fmt::format("color {} is negative", series.color));
  }
  for (const Mark& mark : plot.marks) {
    if (mark.color < 0) refuse(fmt::format("mark '{}': color {} is negative", mark.label, mark.color));
  }
}

// --- the picture

struct Point {
  double x, y, spread;  // values
};

/// The points of a line, left to right, cut where there are gaps.
std::vector<std::vector<Point>> stretches(const Series& series, const Ruler& x, const Ruler& y) {
  std::vector<std::size_t> order(series.x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return !x.has_place(series.x[i]); });
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return series.x[a] < series.x[b]; });
  std::vector<std::vector<Point>> all(1);
  for (const std::size_t i : order) {
    if (!y.has_place(series.y[i])) {
      if (!all.back().empty()) all.emplace_back();
      continue;
    }
    const double spread = series.spread.empty() || !std::isfinite(series.spread[i]) ? 0 : series.spread[i];
    all.back().push_back({series.x[i], series.y[i], spread});
  }
  if (all.back().empty()) all.pop_back();
  return all;
}

class Picture {
 public:
  explicit Picture(const LinePlot& plot) : plot_(plot) {
    lay_out_rulers();
    lay_out_head();
    left_ = 12 + (plot.y.title.empty() ? 0 : line_height + 4) + widest_tick() + 10;
    right_ = plot.width - 22;
    bottom_ = plot.height - 32 - (plot.x.title.empty() ? 0 : line_height + 2) - (most_lines() - 1) * bin_line;
  }

  std::string draw() {
    put(R"(<svg xmlns="http://www.w3.org/2000/svg" class="eg-plot" role="img" viewBox="0 0 {0} {1}" width="{0}" )"
        R"(height="{1}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="{2}">)",
        plot_.width, plot_.height, text_size);
    put("\n<title>{}</title>\n", escaped(plot_.title));
    put(R"(<rect class="eg-paper" width="{}" height="{}" fill="#FFFFFF"/>)", plot_.width, plot_.height);
    out_ += '\n';
    draw_axes();
    draw_head();
    for (const Mark& mark : plot_.marks) draw_mark(mark);
    bool empty = true;
    for (const Series& series : plot_.series) empty &= !draw_series(series);
    if (empty) {
      text((left_ + right_) / 2, (top_ + bottom_) / 2, "middle", axis_size, {"no data"});
    }
    out_ += "</svg>\n";
    return std::move(out_);
  }

 private:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  /// Hundredths of a pixel are fine enough, and the same on every machine.
  static std::string px(double value) {
    std::string digits = fmt::format("{:.2f}", value + 0.0);
    while (digits.back() == '0') digits.pop_back();
    if (digits.back() == '.') digits.pop_back();
    return digits == "-0" ? "0" : digits;
  }
  [[nodiscard]] double across(double value) const { return left_ + x_.clamped_place(value) * (right_ - left_); }
  [[nodiscard]] double down(double value) const { return bottom_ - y_.clamped_place(value) * (bottom_ - top_); }

  void lay_out_rulers() {
    // How long the axes are is not known before the ticks are; about is enough to choose how many ticks.
    Range x;
    Range y;
    const auto has_place = [](const Axis& axis, double value) {
      return std::isfinite(value) && (axis.scale == Scale::linear || value > 0);
    };
    for (const Series& series : plot_.series) {
      for (std::size_t i = 0; i < series.x.size(); ++i) {
        if (!has_place(plot_.x, series.x[i]) || !has_place(plot_.y, series.y[i])) continue;
        x.add(series.x[i]);
        y.add(series.y[i]);
        if (series.spread.empty() || !std::isfinite(series.spread[i])) continue;
        y.add(series.y[i] + series.spread[i]);
        // On a logarithmic axis a band may reach down without end.
        const double below = series.y[i] - series.spread[i];
        if (plot_.y.scale == Scale::linear || below > series.y[i] / 3) y.add(below);
      }
    }
    x_ = ruler_of(plot_.x, x, std::max(2, plot_.width / 95));
    y_ = ruler_of(plot_.y, y, std::max(2, plot_.height / 62));
  }

  /// Lines of the bins' names.
  [[nodiscard]] double most_lines() const {
    std::ptrdiff_t most = 0;
    for (const std::string& bin : plot_.x.bins) most = std::max(most, std::count(bin.begin(), bin.end(), '\n'));
    return static_cast<double>(most + 1);
  }

  [[nodiscard]] double widest_tick() const {
    double widest = 0;
    for (const Tick& tick : y_.ticks) widest = std::max(widest, tick.label.width(text_size));
    return widest;
  }

  /// Title and legend, line by line.
  void lay_out_head() {
    const double most = plot_.width - 32;
    std::string line;
    std::string_view rest = plot_.title;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      const std::string word(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const std::string longer = line.empty() ? word : fmt::format("{} {}", line, word);
      if (!line.empty() && width_of(longer, 1.06 * title_size) > most) {
        title_.push_back(std::exchange(line, word));
      } else {
        line = longer;
      }
    }
    if (!line.empty()) title_.push_back(line);

    double used = 0;
    for (const Series& series : plot_.series) {
      if (series.name.empty()) continue;
      const std::string name = cut_to(series.name, most - legend_sample - 8, text_size);
      const double width = legend_sample + 6 + width_of(name, text_size) + 18;
      if (legend_.empty() || used + width - 18 > most) {
        legend_.emplace_back();
        used = 0;
      }
      legend_.back().push_back({&series, name, used});
      used += width;
    }
    top_ = 14 + 20 * static_cast<double>(title_.size()) + line_height * static_cast<double>(legend_.size()) + 8;
  }

  void text(double x, double y, const char* anchor, double size, const Label& label, const std::string& more = "") {
    put(R"(<text {} x="{}" y="{}" text-anchor="{}" font-size="{}"{}>{})", ink, px(x), px(y), anchor, px(size), more,
        escaped(label.text));
    if (label.exponent) {
      put(R"(<tspan dy="-{}" font-size="{}">{}</tspan>)", px(0.38 * size), px(0.75 * size),
          with_minus(fmt::format("{}", *label.exponent)));
    }
    out_ += "</text>\n";
  }

  void line(const char* what, const char* color, double x1, double y1, double x2, double y2) {
    put(R"(<line class="{}" stroke="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>)", what, color, px(x1), px(y1), px(x2),
        px(y2));
    out_ += '\n';
  }

  static Label title_of(const Axis& axis, const Ruler& ruler) {
    if (ruler.exponent == 0) return {axis.title};
    return {axis.title + (axis.title.empty() ? "×10" : "   ×10"), ruler.exponent};
  }

  void draw_axes() {
    for (const Tick& tick : y_.ticks) line("eg-grid", "#E2E2E2", left_, down(tick.value), right_, down(tick.value));
    for (const Tick& tick : x_.ticks) line("eg-grid", "#F0F0F0", across(tick.value), top_, across(tick.value), bottom_);
    for (const double value : y_.minor) line("eg-line", "#555555", left_ - 3, down(value), left_, down(value));
    for (const double value : x_.minor) line("eg-line", "#555555", across(value), bottom_, across(value), bottom_ + 3);
    double free_from = 0;
    for (const Tick& tick : x_.ticks) {
      const double at = across(tick.value);
      line("eg-line", "#555555", at, bottom_, at, bottom_ + 5);
      Label label = tick.label;
      std::vector<std::string> lines;
      double half = 0;
      for (std::size_t from = 0; from <= label.text.size();) {
        const std::size_t end = std::min(label.text.find('\n', from), label.text.size());
        lines.push_back(label.text.substr(from, end - from));
        half = std::max(half, Label{lines.back(), label.exponent}.width(text_size) / 2);
        from = end + 1;
      }
      if (at - half < free_from) continue;
      free_from = at + half + 4;
      double y = bottom_ + 19;
      for (const std::string& each : lines) {
        label.text = each;
        text(at, y, "middle", text_size, label);
        y += bin_line;
      }
    }
    for (const Tick& tick : y_.ticks) {
      line("eg-line", "#555555", left_ - 5, down(tick.value), left_, down(tick.value));
      text(left_ - 9, down(tick.value) + 0.35 * text_size, "end", text_size, tick.label);
    }
    line("eg-line", "#555555", left_, top_, left_, bottom_);
    line("eg-line", "#555555", left_, bottom_, right_, bottom_);
    if (!plot_.x.title.empty() || x_.exponent != 0) {
      text((left_ + right_) / 2, plot_.height - 12, "middle", axis_size, title_of(plot_.x, x_));
    }
    if (!plot_.y.title.empty() || y_.exponent != 0) {
      const double middle = (top_ + bottom_) / 2;
      text(22, middle, "middle", axis_size, title_of(plot_.y, y_),
           fmt::format(R"~( transform="rotate(-90 22 {})")~", px(middle)));
    }
  }

  void draw_head() {
    double y = 26;
    for (const std::string& each : title_) {
      text(16, y, "start", title_size, {each}, R"( font-weight="bold")");
      y += 20;
    }
    for (const auto& row : legend_) {
      for (const Entry& entry : row) {
        const double x = 16 + entry.x;
        open(entry.series->color);
        draw_path(fmt::format("M{} {}H{}", px(x), px(y), px(x + legend_sample)), entry.series->style);
        if (entry.series->markers) draw_marker(x + legend_sample / 2, y, entry.series->color);
        out_ += "</g>\n";
        text(x + legend_sample + 6, y + 0.35 * text_size, "start", text_size, {entry.name});
      }
      y += line_height;
    }
  }

  void open(int color) {
    const int place = color % palette_size;
    put(R"(<g class="eg-c{}" color="{}">)", place, palette[static_cast<std::size_t>(place)]);
    out_ += '\n';
  }

  void draw_path(const std::string& path, LineStyle style) {
    put(R"(<path d="{}" fill="none" stroke="currentColor" stroke-linejoin="round" )", path);
    switch (style) {
      case LineStyle::solid:
        out_ += R"(stroke-width="2" stroke-linecap="round"/>)";
        break;
      case LineStyle::dashed:
        out_ += R"(stroke-width="2" stroke-dasharray="7 4"/>)";
        break;
      case LineStyle::dotted:
        out_ += R"(stroke-width="2.2" stroke-linecap="round" stroke-dasharray="0.1 4.5"/>)";
        break;
      case LineStyle::broad:
        out_ += R"(stroke-width="7" stroke-linecap="round" stroke-opacity="0.3"/>)";
        break;
    }
    out_ += '\n';
  }

  void draw_marker(double x, double y, int color) {
    constexpr std::array<const char*, 4> shapes = {
        "m-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0z",  // a circle
        "m0 -4.6l4.4 7.9h-8.8z",                              // a triangle
        "m-3.2 -3.2h6.4v6.4h-6.4z",                           // a square
        "m0 -4.5l4.5 4.5l-4.5 4.5l-4.5 -4.5z",                // a diamond
    };
    put(R"(<path d="M{} {}{}" fill="currentColor"/>)", px(x), px(y),
        shapes[static_cast<std::size_t>(color % palette_size) % shapes.size()]);
    out_ += '\n';
  }

  /// Whether there was anything to draw.
  bool draw_series(const Series& series) {
    const auto all = stretches(series, x_, y_);
    if (all.empty()) return false;
    open(series.color);
    for (const auto& points : all) {
      const bool has_band = std::any_of(points.begin(), points.end(), [](const Point& p) { return p.spread > 0; });
      if (!has_band) continue;
      std::string band;
      for (const Point& p : points) {
        band += fmt::format("{}{} {}", band.empty() ? "M" : "L", px(across(p.x)), px(down(p.y + p.spread)));
      }
      for (auto p = points.rbegin(); p != points.rend(); ++p) {
        band += fmt::format("L{} {}", px(across(p->x)), px(down(p->y - p->spread)));
      }
      // A single point has no area; its band is a bar.
      put(R"(<path d="{}z" fill="currentColor" fill-opacity="0.18" stroke="{}" stroke-opacity="0.5"/>)", band,
          points.size() == 1 ? "currentColor" : "none");
      out_ += '\n';
    }
    for (const auto& points : all) {
      std::string path;
      for (const Point& p : points) {
        path += fmt::format("{}{} {}", path.empty() ? "M" : "L", px(across(p.x)), px(down(p.y)));
      }
      if (points.size() > 1) draw_path(path, series.style);
      if (!series.markers && points.size() > 1) continue;
      for (const Point& p : points) draw_marker(across(p.x), down(p.y), series.color);
    }
    out_ += "</g>\n";
    return true;
  }

  void draw_mark(const Mark& mark) {
    if (!x_.has_place(mark.x) || x_.place(mark.x) < 0 || x_.place(mark.x) > 1) return;
    const double x = across(mark.x);
    open(mark.color);
    put(R"(<path d="M{} {}V{}" fill="none" stroke="currentColor" stroke-width="1.3" stroke-dasharray="2 3"/>)", px(x),
        px(bottom_), px(top_));
    out_ += "\n</g>\n";
    // Where there is room.
    const bool on_the_right = x + 6 + width_of(mark.label, text_size) < right_;
    text(on_the_right ? x + 5 : x - 5, top_ + 12, on_the_right ? "start" : "end", text_size, {mark.label});
  }

  /// A place in the legend.
  struct Entry {
    const Series* series;
    std::string name;
    double x;
  };

  const LinePlot& plot_;
  Ruler x_;
  Ruler y_;
  std::vector<std::string> title_;          // its lines
  std::vector<std::vector<Entry>> legend_;  // row by row
  double left_ = 0;                         // the ends of the axes
  double right_ = 0;
  double top_ = 0;
  double bottom_ = 0;
  std::string out_;
};

}  // namespace

std::string to_svg(const LinePlot& plot) {
  check(plot);
  return Picture(plot).draw();
}

}  // namespace embergrad::report

/// @file
/// Line plots as SVG, fit to be published.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace embergrad::report {

/// How numbers become places along an axis.
enum class Scale : std::uint8_t {
  linear,
  log,  ///< base 10; values that are not above 0 have no place
};

/// One axis of a plot.
struct Axis {
  std::string title = {};          ///< what is measured, and in which unit: "time per step (ms)"
  Scale scale = Scale::linear;     ///< see Scale
  std::optional<double> min = {};  ///< where the axis begins at the latest; by itself, at the least value
  std::optional<double> max = {};  ///< where it ends at the earliest
  /// Names of the places 0, 1, 2, … instead of numbers, for an axis of bins. The axis is linear then and shows them
  /// all. On the x axis a name may have several lines. A name for which there is no room is left out.
  std::vector<std::string> bins = {};
};

/// How a line is drawn.
enum class LineStyle : std::uint8_t {
  solid,
  dashed,
  dotted,
  broad,  ///< wide and pale: a line that another one is expected to cover
};

/// One line, with or without a band around it.
struct Series {
  std::string name = {};               ///< in the legend; empty: not in the legend
  std::vector<double> x = {};          ///< any order
  std::vector<double> y = {};          ///< one for each x; NaN or infinite: the line has a gap there
  std::vector<double> spread = {};     ///< standard deviation of each y, drawn as a band y ± spread; empty: no band
  int color = 0;                       ///< which color of the palette, from 0; goes round
  LineStyle style = LineStyle::solid;  ///< see LineStyle
  bool markers = false;                ///< a mark at each point; its shape goes with the color
};

/// A vertical line that says something about a place on the x axis.
struct Mark {
  double x = 0;            ///< where; not drawn outside of the axis
  std::string label = {};  ///< written beside its upper end
  int color = 0;           ///< as in Series
};

/// Lines over a pair of axes.
///
/// @code
/// const LinePlot plot{.title = "Loss of five runs",
///                     .x = {.title = "step"},
///                     .y = {.title = "mean squared error", .scale = Scale::log},
///                     .series = {{.name = "exact", .x = {0, 100, 200}, .y = {1, 0.3, 0.1}, .spread = {0, 0.02,
///                     0.01}}}};
/// std::ofstream("loss.svg") << to_svg(plot);
/// @endcode
struct LinePlot {
  std::string title = {};           ///< above the plot
  Axis x = {};                      ///< to the right
  Axis y = {};                      ///< upwards
  std::vector<Series> series = {};  ///< later ones lie over earlier ones
  std::vector<Mark> marks = {};     ///< under the lines
  int width = 720;                  ///< of the picture, in pixels; at least 200
  int height = 440;                 ///< of the picture, in pixels; at least 150
};

/// Colors of the palette (Okabe and Ito 2008, in an order in which neighbours differ most): told apart by people who
/// are colour-blind, and in print.
inline constexpr int palette_size = 7;

/// The plot as a standalone SVG document, black on white.
///
/// Ticks stand at 1, 2 or 5 times a power of ten, on a logarithmic axis at powers of ten; a power of ten that all ticks
/// of an axis share is written beside its title. The axes are as long as data, bands, marks' places left out, and
/// `Axis::min` and `max` ask for. Bands that reach below the end of a logarithmic axis are cut there. A plot without a
/// point that can be drawn says so. The same plot gives the same bytes.
///
/// All text is escaped; what is no UTF-8 and control characters become U+FFFD. The document refers to nothing outside
/// itself and has no ids, so that several may stand in one page; the classes `eg-plot`, `eg-paper`, `eg-ink`,
/// `eg-line`, `eg-grid` and `eg-c0` … `eg-c6` let a page's style sheet change its colours (HtmlReport does for dark
/// screens).
///
/// Throws ValueError, naming the plot's title and the series, for x, y and spread of different lengths, a spread that
/// is negative, limits of an axis that are not finite, not in order, or not above 0 on a logarithmic one, bins on a
/// logarithmic axis, a negative color, and a picture that is too small or more than 10000 pixels wide or high.
[[nodiscard]] std::string to_svg(const LinePlot& plot);

}  // namespace embergrad::report

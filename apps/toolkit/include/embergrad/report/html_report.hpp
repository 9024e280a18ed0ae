/// @file
/// A report as one HTML file.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <embergrad/report/svg_plot.hpp>

namespace embergrad::report {

/// A column of a table.
struct HtmlColumn {
  std::string title = {};  ///< its head
  bool number = false;     ///< flush right, digits of equal width
};

/// A table of a report.
struct HtmlTable {
  std::string caption = {};                         ///< above the table; empty: none
  std::vector<HtmlColumn> columns = {};             ///< left to right
  std::vector<std::vector<std::string>> rows = {};  ///< one text for each column
};

/// A plot of a report.
struct HtmlFigure {
  LinePlot plot = {};        ///< see to_svg
  std::string caption = {};  ///< below it; empty: none
};

/// Builds one self-contained HTML file, top to bottom: text, tables and plots. It asks nothing of the network, has no
/// scripts, follows the reader's choice of a light or dark screen, and prints black on white.
///
/// @code
/// HtmlReport report("Training of a tagger");
/// report.paragraph("Five epochs on 12,544 sentences.");
/// report.heading("Accuracy");
/// report.table({.columns = {{"epoch", true}, {"accuracy", true}}, .rows = {{"1", "0.87"}, {"2", "0.90"}}});
/// report.figures({{.plot = {.title = "Loss"}, .caption = "Mean of three runs, with their standard deviation."}});
/// std::ofstream("report.html") << report.str();
/// @endcode
///
/// All text is escaped; what is no UTF-8 and control characters become U+FFFD. The same calls give the same bytes.
class HtmlReport {
 public:
  /// The title is the page's and its first line.
  explicit HtmlReport(std::string_view title);

  /// Begins a part of the report. With three parts or more, a list of them stands at the top.
  void heading(std::string_view text);
  /// Begins a part of a part.
  void subheading(std::string_view text);
  /// A paragraph.
  void paragraph(std::string_view text);
  /// A paragraph that stands out: what a reader in a hurry should see.
  void highlight(std::string_view text);
  /// Lines in a fixed-width font, broken where they are too long: a command, say.
  void code(std::string_view text);
  /// A table. ValueError, naming its caption, if a row has not one text for each column.
  void table(const HtmlTable& table);
  /// Plots side by side, as many as fit into the window. ValueError as to_svg.
  void figures(std::span<const HtmlFigure> figures);
  /// The same of plots written in place.
  void figures(std::initializer_list<HtmlFigure> figures) { this->figures(std::span(figures.begin(), figures.size())); }

  /// The whole file.
  [[nodiscard]] std::string str() const;

 private:
  void element(std::string_view name, std::string_view text);

  std::string title_;
  std::vector<std::string> headings_;
  std::string body_;
};

}  // namespace embergrad::report

#include <embergrad/report/html_report.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <embergrad/error.hpp>
#include <iterator>

#include "markup.hpp"

namespace embergrad::report {
namespace {

// Colours of plots are attributes in their SVG, which any rule of a style sheet outranks.
constexpr std::string_view style = R"(
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1a1a; --faint: #555; --line: #d8d8d8; --shade: #f5f6f8; --mark: #e8f1f8; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --ink: #e6e6e6; --faint: #a8adb5; --line: #3a3f47; --shade: #1f2329; --mark: #17293a; --accent: #5ab0e8; }
  .eg-plot .eg-paper { fill: #16181c; }
  .eg-plot .eg-ink { fill: #e6e6e6; }
  .eg-plot .eg-line { stroke: #a8adb5; }
  .eg-plot .eg-grid { stroke: #2c3138; }
  .eg-plot .eg-c0 { color: #4fa8e0; } .eg-plot .eg-c1 { color: #ff8640; } .eg-plot .eg-c2 { color: #2cc295; }
  .eg-plot .eg-c3 { color: #e39ac4; } .eg-plot .eg-c4 { color: #f0b429; } .eg-plot .eg-c5 { color: #8ad0f7; }
  .eg-plot .eg-c6 { color: #f2f2f2; }
}
@media print {
  :root { color-scheme: light; }
  figure, tr { break-inside: avoid; }
}
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { margin-top: 2.5rem; padding-top: 0.5rem; border-top: 1px solid var(--line); font-size: 1.3rem; } h3 { margin-top: 1.8rem; font-size: 1.08rem; }
p { max-width: 48rem; } nav ul { padding-left: 1.2rem; } a { color: var(--accent); }
.highlight { max-width: 48rem; padding: 0.7rem 1rem; border-left: 4px solid var(--accent); background: var(--mark); }
pre { padding: 0.7rem 1rem; background: var(--shade); white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.9rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
caption { padding: 0.4rem 0; text-align: left; color: var(--faint); }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--faint); } tbody tr:hover { background: var(--shade); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; max-width: 48rem; border: 1px solid var(--line); } figure svg { display: block; width: 100%; height: auto; }
figcaption { padding: 0.3rem 1rem 0.7rem; color: var(--faint); font-size: 0.88rem; }
)";

}  // namespace

HtmlReport::HtmlReport(std::string_view title) : title_(escaped(title)) {}

void HtmlReport::element(std::string_view name, std::string_view text) {
  fmt::format_to(std::back_inserter(body_), "<{0}>{1}</{0}>\n", name, escaped(text));
}

void HtmlReport::heading(std::string_view text) {
  headings_.push_back(escaped(text));
  fmt::format_to(std::back_inserter(body_), "<h2 id=\"part-{}\">{}</h2>\n", headings_.size(), headings_.back());
}

void HtmlReport::subheading(std::string_view text) { element("h3", text); }

void HtmlReport::paragraph(std::string_view text) { element("p", text); }

void HtmlReport::highlight(std::string_view text) {
  fmt::format_to(std::back_inserter(body_), "<p class=\"highlight\">{}</p>\n", escaped(text));
}

void HtmlReport::code(std::string_view text) { element("pre", text); }

void HtmlReport::table(const HtmlTable& table) {
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    if (table.rows[i].size() == table.columns.size()) continue;
    throw ValueError(fmt::format("HtmlReport::table: '{}': row {} has {} texts for {} columns", table.caption, i,
                                 table.rows[i].size(), table.columns.size()));
  }
  const auto cell = [&](const char* name, std::size_t column, std::string_view text) {
    const char* number = table.columns[column].number ? " class=\"number\"" : "";
    fmt::format_to(std::back_inserter(body_), "<{0}{1}>{2}</{0}>", name, number, escaped(text));
  };
  body_ += "<div class=\"table\"><table>\n";
  if (!table.caption.empty()) element("caption", table.caption);
  body_ += "<thead><tr>";
  for (std::size_t i = 0; i < table.columns.size(); ++i) cell("th", i, table.columns[i].title);
  body_ += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    body_ += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) cell("td", i, row[i]);
    body_ += "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

void HtmlReport::figures(std::span<const HtmlFigure> figures) {
  std::string all = "<div class=\"figures\">\n";
  for (const HtmlFigure& figure : figures) {
    all += "<figure>\n" + to_svg(figure.plot);
    if (!figure.caption.empty()) all += "<figcaption>" + escaped(figure.caption) + "</figcaption>\n";
    all += "</figure>\n";
  }
  body_ += all + "</div>\n";
}

std::string HtmlReport::str() const {
  std::string contents;
  if (headings_.size() >= 3) {
    contents = "<nav><ul>\n";
    for (std::size_t i = 0; i < headings_.size(); ++i) {
      contents += fmt::format("<li><a href=\"#part-{}\">{}</a></li>\n", i + 1, headings_[i]);
    }
    contents += "</ul></nav>\n";
  }
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<title>{0}</title>\n<style>{1}</style>\n"
      "</head>\n<body>\n<h1>{0}</h1>\n{2}{3}</body>\n</html>\n",
      title_, style, contents, body_);
}

}  // namespace embergrad::report

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <embergrad/error.hpp>
#include <embergrad/report/svg_plot.hpp>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "markup_support.hpp"

namespace {

using embergrad::ValueError;
using embergrad::report::Axis;
using embergrad::report::LinePlot;
using embergrad::report::LineStyle;
using embergrad::report::Scale;
using embergrad::report::Series;
using embergrad::report::to_svg;
using embergrad::test::is_well_formed;
using embergrad::test::times;

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

LinePlot of(const std::vector<double>& x, const std::vector<double>& y) {
  return {.title = "t", .x = {.title = "a"}, .y = {.title = "b"}, .series = {{.name = "s", .x = x, .y = y}}};
}

/// The texts that stand on the picture, in their order: superscripts behind a ^.
std::vector<std::string> texts_of(const std::string& svg) {
  std::vector<std::string> all;
  for (std::size_t at = 0; (at = svg.find("<text", at)) != std::string::npos;) {
    std::string text;
    const std::size_t end = svg.find("</text>", at);
    for (at = svg.find('>', at) + 1; at < end; ++at) {
      if (svg[at] == '<') {
        if (svg[at + 1] == 't') text += '^';
        at = svg.find('>', at);
      } else {
        text += svg[at];
      }
    }
    all.push_back(text);
  }
  return all;
}

bool shows(const std::string& svg, const std::string& text) {
  const auto all = texts_of(svg);
  return std::find(all.begin(), all.end(), text) != all.end();
}

/// Points of the path that follows the first `mark`, as the places they are drawn at.
std::vector<std::pair<double, double>> points_of(const std::string& svg, const std::string& mark) {
  std::vector<std::pair<double, double>> points;
  std::size_t at = svg.find(mark);
  BOOST_TEST_REQUIRE(at != std::string::npos);
  at = svg.find("d=\"", at) + 3;
  while (svg[at] == 'M' || svg[at] == 'L') {
    std::size_t used = 0;
    const double x = std::stod(svg.substr(at + 1), &used);
    at += 1 + used;
    const double y = std::stod(svg.substr(at), &used);
    at += used;
    while (svg[at] == ' ') ++at;
    points.emplace_back(x, y);
  }
  return points;
}

bool refuses(const LinePlot& plot, std::string_view part) {
  try {
    (void)to_svg(plot);
  } catch (const ValueError& error) {
    BOOST_TEST(std::string_view(error.what()).find(part) != std::string_view::npos, error.what()
                                                                                        << " does not say " << part);
    return true;
  }
  return false;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(svg_plot)

BOOST_AUTO_TEST_CASE(a_line_between_round_numbers) {
  const std::string svg = to_svg(of({0, 950, 1900}, {0.12, 0.31, 0.98}));
  BOOST_TEST(is_well_formed(svg));
  for (const char* text : {"t", "a", "b", "s", "0", "500", "1000", "1500", "2000", "0.0", "0.2", "1.0"}) {
    BOOST_TEST(shows(svg, text), text);
  }
  // Places are linear in the values.
  const std::size_t line = svg.rfind("<g class=\"eg-c0\"");
  const auto drawn = points_of(svg.substr(line), "<g");
  BOOST_TEST_REQUIRE(drawn.size() == 3U);
  BOOST_TEST(std::abs((drawn[1].first - drawn[0].first) - (drawn[2].first - drawn[1].first)) < 0.02);
  BOOST_TEST(std::abs((drawn[0].second - drawn[1].second) / (drawn[0].second - drawn[2].second) - 0.19 / 0.86) < 1e-3);
}

BOOST_AUTO_TEST_CASE(logarithmic_axes) {
  LinePlot plot = of({1e3, 1e4, 1e6}, {1e-7, 1e-5, 1});
  plot.x.scale = plot.y.scale = Scale::log;
  std::string svg = to_svg(plot);
  BOOST_TEST(is_well_formed(svg));
  for (const char* text : {"10^3", "10^4", "10^6", "10^−6", "10^0"}) BOOST_TEST(shows(svg, text), text);
  const auto drawn = points_of(svg.substr(svg.rfind("<g class=\"eg-c0\"")), "<g");
  BOOST_TEST_REQUIRE(drawn.size() == 3U);
  BOOST_TEST(std::abs(2 * (drawn[1].first - drawn[0].first) - (drawn[2].first - drawn[1].first)) < 0.03);
  // Short numbers stay plain, and a short axis has more than its powers.
  plot = of({0, 1}, {0.21, 0.8});
  plot.y.scale = Scale::log;
  svg = to_svg(plot);
  for (const char* text : {"0.2", "0.5", "1"}) BOOST_TEST(shows(svg, text), text);
  // What is not above 0 has no place: the line has a gap.
  plot = of({0, 1, 2, 3, 4}, {1, 2, 0, 3, 4});
  plot.y.scale = Scale::log;
  svg = to_svg(plot);
  BOOST_TEST(times(svg.substr(svg.rfind("<g class=\"eg-c0\"")), "fill=\"none\"") == 2);
}

BOOST_AUTO_TEST_CASE(shared_powers_of_ten_stand_beside_the_title) {
  std::string svg = to_svg(of({0, 1}, {0, 4e-5}));
  BOOST_TEST(shows(svg, "b   ×10^−6"));
  BOOST_TEST(shows(svg, "40"));
  svg = to_svg(of({0, 50000}, {-1234567, 4e6}));
  BOOST_TEST(shows(svg, "b   ×10^6"));
  BOOST_TEST(shows(svg, "−2"));
  BOOST_TEST(shows(svg, "50,000"));
}

BOOST_AUTO_TEST_CASE(bands) {
  LinePlot plot = of({0, 1, 2}, {1, 2, 3});
  plot.series[0].spread = {0.5, 0.5, 2};
  std::string svg = to_svg(plot);
  BOOST_TEST(is_well_formed(svg));
  const auto band = points_of(svg.substr(svg.rfind("<g class=\"eg-c0\"")), "<g");
  BOOST_TEST_REQUIRE(band.size() == 6U);
  // Up to 5 and down to 1 at the right; 1.5 and 0.5 at the left.
  const double unit = (band[5].second - band[0].second);
  BOOST_TEST(std::abs((band[3].second - band[2].second) / unit - 4) < 1e-2);
  BOOST_TEST(shows(svg, "5"));
  // On a logarithmic axis the band ends where the axis ends.
  plot.y.scale = Scale::log;
  svg = to_svg(plot);
  for (const auto& [x, y] : points_of(svg.substr(svg.rfind("<g class=\"eg-c0\"")), "<g")) {
    BOOST_TEST((y > 0 && y < plot.height));
  }
}

BOOST_AUTO_TEST_CASE(bins_marks_and_styles) {
  LinePlot plot = of({0, 1, 2}, {1, 2, 3});
  plot.x.bins = {"never", "1–3", "4+"};
  plot.series[0].markers = true;
  plot.series.push_back({.name = "second", .x = {0, 1}, .y = {2, 2}, .color = 8, .style = LineStyle::dashed});
  plot.series.push_back({.x = {0, 1}, .y = {2, 2}, .color = 6, .style = LineStyle::broad});
  plot.marks = {{.x = 1.5, .label = "here"}, {.x = 7, .label = "outside"}};
  const std::string svg = to_svg(plot);
  BOOST_TEST(is_well_formed(svg));
  for (const char* text : {"never", "1–3", "4+", "here", "second"}) BOOST_TEST(shows(svg, text), text);
  BOOST_TEST(!shows(svg, "outside"));
  BOOST_TEST(times(svg, "a3.6") == 4 * 2);  // three points and the legend, two arcs each
  BOOST_TEST(times(svg, "eg-c1") == 2);     // the palette goes round
  BOOST_TEST(times(svg, "stroke-dasharray=\"7 4\"") == 2);
}

BOOST_AUTO_TEST_CASE(gaps_order_and_nothing) {
  const std::string there = to_svg(of({0, 1, 2, 3}, {1, 2, no_number, 4}));
  BOOST_TEST(to_svg(of({3, 1, 0, 2}, {4, 2, 1, no_number})) == there);
  BOOST_TEST(is_well_formed(there));
  for (const LinePlot& plot : {of({}, {}), of({1}, {no_number}), LinePlot{}}) {
    const std::string svg = to_svg(plot);
    BOOST_TEST(is_well_formed(svg));
    BOOST_TEST(shows(svg, "no data"));
  }
  for (const double value : {0.0, -3.0, 1e-300, 1e300, 7.0}) {
    const std::string svg = to_svg(of({value}, {value}));
    BOOST_TEST(is_well_formed(svg));
    BOOST_TEST(svg.find("nan") == std::string::npos);
    BOOST_TEST(svg.find("inf") == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(text_is_escaped_and_cut) {
  LinePlot plot = of({0, 1}, {0, 1});
  plot.title = "a < b & \"c\" \x01\xff";
  plot.x.title = "<script>";
  plot.series[0].name = "'" + std::string(500, 'n');
  const std::string svg = to_svg(plot);
  BOOST_TEST(is_well_formed(svg));
  BOOST_TEST(svg.find("a &lt; b &amp; &quot;c&quot; \xEF\xBF\xBD\xEF\xBF\xBD") != std::string::npos);
  BOOST_TEST(svg.find("<script>") == std::string::npos);
  BOOST_TEST(svg.find("n…") != std::string::npos);
  // Long titles are broken, and nothing is fetched.
  plot.title = std::string(30, 'w') + " " + std::string(30, 'w') + " end";
  BOOST_TEST(texts_of(to_svg(plot)).size() == texts_of(svg).size() + 1);
  BOOST_TEST(times(svg, "http") == 1);  // the name of the language
  BOOST_TEST(times(svg, " id=") == 0);
}

BOOST_AUTO_TEST_CASE(the_same_plot_gives_the_same_bytes) {
  const LinePlot plot = of({0.1, 0.2, 0.3}, {1.0 / 3, 2.0 / 3, 1});
  BOOST_TEST(to_svg(plot) == to_svg(plot));
}

BOOST_AUTO_TEST_CASE(what_is_refused) {
  const auto changed = [](const std::function<void(LinePlot&)>& change) {
    LinePlot plot = of({1, 2}, {1, 2});
    change(plot);
    return plot;
  };
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.series[0].x.push_back(3); }), "'t': series 's': 3 values of x, 2 of"));
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.series[0].spread = {1}; }), "2 values of y, 1 of spread"));
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.series[0].spread = {1, -1}; }), "spread is negative"));
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.series[0].color = -1; }), "color -1"));
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.marks = {{.label = "m", .color = -2}}; }), "mark 'm': color -2"));
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.width = 199; }), "199 x 440"));
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.height = 10001; }), "at most 10000"));
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.x.min = no_number; }), "x axis of 't': limit nan"));
  BOOST_TEST(
      refuses(changed([](LinePlot& p) { p.y.min = 2, p.y.max = 2; }), "y axis of 't': min 2 is not below max 2"));
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.y = Axis{.scale = Scale::log, .min = 0.0}; }), "not above 0"));
  BOOST_TEST(refuses(changed([](LinePlot& p) { p.x = Axis{.scale = Scale::log, .bins = {"a"}}; }), "linear axis"));
}

BOOST_AUTO_TEST_SUITE_END()

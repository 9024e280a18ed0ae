#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/report/html_report.hpp>
#include <string>

#include "markup_support.hpp"

namespace {

using embergrad::ValueError;
using embergrad::report::HtmlReport;
using embergrad::test::times;

boost::test_tools::assertion_result is_page(const std::string& text) {
  return embergrad::test::is_well_formed(text, {"meta"});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(html_report)

BOOST_AUTO_TEST_CASE(a_whole_page) {
  HtmlReport report("Runs & <results>");
  report.paragraph("What was done: 1 < 2.");
  report.highlight("Use exact.");
  report.code("program --flag \"x\"");
  for (const char* part : {"First", "Second", "Third"}) report.heading(part);
  report.subheading("Inner");
  report.table({.caption = "Times", .columns = {{"name"}, {"ms", true}}, .rows = {{"<a>", "1.5"}, {"b", "2.5"}}});
  report.figures({{.plot = {.title = "one"}, .caption = "Of one."}, {.plot = {.title = "two"}}});
  const std::string page = report.str();
  BOOST_TEST(is_page(page));
  BOOST_TEST(page.starts_with("<!DOCTYPE html>\n"));
  for (const char* text : {"<title>Runs &amp; &lt;results&gt;</title>", "<h1>Runs &amp; &lt;results&gt;</h1>",
                           "<p>What was done: 1 &lt; 2.</p>", "<p class=\"highlight\">Use exact.</p>",
                           "<pre>program --flag &quot;x&quot;</pre>", "<a href=\"#part-3\">Third</a>",
                           "<h2 id=\"part-3\">Third</h2>", "<h3>Inner</h3>", "<caption>Times</caption>",
                           "<td>&lt;a&gt;</td><td class=\"number\">1.5</td>", "<figcaption>Of one.</figcaption>"}) {
    BOOST_TEST(page.find(text) != std::string::npos, text);
  }
  BOOST_TEST(times(page, "<figure>") == 2);
  BOOST_TEST(times(page, "<figcaption>") == 1);
  BOOST_TEST(page == report.str());
}

BOOST_AUTO_TEST_CASE(nothing_from_elsewhere) {
  HtmlReport report("t");
  report.figures({{.plot = {.title = "one"}}});
  const std::string page = report.str();
  BOOST_TEST(is_page(page));
  for (const char* part : {"<script", "<link", "<img", "url(", "@import", "src="}) {
    BOOST_TEST(page.find(part) == std::string::npos, part);
  }
  BOOST_TEST(times(page, "http") == times(page, "xmlns=\"http"));
  BOOST_TEST(page.find("<nav>") == std::string::npos);  // too short for a list of parts
  BOOST_TEST(page.find("prefers-color-scheme: dark") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_row_that_does_not_fit) {
  HtmlReport report("t");
  const std::string before = report.str();
  BOOST_CHECK_EXCEPTION(report.table({.caption = "c", .columns = {{"a"}, {"b"}}, .rows = {{"1", "2"}, {"3"}}}),
                        ValueError, [](const ValueError& error) {
                          return std::string(error.what()) == "HtmlReport::table: 'c': row 1 has 1 texts for 2 columns";
                        });
  BOOST_CHECK_THROW(report.figures({{.plot = {.width = 1}}}), ValueError);
  BOOST_TEST(report.str() == before);
}

BOOST_AUTO_TEST_SUITE_END()

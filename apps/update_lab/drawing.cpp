#include "drawing.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <embergrad/report/html_report.hpp>
#include <embergrad/report/svg_plot.hpp>
#include <functional>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

namespace lab {
namespace {

namespace report = embergrad::report;
using nlohmann::ordered_json;
using report::LinePlot;
using report::LineStyle;
using report::Scale;
using report::Series;

/// Mean and standard deviation over seeds.
struct Stat {
  double mean = 0;
  double deviation = 0;
};

Stat stat_of(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  Stat stat;
  for (const double value : values) stat.mean += value / count;
  for (const double value : values) stat.deviation += (value - stat.mean) * (value - stat.mean);
  stat.deviation = values.size() > 1 ? std::sqrt(stat.deviation / (count - 1)) : 0;
  return stat;
}

/// All that was measured with one setting.
class Study {
 public:
  explicit Study(Setting given) : setting(std::move(given)) {}

  void add(const Record& record) {
    if (std::find(modes.begin(), modes.end(), record.updates) == modes.end()) modes.push_back(record.updates);
    if (std::find(seeds.begin(), seeds.end(), record.seed) == seeds.end()) seeds.push_back(record.seed);
    const Key key{record.quantity, record.bin, record.updates};
    if (!values_.contains(key)) units_[record.quantity + record.bin] = record.unit;
    values_[key][record.step].push_back(record.value);
    last_step = std::max(last_step, record.step);
    if (record.quantity == health &&
        std::find(health_bins.begin(), health_bins.end(), record.bin) == health_bins.end()) {
      health_bins.push_back(record.bin);
    }
  }

  /// By step; empty if it was not measured.
  [[nodiscard]] const std::map<int64_t, std::vector<double>>& of(const char* quantity, Updates mode,
                                                                 const std::string& bin = {}) const {
    static const std::map<int64_t, std::vector<double>> none;
    const auto place = values_.find(Key{quantity, bin, mode});
    return place == values_.end() ? none : place->second;
  }
  /// At the last step that was measured.
  [[nodiscard]] std::optional<Stat> last(const char* quantity, Updates mode, const std::string& bin = {}) const {
    const auto& steps = of(quantity, mode, bin);
    const auto place = steps.find(last_step);
    if (place == steps.end()) return std::nullopt;
    return stat_of(place->second);
  }
  /// At a step; NaN if it was not measured.
  [[nodiscard]] double mean_at(int64_t step, const char* quantity, Updates mode, const std::string& bin = {}) const {
    const auto& steps = of(quantity, mode, bin);
    const auto place = steps.find(step);
    return place == steps.end() ? std::numeric_limits<double>::quiet_NaN() : stat_of(place->second).mean;
  }
  /// Mean over all measured steps.
  [[nodiscard]] std::optional<Stat> overall(const char* quantity, Updates mode) const {
    std::vector<double> all;
    for (const auto& [step, values] : of(quantity, mode)) all.insert(all.end(), values.begin(), values.end());
    if (all.empty()) return std::nullopt;
    return stat_of(all);
  }
  [[nodiscard]] bool has(Updates mode) const { return std::find(modes.begin(), modes.end(), mode) != modes.end(); }
  [[nodiscard]] const std::string& unit(const char* quantity, const std::string& bin) const {
    return units_.at(quantity + bin);
  }

  Setting setting;
  std::string label = {};
  std::vector<Updates> modes = {};
  std::vector<uint64_t> seeds = {};
  std::vector<std::string> health_bins = {};
  int64_t last_step = 0;

 private:
  using Key = std::tuple<std::string, std::string, Updates>;
  std::map<Key, std::map<int64_t, std::vector<double>>> values_;
  std::map<std::string, std::string> units_;
};

/// Times of steps of one optimizer, by what was varied.
struct Sweep {
  std::string optimizer = {};
  std::map<Updates, std::map<double, double>> by_rows = {};
  std::map<Updates, std::map<double, double>> by_share = {};
  double touched = 0;  // rows, in by_rows
  int64_t rows = 0;    // in by_share
  int64_t dim = 0;
};

struct Results {
  std::vector<Study> studies;
  std::vector<Sweep> sweeps;
};

Results sorted(const std::vector<Record>& records) {
  Results results;
  for (const Record& record : records) {
    const Setting& setting = record.setting;
    if (record.quantity == sweep_rows || record.quantity == sweep_touched) {
      auto& all = results.sweeps;
      auto place =
          std::find_if(all.begin(), all.end(), [&](const Sweep& each) { return each.optimizer == setting.optimizer; });
      if (place == all.end()) place = all.insert(all.end(), Sweep{.optimizer = setting.optimizer});
      const auto rows = static_cast<double>(setting.rows);
      place->dim = setting.dim;
      if (record.quantity == sweep_rows) {
        place->by_rows[record.updates][rows] = record.value;
        place->touched = std::round(setting.touched.value_or(0) * rows);
      } else {
        place->by_share[record.updates][setting.touched.value_or(0)] = record.value;
        place->rows = setting.rows;
      }
      continue;
    }
    auto& all = results.studies;
    auto place = std::find_if(all.begin(), all.end(), [&](const Study& each) { return each.setting == setting; });
    if (place == all.end()) place = all.insert(all.end(), Study(setting));
    place->add(record);
  }
  std::vector<Setting> settings;
  for (const Study& study : results.studies) settings.push_back(study.setting);
  const std::vector<std::string> labels = labels_of(settings);
  for (std::size_t i = 0; i < labels.size(); ++i) results.studies[i].label = labels[i];
  return results;
}

// --- numbers as text

std::string with_commas(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

/// "0.1234 ± 0.0012"
std::string text_of(const std::optional<Stat>& stat, bool has_deviation) {
  if (!stat) return "-";
  if (!has_deviation) return fmt::format("{:.4g}", stat->mean);
  return fmt::format("{:.4g} ± {:.1g}", stat->mean, stat->deviation);
}

std::string bytes_text(double bytes) {
  for (const auto& [unit, name] : {std::pair(1e9, "GB"), std::pair(1e6, "MB"), std::pair(1e3, "kB")}) {
    if (bytes >= unit) return fmt::format("{:.3g} {}", bytes / unit, name);
  }
  return fmt::format("{:.0f} B", bytes);
}

std::string ms(double time) { return fmt::format("{:.3g} ms", 1e3 * time); }

std::string percent(double share) {
  return share < 0.1 ? fmt::format("{:.2g} %", 100 * share) : fmt::format("{:.0f} %", 100 * share);
}

/// Letters, digits, points and dashes alone.
std::string file_name(const std::string& label, const char* plot) {
  std::string name;
  for (const char c : label) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.';
    if (plain || (!name.empty() && name.back() != '-')) name += plain ? c : '-';
  }
  return fmt::format("{}_{}.svg", name, plot);
}

// --- plots

constexpr const char* distance_unit = "|w − w of dense| / RMS of dense";

Series line_of(Updates mode, std::string name) {
  switch (mode) {
    case Updates::dense:
      return {.name = std::move(name), .color = 6, .style = LineStyle::broad};
    case Updates::exact:
      return {.name = std::move(name), .color = 0};
    case Updates::touched_only:
      break;
  }
  return {.name = std::move(name), .color = 1, .style = LineStyle::dashed};
}

/// Dense below, so that what lies on it can be seen.
std::vector<Updates> in_order(const std::vector<Updates>& modes) {
  std::vector<Updates> order;
  for (const Updates mode : {Updates::dense, Updates::exact, Updates::touched_only}) {
    if (std::find(modes.begin(), modes.end(), mode) != modes.end()) order.push_back(mode);
  }
  return order;
}

/// A quantity against steps.
void add_steps(Series& line, const Study& study, const char* quantity, Updates mode, double factor = 1) {
  for (const auto& [step, values] : study.of(quantity, mode)) {
    const Stat stat = stat_of(values);
    line.x.push_back(static_cast<double>(step));
    line.y.push_back(stat.mean * factor);
    line.spread.push_back(stat.deviation * factor);
  }
}

const char* loss_title(const Study& study) {
  return study.setting.task == Task::tagger ? "cross entropy, development part" : "mean squared error";
}

LinePlot loss_plot(const Study& study, bool against_time) {
  LinePlot plot{.title = fmt::format("{}: loss against {}", study.label, against_time ? "training time" : "steps"),
                .x = {.title = against_time ? "seconds of training" : "step"},
                .y = {.title = loss_title(study)}};
  for (const Updates mode : in_order(study.modes)) {
    Series line = line_of(mode, name_of(mode));
    add_steps(line, study, loss, mode);
    if (against_time) {
      for (double& x : line.x) {
        x = study.mean_at(static_cast<int64_t>(x), seconds, mode);
      }
    }
    plot.series.push_back(std::move(line));
  }
  return plot;
}

LinePlot accuracy_plot(const Study& study) {
  LinePlot plot{.title = fmt::format("{}: accuracy against steps", study.label),
                .x = {.title = "step"},
                .y = {.title = "accuracy, development part"}};
  for (const Updates mode : in_order(study.modes)) {
    plot.series.push_back(line_of(mode, name_of(mode)));
    add_steps(plot.series.back(), study, accuracy, mode);
  }
  return plot;
}

LinePlot distance_plot(const Study& study) {
  LinePlot plot{.title = fmt::format("{}: distance of the table from the dense run", study.label),
                .x = {.title = "step", .min = 0.0},
                .y = {.title = distance_unit, .scale = Scale::log}};
  for (const Updates mode : {Updates::touched_only, Updates::exact}) {
    if (!study.has(mode)) continue;
    Series mean = line_of(mode, fmt::format("{}, mean", name_of(mode)));
    mean.style = LineStyle::solid;
    add_steps(mean, study, distance_mean, mode);
    plot.series.push_back(std::move(mean));
    Series most = line_of(mode, fmt::format("{}, largest", name_of(mode)));
    most.style = LineStyle::dotted;
    add_steps(most, study, distance_max, mode);
    plot.series.push_back(std::move(most));
  }
  return plot;
}

/// Distance at the end, by bins.
LinePlot bins_plot(const Study& study, const char* quantity, const char* rows, const char* by, const char* axis) {
  LinePlot plot{.title = fmt::format("{}: distance from the dense run by {}", study.label, by),
                .x = {.title = axis},
                .y = {.title = std::string("mean ") + distance_unit, .scale = Scale::log}};
  const Updates any = study.modes.front();
  std::vector<std::string> bins;
  for (std::size_t i = 0; i < bin_count; ++i) {
    if (study.last(rows, any, bin_name(i))) bins.push_back(bin_name(i));
  }
  plot.x.bins = bins;
  for (const Updates mode : {Updates::touched_only, Updates::exact}) {
    if (!study.has(mode)) continue;
    Series line = line_of(mode, name_of(mode));
    line.markers = true;
    for (std::size_t i = 0; i < bins.size(); ++i) {
      const auto stat = study.last(quantity, mode, bins[i]);
      if (!stat) continue;
      line.x.push_back(static_cast<double>(i));
      line.y.push_back(stat->mean);
      line.spread.push_back(stat->deviation);
    }
    plot.series.push_back(std::move(line));
  }
  // How many rows there are in a bin says how much it weighs.
  for (std::string& bin : plot.x.bins) {
    bin += fmt::format("\n({})", with_commas(study.last(rows, any, bin)->mean));
  }
  return plot;
}

/// Distance over time, by classes of bins.
LinePlot classes_plot(const Study& study, const char* quantity, const char* rows, const char* by) {
  LinePlot plot{.title = fmt::format("{}: distance over time by {}", study.label, by),
                .x = {.title = "step", .min = 0.0},
                .y = {.title = std::string("mean ") + distance_unit, .scale = Scale::log}};
  struct Class {
    const char* name;
    std::size_t first, last;  // bins
    int color;
  };
  for (const Updates mode : {Updates::touched_only, Updates::exact}) {
    if (!study.has(mode)) continue;
    for (const Class& each : {Class{"0", 0, 0, 6}, {"1-15", 1, 2, 0}, {"16-255", 3, 4, 2}, {"256+", 5, 7, 1}}) {
      Series line = line_of(mode, fmt::format("{}, {}", name_of(mode), each.name));
      line.color = each.color;
      std::map<int64_t, std::pair<double, double>> sums;  // of distance and rows, by step
      for (std::size_t bin = each.first; bin <= each.last; ++bin) {
        for (const auto& [step, values] : study.of(quantity, mode, bin_name(bin))) {
          const double count = study.mean_at(step, rows, mode, bin_name(bin));
          sums[step].first += count * stat_of(values).mean;
          sums[step].second += count;
        }
      }
      for (const auto& [step, sum] : sums) {
        line.x.push_back(static_cast<double>(step));
        line.y.push_back(sum.first / sum.second);
      }
      if (!line.x.empty()) plot.series.push_back(std::move(line));
    }
  }
  return plot;
}

LinePlot time_plot(const Study& study) {
  LinePlot plot{.title = fmt::format("{}: time per step", study.label),
                .x = {.title = "step", .min = 0.0},
                .y = {.title = "time per step (ms)", .scale = Scale::log}};
  for (const Updates mode : in_order(study.modes)) {
    Series line = line_of(mode, name_of(mode));
    line.markers = mode != Updates::dense;
    add_steps(line, study, step_time, mode, 1e3);
    plot.series.push_back(std::move(line));
  }
  return plot;
}

using Times = std::map<Updates, std::map<double, double>>;

/// Where one of exact and dense becomes the faster one.
struct BreakEven {
  std::optional<double> at = {};  ///< nothing if it is the same one for all values that were tried
  bool exact_wins = false;        ///< then: whether that is exact
};

/// @param falls  exact is expected to win for large values, not for small ones
std::optional<BreakEven> break_even(const Times& times, bool falls) {
  const auto dense = times.find(Updates::dense);
  const auto exact = times.find(Updates::exact);
  if (dense == times.end() || exact == times.end()) return std::nullopt;
  std::vector<std::pair<double, double>> ratios;  // logarithms of value and time of exact / time of dense
  for (const auto& [value, time] : exact->second) {
    const auto other = dense->second.find(value);
    if (other == dense->second.end() || time <= 0 || other->second <= 0) continue;
    ratios.emplace_back(std::log(value), std::log(time / other->second));
  }
  if (ratios.empty()) return std::nullopt;
  // Exact's own side is the one where it saves most; the first crossing on the way from there is where it stops to win.
  // (Where all rows are touched the two do the same, and which is faster is chance.)
  if (falls) std::reverse(ratios.begin(), ratios.end());
  BreakEven found{.exact_wins = ratios.front().second < 0};
  for (std::size_t i = 1; i < ratios.size(); ++i) {
    const auto& [x0, before] = ratios[i - 1];
    const auto& [x1, after] = ratios[i];
    if (before < 0 && after >= 0) {
      found.at = std::exp(x0 + before / (before - after) * (x1 - x0));
      break;
    }
  }
  return found;
}

LinePlot sweep_plot(const Sweep& sweep, bool by_rows) {
  const Times& times = by_rows ? sweep.by_rows : sweep.by_share;
  LinePlot plot{.y = {.title = "time per step (ms)", .scale = Scale::log}};
  if (by_rows) {
    plot.title = fmt::format("{}: time per step against rows of the table, {} of them touched", sweep.optimizer,
                             with_commas(sweep.touched));
    plot.x = {.title = fmt::format("rows of width {}", sweep.dim), .scale = Scale::log};
  } else {
    plot.title = fmt::format("{}: time per step against the share of touched rows", sweep.optimizer);
    plot.x = {.title = fmt::format("share of {} rows of width {} that a step touches (%)",
                                   with_commas(static_cast<double>(sweep.rows)), sweep.dim),
              .scale = Scale::log};
  }
  for (const Updates mode : {Updates::dense, Updates::exact, Updates::touched_only}) {
    const auto place = times.find(mode);
    if (place == times.end()) continue;
    Series line = line_of(mode, name_of(mode));
    line.markers = true;
    for (const auto& [value, time] : place->second) {
      line.x.push_back(by_rows ? value : 100 * value);
      line.y.push_back(1e3 * time);
    }
    plot.series.push_back(std::move(line));
  }
  const auto even = break_even(times, by_rows);
  if (even && even->at) {
    plot.marks = {{.x = by_rows ? *even->at : 100 * *even->at,
                   .label = by_rows ? fmt::format("break-even: {} rows", with_commas(*even->at))
                                    : fmt::format("break-even: {}", percent(*even->at)),
                   .color = 2}};
  }
  return plot;
}

// --- advice

/// What the sweep says about where dense is faster.
std::string limits_of(const Sweep& sweep) {
  const auto winner = [](const BreakEven& even) { return even.exact_wins ? "exact" : "dense"; };
  std::string text;
  if (const auto even = break_even(sweep.by_share, false)) {
    text = even->at ? fmt::format(" On this machine dense is faster above {} touched rows", percent(*even->at))
                    : fmt::format(" On this machine {} is faster whatever the share of touched rows", winner(*even));
    text += fmt::format(" (of {})", with_commas(static_cast<double>(sweep.rows)));
  }
  if (const auto even = break_even(sweep.by_rows, true)) {
    text += text.empty() ? " On this machine, with " : "; with ";
    text += fmt::format("{} rows touched a step, ", with_commas(sweep.touched));
    text += even->at ? fmt::format("exact is faster from {} rows on", with_commas(*even->at))
                     : fmt::format("{} is faster whatever the size of the table", winner(*even));
  }
  return text.empty() ? text : text + ".";
}

std::string advice_for(const Study& study, const std::vector<Sweep>& sweeps) {
  const auto time = [&](Updates mode) { return study.overall(step_time, mode); };
  const auto dense = time(Updates::dense);
  const auto exact = time(Updates::exact);
  const auto touched = time(Updates::touched_only);
  const auto any = dense ? dense : exact ? exact : touched;
  if (!any) return fmt::format("{}: no step was measured.", study.label);
  const auto rows = study.overall(rows_touched, study.modes.front());
  std::string text =
      fmt::format("{} ({} x {}, {} of the rows touched a step): ", study.label,
                  with_commas(static_cast<double>(study.setting.rows)), study.setting.dim,
                  rows ? percent(rows->mean / static_cast<double>(study.setting.rows)) : "an unknown share");
  for (const Updates mode : study.modes) {
    const auto reached = study.last(loss, mode);
    if (reached && !std::isfinite(reached->mean)) {
      return text + fmt::format("training diverged: with {} the loss is no finite number; a smaller --lr helps.",
                                name_of(mode));
    }
  }
  if (exact && dense) {
    const double ratio = exact->mean / dense->mean;
    constexpr double tie = 1.05;
    if (ratio < 1 / tie) {
      text += fmt::format("use exact. A step takes {}, with dense {} ({:.3g} times as long)", ms(exact->mean),
                          ms(dense->mean), 1 / ratio);
    } else if (ratio > tie) {
      text += fmt::format("use dense. A step takes {}, with exact {} ({:.3g} times as long)", ms(dense->mean),
                          ms(exact->mean), ratio);
    } else {
      text += fmt::format("use exact, the default: a step takes {}, about as with dense", ms(exact->mean));
    }
    if (const auto distance = study.last(distance_mean, Updates::exact)) {
      text += distance->mean == 0 ? "; the tables of the two end equal"
                                  : fmt::format("; the tables of the two end {:.1e} RMS apart", distance->mean);
    }
    text += ".";
  } else {
    text += exact   ? fmt::format("exact takes {} a step.", ms(exact->mean))
            : dense ? fmt::format("dense takes {} a step.", ms(dense->mean))
                    : "touched_only alone was run.";
  }
  if (touched) {
    text += fmt::format(" touched_only takes {}", ms(touched->mean));
    if (const auto distance = study.last(distance_mean, Updates::touched_only)) {
      const auto reached = study.last(loss, Updates::touched_only);
      const auto wanted = study.last(loss, Updates::dense);
      text += fmt::format(" and trains another model: its table ends {:.2g} RMS away from dense's", distance->mean);
      if (reached && wanted) text += fmt::format(", its loss is {:.4g} against {:.4g}", reached->mean, wanted->mean);
    }
    text += ".";
  }
  for (const Sweep& sweep : sweeps) {
    if (sweep.optimizer == study.setting.optimizer) text += limits_of(sweep);
  }
  return text;
}

// --- tables

const std::vector<report::HtmlColumn>& summary_columns() {
  static const std::vector<report::HtmlColumn> columns = {
      {"setting"},       {"updates"},     {"loss", true},       {"distance", true},     {"largest", true},
      {"ms/step", true}, {"speed", true}, {"bytes/step", true}, {"rows written", true}, {"history", true},
      {"touched", true}, {"state", true}};
  return columns;
}
constexpr std::size_t terminal_columns = 10;  // as many as fit

/// One line for each setting and mode.
std::vector<std::vector<std::string>> summary_rows(const std::vector<Study>& studies) {
  std::vector<std::vector<std::string>> rows;
  for (const Study& study : studies) {
    const bool many = study.seeds.size() > 1;
    const auto dense = study.overall(step_time, Updates::dense);
    for (const Updates mode : in_order(study.modes)) {
      const auto time = study.overall(step_time, mode);
      const auto mean_of = [&](const char* quantity, const std::function<std::string(double)>& shown) {
        const auto stat = study.overall(quantity, mode);
        return stat ? shown(stat->mean) : "-";
      };
      const auto last_of = [&](const char* quantity) {
        const auto stat = study.last(quantity, mode);
        if (!stat) return std::string("-");
        return stat->mean == 0 ? std::string("0") : fmt::format("{:.1e}", stat->mean);
      };
      rows.push_back({study.label, name_of(mode), text_of(study.last(loss, mode), many), last_of(distance_mean),
                      last_of(distance_max), time ? fmt::format("{:.3g}", 1e3 * time->mean) : "-",
                      time && dense ? fmt::format("{:.3g}x", dense->mean / time->mean) : "-",
                      mean_of(step_bytes, bytes_text), mean_of(rows_written, with_commas),
                      mean_of(history_bytes, bytes_text), mean_of(rows_touched, with_commas),
                      mean_of(state_bytes, bytes_text)});
    }
  }
  return rows;
}

int characters(const std::string& text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string terminal_table(const std::vector<Study>& studies) {
  const auto& columns = summary_columns();
  const auto rows = summary_rows(studies);
  std::vector<int> widths;
  for (std::size_t c = 0; c < terminal_columns; ++c) {
    widths.push_back(characters(columns[c].title));
    for (const auto& row : rows) widths[c] = std::max(widths[c], characters(row[c]));
  }
  std::string table;
  const auto add = [&](const std::function<std::string(std::size_t)>& cell) {
    std::string line;
    for (std::size_t c = 0; c < terminal_columns; ++c) {
      const std::string text = cell(c);
      const std::string fill(static_cast<std::size_t>(widths[c] - characters(text)), ' ');
      line += (c == 0 ? "" : "  ") + (columns[c].number ? fill + text : text + fill);
    }
    table += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add([&](std::size_t c) { return columns[c].title; });
  for (const auto& row : rows) add([&](std::size_t c) { return row[c]; });
  return table;
}

report::HtmlTable health_table(const Study& study) {
  report::HtmlTable table{.caption = fmt::format("The embedding after step {}, mean over {} seed{}", study.last_step,
                                                 study.seeds.size(), study.seeds.size() == 1 ? "" : "s"),
                          .columns = {{"of the embedding"}}};
  const auto modes = in_order(study.modes);
  for (const Updates mode : modes) table.columns.push_back({name_of(mode), true});
  for (const std::string& bin : study.health_bins) {
    table.rows.push_back({bin});
    for (const Updates mode : modes) {
      const auto stat = study.last(health, mode, bin);
      const std::string& unit = study.unit(health, bin);
      table.rows.back().push_back(!stat          ? "-"
                                  : unit.empty() ? fmt::format("{:.4g}", stat->mean)
                                                 : with_commas(stat->mean));
    }
  }
  return table;
}

// --- the report

std::string fact(const ordered_json& facts, const char* key) {
  const auto place = facts.find(key);
  if (place == facts.end()) return "unknown";
  return place->is_string() ? place->get<std::string>() : place->dump();
}

std::string options_text(const Setting& s) {
  std::string text = fmt::format("{} with lr {}", s.optimizer, s.lr);
  for (const auto& [name, value] :
       {std::pair("momentum", s.momentum), std::pair("weight decay", s.weight_decay), std::pair("beta2", s.beta2)}) {
    if (value) text += fmt::format(", {} {}", name, *value);
  }
  text += fmt::format(", schedule {}; {} steps; table of {} x {}; ", name_of(s.schedule), s.steps,
                      with_commas(static_cast<double>(s.rows)), s.dim);
  if (s.touched)
    return text +
           fmt::format("each step looks up {} of the rows, once each, drawn by the Zipf law", percent(*s.touched));
  if (s.task == Task::tagger) return text + fmt::format("{} sentences a step", s.batch);
  return s.trace == zipf_trace ? text + fmt::format("{} lookups a step, drawn by the Zipf law", s.batch)
                               : text + fmt::format("{} lines of the trace {} a step", s.batch, s.trace);
}

void tell_how(report::HtmlReport& page, const ordered_json& facts) {
  page.heading("How this was measured");
  page.paragraph(
      "The modes of a setting start from the same numbers and see the same steps in the same order. Between two "
      "measured steps they take turns on the machine. A step's time is that of dropping gradients, forward, "
      "backward, the optimizer's step and the schedule's; making data, evaluation and comparison are left out. "
      "Times per step are medians between measured steps, and means of these where one number is given.");
  page.paragraph(
      "The reference is the dense run of the same optimizer, setting and seed: every row moves at every step. "
      "Distance is the absolute difference of the two tables' elements, divided by the root of the mean square of "
      "the dense table. Bytes per step are computed, not measured: each row that a step writes, with its state, "
      "read and written once, and the gradient's rows read once. History is what an exact mode keeps to catch up "
      "idle rows. In bins, the gap of a row is the number of steps since its last lookup; of a row never looked up, "
      "all steps. Bands are one standard deviation over seeds to "
      "either side of the mean.");
  page.paragraph(
      "Tables are float32. Dense rounds at every step, exact once for all steps that a row was idle; so the two differ "
      "by "
      "rounding, dense being the less exact one: a decay of 1 - lr·weight_decay alone, rounded to float32, is off by "
      "up "
      "to 3e-8 a step. Where an optimizer divides by the root of a second moment, such differences grow on single "
      "elements whose gradients are near 0; this is what the largest difference shows then.");
  page.paragraph(
      "Sweeps time short runs on regression tables of other sizes, where each step looks up different rows, drawn "
      "by the Zipf law; break-even is where exact and dense take the same time, between two tried values on a line "
      "of the logarithms.");
  page.table({.columns = {{"what"}, {"value"}},
              .rows = {{"program", fmt::format("{} {}", fact(facts, "program"), fact(facts, "version"))},
                       {"compiler", fact(facts, "compiler")},
                       {"matrix products", fact(facts, "matrix_products")},
                       {"processor", fmt::format("{} x {}", fact(facts, "processors"), fact(facts, "processor"))},
                       {"threads", fact(facts, "threads")},
                       {"device", fact(facts, "device")},
                       {"began", fact(facts, "began")}}});
  page.code(fact(facts, "command"));
}

}  // namespace

Drawing draw(const std::vector<Record>& records, const ordered_json& facts) {
  const Results results = sorted(records);
  Drawing drawing;
  drawing.table = terminal_table(results.studies);
  for (const Study& study : results.studies) drawing.advice.push_back(advice_for(study, results.sweeps));

  report::HtmlReport page("Updates of embeddings: exact, touched_only and dense");
  page.paragraph(fact(facts, "objective"));
  if (facts.value("complete", true) == false) {
    page.highlight("The experiment was interrupted: this is what had been measured until then.");
  }
  for (const std::string& line : drawing.advice) page.highlight(line);
  page.heading("Summary");
  page.table({.caption =
                  "Loss and distance at the last measured step, mean and standard deviation over seeds; the rest as "
                  "means over the run",
              .columns = summary_columns(),
              .rows = summary_rows(results.studies)});

  std::vector<report::HtmlFigure> figures;
  const auto add = [&](const std::string& label, const char* name, LinePlot plot, std::string caption) {
    std::string file = file_name(label, name);
    while (drawing.files.contains(file)) file.insert(0, "another-");  // labels that differ in other characters
    drawing.files[file] = report::to_svg(plot);
    figures.push_back({std::move(plot), std::move(caption)});
  };
  const auto put = [&] {
    page.figures(figures);
    figures.clear();
  };
  for (const Study& study : results.studies) {
    const std::string& label = study.label;
    page.heading(label);
    page.paragraph(options_text(study.setting) + ".");
    add(label, "loss_steps", loss_plot(study, false), "Where exact lies on dense, its line runs inside the broad one.");
    add(label, "loss_seconds", loss_plot(study, true), "The same against the time that training took.");
    if (study.setting.task == Task::tagger) add(label, "accuracy", accuracy_plot(study), "");
    if (study.has(Updates::dense) && study.modes.size() > 1) {
      add(label, "distance", distance_plot(study),
          "Mean and largest difference of an element; a difference of 0 has no place here.");
      add(label, "distance_lookups",
          bins_plot(study, distance_by_lookups, rows_by_lookups, "how often a row was looked up", "lookups of a row"),
          fmt::format("At step {}; in parentheses how many rows a bin has.", study.last_step));
      add(label, "distance_gap",
          bins_plot(study, distance_by_gap, rows_by_gap, "how long a row has been idle", "steps since the last lookup"),
          fmt::format("At step {}; in parentheses how many rows a bin has.", study.last_step));
      add(label, "distance_time_lookups", classes_plot(study, distance_by_lookups, rows_by_lookups, "lookups of a row"),
          "Rows by how often they had been looked up by then.");
      add(label, "distance_time_gap", classes_plot(study, distance_by_gap, rows_by_gap, "steps since the last lookup"),
          "Rows by how long they had been idle by then.");
    }
    add(label, "time", time_plot(study), "Median of the steps between two measured ones.");
    put();
    if (!study.health_bins.empty()) page.table(health_table(study));
  }
  if (!results.sweeps.empty()) {
    page.heading("Break-even");
    for (const Sweep& each : results.sweeps) {
      if (!each.by_rows.empty()) add(each.optimizer, "time_rows", sweep_plot(each, true), "");
      if (!each.by_share.empty()) add(each.optimizer, "time_touched", sweep_plot(each, false), "");
    }
    put();
  }
  tell_how(page, facts);
  drawing.files[report_file] = page.str();
  return drawing;
}

}  // namespace lab

#include "traces.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <common/files.hpp>
#include <common/zipf.hpp>
#include <cstddef>
#include <embergrad/error.hpp>
#include <embergrad/text/lines.hpp>
#include <embergrad/text/order.hpp>
#include <system_error>
#include <utility>

namespace lab {
namespace {

namespace text = embergrad::text;

constexpr int64_t most_rows = 1'000'000'000;

class ZipfTrace final : public Trace {
 public:
  ZipfTrace(int64_t rows, int64_t batch) : zipf_(rows), batch_(batch) {}

  [[nodiscard]] int64_t row(double u) const { return zipf_.row(u); }
  [[nodiscard]] std::vector<int64_t> lookups(int64_t step, uint64_t seed) const override {
    std::vector<int64_t> rows(static_cast<std::size_t>(batch_));
    auto i = static_cast<uint64_t>((step - 1) * batch_);
    for (int64_t& row : rows) row = zipf_.row(text::uniform(seed, i++));
    return rows;
  }
  [[nodiscard]] std::vector<double> shares() const override {
    std::vector<double> all(static_cast<std::size_t>(zipf_.rows()));
    for (std::size_t r = 0; r < all.size(); ++r) all[r] = zipf_.share(static_cast<int64_t>(r));
    return all;
  }

 private:
  common::Zipf zipf_;
  int64_t batch_;
};

/// Different rows, drawn without putting back.
class TouchedTrace final : public Trace {
 public:
  TouchedTrace(int64_t rows, int64_t count) : zipf_(rows, 0), shares_(zipf_.shares()), count_(count) {}

  [[nodiscard]] std::vector<int64_t> lookups(int64_t step, uint64_t seed) const override {
    const uint64_t own = text::mix(seed, static_cast<uint64_t>(step));
    // Drawing anew what has come already takes long once most of the rows have come.
    return count_ <= static_cast<int64_t>(shares_.size()) / 8 ? first_of_draws(own) : first_of_race(own);
  }
  [[nodiscard]] std::vector<double> shares() const override { return shares_; }

 private:
  [[nodiscard]] std::vector<int64_t> first_of_draws(uint64_t seed) const {
    std::vector<bool> seen(shares_.size());
    std::vector<int64_t> rows;
    for (uint64_t i = 0; static_cast<int64_t>(rows.size()) < count_; ++i) {
      const int64_t row = zipf_.row(text::uniform(seed, i));
      if (seen[static_cast<std::size_t>(row)]) continue;
      seen[static_cast<std::size_t>(row)] = true;
      rows.push_back(row);
    }
    return rows;
  }
  /// Row r arrives after an exponential time of rate share(r): who arrives first is a draw without putting back
  /// (Efraimidis and Spirakis 2006).
  [[nodiscard]] std::vector<int64_t> first_of_race(uint64_t seed) const {
    std::vector<std::pair<double, int64_t>> race(shares_.size());
    for (std::size_t r = 0; r < race.size(); ++r) {
      race[r] = {-std::log1p(-text::uniform(seed, r)) / shares_[r], static_cast<int64_t>(r)};
    }
    std::partial_sort(race.begin(), race.begin() + count_, race.end());
    std::vector<int64_t> rows(static_cast<std::size_t>(count_));
    std::transform(race.begin(), race.begin() + count_, rows.begin(), [](const auto& each) { return each.second; });
    return rows;
  }

  ZipfTrace zipf_;
  std::vector<double> shares_;
  int64_t count_;
};

class FileTrace final : public Trace {
 public:
  FileTrace(std::shared_ptr<const TraceFile> file, int64_t rows, int64_t batch)
      : file_(std::move(file)), rows_(rows), batch_(batch) {}

  [[nodiscard]] std::vector<int64_t> lookups(int64_t step, uint64_t seed) const override {
    const auto count = static_cast<int64_t>(file_->lines().size());
    const int64_t steps = (count + batch_ - 1) / batch_;  // of an epoch
    const int64_t epoch = (step - 1) / steps + 1;
    if (order_.empty() || epoch != epoch_ || seed != seed_) {
      order_ = text::permutation(count, 1000 * seed + static_cast<uint64_t>(epoch));
      epoch_ = epoch;
      seed_ = seed;
    }
    std::vector<int64_t> rows;
    const int64_t first = (step - 1) % steps * batch_;
    for (int64_t i = first; i < std::min(first + batch_, count); ++i) {
      const auto& line = file_->lines()[static_cast<std::size_t>(order_[static_cast<std::size_t>(i)])];
      rows.insert(rows.end(), line.begin(), line.end());
    }
    return rows;
  }
  [[nodiscard]] std::vector<double> shares() const override {
    std::vector<double> all(static_cast<std::size_t>(rows_));
    double total = 0;
    for (const auto& line : file_->lines()) {
      for (const int64_t row : line) ++all[static_cast<std::size_t>(row)];
      total += static_cast<double>(line.size());
    }
    for (double& share : all) share /= total;
    return all;
  }

 private:
  std::shared_ptr<const TraceFile> file_;
  int64_t rows_;
  int64_t batch_;
  mutable std::vector<int64_t> order_;  // of the epoch that was asked for last
  mutable int64_t epoch_ = 0;
  mutable uint64_t seed_ = 0;
};

}  // namespace

TraceFile::TraceFile(const std::string& path) {
  const std::string bytes = text::read_file(path);
  text::Lines lines(bytes, path);
  while (const auto line = lines.next()) {
    std::vector<int64_t> rows;
    const char* at = line->text.data();
    const char* const end = at + line->text.size();
    for (bool more = true; more;) {
      int64_t row = -1;
      const auto [behind, error] = std::from_chars(at, end, row);
      more = behind != end;
      if (error != std::errc() || (more && *behind != ' ') || row < 0 || row >= most_rows) {
        lines.refuse(fmt::format("row numbers from 0 to {} are expected, with one space between them", most_rows - 1));
      }
      at = behind + (more ? 1 : 0);
      rows.push_back(row);
      rows_ = std::max(rows_, row + 1);
    }
    lines_.push_back(std::move(rows));
  }
  if (lines_.empty()) lines.refuse_file("no lines");
}

std::unique_ptr<Trace> make_zipf_trace(const Setting& setting) {
  if (!setting.touched) return std::make_unique<ZipfTrace>(setting.rows, setting.batch);
  const auto count = std::llround(*setting.touched * static_cast<double>(setting.rows));
  return std::make_unique<TouchedTrace>(setting.rows, std::clamp<int64_t>(count, 1, setting.rows));
}

std::unique_ptr<Trace> make_file_trace(std::shared_ptr<const TraceFile> file, const Setting& setting) {
  return std::make_unique<FileTrace>(std::move(file), setting.rows, setting.batch);
}

}  // namespace lab

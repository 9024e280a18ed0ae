#include "resume.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <embergrad/error.hpp>
#include <embergrad/text/lines.hpp>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <vector>

#include "files.hpp"
#include "untrusted_json.hpp"

namespace tagger {
namespace {

namespace eg = embergrad;
using nlohmann::json;

constexpr const char* program = "embergrad-tagger";

/// FNV-1a, 64 bits.
class Hash {
 public:
  void add(std::string_view text) {
    for (const char byte : text) mix(static_cast<unsigned char>(byte));
    mix(0xFF);  // in no UTF-8 text
  }
  [[nodiscard]] std::string text() const { return fmt::format("{:016x}", value_); }

 private:
  void mix(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001B3U; }
  uint64_t value_ = 0xCBF29CE484222325U;
};

/// The notes of one file, refused by its name where they make no sense.
class Notes {
 public:
  Notes(const eg::Metadata& metadata, const std::string& path) : metadata_(metadata), path_(path) {}

  [[noreturn]] void refuse(const std::string& reason) const {
    throw eg::FormatError(fmt::format("{}: not a resume file of this program: {}", path_, reason));
  }
  [[nodiscard]] const std::string& text(const char* key) const {
    const auto place = metadata_.find(key);
    if (place == metadata_.end()) refuse(fmt::format("its metadata have no {}", key));
    return place->second;
  }
  [[nodiscard]] json object(const char* key) const {
    json value = eg::detail::parse_untrusted_json(text(key));
    if (!value.is_object()) refuse(fmt::format("its {} are no JSON object", key));
    return value;
  }

 private:
  const eg::Metadata& metadata_;
  const std::string& path_;
};

std::string shown_value(const json& value) {
  return value.is_null() ? "unset" : shown(fmt::format("{:.60}", value.dump()));
}

/// "420 sentences, 3012 words", of a `data_json`.
std::string sizes_in(const json& data) {
  const auto size = [&](const char* what) {
    return data.is_object() && data.contains(what) ? shown_value(data.at(what)) : std::string("?");
  };
  return fmt::format("{} sentences, {} words", size("sentences"), size("words"));
}

/// Whether a line of a log is of `epoch` or a later one, or the beginning of a line.
bool is_due(std::string_view line, int64_t epoch) {
  const json value = json::parse(line, nullptr, false);
  if (value.is_object()) {
    const json found = value.value("epoch", json());
    return found.is_number_integer() && found >= epoch;
  }
  constexpr std::string_view start = R"({"epoch":)";
  return value.is_discarded() && !line.empty() && (line.starts_with(start) || start.starts_with(line));
}

}  // namespace

std::string data_json(const eg::text::Corpus& corpus) {
  Hash hash;
  for (const eg::text::Sentence sentence : corpus) {
    for (const eg::text::Word& word : sentence) {
      hash.add(word.form);
      hash.add(word.tag);
    }
    hash.add("");
  }
  return json{{"sentences", corpus.size()}, {"words", corpus.word_count()}, {"hash", hash.text()}}.dump();
}

eg::Metadata resume_notes(const Origin& origin, const Position& position) {
  return {{"program", program},
          {"options", origin.options},
          {"data", origin.data},
          {"position", json{{"epoch", position.epoch},
                            {"batches", position.batches},
                            {"steps", position.steps},
                            {"loss", position.loss},
                            {"words", position.words},
                            {"best_epoch", position.best_epoch},
                            {"best_correct", position.best_correct},
                            {"best_accuracy", position.best_accuracy}}
                           .dump()}};
}

Position read_position(const eg::optim::Checkpoint& checkpoint, const std::string& path, const Origin& origin,
                       int64_t batches) {
  const Notes notes(checkpoint.metadata(), path);
  if (notes.text("program") != program) notes.refuse(fmt::format("it is of {}", shown(notes.text("program"))));

  std::vector<std::string> differences;
  const json then = notes.object("options");
  const json now = json::parse(origin.options);
  // What only one of them has hangs on another option: --epochs counts only with a --schedule.
  for (const auto& [name, value] : now.items()) {
    const json before = then.value(name, value);
    if (before != value)
      differences.push_back(fmt::format("{} was {} and is {}", name, shown_value(before), shown_value(value)));
  }
  for (const auto& [name, value] : then.items()) {
    if (differences.empty() && !now.contains(name)) {
      differences.push_back(fmt::format("{} was {} and is not known here", shown(name), shown_value(value)));
    }
  }
  const json data_then = notes.object("data");
  const json data_now = json::parse(origin.data);
  for (const auto& [part, value] : data_now.items()) {
    const json before = data_then.value(part, json());
    if (before == value) continue;
    differences.push_back(
        fmt::format("the {} sentences are others: {} then, {} now", part, sizes_in(before), sizes_in(value)));
  }
  if (!differences.empty()) {
    throw eg::ValueError(
        fmt::format("--resume: {} was written by another run: {}", path, fmt::join(differences, "; ")));
  }

  const json all = notes.object("position");
  const auto whole = [&](const char* name, int64_t least, int64_t most) {
    const json value = all.value(name, json());
    // A number too large for int64 is an unsigned one in JSON.
    const bool fits = value.is_number_integer() && value >= least && value <= most;
    if (!fits) notes.refuse(fmt::format("its position has {} {}", name, shown_value(value)));
    return value.get<int64_t>();
  };
  const auto number = [&](const char* name) {
    const json value = all.value(name, json());
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      notes.refuse(fmt::format("its position has {} {}", name, shown_value(value)));
    }
    return value.get<double>();
  };
  constexpr int64_t any = std::numeric_limits<int64_t>::max() - 1;
  Position position;
  position.epoch = whole("epoch", 1, any);
  position.batches = whole("batches", 0, batches);
  position.steps = whole("steps", 0, any);
  position.loss = number("loss");
  position.words = whole("words", 0, any);
  position.best_epoch = whole("best_epoch", 0, position.epoch - 1);
  position.best_correct = whole("best_correct", -1, any);
  position.best_accuracy = number("best_accuracy");
  return position;
}

std::string stopping_state(const Position& position, int64_t patience) {
  const int64_t waited = position.epoch - 1 - position.best_epoch;
  return json{{"best", position.best_epoch > 0 ? json(static_cast<double>(position.best_correct)) : json()},
              {"best_step", position.best_epoch},
              // An epoch that is under way is brought to its end.
              {"stopped", patience > 0 && waited >= patience && position.batches == 0},
              {"waited", waited}}
      .dump();
}

void cut_log(const std::string& path, int64_t epoch) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return;
  const std::string log = eg::text::read_file(path);
  std::size_t keep = 0;
  for (std::size_t at = 0; at < log.size();) {
    const std::size_t end = std::min(log.find('\n', at), log.size());
    const std::size_t next = std::min(end + 1, log.size());
    if (!is_due(std::string_view(log).substr(at, end - at), epoch)) keep = next;
    at = next;
  }
  if (keep == log.size()) return;
  std::filesystem::resize_file(path, keep, error);
  if (error) throw eg::IoError(fmt::format("{}: cannot write: {}", path, error.message()));
}

}  // namespace tagger
